// A VM's console: a terminal of xterm.js at the end of a WebSocket.

import { FitAddon } from "../vendor/xterm/addon-fit.mjs";
import { Terminal } from "../vendor/xterm/xterm.mjs";
import { ConsoleConnection } from "./console-connection.js";
import { hasProcess } from "./store.js";
import { html, Notice, useEffect, useRef, useState } from "./ui.js";

const DARK = matchMedia("(prefers-color-scheme: dark)");

const THEMES = {
  dark: { background: "#0c0e12", foreground: "#d8dde6", cursor: "#d8dde6", selectionBackground: "#3b4a66" },
  light: {
    background: "#ffffff",
    foreground: "#1d2330",
    cursor: "#1d2330",
    selectionBackground: "#b9d2f8",
    // Those that cannot be read on white.
    yellow: "#8a6100",
    white: "#5c6370",
    brightYellow: "#7a5600",
    brightWhite: "#3a4150",
    brightGreen: "#0d7a3e",
    brightCyan: "#0a6f86",
  },
};

const theme = () => (DARK.matches ? THEMES.dark : THEMES.light);

/** Keys by which the focus leaves the terminal, as Tab belongs to the guest. */
const isLeaving = (event) => event.key === "F6" && event.shiftKey;

export function Console({ vm }) {
  const place = useRef();
  const leave = useRef();
  const connection = useRef();
  const terminal = useRef();
  const [status, setStatus] = useState({ state: "connecting" });
  const [lost, setLost] = useState(0);
  const [reader, setReader] = useState(false);
  const runs = hasProcess(vm);

  useEffect(() => {
    const term = new Terminal({
      convertEol: false,
      cursorBlink: true,
      fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace',
      fontSize: 13,
      scrollback: 5000,
      theme: theme(),
    });
    const fit = new FitAddon();
    term.loadAddon(fit);
    term.open(place.current);
    term.textarea.setAttribute("aria-label", `Console of ${vm.name}. Shift+F6 leaves it.`);
    term.attachCustomKeyEventHandler((event) => {
      if (isLeaving(event)) leave.current.focus();
      return !isLeaving(event);
    });
    const size = new ResizeObserver(() => fit.fit());
    size.observe(place.current);
    const recolour = () => {
      term.options.theme = theme();
    };
    DARK.addEventListener("change", recolour);
    const encoder = new TextEncoder();
    term.onData((text) => connection.current?.send(encoder.encode(text)));
    // Mouse reports, each character of which is a byte.
    term.onBinary((text) => connection.current?.send(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    terminal.current = term;
    return () => {
      DARK.removeEventListener("change", recolour);
      size.disconnect();
      term.dispose();
    };
  }, [vm.id]);

  // Anew for each process of the VM; what the last one wrote is left to be read.
  useEffect(() => {
    if (!runs) return undefined;
    setLost(0);
    const opened = new ConsoleConnection(vm.id, {
      terminal: terminal.current,
      status: setStatus,
      lost: (number) => setLost((before) => before + number),
    });
    connection.current = opened;
    return () => {
      connection.current = null;
      opened.close();
    };
  }, [vm.id, vm.started_at, runs]);

  const types = runs && status.state === "open" && status.writes;
  useEffect(() => {
    terminal.current.options.disableStdin = !types;
    terminal.current.options.cursorBlink = types;
  }, [types]);
  useEffect(() => {
    terminal.current.options.screenReaderMode = reader;
  }, [reader]);

  const takeOver = () => {
    connection.current?.takeOver();
    terminal.current.focus();
  };
  return html`<section class="console" aria-label="Console">
    <div class="bar">
      <span role="status" data-console=${runs ? status.state : "ended"}>${statusText(runs, status)}</span>
      ${runs &&
      status.state === "open" &&
      !status.writes &&
      html`<button class="primary" onClick=${takeOver}>Take over</button>`}
      <label class="check right">
        <input type="checkbox" ref=${leave} checked=${reader} onChange=${(event) => setReader(event.target.checked)} />
        Screen reader mode
      </label>
    </div>
    ${lost > 0 && html`<${Notice} kind="warn">${lost} bytes are missing: the guest wrote faster than the page could read.<//>`}
    <div class="screen" ref=${place}></div>
    <p class="dim"><kbd>Shift</kbd>+<kbd>F6</kbd> leaves the console.</p>
  </section>`;
}

function statusText(runs, { state, writes, reason }) {
  if (!runs) return "The VM does not run.";
  if (state === "connecting") return reason ? `Connecting again: ${reason}` : "Connecting…";
  return writes ? "Connected: what you type goes to the guest." : "Read only: another one types.";
}

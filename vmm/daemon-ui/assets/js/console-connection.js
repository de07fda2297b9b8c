// The WebSocket of a console, which is opened again when it breaks.

import { consoleUrl } from "./api.js";

/** How long to wait before a lost connection is tried again, in milliseconds: first and last. */
const RETRY = [500, 8000];
/** How many bytes may wait for the terminal to draw them. */
const UNDRAWN = 1 << 20;

export class ConsoleConnection {
  #vm;
  #terminal;
  #status;
  #lost;
  #socket = null;
  #timer = null;
  #pause = RETRY[0];
  #writes = true;
  #undrawn = 0;
  #closed = false;

  /**
   * Connects `terminal` with the console of the VM called `vm`. `status` is told what is so:
   * `{ state: "connecting", reason }` or `{ state: "open", writes }`, and `lost` how many bytes
   * were lost.
   */
  constructor(vm, { terminal, status, lost }) {
    this.#vm = vm;
    this.#terminal = terminal;
    this.#status = status;
    this.#lost = lost;
    this.#open({ write: true });
  }

  /** Sends what was typed, if this is the connection that may. */
  send(bytes) {
    if (this.#writes && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(bytes);
  }

  /** Takes the right to type from the connection that has it. */
  takeOver() {
    this.#open({ write: true, steal: true });
  }

  close() {
    this.#closed = true;
    this.#drop();
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #open({ write, steal = false }) {
    this.#drop();
    this.#writes = write;
    this.#status({ state: "connecting" });
    const socket = new WebSocket(consoleUrl(this.#vm, { write, steal }));
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    let opened = false;
    let reason = null;
    const current = (work) => (event) => this.#socket === socket && work(event);

    socket.onopen = current(() => {
      opened = true;
      // The last bytes of the console come again.
      this.#terminal.reset();
      this.#status({ state: "open", writes: write });
    });
    socket.onmessage = current(({ data }) => {
      this.#pause = RETRY[0];
      if (typeof data !== "string") return this.#draw(new Uint8Array(data));
      const message = JSON.parse(data);
      if (message.lost) this.#lost(message.lost);
      if (message.closed) reason = message.closed;
    });
    socket.onclose = current(() => {
      // A browser does not tell why a WebSocket was refused. Most likely another one types: who
      // may not type may read. So too when another one took over.
      if (write && (!opened || reason !== null)) this.#open({ write: false });
      else this.#retry(reason ?? "the connection was lost.");
    });
  }

  #retry(reason) {
    if (this.#closed) return;
    this.#status({ state: "connecting", reason });
    this.#timer = setTimeout(() => this.#open({ write: true }), this.#pause);
    this.#pause = Math.min(this.#pause * 2, RETRY[1]);
  }

  /** Writes to the terminal, which draws later; what it cannot keep up with is left out. */
  #draw(bytes) {
    if (this.#undrawn > UNDRAWN) return this.#lost(bytes.length);
    this.#undrawn += bytes.length;
    this.#terminal.write(bytes, () => {
      this.#undrawn -= bytes.length;
    });
  }
}

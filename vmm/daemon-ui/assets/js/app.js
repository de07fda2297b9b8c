// The page: its frame, and which part of it the address after # names.

import { auth, get, path, token } from "./api.js";
import { Create } from "./create.js";
import { EventsPage } from "./events.js";
import { NoticeArea } from "./notices.js";
import { SnapshotsPage } from "./snapshots.js";
import { store } from "./store.js";
import { Field, Heading, html, Notice, render, useChanges, useEffect, useState } from "./ui.js";
import { VmList } from "./vm-list.js";
import { VmPage } from "./vm-page.js";

/** The parts of the address after #. */
const address = () => location.hash.replace(/^#?\/?/, "").split("/").map(decodeURIComponent);

function useAddress() {
  const [parts, setParts] = useState(address());
  useEffect(() => {
    const changed = () => {
      // The link that led here is gone, and with it the focus: the new heading takes it.
      if (document.activeElement?.closest("main")) document.activeElement.blur();
      setParts(address());
    };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return parts;
}

const NAVIGATION = [["", "VMs"], ["snapshots", "Snapshots"], ["events", "Events"]];

function Page({ parts: [first, id, part] }) {
  if (first === "new") return html`<${Create} />`;
  if (first === "snapshots") return html`<${SnapshotsPage} />`;
  if (first === "events") return html`<${EventsPage} />`;
  if (first === "vms" && id) return html`<${VmPage} key=${id} id=${id} part=${part} />`;
  return html`<${VmList} />`;
}

function App() {
  const parts = useAddress();
  const [asks, setAsks] = useState(false);
  useEffect(() => {
    const ask = () => setAsks(true);
    auth.addEventListener("unauthorized", ask);
    return () => auth.removeEventListener("unauthorized", ask);
  }, []);
  useEffect(() => {
    if (asks) return undefined;
    const stop = new AbortController();
    store.follow(stop.signal);
    return () => stop.abort();
  }, [asks]);
  const forget = () => {
    token.forget();
    store.clear();
    setAsks(true);
  };
  const current = parts[0] === "vms" || parts[0] === "new" ? "" : parts[0];
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header>
      <a class="brand" href="#/"><img src="icon.svg" alt="" width="24" height="24" /> Paravane</a>
      <nav aria-label="Main">
        ${NAVIGATION.map(
          ([name, title]) => html`<a key=${name} href="#/${name}" aria-current=${name === current ? "page" : undefined}>${title}</a>`,
        )}
      </nav>
      <${Daemon} />
      ${token.get() && html`<button class="quiet" onClick=${forget}>Sign out</button>`}
    </header>
    <main id="main" tabindex="-1">
      ${asks ? html`<${AskToken} onAccepted=${() => setAsks(false)} />` : html`<${Lost} /><${Page} parts=${parts} />`}
    </main>
    <${NoticeArea} />
  `;
}

function skip(event) {
  // The address after # names the page.
  event.preventDefault();
  document.getElementById("main").focus();
}

/** What is known of the daemon. */
function Daemon() {
  useChanges(store);
  const version = store.info?.version;
  return html`<span class="dim right version">${version && `paravane ${version}`}</span>`;
}

/** Says that the page is not up to date, while it is not. */
function Lost() {
  useChanges(store);
  return store.lost && html`<${Notice} kind="warn">${store.lost.message} What is shown is old; the page tries again.<//>`;
}

function AskToken({ onAccepted }) {
  const [value, setValue] = useState("");
  const [error, setError] = useState(token.get() && new Error("The daemon does not accept the token."));
  const sign = async (event) => {
    event.preventDefault();
    token.set(value.trim());
    try {
      await get(path("info"));
      onAccepted();
    } catch (error) {
      token.forget();
      setError(error.status === 401 ? new Error("The daemon does not accept this token.") : error);
    }
  };
  return html`<form class="card token" onSubmit=${sign}>
    <${Heading} title="Access token" />
    <p>This listener of the daemon wants a bearer token. It is kept until this tab is closed.</p>
    <${Field} id="token" label="Token" error=${error?.message}>
      ${(input) => html`<input ...${input} type="password" required autocomplete="off" value=${value} onInput=${(event) => setValue(event.target.value)} />`}
    <//>
    <div class="buttons"><button class="primary">Sign in</button></div>
  </form>`;
}

const place = document.getElementById("app");
place.replaceChildren();
render(html`<${App} />`, place);

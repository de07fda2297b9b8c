// A VM's log, followed.

import { isAbort, objects, path } from "./api.js";
import { clock, date } from "./format.js";
import { ErrorNotice, html, useEffect, useRef, useState } from "./ui.js";

/** How many lines are read at first, and how many are shown at most. */
const TAIL = 500;
const MOST = 2000;
/** How long to wait before a lost connection is tried again, in milliseconds. */
const RETRY = 2000;

const SOURCES = { console: "Console", vmm: "VMM", daemon: "Daemon" };

function element(line) {
  const row = document.createElement("div");
  row.dataset.level = line.level;
  const time = document.createElement("time");
  time.dateTime = line.time;
  time.title = date(line.time);
  time.textContent = clock(line.time);
  const source = document.createElement("span");
  source.className = "source";
  source.textContent = line.source;
  const message = document.createElement("span");
  message.textContent = line.message;
  row.append(time, source, message);
  return row;
}

/** Puts lines at the end of `place`, those that come together at once. */
class Lines {
  #waiting = [];
  #frame = null;

  constructor(place, follows) {
    this.place = place;
    this.follows = follows;
  }

  add(line) {
    this.#waiting.push(line);
    if (this.#waiting.length > MOST) this.#waiting.shift();
    this.#frame ??= setTimeout(() => this.#draw(), 50);
  }

  stop() {
    clearTimeout(this.#frame);
  }

  #draw() {
    this.#frame = null;
    const rows = this.#waiting.map(element);
    this.#waiting = [];
    this.place.append(...rows);
    while (this.place.childElementCount > MOST) this.place.firstElementChild.remove();
    if (this.follows()) this.place.scrollTop = this.place.scrollHeight;
  }
}

export function Log({ vm }) {
  const place = useRef();
  const following = useRef(true);
  const [follow, setFollow] = useState(true);
  const [source, setSource] = useState("");
  const [error, setError] = useState(null);
  following.current = follow;

  useEffect(() => {
    const stop = new AbortController();
    const lines = new Lines(place.current, () => following.current);
    const url = `${path("vms", vm.id, "logs")}?tail=${TAIL}&follow=true${source && `&source=${source}`}`;
    let timer;
    const read = async () => {
      const opened = () => {
        setError(null);
        place.current.replaceChildren();
      };
      try {
        for await (const line of objects(url, { signal: stop.signal, opened })) lines.add(line);
      } catch (error) {
        if (isAbort(error)) return;
        setError(error);
        // Nothing would be different for a request that the daemon refuses.
        if (error.status !== 0) return;
      }
      // The daemon may have ended, and the VM go on.
      timer = setTimeout(read, RETRY);
    };
    read();
    return () => {
      stop.abort();
      clearTimeout(timer);
      lines.stop();
    };
  }, [vm.id, source]);

  useEffect(() => {
    if (follow) place.current.scrollTop = place.current.scrollHeight;
  }, [follow]);
  // To scroll up is to stop following, to scroll to the end to begin.
  const scrolled = ({ target }) =>
    setFollow(target.scrollHeight - target.scrollTop - target.clientHeight < 8);

  return html`<section aria-label="Log">
    <div class="bar">
      <label>
        Source${" "}
        <select value=${source} onChange=${(event) => setSource(event.target.value)}>
          <option value="">All</option>
          ${Object.entries(SOURCES).map(([value, name]) => html`<option value=${value}>${name}</option>`)}
        </select>
      </label>
      <label class="check right">
        <input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} />
        Follow
      </label>
    </div>
    <${ErrorNotice} error=${error} />
    <div class="card log" ref=${place} role="log" aria-live="off" aria-label="Lines" tabindex="0" onScroll=${scrolled}></div>
  </section>`;
}

// What the page knows of the daemon and its VMs, kept up to date by the daemon's events.

import { all, events, get, isAbort, path } from "./api.js";
import { History } from "./rates.js";

/** How many events the page remembers. */
const EVENTS = 500;
/** How long to wait for more of what changes together, in milliseconds. */
const GATHER = 30;
/** From so many VMs at once on, the whole list is read. */
const MANY = 10;
/** How long to wait before a lost connection is tried again, in milliseconds: first and last. */
const RETRY = [500, 8000];

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Store extends EventTarget {
  /** VMs by their ids; `null` until they were read. */
  vms = null;
  /** What happened, the latest first. */
  events = [];
  /** `DaemonInfo`. */
  info = null;
  /** Why events do not come, while they do not. */
  lost = null;
  #histories = new Map();
  #stale = new Set();
  #announced = false;
  #refreshes = false;

  /** Follows the daemon until `signal`. */
  async follow(signal) {
    let pause = RETRY[0];
    while (!signal.aborted) {
      try {
        const opened = () => {
          pause = RETRY[0];
          // Only now, so that no change is missed between the list and the events.
          this.#begin(signal);
        };
        // The first time all that the daemon remembers, then what was missed.
        const last = this.events[0]?.id ?? 0;
        for await (const event of events(path("events"), { signal, opened, last })) this.#happened(event);
        this.#lose(new Error("The daemon ended the connection."));
      } catch (error) {
        if (isAbort(error)) return;
        // The page asks for another token, and follows again.
        if (error.status === 401) return;
        this.#lose(error);
      }
      await sleep(pause);
      pause = Math.min(pause * 2, RETRY[1]);
    }
  }

  /** What a VM did lately. */
  history(id) {
    if (!this.#histories.has(id)) this.#histories.set(id, new History());
    return this.#histories.get(id);
  }

  /** Reads the figures of all VMs. */
  async readStats(signal) {
    await this.#read(async () => {
      const entries = await all(path("stats"), { signal });
      const now = Date.now() / 1000;
      for (const { id, stats } of entries) this.history(id).add(now, stats ?? null);
    });
  }

  /** Reads the figures of one VM, if it has a process. */
  async readStatsOf(vm, signal) {
    await this.#read(async () => {
      const stats = hasProcess(vm) ? await get(path("vms", vm.id, "stats"), { signal }) : null;
      this.history(vm.id).add(Date.now() / 1000, stats);
    });
  }

  /** Forgets all that is known. */
  clear() {
    Object.assign(this, { vms: null, events: [], info: null, lost: null });
    this.#histories.clear();
    this.changed();
  }

  /** Takes a VM as the daemon has just told it. */
  put(vm) {
    this.vms?.set(vm.id, vm);
    this.changed();
  }

  /** Tells those who show it; once for all that changes at a time. */
  changed() {
    if (this.#announced) return;
    this.#announced = true;
    queueMicrotask(() => {
      this.#announced = false;
      this.dispatchEvent(new Event("change"));
    });
  }

  /** Reads all, and if that fails again. */
  async #begin(signal) {
    while (!signal.aborted) {
      try {
        await this.#reload(signal);
        return;
      } catch (error) {
        if (error.status === 401) return;
        this.#lose(error);
      }
      await sleep(RETRY[1]);
    }
  }

  async #reload(signal) {
    const [vms, info] = await Promise.all([all(path("vms"), { signal }), get(path("info"), { signal })]);
    this.vms = new Map(vms.map((vm) => [vm.id, vm]));
    for (const id of this.#histories.keys()) if (!this.vms.has(id)) this.#histories.delete(id);
    this.info = info;
    this.lost = null;
    this.changed();
  }

  #lose(error) {
    if (isAbort(error)) return;
    this.lost = error;
    this.changed();
  }

  #happened(event) {
    this.events = [event, ...this.events].slice(0, EVENTS);
    if (event.kind === "deleted") {
      this.vms?.delete(event.vm);
      this.#histories.delete(event.vm);
    } else {
      this.#refresh(event.vm);
    }
    this.changed();
  }

  /** Reads a VM that has changed; what comes together is read together. */
  async #refresh(id) {
    this.#stale.add(id);
    // One at a time, so that no older answer comes after a newer one.
    if (this.#stale.size > 1 || this.#refreshes) return;
    this.#refreshes = true;
    while (this.#stale.size > 0) {
      await sleep(GATHER);
      const ids = [...this.#stale];
      this.#stale.clear();
      const read = async (id) => this.put(await get(path("vms", id)));
      // A VM that is gone is told by its event, and a lost connection by theirs.
      await Promise.allSettled(ids.length > MANY ? [this.#reload()] : ids.map(read));
    }
    this.#refreshes = false;
  }

  async #read(work) {
    try {
      await work();
      this.changed();
    } catch {
      // Charts have a gap where figures did not come; that the daemon is away, events tell.
    }
  }
}

export const store = new Store();

const PROCESS = new Set(["starting", "running", "paused", "stopping"]);

/** Whether a VM has a process. */
export const hasProcess = ({ state }) => PROCESS.has(state);

/** All states, in the order in which they are offered. */
export const STATES = ["running", "paused", "starting", "stopping", "restarting", "stopped", "failed", "lost"];

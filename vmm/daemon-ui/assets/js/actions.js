// What can be done with a VM.

import { idempotencyKey, path, post, remove } from "./api.js";
import { confirm } from "./dialog.js";
import { attempt, notices } from "./notices.js";
import { hasProcess, store } from "./store.js";
import { html, useState } from "./ui.js";

const act = (name, body) => async (vm) =>
  store.put(await post(path("vms", vm.id, name), body, { key: idempotencyKey() }));

/**
 * Each action: its label, the states in which it is offered, what it does, what to ask before
 * (where it loses something), and what it says when it is done.
 */
export const ACTIONS = [
  {
    label: "Start",
    states: ["stopped", "failed", "lost", "restarting"],
    run: act("start"),
    done: "was started",
    primary: true,
  },
  { label: "Resume", states: ["paused"], run: act("resume"), done: "runs again", primary: true },
  { label: "Pause", states: ["running"], run: act("pause"), done: "is paused" },
  { label: "Stop", states: ["running", "paused", "restarting"], run: act("stop", {}), done: "was stopped" },
  {
    label: "Force stop",
    states: ["starting", "running", "paused", "stopping"],
    run: act("stop", { force: true }),
    ask: (vm) => ({
      title: `Force ${vm.name} to stop?`,
      text: "The guest is not asked to shut down. What it has not written to a disk is lost.",
      action: "Force stop",
    }),
    done: "was stopped",
    extra: true,
  },
  {
    label: "Reset",
    states: ["running", "paused"],
    run: act("reset"),
    ask: (vm) => ({
      title: `Reset ${vm.name}?`,
      text: "The guest starts again from the beginning. What it has not written to a disk is lost.",
      action: "Reset",
    }),
    done: "was reset",
    extra: true,
  },
  {
    label: "Delete",
    states: null,
    run: async (vm) => {
      await remove(path("vms", vm.id) + (hasProcess(vm) ? "?force=true" : ""));
      location.hash = "#/";
    },
    ask: (vm) => ({
      title: `Delete ${vm.name}?`,
      text: hasProcess(vm)
        ? "It has not ended: it is stopped without asking the guest, and its log is deleted. Disks and snapshots stay."
        : "The VM and its log are deleted. Disks and snapshots stay.",
      action: "Delete",
    }),
    done: "was deleted",
    extra: true,
  },
];

/** The buttons of what can be done with a VM in its state. `short` leaves out what is rare. */
export function Actions({ vm, short }) {
  const [busy, setBusy] = useState(null);
  const run = async (action) => {
    if (action.ask && !(await confirm(action.ask(vm)))) return;
    setBusy(action);
    const done = await attempt(() => action.run(vm));
    setBusy(null);
    if (done) notices.tell(`${vm.name} ${action.done}.`);
  };
  const offered = ACTIONS.filter(
    ({ states, extra }) => (states?.includes(vm.state) ?? true) && !(short && extra),
  );
  return html`<div class="actions" role="group" aria-label="Actions on ${vm.name}">
    ${offered.map(
      (action) => html`<button
        key=${action.label}
        class=${action.primary ? "primary" : action.ask ? "risky" : ""}
        aria-label=${short ? `${action.label} ${vm.name}` : undefined}
        aria-busy=${busy === action}
        disabled=${busy !== null && action.label !== "Force stop"}
        onClick=${() => run(action)}
      >
        ${action.label}
      </button>`,
    )}
  </div>`;
}

// The page of one VM.

import { Actions } from "./actions.js";
import { get, path } from "./api.js";
import { Charts } from "./charts.js";
import { Console } from "./console.js";
import { Events } from "./events.js";
import { Figures } from "./figures.js";
import { bytes, date, duration } from "./format.js";
import { Log } from "./log.js";
import { Snapshots } from "./snapshots.js";
import { store } from "./store.js";
import { ErrorNotice, Heading, html, Notice, State, useChanges, useEffect, usePolling, useState } from "./ui.js";
import { uptime } from "./vm-list.js";

/** How often figures are read, in milliseconds. */
const PAUSE = 1000;

/** The parts of the page by what the address ends with. */
const PARTS = {
  "": ["Overview", Overview],
  console: ["Console", Console],
  log: ["Log", Log],
  snapshots: ["Snapshots", Snapshots],
  events: ["Events", Events],
  spec: ["Spec", Spec],
};

export function VmPage({ id, part = "" }) {
  useChanges(store);
  const [error, setError] = useState(null);
  const vm = store.vms?.get(id);
  const known = store.vms !== null;
  // An address may have a name in place of an id; and a VM may be gone.
  useEffect(() => {
    setError(null);
    if (!known || vm) return;
    get(path("vms", id)).then((found) => {
      store.put(found);
      location.replace(`#/vms/${found.id}${part && `/${part}`}`);
    }, setError);
  }, [id, known, vm === undefined]);

  if (!vm) return html`<${Heading} title="VM" /><${ErrorNotice} error=${error} />`;
  const [, Part] = PARTS[part] ?? PARTS[""];
  return html`
    <div class="title">
      <${Heading} title=${vm.name}><${State} state=${vm.state} /><//>
      <${Actions} vm=${vm} />
    </div>
    <${Ending} vm=${vm} />
    <nav class="tabs" aria-label="Parts of this page">
      ${Object.entries(PARTS).map(
        ([name, [title]]) => html`<a
          key=${name}
          href="#/vms/${vm.id}${name && `/${name}`}"
          aria-current=${name === part ? "page" : undefined}
        >
          ${title}
        </a>`,
      )}
    </nav>
    <${Part} key=${vm.id} vm=${vm} />
  `;
}

/** How the VM ended, where that is not what a client asked for. */
function Ending({ vm }) {
  const { ended } = vm;
  if (!ended || !["failed", "lost", "restarting", "stopped"].includes(vm.state)) return null;
  const kind = vm.state === "stopped" ? "info" : "error";
  return html`<${Notice} kind=${kind}>
    <strong>${ENDINGS[ended.kind] ?? ended.kind}</strong>${" "}
    <span>with code ${ended.exit_code}, ${date(ended.at)}.</span>
    ${ended.message && html`<p>${ended.message}</p>`}
    ${vm.restart_at && html`<p>It is started again at ${date(vm.restart_at)}.</p>`}
    ${ended.crash &&
    html`<details><summary>Registers and back-trace</summary><pre>${JSON.stringify(ended.crash, null, 2)}</pre></details>`}
  <//>`;
}

const ENDINGS = {
  shutdown: "The guest shut down",
  reboot: "The guest rebooted",
  crash: "The guest crashed",
  stopped: "It was stopped",
  error: "The VMM failed",
  killed: "Its process was killed",
  lost: "The host went down",
};

function Overview({ vm }) {
  usePolling((signal) => store.readStatsOf(store.vms?.get(vm.id) ?? vm, signal), PAUSE, [vm.id]);
  return html`
    <${Facts} vm=${vm} />
    <${Charts} vm=${vm.id} />
    <${Figures} history=${store.history(vm.id)} />
  `;
}

function Facts({ vm }) {
  const { resources, labels = {}, restart } = vm.spec;
  const { running } = vm;
  const sandbox = running && [
    running.sandbox.seccomp && "seccomp",
    running.sandbox.landlock && `Landlock ABI ${running.sandbox.landlock}`,
    running.sandbox.no_new_privileges && "no new privileges",
    `uid ${running.sandbox.uid}`,
    running.sandbox.cgroup && `cgroup ${running.sandbox.cgroup}`,
  ];
  const facts = [
    ["Image", vm.spec.image],
    ["Command line", vm.spec.command_line],
    ["vCPUs", resources.vcpus],
    ["Memory", bytes(resources.memory)],
    ["Uptime", uptime(vm) !== null && duration(uptime(vm))],
    ["Started in", running && `${(running.start_us / 1000).toFixed(1)} ms`],
    ["Mode", running && `${running.privilege}/${running.carrier}`],
    ["Process", vm.pid],
    ["Confined by", sandbox && sandbox.filter(Boolean).join(", ")],
    ["Restart", restart && restart.policy],
    ["Starts", vm.starts],
    ["Created", date(vm.created_at)],
    ["From snapshot", vm.from_snapshot],
    ["Id", html`<code>${vm.id}</code>`],
    ["Labels", Object.entries(labels).map(([key, value]) => html`<code class="label">${key}=${value}</code> `)],
  ];
  const known = ([, value]) => value && value.length !== 0;
  return html`<dl class="card facts">
    ${facts.filter(known).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

function Spec({ vm }) {
  return html`<section aria-label="Spec"><pre class="card" tabindex="0">${JSON.stringify(vm.spec, null, 2)}</pre></section>`;
}

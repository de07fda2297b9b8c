// The list of all VMs.

import { Actions } from "./actions.js";
import { bytes, count, duration, image, percent } from "./format.js";
import { hasProcess, STATES, store } from "./store.js";
import { Heading, html, Notice, State, useChanges, usePolling, useState } from "./ui.js";

/** How often figures are read, in milliseconds. */
const PAUSE = 2000;

/** Since when a VM's process runs, in milliseconds. */
export const uptime = (vm) =>
  hasProcess(vm) && vm.started_at ? Date.now() - new Date(vm.started_at) : null;

const figure = (name) => (vm) => store.history(vm.id).last(name);

/** Each column: its title, what it is sorted by, and what it shows. */
const COLUMNS = [
  {
    title: "Name",
    value: (vm) => vm.name,
    show: (vm) => html`<a href="#/vms/${vm.id}">${vm.name}</a>`,
  },
  {
    title: "State",
    value: (vm) => STATES.indexOf(vm.state),
    show: (vm) => html`<${State} state=${vm.state} />`,
  },
  {
    title: "Image",
    value: (vm) => vm.spec.image,
    show: (vm) => html`<span title=${vm.spec.image}>${image(vm.spec.image)}</span>`,
  },
  { title: "vCPUs", number: true, value: (vm) => vm.spec.resources.vcpus, show: (vm) => vm.spec.resources.vcpus },
  { title: "Memory", number: true, value: (vm) => vm.spec.resources.memory, show: (vm) => bytes(vm.spec.resources.memory) },
  { title: "Uptime", number: true, value: uptime, show: (vm) => duration(uptime(vm)) },
  { title: "CPU", number: true, value: figure("cpu"), show: (vm) => percent(figure("cpu")(vm)) },
  { title: "Exits/s", number: true, value: figure("exits"), show: (vm) => count(figure("exits")(vm)) },
  { title: "Hypercalls/s", number: true, value: figure("hypercalls"), show: (vm) => count(figure("hypercalls")(vm)) },
];

function compare(a, b) {
  if (typeof a === "string") return a.localeCompare(b, undefined, { numeric: true });
  // What is not known is less than nothing.
  return (a ?? -Infinity) - (b ?? -Infinity) || 0;
}

/** Whether a VM has all of the words in its name, id, image or labels. */
function matches(vm, words) {
  const labels = Object.entries(vm.spec.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const text = [vm.name, vm.id, vm.spec.image, ...labels].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

export function VmList() {
  useChanges(store);
  usePolling((signal) => store.readStats(signal), PAUSE, []);
  const [text, setText] = useState("");
  const [state, setState] = useState("");
  const [order, setOrder] = useState({ column: COLUMNS[0], down: false });

  const vms = [...(store.vms?.values() ?? [])];
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = vms.filter((vm) => (!state || vm.state === state) && matches(vm, words));
  const sign = order.down ? -1 : 1;
  shown.sort((a, b) => sign * compare(order.column.value(a), order.column.value(b)));

  return html`
    <div class="title">
      <${Heading} title="Virtual machines" />
      <a class="button primary" href="#/new">New VM</a>
    </div>
    <div class="filter" role="search">
      <input
        type="search"
        aria-label="Filter by name, image or label"
        placeholder="Filter by name, image or label"
        value=${text}
        onInput=${(event) => setText(event.target.value)}
      />
      <select aria-label="State" value=${state} onChange=${(event) => setState(event.target.value)}>
        <option value="">All states</option>
        ${STATES.map((name) => html`<option value=${name}>${name}</option>`)}
      </select>
      <span role="status" class="dim">
        ${store.vms && `${shown.length === vms.length ? "" : `${shown.length} of `}${vms.length} ${vms.length === 1 ? "VM" : "VMs"}`}
      </span>
    </div>
    ${shown.length > 0 && html`<${Table} vms=${shown} order=${order} setOrder=${setOrder} />`}
    ${store.vms && shown.length === 0 && html`<${Notice}>${vms.length ? "No VM is like that." : "There is no VM yet."}<//>`}
  `;
}

function Table({ vms, order, setOrder }) {
  const heading = (column) => {
    const sorted = order.column === column;
    const sort = () => setOrder({ column, down: sorted && !order.down });
    return html`<th
      scope="col"
      role="columnheader"
      class=${column.number ? "number" : ""}
      aria-sort=${sorted ? (order.down ? "descending" : "ascending") : "none"}
    >
      <button class="quiet" onClick=${sort}>${column.title}</button>
    </th>`;
  };
  const cell = (column, vm) =>
    html`<td role="cell" data-title=${column.title} class=${column.number ? "number" : ""}>${column.show(vm)}</td>`;
  // The roles are said because a narrow page lays the rows out as cards.
  return html`<div class="card scroll">
    <table class="vms" role="table">
      <thead role="rowgroup">
        <tr role="row">
          ${COLUMNS.map(heading)}
          <th scope="col" role="columnheader"><span class="hidden">Actions</span></th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${vms.map(
          (vm) => html`<tr key=${vm.id} role="row">
            ${COLUMNS.map((column) => cell(column, vm))}
            <td role="cell" class="last"><${Actions} vm=${vm} short=${true} /></td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

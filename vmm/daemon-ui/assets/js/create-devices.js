// The parts of the form for disks and networks.

import { EMPTY_DISK, EMPTY_NETWORK } from "./create-spec.js";
import { Field, html } from "./ui.js";

/** A list of things of which each is a row of the form. */
function Rows({ title, one, rows, setRows, empty, children }) {
  const change = (index, fields) => setRows(rows.map((row, at) => (at === index ? { ...row, ...fields } : row)));
  return html`<fieldset class="card wide">
    <legend>${title}</legend>
    ${rows.map(
      (row, index) => html`<div class="row" role="group" aria-label="${one} ${index + 1}">
        ${children(row, (fields) => change(index, fields), index)}
        <button type="button" class="risky" aria-label="Remove ${one.toLowerCase()} ${index + 1}" onClick=${() => setRows(rows.filter((_, at) => at !== index))}>
          Remove
        </button>
      </div>`,
    )}
    <button type="button" onClick=${() => setRows([...rows, empty])}>Add a ${one.toLowerCase()}</button>
  </fieldset>`;
}

export const Disks = ({ disks, setDisks, wrong }) =>
  html`<${Rows} title="Disks" one="Disk" rows=${disks} setRows=${setDisks} empty=${EMPTY_DISK}>
    ${(disk, set, index) => html`
      <${Field} id="disk-${index}" label="File or block device" hint="An absolute path, or store:NAME" error=${wrong(`disks-${index}`)}>
        ${(input) => html`<input ...${input} required value=${disk.source} onInput=${(event) => set({ source: event.target.value })} />`}
      <//>
      <label class="check">
        <input type="checkbox" checked=${disk.read_only} onChange=${(event) => set({ read_only: event.target.checked })} />
        Read only
      </label>
    `}
  <//>`;

const CONNECTIONS = { user: "The host's network, by sockets", tap: "A tap device", switch: "A switch" };

export const Networks = ({ networks, setNetworks, wrong }) =>
  html`<${Rows} title="Networks" one="Network" rows=${networks} setRows=${setNetworks} empty=${EMPTY_NETWORK}>
    ${(network, set, index) => html`
      <${Field} id="network-${index}" label="Connected to" error=${wrong(`networks-${index}`)}>
        ${(input) => html`<select ...${input} value=${network.kind} onChange=${(event) => set({ kind: event.target.value })}>
          ${Object.entries(CONNECTIONS).map(([kind, name]) => html`<option value=${kind}>${name}</option>`)}
        </select>`}
      <//>
      <${Target} network=${network} set=${set} index=${index} />
      <${Field} id="mac-${index}" label="MAC address" hint="Optional">
        ${(input) => html`<input ...${input} value=${network.mac} onInput=${(event) => set({ mac: event.target.value })} />`}
      <//>
    `}
  <//>`;

/** What a network leads to, by its kind. */
function Target({ network, set, index }) {
  if (network.kind === "user") {
    return html`<${Field} id="hostfwd-${index}" label="Ports of the host" hint="Such as tcp:127.0.0.1:8080-80. Optional.">
      ${(input) => html`<input ...${input} value=${network.hostfwd} onInput=${(event) => set({ hostfwd: event.target.value })} />`}
    <//>`;
  }
  return html`<${Field} id="target-${index}" label=${network.kind === "tap" ? "Name of the tap device" : "Socket of the switch"}>
    ${(input) => html`<input ...${input} required value=${network.target} onInput=${(event) => set({ target: event.target.value })} />`}
  <//>`;
}

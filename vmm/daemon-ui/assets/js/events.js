// What happened to VMs, as far back as the daemon remembers.

import { clock, date } from "./format.js";
import { store } from "./store.js";
import { Head, Heading, html, Notice, State, useChanges } from "./ui.js";

/** Events as a table; of one VM only, if `vm` is given. */
export function Events({ vm }) {
  useChanges(store);
  const events = store.events.filter((event) => !vm || event.vm === vm.id);
  if (events.length === 0) return html`<${Notice}>Nothing has happened yet.<//>`;
  return html`<div class="card scroll">
    <table class="events">
      <${Head} columns=${["Time", ...(vm ? [] : ["VM"]), "Event", "State", "Message"]} />
      <tbody>
        ${events.map(
          (event) => html`<tr key=${event.id}>
            <td><time datetime=${event.time} title=${date(event.time)}>${clock(event.time)}</time></td>
            ${!vm && html`<td>${store.vms?.has(event.vm) ? html`<a href="#/vms/${event.vm}">${event.name}</a>` : event.name}</td>`}
            <td>${event.kind}</td>
            <td><${State} state=${event.state} /></td>
            <td>${event.message}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

export const EventsPage = () => html`<${Heading} title="Events" /><${Events} />`;

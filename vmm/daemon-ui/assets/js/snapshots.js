// Snapshots: of one VM, or all of them.

import { all, idempotencyKey, path, post, remove } from "./api.js";
import { confirm, Dialog } from "./dialog.js";
import { bytes, date, shortId } from "./format.js";
import { attempt, notices } from "./notices.js";
import { store } from "./store.js";
import { ErrorNotice, Field, Head, Heading, html, Notice, useChanges, useEffect, useState } from "./ui.js";

/** The snapshots of `vm`, or all. They are read anew when `turn` changes. */
function useSnapshots(vm, turn) {
  const [snapshots, setSnapshots] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    let gone = false;
    all(path("snapshots"))
      .then((list) => {
        if (gone) return;
        setSnapshots(list.filter((snapshot) => !vm || snapshot.vm === vm.id).reverse());
        setError(null);
      })
      .catch((error) => !gone && setError(error));
    return () => {
      gone = true;
    };
  }, [vm?.id, turn]);
  return { snapshots, error };
}

/** The page of all snapshots, also of VMs that are gone. */
export const SnapshotsPage = () => html`<${Heading} title="Snapshots" /><${Snapshots} />`;

export function Snapshots({ vm }) {
  useChanges(store);
  const [turn, setTurn] = useState(0);
  // One that another client took is told by an event.
  const taken = store.events.find((event) => event.kind === "snapshotted" && (!vm || event.vm === vm.id));
  const { snapshots, error } = useSnapshots(vm, `${turn} ${taken?.id}`);
  const [restoring, setRestoring] = useState(null);
  const changed = () => setTurn((number) => number + 1);

  const forget = async (snapshot) => {
    const yes = await confirm({
      title: `Delete the snapshot ${snapshot.name}?`,
      text: `${bytes(snapshot.size)} of the host's disk are freed. VMs that were made from it go on.`,
      action: "Delete",
    });
    if (!yes) return;
    if (await attempt(() => remove(path("snapshots", snapshot.id)))) notices.tell(`${snapshot.name} was deleted.`);
    changed();
  };
  return html`<section aria-label="Snapshots">
    ${vm && html`<${Take} vm=${vm} onTaken=${changed} />`}
    <${ErrorNotice} error=${error} />
    ${snapshots?.length === 0 && html`<${Notice}>There is no snapshot yet.<//>`}
    ${snapshots?.length > 0 &&
    html`<div class="card scroll">
      <table>
        <${Head} columns=${["Name", ...(vm ? [] : ["VM"]), "Taken", "Size", "Actions"]} />
        <tbody>
          ${snapshots.map(
            (snapshot) => html`<tr key=${snapshot.id}>
              <td>${snapshot.name}</td>
              ${!vm && html`<td><${Origin} id=${snapshot.vm} /></td>`}
              <td>${date(snapshot.created_at)}</td>
              <td>${bytes(snapshot.size)}</td>
              <td>
                <div class="actions">
                  <button aria-label="Restore ${snapshot.name}" onClick=${() => setRestoring(snapshot)}>Restore…</button>
                  <button class="risky" aria-label="Delete ${snapshot.name}" onClick=${() => forget(snapshot)}>Delete</button>
                </div>
              </td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>`}
    ${restoring && html`<${Restore} snapshot=${restoring} onClose=${() => setRestoring(null)} />`}
  </section>`;
}

/** The VM that a snapshot was taken of, which may be gone. */
function Origin({ id }) {
  const vm = store.vms?.get(id);
  return vm ? html`<a href="#/vms/${id}">${vm.name}</a>` : html`<span class="dim">${shortId(id)}, deleted</span>`;
}

function Take({ vm, onTaken }) {
  const [name, setName] = useState("");
  const [stay, setStay] = useState(false);
  const [busy, setBusy] = useState(false);
  const possible = vm.state === "running" || vm.state === "paused";
  const take = async (event) => {
    event.preventDefault();
    setBusy(true);
    const request = { ...(name && { name }), stay_paused: stay };
    const done = await attempt(async () => {
      const snapshot = await post(path("vms", vm.id, "snapshots"), request, { key: idempotencyKey() });
      notices.tell(`The snapshot ${snapshot.name} was taken.`);
    });
    setBusy(false);
    if (done) setName("");
    onTaken();
  };
  return html`<form class="bar" onSubmit=${take}>
    <label>Name <input value=${name} placeholder="chosen by the daemon" onInput=${(event) => setName(event.target.value)} /></label>
    <label class="check"><input type="checkbox" checked=${stay} onChange=${(event) => setStay(event.target.checked)} /> Leave the VM paused</label>
    <button class="primary" disabled=${!possible || busy} aria-busy=${busy}>Take a snapshot</button>
    ${!possible && html`<span class="dim">Only a VM that runs or is paused has something to save.</span>`}
  </form>`;
}

/** Asks how many VMs to make from a snapshot, and makes them. */
function Restore({ snapshot, onClose }) {
  const [name, setName] = useState("");
  const [number, setNumber] = useState(1);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const wrong = (field) => error?.errors.find((each) => each.field === `/${field}`)?.detail;
  const restore = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const request = { ...(name && { name }), count: number };
      const { items } = await post(path("snapshots", snapshot.id, "restore"), request, { key: idempotencyKey() });
      for (const vm of items) store.put(vm);
      onClose();
      notices.tell(items.length === 1 ? `${items[0].name} runs.` : `${items.length} VMs run.`);
      location.hash = items.length === 1 ? `#/vms/${items[0].id}` : "#/";
    } catch (error) {
      setError(error);
      setBusy(false);
    }
  };
  return html`<${Dialog} title="Restore ${snapshot.name}" onClose=${onClose}>
    <form onSubmit=${restore}>
      <${Field} id="restore-name" label="Name" hint="With several VMs, the beginning of their names. Optional." error=${wrong("name")}>
        ${(input) => html`<input ...${input} autofocus value=${name} onInput=${(event) => setName(event.target.value)} />`}
      <//>
      <${Field} id="restore-count" label="How many VMs" error=${wrong("count")}>
        ${(input) => html`<input ...${input} type="number" min="1" max="1000" required value=${number} onInput=${(event) => setNumber(event.target.valueAsNumber)} />`}
      <//>
      <${ErrorNotice} error=${error} />
      <div class="buttons">
        <button type="button" onClick=${onClose}>Cancel</button>
        <button class="primary" disabled=${busy} aria-busy=${busy}>Restore</button>
      </div>
    </form>
  <//>`;
}

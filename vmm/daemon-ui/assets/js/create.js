// The form by which a VM is created.

import { all, idempotencyKey, path, post } from "./api.js";
import { Disks, Networks } from "./create-devices.js";
import { EMPTY, fieldOf, request } from "./create-spec.js";
import { notices } from "./notices.js";
import { store } from "./store.js";
import { ErrorNotice, Field, Heading, html, useEffect, useRef, useState } from "./ui.js";

/** The images of the store that can be run, by their names. */
function useImages() {
  const [images, setImages] = useState([]);
  useEffect(() => {
    all(path("images")).then(
      (list) => setImages(list.filter(({ kind }) => kind === "guest").flatMap(({ names }) => names)),
      // The field takes any text; to have no suggestions is no reason to stop anybody.
      () => {},
    );
  }, []);
  return images;
}

export function Create() {
  const [form, setForm] = useState(EMPTY);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const images = useImages();
  const sent = useRef({ text: null, key: null });
  const set = (name) => (value) => setForm((form) => ({ ...form, [name]: value }));
  const wrong = (name) => error?.errors.find(({ field }) => fieldOf(field) === name)?.detail;

  const create = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    const body = request(form);
    const text = JSON.stringify(body);
    // Sent again without a change, it is the same request: the answer to it may have been lost.
    if (sent.current.text !== text) sent.current = { text, key: idempotencyKey() };
    try {
      const vm = await post(path("vms"), body, { key: sent.current.key });
      store.put(vm);
      notices.tell(`${vm.name} was created.`);
      location.hash = `#/vms/${vm.id}${form.start ? "/console" : ""}`;
    } catch (error) {
      sent.current = error.status === 0 ? sent.current : { text: null, key: null };
      setError(error);
      setBusy(false);
    }
  };

  const text = (name, label, options = {}) => {
    const { hint, ...attributes } = options;
    return html`<${Field} id=${name} label=${label} hint=${hint} error=${wrong(name)}>
      ${(input) => html`<input ...${input} ...${attributes} value=${form[name]} onInput=${(event) => set(name)(event.target.value)} />`}
    <//>`;
  };
  const choice = (name, label, values) => html`<${Field} id=${name} label=${label} error=${wrong(name)}>
    ${(input) => html`<select ...${input} value=${form[name]} onChange=${(event) => set(name)(event.target.value)}>
      ${values.map((value) => html`<option value=${value}>${value}</option>`)}
    </select>`}
  <//>`;
  const amount = { type: "number", min: 1, step: 1 };

  return html`
    <${Heading} title="New VM" />
    <form class="create" onSubmit=${create}>
      <fieldset class="card">
        <legend>Guest</legend>
        ${text("name", "Name", { hint: "a-z, 0-9 and -, beginning with a letter. Optional.", autocomplete: "off" })}
        ${text("image", "Image", { hint: "builtin, store:NAME, sha256:DIGEST, or the absolute path of a file of the host", list: "images", required: true })}
        <datalist id="images">
          <option value="builtin" />
          ${images.map((name) => html`<option value="store:${name}" />`)}
        </datalist>
        ${text("command_line", "Command line", { autocomplete: "off" })}
        ${text("labels", "Labels", { hint: "KEY=VALUE, with spaces between", autocomplete: "off" })}
      </fieldset>
      <fieldset class="card">
        <legend>Resources</legend>
        ${text("vcpus", "vCPUs", { ...amount, max: 64, required: true })}
        ${text("memory", "Memory in MiB", { type: "number", min: 0, step: "any", required: true })}
        ${choice("policy", "Restart", ["never", "on-failure", "always"])}
      </fieldset>
      <${Disks} disks=${form.disks} setDisks=${set("disks")} wrong=${wrong} />
      <${Networks} networks=${form.networks} setNetworks=${set("networks")} wrong=${wrong} />
      <details class="card">
        <summary>More</summary>
        <div class="grid">
          ${text("initrd", "Initrd", { hint: "Named as an image is" })}
          ${text("cpu_weight", "CPU weight", { ...amount, max: 10000, hint: "Beside other VMs, 100 being usual" })}
          ${text("cpu_quota", "CPU quota", { ...amount, max: 6400, hint: "At most so many percent of one processor" })}
          ${text("cpus", "Processors", { placeholder: "0-3,6" })}
          ${text("grace", "Time to shut down in ms", { type: "number", min: 0, max: 600000 })}
          ${choice("privilege", "Privilege of the guest kernel", ["auto", "ring0", "ring3"])}
          ${choice("carrier", "Carrier of hypercalls", ["auto", "vmcall", "vmmcall", "pio"])}
        </div>
      </details>
      <${ErrorNotice} error=${error} />
      <div class="buttons">
        <label class="check">
          <input type="checkbox" checked=${form.start} onChange=${(event) => set("start")(event.target.checked)} />
          Start it
        </label>
        <a class="button" href="#/">Cancel</a>
        <button class="primary" disabled=${busy} aria-busy=${busy}>Create</button>
      </div>
    </form>
  `;
}

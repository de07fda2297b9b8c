// From what is written in the form to a `CreateVm` of the API.

/** The form when it is opened. Numbers are text until they are sent. */
export const EMPTY = {
  name: "",
  image: "builtin",
  command_line: "",
  vcpus: "1",
  memory: "128",
  initrd: "",
  cpu_weight: "",
  cpu_quota: "",
  cpus: "",
  privilege: "auto",
  carrier: "auto",
  policy: "never",
  grace: "3000",
  labels: "",
  disks: [],
  networks: [],
  start: true,
};

export const EMPTY_DISK = { source: "", read_only: false };
export const EMPTY_NETWORK = { kind: "user", hostfwd: "", target: "", mac: "" };

/** The parts of a text between spaces, commas or line ends. */
const words = (text) => text.split(/[\s,]+/).filter(Boolean);

/** A number as it is written; what is none is sent as it is, and the daemon says what is wrong. */
const number = (text, scale = 1) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Math.round(Number(text) * scale) : text);

/** An object without what was left empty. */
const filled = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ""));

function labels(text) {
  return Object.fromEntries(
    words(text).map((word) => {
      const [key, ...value] = word.split("=");
      return [key, value.join("=")];
    }),
  );
}

function network({ kind, hostfwd, target, mac }) {
  const connection = {
    user: { user: { hostfwd: words(hostfwd) } },
    tap: { tap: { name: target } },
    switch: { switch: { path: target } },
  }[kind];
  return { connection, ...filled({ mac }) };
}

/** The request that the form stands for. */
export function request(form) {
  const devices = {
    ...(form.disks.length > 0 && { disks: form.disks }),
    ...(form.networks.length > 0 && { networks: form.networks.map(network) }),
  };
  const spec = {
    ...filled({ name: form.name, initrd: form.initrd, command_line: form.command_line }),
    image: form.image,
    resources: {
      vcpus: number(form.vcpus),
      memory: number(form.memory, 1 << 20),
      ...filled({
        cpu_weight: number(form.cpu_weight),
        cpu_quota: number(form.cpu_quota),
        cpus: form.cpus,
      }),
    },
    privilege: form.privilege,
    carrier: form.carrier,
    devices,
    restart: { policy: form.policy },
    grace_ms: number(form.grace),
    labels: labels(form.labels),
  };
  return { spec, start: form.start };
}

/** The field of the form that a JSON pointer of the API leads to. */
const POINTERS = {
  "/spec/restart/policy": "policy",
  "/spec/grace_ms": "grace",
};

export function fieldOf(pointer) {
  if (POINTERS[pointer]) return POINTERS[pointer];
  const [, device, index] = pointer.match(/^\/spec\/devices\/(disks|networks)\/(\d+)/) ?? [];
  if (device) return `${device}-${index}`;
  return pointer.replace(/^\/spec\/(resources\/)?/, "").split("/")[0];
}

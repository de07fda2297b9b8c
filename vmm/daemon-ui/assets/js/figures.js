// Tables of what a VM did: exits, hypercalls, vCPUs, devices.

import { bytes, count, nanoseconds, percent } from "./format.js";
import { quantile } from "./rates.js";
import { Head, html } from "./ui.js";

const atMost = (bound) => (bound === Infinity ? "> 100 ms" : bound === null ? "–" : `≤ ${nanoseconds(bound)}`);
const mean = ({ count, sum_ns }) => nanoseconds(count > 0 ? sum_ns / count : null);

/** Counters with a name, the largest first. */
const largest = (counters, read) => Object.entries(counters).sort(([, a], [, b]) => read(b) - read(a));

const Table = ({ title, columns, rows }) =>
  rows.length > 0 &&
  html`<div class="card scroll">
    <table class="figures">
      <caption>${title}</caption>
      <${Head} columns=${columns} />
      <tbody>
        ${rows.map(
          ([name, ...values]) => html`<tr key=${name}>
            <th scope="row">${name}</th>
            ${values.map((value) => html`<td class="number">${value}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;

export function Figures({ history }) {
  const { stats } = history;
  if (!stats) return null;
  const rate = (read) => count(history.rate(read));
  const calls = largest(stats.hypercalls, (call) => call.latency.count).map(([name, { latency }]) => [
    name,
    count(latency.count),
    rate((stats) => stats.hypercalls[name]?.latency.count),
    mean(latency),
    atMost(quantile(latency, 0.5)),
    atMost(quantile(latency, 0.99)),
  ]);
  const exits = largest(stats.exits, (number) => number).map(([name, number]) => [
    name,
    count(number),
    rate((stats) => stats.exits[name]),
  ]);
  const vcpus = stats.vcpus.map(({ state, exits }, index) => [
    index,
    state,
    rate((stats) => stats.vcpus[index]?.exits),
    count(exits),
    percent(history.rate((stats) => stats.vcpus[index]?.steal_ns / 1e7)),
  ]);
  const devices = stats.devices.map((device) => [
    device.id,
    device.kind,
    count(device.requests),
    bytes(device.bytes_from_guest),
    bytes(device.bytes_to_guest),
    mean(device.latency),
  ]);
  return html`<div class="tables">
    <${Table} title="Hypercalls" columns=${["Call", "Number", "A second", "Mean", "p50", "p99"]} rows=${calls} />
    <${Table} title="Exits" columns=${["Reason", "Number", "A second"]} rows=${exits} />
    <${Table} title="vCPUs" columns=${["vCPU", "State", "Exits/s", "Exits", "Steal"]} rows=${vcpus} />
    <${Table} title="Devices" columns=${["Device", "Kind", "Requests", "From guest", "To guest", "Mean"]} rows=${devices} />
  </div>`;
}

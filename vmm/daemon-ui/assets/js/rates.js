// What a VM does each second, from counters that only grow.

/** How far back histories go, in seconds. */
export const SPAN = 300;

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** The counters of a `VmStats` that rates are made of. */
function counters(stats) {
  return {
    exits: sum(Object.values(stats.exits)),
    hypercalls: sum(Object.values(stats.hypercalls).map((call) => call.latency.count)),
    cpu: stats.cpu_ns,
    steal: sum(stats.vcpus.map((vcpu) => vcpu.steal_ns)),
  };
}

/** What a VM did in the last [`SPAN`], as columns for a chart: `time` in seconds since 1970. */
export class History {
  columns = { time: [], exits: [], hypercalls: [], cpu: [], steal: [], resident: [], overhead: [] };
  /** The last figures as they came; `null` when the VM has no process. */
  stats = null;
  /** The figures before them. */
  before = null;
  #last = null;

  /** Takes the figures of now (`time` in seconds), or `null` when the VM has no process. */
  add(time, stats) {
    const last = this.#last;
    const now = stats && { time, ...counters(stats) };
    this.before = this.stats && { time: last?.time, stats: this.stats };
    this.stats = stats;
    this.time = time;
    this.#last = now;
    const elapsed = now && last && time - last.time;
    // A counter that shrank is that of a new process.
    const same = elapsed > 0 && Object.keys(now).every((name) => now[name] >= last[name]);
    if (!same) this.before = null;
    const rate = (name, scale) => (same ? ((now[name] - last[name]) / elapsed) * scale : null);
    this.#push({
      time,
      exits: rate("exits", 1),
      hypercalls: rate("hypercalls", 1),
      // Nanoseconds a second, in percent of one processor.
      cpu: rate("cpu", 1e-7),
      steal: rate("steal", 1e-7),
      resident: stats?.memory.resident_ram ?? null,
      overhead: stats?.memory.overhead ?? null,
    });
  }

  #push(row) {
    const { time } = this.columns;
    const old = time.findIndex((then) => then >= row.time - SPAN);
    for (const [name, column] of Object.entries(this.columns)) {
      column.splice(0, old < 0 ? column.length : old);
      column.push(row[name]);
    }
  }

  /** The last value of a column. */
  last(name) {
    return this.columns[name].at(-1) ?? null;
  }

  /** How often a counter of the figures, found by `read`, rose in a second. */
  rate(read) {
    if (!this.before) return null;
    const elapsed = this.time - this.before.time;
    const rise = (read(this.stats) ?? 0) - (read(this.before.stats) ?? 0);
    return elapsed > 0 && rise >= 0 ? rise / elapsed : null;
  }
}

/** The upper bounds of latency histograms in nanoseconds (`LATENCY_BOUNDS_NS` of the API). */
const BOUNDS = [500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 1e6, 1e7, 1e8];

/** The bound below which a part (0.99, say) of a histogram lies, in nanoseconds. */
export function quantile({ count, buckets }, part) {
  let seen = 0;
  for (const [index, number] of buckets.entries()) {
    seen += number;
    if (count > 0 && seen >= count * part) return BOUNDS[index] ?? Infinity;
  }
  return null;
}

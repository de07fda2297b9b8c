// Figures and times, for people.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** What stands where there is no figure. */
export const NONE = "–";

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** Three digits or so of a number that is not negative. */
function digits(value) {
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toFixed(value >= 10 ? 1 : 2).replace(/\.?0+$/, "");
}

export function bytes(value) {
  if (!known(value)) return NONE;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${digits(value)} ${UNITS[unit]}`;
}

/** A number of things, such as 12.3k. */
export function count(value) {
  if (!known(value)) return NONE;
  for (const [size, suffix] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
    if (value >= size) return digits(value / (suffix === "k" ? 1e3 : size)) + suffix;
  }
  return digits(Math.round(value));
}

export const percent = (value) => (known(value) ? `${digits(value)} %` : NONE);

/** A latency in nanoseconds. */
export function nanoseconds(value) {
  if (!known(value)) return NONE;
  if (value < 1e3) return `${digits(value)} ns`;
  if (value < 1e6) return `${digits(value / 1e3)} µs`;
  if (value < 1e9) return `${digits(value / 1e6)} ms`;
  return `${digits(value / 1e9)} s`;
}

/** A time span in milliseconds, by its two largest units. */
export function duration(ms) {
  if (!known(ms)) return NONE;
  const s = Math.max(0, Math.floor(ms / 1000));
  const [days, hours, minutes] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min ${s % 60} s`;
  return `${s} s`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

const formatted = (format, time) => {
  const date = new Date(time);
  return Number.isNaN(date.valueOf()) ? String(time) : format.format(date);
};

/** The time of day of an RFC 3339 time. */
export const clock = (time) => formatted(CLOCK, time);
/** Date and time of an RFC 3339 time. */
export const date = (time) => formatted(DATE, time);

/** The first part of a UUID. */
export const shortId = (id) => id.slice(0, 8);

/** An image's name, short enough for a list. */
export function image(name) {
  if (name.startsWith("sha256:")) return name.slice(0, 19);
  return name.startsWith("/") ? name.slice(name.lastIndexOf("/") + 1) : name;
}

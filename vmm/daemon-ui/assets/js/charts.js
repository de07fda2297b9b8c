// Charts of what a VM does, drawn by uPlot, which a script tag of the page has loaded.

import { bytes, clock, count, percent } from "./format.js";
import { SPAN } from "./rates.js";
import { store } from "./store.js";
import { html, useEffect, useRef } from "./ui.js";

const HEIGHT = 140;
/** How much time is shown while there is less, in seconds. */
const LEAST_SPAN = 60;

/** Each chart: its title, how its figures are written, the least top of its axis, its lines. */
const CHARTS = [
  { title: "Exits/s", format: count, top: 10, lines: [["exits", "Exits"]] },
  { title: "Hypercalls/s", format: count, top: 10, lines: [["hypercalls", "Hypercalls"]] },
  { title: "CPU", format: percent, top: 10, lines: [["cpu", "Process"], ["steal", "Stolen by the host"]] },
  {
    title: "Memory",
    format: bytes,
    top: 1 << 20,
    // Round in binary units.
    steps: Array.from({ length: 40 }, (_, power) => 2 ** power),
    lines: [["resident", "RAM in use"], ["overhead", "Overhead"]],
  },
];

const DARK = matchMedia("(prefers-color-scheme: dark)");

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options({ format, top, lines, steps }, width, hovered) {
  const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: {
      x: { range: (_, first, last) => [last - Math.max(LEAST_SPAN, last - first), last] },
      y: { range: (_, __, most) => [0, Math.max(top, most * 1.1)] },
    },
    axes: [
      { ...axis, size: 28, space: 100, values: (_, times) => times.map((time) => clock(time * 1000)) },
      { ...axis, size: 64, space: 30, incrs: steps, values: (_, values) => values.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map((line, index) => ({
        stroke: colour(`--line-${index + 1}`),
        fill: index === 0 ? colour("--fill-1") : undefined,
        width: 1.5,
        points: { show: false },
      })),
    ],
    hooks: { setCursor: [(plot) => hovered(plot.cursor.idx)] },
  };
}

/** A chart of some columns of a VM's history. */
function Chart({ vm, chart }) {
  const place = useRef();
  const caption = useRef();

  // Drawn past the library of the page: these are pixels, several times a second.
  useEffect(() => {
    const history = store.history(vm);
    let plot;
    let at = null;
    const write = () => {
      const values = chart.lines.map(([name]) => history.columns[name].at(at ?? -1));
      caption.current.querySelectorAll("output").forEach((output, line) => {
        output.value = chart.format(values[line]);
      });
      const time = at === null ? null : history.columns.time[at];
      caption.current.querySelector("time").textContent = time ? clock(time * 1000) : "";
    };
    const hovered = (index) => {
      at = index ?? null;
      write();
    };
    const data = () => [history.columns.time, ...chart.lines.map(([name]) => history.columns[name])];
    const draw = () => {
      plot?.destroy();
      plot = new uPlot(options(chart, place.current.clientWidth, hovered), data(), place.current);
    };
    const update = () => {
      plot.setData(data());
      write();
    };
    draw();
    write();
    const size = new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width > 0) plot.setSize({ width: contentRect.width, height: HEIGHT });
    });
    size.observe(place.current);
    store.addEventListener("change", update);
    DARK.addEventListener("change", draw);
    return () => {
      store.removeEventListener("change", update);
      DARK.removeEventListener("change", draw);
      size.disconnect();
      plot.destroy();
    };
  }, [vm]);

  return html`<figure class="card chart">
    <figcaption ref=${caption}>
      <strong>${chart.title}</strong>
      ${chart.lines.map(
        ([name, label], index) => html`<span key=${name} class="series" data-line=${chart.lines.length > 1 ? index + 1 : 0}>
          <span class=${chart.lines.length > 1 ? "" : "hidden"}>${label}</span> <output aria-live="off"></output>
        </span>`,
      )}
      <time class="dim"></time>
    </figcaption>
    <div ref=${place} role="img" aria-label="${chart.title} in the last ${SPAN / 60} minutes"></div>
  </figure>`;
}

export const Charts = ({ vm }) =>
  html`<div class="charts">${CHARTS.map((chart) => html`<${Chart} key=${chart.title} vm=${vm} chart=${chart} />`)}</div>`;

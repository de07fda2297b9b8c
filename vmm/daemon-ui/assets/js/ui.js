// What pages are made of: the library, a hook for shared state, and small elements.

import { html, render, useEffect, useRef, useState } from "../vendor/preact/standalone.module.js";

export { html, render, useEffect, useRef, useState };

/** Draws the component anew whenever `source` (an `EventTarget`) tells of a `change`. */
export function useChanges(source) {
  const [, redraw] = useState(0);
  useEffect(() => {
    const changed = () => redraw((number) => number + 1);
    source.addEventListener("change", changed);
    // What changed between the first drawing and now.
    changed();
    return () => source.removeEventListener("change", changed);
  }, [source]);
}

/** Calls `work` now and `pause` ms after it is done, again and again while the page is seen. */
export function usePolling(work, pause, inputs) {
  useEffect(() => {
    const stop = new AbortController();
    let timer;
    let works = false;
    const turn = async () => {
      clearTimeout(timer);
      if (document.hidden || works) return;
      works = true;
      await work(stop.signal);
      works = false;
      if (!stop.signal.aborted) timer = setTimeout(turn, pause);
    };
    document.addEventListener("visibilitychange", turn, { signal: stop.signal });
    turn();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, inputs);
}

/** A VM's state, by a colour and a word. */
export const State = ({ state }) =>
  html`<span class="state" data-state=${state}>${state}</span>`;

/** A message that stands in a page. */
export const Notice = ({ kind = "info", children }) =>
  html`<div class="notice" data-kind=${kind} role=${kind === "error" ? "alert" : "status"}>
    ${children}
  </div>`;

/** Why something could not be done, with each field that is wrong. */
export const ErrorNotice = ({ error }) =>
  error &&
  html`<${Notice} kind="error">
    <strong>${error.title ?? "Error"}</strong>
    <p>${error.message}</p>
    <${FieldErrors} errors=${error.errors} />
  <//>`;

export const FieldErrors = ({ errors }) =>
  errors?.length > 0 &&
  html`<ul>
    ${errors.map(({ field, detail }) => html`<li><code>${field}</code>: ${detail}</li>`)}
  </ul>`;

/** A label above an input, with a hint and what is wrong below it. */
export function Field({ id, label, hint, error, children }) {
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${children({ id, "aria-describedby": described || undefined, "aria-invalid": error ? "true" : undefined })}
    ${hint && html`<small id="${id}-hint">${hint}</small>`}
    ${error && html`<small id="${id}-error" class="wrong">${error}</small>`}
  </div>`;
}

/** The heading of a page, which gets the focus when the page is opened. */
export function Heading({ title, children }) {
  const heading = useRef();
  useEffect(() => {
    document.title = `${title} · Paravane`;
    // Where a dialog or a field has the focus, it stays.
    if (document.activeElement === document.body) heading.current.focus();
  }, [title]);
  return html`<h1 ref=${heading} tabindex="-1">${title} ${children}</h1>`;
}

/** A table's head. */
export const Head = ({ columns }) =>
  html`<thead>
    <tr>
      ${columns.map((column) => html`<th scope="col">${column}</th>`)}
    </tr>
  </thead>`;

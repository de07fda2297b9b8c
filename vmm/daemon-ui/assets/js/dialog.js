// Questions that must be answered before the page goes on.

import { html, render, useEffect, useRef } from "./ui.js";

/** A dialog above the page. `onClose` is called when it is closed, by Escape too. */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef();
  useEffect(() => {
    dialog.current.showModal();
  }, []);
  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" onClose=${onClose}>
    <h2 id="dialog-title">${title}</h2>
    ${children}
  </dialog>`;
}

/** Asks whether to do what cannot be undone. Resolves to whether to. */
export function confirm({ title, text, action }) {
  return new Promise((resolve) => {
    const place = document.body.appendChild(document.createElement("div"));
    // The element that had the focus gets it back from the dialog, when that is closed.
    const answer = (yes) => {
      place.querySelector("dialog").close();
      render(null, place);
      place.remove();
      resolve(yes);
    };
    render(
      html`<${Dialog} title=${title} onClose=${() => place.isConnected && answer(false)}>
        <p>${text}</p>
        <div class="buttons">
          <button autofocus onClick=${() => answer(false)}>Cancel</button>
          <button class="danger" onClick=${() => answer(true)}>${action}</button>
        </div>
      <//>`,
      place,
    );
  });
}

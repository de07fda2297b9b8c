// Messages in the corner of the page: what was done, and what could not be done.

import { FieldErrors, html, useChanges } from "./ui.js";

/** How long a message that is no error is there, in milliseconds. */
const LIFETIME = 5000;
/** How many messages are there at most. */
const MOST = 5;

class Notices extends EventTarget {
  list = [];
  #next = 0;

  /** Says that something was done. */
  tell(message) {
    const notice = this.#add({ message });
    setTimeout(() => this.dismiss(notice), LIFETIME);
  }

  /** Says what could not be done, until it is dismissed. */
  fail(error) {
    this.#add({ error });
  }

  dismiss(notice) {
    this.list = this.list.filter((other) => other !== notice);
    this.dispatchEvent(new Event("change"));
  }

  #add(notice) {
    notice.key = this.#next++;
    this.list = [...this.list, notice].slice(-MOST);
    this.dispatchEvent(new Event("change"));
    return notice;
  }
}

export const notices = new Notices();

/** Runs `work`; shows why it failed, if it does. Resolves to whether it did not. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    notices.fail(error);
    return false;
  }
}

/** Where the messages are. */
export function NoticeArea() {
  useChanges(notices);
  return html`<div class="notices" role="region" aria-label="Messages">
    ${notices.list.map(
      (notice) => html`<div
        key=${notice.key}
        class="notice"
        data-kind=${notice.error ? "error" : "info"}
        role=${notice.error ? "alert" : "status"}
      >
        <button class="quiet close" aria-label="Dismiss" onClick=${() => notices.dismiss(notice)}>×</button>
        ${notice.error && html`<strong>${notice.error.title ?? "Error"}</strong>`}
        <p>${notice.message ?? notice.error.message}</p>
        <${FieldErrors} errors=${notice.error?.errors} />
      </div>`,
    )}
  </div>`;
}

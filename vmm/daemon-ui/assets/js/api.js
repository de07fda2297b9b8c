// Requests to the daemon's API, by paths such as /v1/vms.

const TOKEN = "paravane.token";

/** The bearer token, which lives as long as the browser's tab. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

/** Told (by an event `unauthorized`) when the daemon wants a token, or another one. */
export const auth = new EventTarget();

/** Why a request was not carried out: a problem document (RFC 9457), or no answer at all. */
export class ApiError extends Error {
  constructor({ title, detail, errors }, status) {
    super(detail || title || `the daemon answered with HTTP status ${status}`);
    /** The HTTP status; 0 when there was no answer. */
    this.status = status;
    this.title = title || "Request failed";
    /** The fields that are wrong: each a `field` (a JSON pointer or a name) and a `detail`. */
    this.errors = Array.isArray(errors) ? errors : [];
  }
}

/** Whether an error is only that what waited for the answer is gone. */
export const isAbort = (error) => error?.name === "AbortError";

/** `/v1/` and the parts, each escaped. */
export const path = (...parts) => `/v1/${parts.map(encodeURIComponent).join("/")}`;

/** The answer to a request, if it is a good one; otherwise throws an [`ApiError`]. */
async function send(method, url, { body, headers = {}, signal } = {}) {
  headers = { ...headers };
  const bearer = token.get();
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(url, { method, headers, body, signal, cache: "no-store" });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ApiError({ title: "No answer", detail: "The daemon cannot be reached." }, 0);
  }
  if (response.ok) return response;
  if (response.status === 401) auth.dispatchEvent(new Event("unauthorized"));
  throw new ApiError(await problemOf(response), response.status);
}

async function problemOf(response) {
  const text = await response.text().catch(() => "");
  try {
    return JSON.parse(text);
  } catch {
    // From something between the page and the daemon.
    return { detail: text.slice(0, 500) };
  }
}

export const get = async (url, options) => (await send("GET", url, options)).json();

/**
 * Posts a request. With `key`, a request that is sent again, because its answer was lost, is not
 * carried out twice.
 */
export async function post(url, body = {}, { key, ...options } = {}) {
  const headers = key ? { "Idempotency-Key": key } : {};
  return (await send("POST", url, { ...options, body, headers })).json();
}

export const remove = (url) => send("DELETE", url);

/** A key for [`post`]. (`crypto.randomUUID` is there only with TLS or on localhost.) */
export function idempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** All the things of a list that comes in pages. */
export async function all(url, options) {
  const items = [];
  let cursor;
  do {
    const next = new URL(url, location.origin);
    next.searchParams.set("limit", 1000);
    if (cursor) next.searchParams.set("cursor", cursor);
    const page = await get(next, options);
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

/** The lines of an answer that goes on. `opened` is called when it begins. */
async function* lines(url, { signal, headers, opened } = {}) {
  const response = await send("GET", url, { signal, headers });
  opened?.();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ApiError({ title: "Connection lost", detail: "The connection was lost." }, 0);
    }
    if (part.done) return;
    const complete = (rest + part.value).split(/\r?\n/);
    rest = complete.pop();
    yield* complete;
  }
}

/** The objects of an answer of type application/x-ndjson, as they come. */
export async function* objects(url, options) {
  for await (const line of lines(url, options)) {
    if (line) yield JSON.parse(line);
  }
}

/** The data of server-sent events after the one called `last`. (EventSource cannot send a token.) */
export async function* events(url, { last, ...options }) {
  const headers = { Accept: "text/event-stream", "Last-Event-ID": String(last) };
  let data = [];
  for await (const line of lines(url, { ...options, headers })) {
    if (line === "") {
      if (data.length > 0) yield JSON.parse(data.join("\n"));
      data = [];
    } else if (line.startsWith("data:")) {
      data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
    }
  }
}

/** The address of a VM's console, for a WebSocket, which can send no headers. */
export function consoleUrl(vm, { write, steal }) {
  const url = new URL(path("vms", vm, "console"), location.origin);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  if (write) url.searchParams.set("write", "true");
  if (steal) url.searchParams.set("steal", "true");
  const bearer = token.get();
  if (bearer) url.searchParams.set("access_token", bearer);
  return url;
}

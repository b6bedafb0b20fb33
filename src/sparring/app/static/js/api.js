// How pages talk with the server. What the server says is shown as text, never as markup.

const token = document.querySelector('meta[name="sparring-token"]')?.content ?? "";

/** What the server refused: what happened, and how to mend it. */
export class Refused extends Error {
  constructor(status, { code = "HTTP", what = "the server did not answer as expected", where = "", why = "", fix = "" } = {}) {
    super(what);
    Object.assign(this, { name: "Refused", status, code, what, where, why, fix });
  }
}

async function ask(path, method, body, kind, signal, keepalive = false) {
  const headers = method === "GET" ? {} : { "Content-Type": kind, "X-Sparring-Token": token };
  let answer;
  try {
    answer = await fetch(path, { method, body, headers, signal, keepalive, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { code: "GONE", what: "the server does not answer", fix: "is sparring still running in its terminal?" });
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, said.error);
}

const isJson = (answer) => (answer.headers.get("Content-Type") ?? "").startsWith("application/json");
const read = (answer) => (isJson(answer) ? answer.json() : answer.blob());

/** JSON from a path. `signal` is that of an AbortController. */
export async function get(path, { signal } = {}) {
  return (await ask(path, "GET", undefined, undefined, signal)).json();
}

/** Send JSON; the answer as JSON, or as a Blob if it is none. `keepalive`: even if the page is being left. */
export async function post(path, json = {}, { signal, keepalive } = {}) {
  return read(await ask(path, "POST", JSON.stringify(json), "application/json", signal, keepalive));
}

/** Send the bytes of a Blob or File; the answer as JSON, or as a Blob if it is none. */
export async function upload(path, blob, { signal } = {}) {
  return read(await ask(path, "POST", blob, "application/octet-stream", signal));
}

/** A picture as an address for <img src>; asked for with JSON if there is any. Give it back with URL.revokeObjectURL. */
export async function picture(path, json, { signal } = {}) {
  const answer =
    json === undefined
      ? await ask(path, "GET", undefined, undefined, signal)
      : await ask(path, "POST", JSON.stringify(json), "application/json", signal);
  return URL.createObjectURL(await answer.blob());
}

/** The server's events as JSON, until the EventSource that is returned is closed. It reconnects by itself. */
export function events(path, onMessage) {
  const source = new EventSource(path);
  source.addEventListener("message", (event) => onMessage(JSON.parse(event.data)));
  window.addEventListener("pagehide", () => source.close(), { once: true });
  return source;
}

/**
 * Show an error, or a line of text, where a screen reader hears it: at the top of the page, or in a place of its own.
 * Nothing for what was aborted on purpose. `about`: what it is about, such as the name of a file.
 */
export function say(error, place = document.querySelector("#say"), about = "") {
  if (error?.name === "AbortError" || !place) return;
  const text = typeof error === "string" ? error : [about, error?.what ?? String(error), error?.where, error?.why].filter(Boolean).join(": ");
  const fix = error?.fix ? ` To mend it: ${error.fix}.` : "";
  place.textContent = text ? `${text}${/[.!?]$/.test(text) ? "" : "."}${fix}` : "";
  place.classList.toggle("bad", typeof error !== "string");
}

// The API as the pages call it. What cannot be done here cannot be done on a page: there is no other way to the service.

const KEY = "posterity-key";

/** What the service refuses, or that it cannot be reached; `code` is the problem's (RFC 9457). */
export class Problem extends Error {
  constructor({ status = 0, code = "unreachable", title = "The service does not answer", detail = "", errors = [] }) {
    super(detail || title);
    Object.assign(this, { status, code, title, detail, errors: errors ?? [] });
  }
}

/** The key that calls are made with, as long as this tab is open; no other tab and no other service sees it. */
export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (word) => (word ? sessionStorage.setItem(KEY, word.trim()) : sessionStorage.removeItem(KEY)),
};

/** The path of its parts, each escaped; null and undefined queries are left out. */
export function path(parts, query = {}) {
  const said = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(said.flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)])));
  return "/" + parts.map((part) => encodeURIComponent(part)).join("/") + (search.size ? `?${search}` : "");
}

/** The path of a call about the model. */
export const of = (model, ...parts) => ["v1", "models", model, ...parts];

/**
 * The answer: parsed where it is JSON, else the Response itself.
 * `body` is sent as JSON, unless it is bytes, a Blob or a form. Throws a Problem.
 */
export async function call(method, parts, { query, body, headers = {}, signal } = {}) {
  const isRaw = body instanceof Blob || body instanceof ArrayBuffer || body instanceof FormData || ArrayBuffer.isView(body);
  const sent = body === undefined || isRaw ? body : JSON.stringify(body);
  const said = { ...headers };
  if (body !== undefined && !isRaw) said["Content-Type"] = "application/json";
  if (key.get()) said.Authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path(parts, query), { method, body: sent, headers: said, signal, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ detail: "The service does not answer. Is it running, and is this machine connected to it?" });
  }
  if (!response.ok) throw await problemOf(response);
  const isJson = (response.headers.get("content-type") ?? "").startsWith("application/json");
  return isJson ? response.json() : response;
}

export const get = (parts, query, signal) => call("GET", parts, { query, signal });
export const post = (parts, body, more = {}) => call("POST", parts, { body, ...more });

/** Everything in a list, page by page, up to `most`. */
export async function all(parts, name, { query = {}, most = 10_000, signal } = {}) {
  const found = [];
  let cursor = null;
  do {
    const page = await get(parts, { limit: 100, ...query, cursor }, signal);
    found.push(...page[name]);
    cursor = page.next_cursor;
  } while (cursor && found.length < most);
  return found;
}

/** A new idempotency key: posted again under it, rows are counted once. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/** The call as a command for a shell, for whoever wants to do the same without the console. */
export function asCurl(method, parts, { query, body, headers = {} } = {}) {
  const quoted = (word) => `'${String(word).replaceAll("'", "'\\''")}'`;
  const lines = [`curl -X ${method} ${quoted(location.origin + path(parts, query))}`];
  const said = { ...headers, ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  if (key.get()) lines.push(`-H "Authorization: Bearer $POSTERITY_KEY"`);
  for (const [name, value] of Object.entries(said)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) lines.push(`-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

/**
 * Calls `on` with each event of the model until the signal ends it; a broken stream goes on behind the last event.
 * `said` hears whether the stream is open.
 */
export async function listen(model, on, { signal, after, said = () => {} }) {
  let last = after;
  let pause = 500;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream", ...(last === undefined ? {} : { "Last-Event-ID": String(last) }) };
      const response = await call("GET", of(model, "events"), { headers, signal });
      said(true);
      pause = 500;
      for await (const event of eventsIn(response)) {
        if (event.id !== undefined) last = event.id;
        if (event.data) on({ ...JSON.parse(event.data), kind: event.kind });
      }
    } catch (error) {
      if (signal.aborted || (error.status >= 400 && error.status < 500 && error.status !== 429)) return;
    }
    said(false);
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(2 * pause, 10_000);
  }
}

async function* eventsIn(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r\n", "\n");
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) yield fieldsOf(block);
  }
}

function fieldsOf(block) {
  const event = { kind: "message", data: "" };
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    const value = line.slice(at + 1).replace(/^ /, "");
    if (line.startsWith("id:")) event.id = value;
    if (line.startsWith("event:")) event.kind = value;
    if (line.startsWith("data:")) event.data += value;
  }
  return event;
}

async function problemOf(response) {
  try {
    const said = await response.json();
    if (said.code) return new Problem(said);
    if (said.error) return new Problem({ status: response.status, code: response.headers.get("posterity-code") ?? "refused", title: "Refused", detail: said.error });
  } catch {
    // What is no JSON is told by its status.
  }
  return new Problem({ status: response.status, code: "unexpected", title: `HTTP ${response.status}` });
}

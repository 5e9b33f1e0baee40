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
  const isJson = response.status !== 204 && (response.headers.get("content-type") ?? "").startsWith("application/json");
  return isJson ? response.json() : response;
}

export const get = (parts, query, signal) => call("GET", parts, { query, signal });
export const post = (parts, body, more = {}) => call("POST", parts, { body, ...more });

/** Everything in a list, page by page, up to `most`; `collect` hears each page. */
export async function all(parts, name, { query = {}, most = 10_000, signal, collect = () => {} } = {}) {
  const found = [];
  let cursor = null;
  do {
    const { after, ...rest } = query;
    const page = await get(parts, { limit: 100, ...rest, ...(cursor ? { cursor } : { after }) }, signal);
    collect(page);
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

/** As `call`, for large bodies: `said(sent, all)` hears how many bytes are on their way. {answer, isReplay}. */
export function upload(parts, body, headers, said) {
  const request = new XMLHttpRequest();
  request.open("POST", path(parts));
  if (key.get()) request.setRequestHeader("Authorization", `Bearer ${key.get()}`);
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  request.upload.onprogress = (event) => said(event.loaded, event.total);
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(new Problem({ detail: "The connection broke before the service answered." }));
    request.onload = () => {
      const text = request.responseText;
      if (request.status < 300) return resolve({ answer: JSON.parse(text), isReplay: request.getResponseHeader("Idempotent-Replayed") === "true" });
      problemOf(new Response(text, { status: request.status })).then(reject);
    };
    request.send(body);
  });
}

// How a page hears what happens to a model: by a stream of events, or by asking where streams would take all connections.

import { all, call, of } from "./api.js";

// A browser opens few connections to a service (Chromium six, whatever the number of tabs), and each stream keeps one.
const SLOTS = ["posterity-stream-0", "posterity-stream-1"];
const POLL_MS = 3000;
const PAUSE_MS = 500;
const PAUSE_MOST_MS = 10_000;

/**
 * Calls `on` with each event of the model until the signal ends it; what breaks goes on behind the last event. A page
 * that nobody sees hears nothing, and hears what it missed when it is seen again.
 * `said(isOpen, problem)` hears whether events arrive (a problem: it was refused, for good), `seen` the number of the
 * newest event, also of the one before the first. Progress is in the stream only.
 */
export async function listen(model, on, { signal, after, said = () => {}, seen = () => {} }) {
  const ear = { model, on, said, seen, last: after };
  let pause = PAUSE_MS;
  while (!signal.aborted) {
    await untilSeen(signal);
    const over = new AbortController();
    const turn = whileSeen(AbortSignal.any([signal, over.signal]));
    let isPolled = false;
    try {
      isPolled = !(await inSlot(() => stream(ear, turn)));
      if (isPolled) await poll(ear, turn);
      pause = PAUSE_MS;
    } catch (error) {
      if (signal.aborted) return;
      if (error.status >= 400 && error.status < 500 && error.status !== 429) return said(false, error);
      isPolled = false;
      pause = Math.min(2 * pause, PAUSE_MOST_MS);
    }
    if (!isPolled && !signal.aborted) said(false);
    await waited(isPolled ? POLL_MS : pause, turn);
    over.abort();
  }
}

/** Whether there was a free slot; `act` was done in it. Where the origin is not secure there are no locks, and so no slots. */
async function inSlot(act) {
  for (const slot of navigator.locks ? SLOTS : []) {
    const wasFree = await navigator.locks.request(slot, { ifAvailable: true }, async (lock) => {
      if (lock) await act();
      return lock !== null;
    });
    if (wasFree) return true;
  }
  return false;
}

async function stream(ear, signal) {
  const response = await opened(ear, signal);
  ear.said(true);
  for await (const event of eventsIn(response)) {
    if (event.id !== undefined) hasHeard(ear, event.id);
    if (event.data) ear.on({ ...JSON.parse(event.data), kind: event.kind });
  }
}

/** Asks once what has happened since the last event. */
async function poll(ear, signal) {
  if (ear.last === undefined) hasHeard(ear, await newestOf(ear, signal));
  const events = await all(of(ear.model, "events", "history"), "events", { query: { after: ear.last }, signal });
  ear.said(true);
  for (const event of events) {
    hasHeard(ear, event.number);
    ear.on(event);
  }
}

/** The number of the newest event: a stream begins with it, and is closed again at once. */
async function newestOf(ear, signal) {
  const enough = new AbortController();
  try {
    const response = await opened(ear, AbortSignal.any([signal, enough.signal]));
    for await (const { id } of eventsIn(response)) if (id !== undefined) return id;
  } finally {
    enough.abort();
  }
  throw new Error("The stream ended before it began");
}

function opened({ model, last }, signal) {
  const headers = { Accept: "text/event-stream", ...(last === undefined ? {} : { "Last-Event-ID": String(last) }) };
  return call("GET", of(model, "events"), { headers, signal });
}

function hasHeard(ear, number) {
  ear.last = number;
  ear.seen(Number(number));
}

/** Resolves when the page can be seen, or the signal ends it. */
function untilSeen(signal) {
  if (!document.hidden || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = new AbortController();
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      done.abort();
      resolve();
    };
    document.addEventListener("visibilitychange", look, { signal: done.signal });
    signal.addEventListener("abort", look, { signal: done.signal });
  });
}

/** A signal that ends with the given one, or as soon as the page cannot be seen. */
function whileSeen(signal) {
  const hidden = new AbortController();
  const look = () => document.hidden && hidden.abort();
  document.addEventListener("visibilitychange", look, { signal: AbortSignal.any([signal, hidden.signal]) });
  look();
  return AbortSignal.any([signal, hidden.signal]);
}

/** Resolves after so long, or when the signal ends it. */
function waited(milliseconds, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
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

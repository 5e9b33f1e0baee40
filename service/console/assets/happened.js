// Everything that happened to a model, the newest first, as far back as one wants to read.

import { useEffect, useState } from "preact/hooks";
import { get, of } from "./api.js";
import { Part, useDue } from "./following.js";
import { When, html, number, useLoaded } from "./ui.js";
import { sentenceOf } from "./words.js";

const SIZE = 50;
const KINDS = ["accepted", "closed", "started", "published", "held", "moved", "failed", "cancelled", "parked", "released", "discarded", "deleted", "forgotten"];

/** `newest` is the number of the newest event, as the stream says it; null until it does. */
export function Events({ model, newest }) {
  const [kind, setKind] = useState("");
  const [until, setUntil] = useState(null);
  const loaded = useLoaded((signal) => loadEvents(model, until ?? newest, kind, signal), [model, kind, until, newest === null]);
  const isAtEnd = until === null;
  const due = useDue(loaded);
  useEffect(() => {
    if (isAtEnd && newest !== null) due();
  }, [newest, isAtEnd]);
  const choose = (event) => {
    setUntil(null);
    setKind(event.target.value);
  };
  return html`<${Part} title="What happened" loaded=${loaded}
      aside=${html`<label class="inline">Only <select value=${kind} onChange=${choose}><option value="">everything</option>${KINDS.map((one) => html`<option>${one}</option>`)}</select></label>`}>
    ${({ events, earlier }) => html`
      ${events.length === 0 && html`<p class="quiet-state">Nothing of this kind has happened.</p>`}
      <div class="scroll tall" tabindex="0" role="region" aria-label="Events, the newest first"><ol class="events">
        ${events.map((event) => html`<li key=${event.number}><span class="small number">${event.number}</span><span class="small when"><${When} at=${event.at} /></span>
          <span class=${`badge ${TONES[event.kind] ?? ""}`}>${event.kind}</span><span class="said">${sentenceOf(model, event)}</span></li>`)}
      </ol></div>
      <nav class="pager" aria-label="Older and newer events">
        ${!isAtEnd && html`<button type="button" class="plain" onClick=${() => setUntil(null)}>Newest</button>`}
        ${earlier > 0 && html`<button type="button" class="plain" onClick=${() => setUntil(earlier)}>Earlier</button>`}
        ${newest !== null && html`<span class="small">${number(newest)} events in all</span>`}
      </nav>`}
  <//>`;
}

const TONES = { failed: "bad", parked: "warn", held: "warn", discarded: "warn", deleted: "warn", forgotten: "warn", published: "good" };

/**
 * The newest events up to this number, newest first; before the stream has said a number, none. The history is told
 * oldest first, so where only some kinds are asked for, it is read from ever earlier on until there are enough.
 */
async function loadEvents(model, until, kind, signal) {
  if (until === null) return { events: [], earlier: 0 };
  for (let reach = SIZE; ; reach *= 8) {
    const after = Math.max(0, until - reach);
    const found = await between(model, after, until, kind, signal);
    if (found.length >= SIZE || after === 0) {
      const events = found.slice(-SIZE).reverse();
      return { events, earlier: after === 0 && found.length <= SIZE ? 0 : events.at(-1).number - 1 };
    }
  }
}

async function between(model, after, until, kinds, signal) {
  const found = [];
  let cursor = null;
  do {
    const page = await get(of(model, "events", "history"), { kinds, limit: 100, ...(cursor ? { cursor } : { after }) }, signal);
    found.push(...page.events);
    cursor = page.next_cursor;
  } while (cursor && found.at(-1).number < until);
  return found.filter(({ number }) => number <= until);
}

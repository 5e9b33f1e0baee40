// A model: where it stands, what it learns now, the tree of its versions, and whether it gets better.

import { useState } from "preact/hooks";
import { get, of } from "../api.js";
import { AliasButton, CloseNowButton, RollbackButton } from "../changes.js";
import { Facts } from "../facts.js";
import { Bar, Connection, Part, Refusal, isHidden, loadModel, useCaughtUp, useDue } from "../following.js";
import { loadLines } from "../lines.js";
import { Failed, Now, loadUpdates, useProgress } from "../live.js";
import { Scores, WINDOW, loadScores } from "../scores.js";
import { Tree } from "../tree.js";
import { Frame, html, number, to, useEvents, useLoaded } from "../ui.js";
import { many, versionLink } from "../words.js";

const OF_ATTEMPTS = new Set(["started", "failed"]);
const OF_PARKING = new Set(["parked", "released", "discarded", "forgotten"]);
const MOVES_SHOWN = 100;

export default function Model({ model }) {
  const loaded = useLoaded(loadModel(model), [model]);
  return html`<${Frame} title=${model} model=${model} tab="">
    ${isHidden(loaded) ? html`<${Refusal} ...${loaded} />` : loaded.value === undefined ? html`<p class="small" role="status">Loading …</p>` : html`<${Overview} model=${model} loaded=${loaded} />`}
  <//>`;
}

function Overview({ model, loaded }) {
  const resource = loaded.value;
  const [until, setUntil] = useState(null);
  const [window, setWindow] = useState(WINDOW);
  const [heard, hear] = useProgress();
  const learned = JSON.stringify([resource.versions, resource.aliases]);
  const updates = useLoaded((signal) => loadUpdates(model, resource.updates, signal), [model, JSON.stringify(resource.updates)]);
  const lines = useLoaded((signal) => loadLines(model, resource, until, signal), [model, until, learned]);
  const scores = useLoaded((signal) => loadScores(model, resource, window, signal), [model, window, resource.versions]);
  const moves = useLoaded((signal) => loadMoves(model, signal), [model, learned]);
  const parked = useLoaded((signal) => get(of(model, "parked"), { limit: 100 }, signal), [model]);
  const due = { parked: useDue(parked), resource: useDue(loaded), updates: useDue(updates), lines: useDue(lines) };
  const connection = useEvents(model, (event) => {
    if (event.kind === "progress") return hear(event);
    // What else is shown is loaded again where the model's own counters and aliases have changed.
    due.resource();
    if (OF_ATTEMPTS.has(event.kind)) due.updates();
    if (OF_PARKING.has(event.kind)) due.parked();
  });
  const changed = () => Object.values(due).forEach((again) => again());
  useCaughtUp(connection, changed);
  return html`
    <${Connection} ...${connection} />
    <${Refusal} ...${loaded} />
    <${Undecided} model=${model} resource=${resource} onDone=${changed} />
    <${Parked} model=${model} parked=${parked.value?.parked ?? []} />
    <div class="grid">
      <${Standing} model=${model} resource=${resource} onDone=${changed} />
      <${Now} model=${model} resource=${resource} updates=${updates} heard=${heard} onDone=${changed} />
    </div>
    <${Failed} model=${model} resource=${resource} updates=${updates} />
    <${Part} title="Versions" loaded=${lines}>${(value) => html`<${Tree} model=${model} lines=${value} until=${until} onUntil=${setUntil} />`}<//>
    <${Part} title="Is it getting better?" loaded=${scores}>
      ${(value) => html`<${Scores} scores=${value} moves=${moves.value ?? []} kind=${resource.output.kind} window=${window} onWindow=${setWindow} />`}<//>
    <div class="grid of-their-own-height">
      <${Part} title="Notices" loaded=${scores}>${(value) => html`<${Notices} model=${model} notices=${value.notices} />`}<//>
      <section class="card part" aria-labelledby="facts"><div class="title"><h2 id="facts">The model</h2></div><${Facts} resource=${resource} /></section>
    </div>`;
}

/** Moves of head that were somebody's decision, of the newest ones. */
async function loadMoves(model, signal) {
  const { seq } = await get(of(model, "aliases", "head"), {}, signal);
  const { moves } = await get(of(model, "aliases", "head", "history"), { after: Math.max(0, seq - MOVES_SHOWN), limit: MOVES_SHOWN }, signal);
  return moves.filter(({ kind }) => ["rollback", "put", "forget"].includes(kind));
}

function Standing({ model, resource, onDone }) {
  const { head, aliases, versions, rows, batches, pending, chunk } = resource;
  const others = Object.entries(aliases).filter(([name]) => name !== "head");
  return html`<section class="card part" aria-labelledby="standing">
    <div class="title"><h2 id="standing">Where it stands</h2></div>
    <dl class="facts">
      <div class="first"><dt>Head</dt><dd>${versionLink(model, head)}</dd></div>
      <div><dt>Versions</dt><dd>${number(versions)}</dd></div>
      <div><dt>Batches</dt><dd><a href=${to(model, "batches")}>${number(batches)}</a></dd></div>
      <div><dt>Rows</dt><dd>${number(rows)}</dd></div>
    </dl>
    ${others.length > 0 && html`<ul class="aliases">${others.map(([name, at]) => html`<li><span class="badge">${name}</span> ${versionLink(model, at)}</li>`)}</ul>`}
    <h3>Pending</h3>
    <${Bar} value=${pending.rows} most=${chunk.rows} label="Pending rows of the next chunk" said=${`${many(pending.rows, "row")} of ${number(chunk.rows)} in ${many(pending.batches, "batch", "batches")}`} />
    <div class="actions">
      <${RollbackButton} model=${model} head=${head} onDone=${onDone} />
      <${AliasButton} model=${model} aliases=${aliases} onDone=${onDone} />
      <${CloseNowButton} model=${model} pending=${pending} onDone=${onDone} />
    </div>
  </section>`;
}

/** Batches that are kept out until somebody decides. */
function Parked({ model, parked }) {
  if (parked.length === 0) return null;
  const named = parked.slice(0, 5).map(({ batch }) => batch).join(", ");
  return html`<section class="notice warn" aria-label="Parked batches">
    <p><strong>${parked.length === 1 ? `Batch ${named} is parked` : `${parked.length === 100 ? "100 or more" : parked.length} batches are parked`}</strong>${parked.length > 1 && ` (${named}${parked.length > 5 ? " …" : ""})`}:
      nothing learns from ${parked.length === 1 ? "it" : "them"} until somebody decides. <a href=${to(model, "batches")}>Look at ${parked.length === 1 ? "it" : "them"}</a></p>
  </section>`;
}

/** Where head is moved by hand, the version that everything waits for. */
function Undecided({ model, resource, onDone }) {
  const { undecided, head, aliases } = resource;
  if (undecided === null) return null;
  return html`<section class="notice warn" aria-label="A decision is waited for">
    <p><strong>${versionLink(model, undecided, "Version")} waits for a decision.</strong> No further chunk is learned until head is moved: to it, or, to decline it, to where head is (version ${head}).</p>
    <div class="actions">
      <${AliasButton} model=${model} version=${undecided} name="head" aliases=${aliases} onDone=${onDone} label=${`Accept: head to version ${undecided}`} className="" />
      <${AliasButton} model=${model} version=${head} name="head" aliases=${aliases} onDone=${onDone} label=${`Decline: head stays at ${head}`} />
    </div>
  </section>`;
}

const SIGNS = { warning: ["Warning", "warn"], held: ["Held back", "warn"], surprise: ["Surprise", "bad"] };
const NOTICES_SHOWN = 30;

/** What updates had to say, the newest first. */
function Notices({ model, notices }) {
  if (notices.length === 0) return html`<p class="quiet-state">The updates had nothing to say: no warnings, nothing held back, no surprise.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="What updates had to say"><ul class="notices">${notices.slice(-NOTICES_SHOWN).reverse().map(({ kind, message, version, update }) => {
    const [word, tone] = SIGNS[kind] ?? [kind, ""];
    return html`<li><span class=${`badge ${tone}`}>${word}</span> <span>${message}${" "}
      <span class="small">· update ${update}, ${versionLink(model, version)}</span></span></li>`;
  })}</ul></div>`;
}

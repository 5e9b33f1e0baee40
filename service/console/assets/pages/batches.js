// Batches: where each of them stands, what was decided about it, and the decisions that are waited for.

import { useState } from "preact/hooks";
import { get, of } from "../api.js";
import { Table } from "../batch_rows.js";
import { CloseNowButton, DiscardButton, ForgetButton, ReleaseButton } from "../changes.js";
import { Bar, Connection, Crumbs, Part, Refusal, isHidden, loadModel, useCaughtUp, useDue } from "../following.js";
import { Forgets, loadForgets } from "../forgets.js";
import { surprisesOf } from "../surprises.js";
import { Frame, When, html, number, to, useEvents, useLoaded } from "../ui.js";
import { many } from "../words.js";

const SIZE = 50;

export default function Batches({ model }) {
  const loaded = useLoaded(loadModel(model), [model]);
  return html`<${Frame} title="Batches" model=${model} tab="batches" aside=${html`<a class="button" href=${to(model, "post")}>Post rows</a>`}>
    <${Crumbs} model=${model} here="Batches" />
    ${isHidden(loaded) ? html`<${Refusal} ...${loaded} />` : loaded.value === undefined ? html`<p class="small" role="status">Loading …</p>` : html`<${Shown} model=${model} loaded=${loaded} />`}
  <//>`;
}

function Shown({ model, loaded }) {
  const resource = loaded.value;
  const [until, setUntil] = useState(null);
  const top = until ?? resource.batches;
  const listed = useLoaded((signal) => loadBatches(model, top, signal), [model, top]);
  const parked = useLoaded((signal) => get(of(model, "parked"), { limit: 100 }, signal), [model]);
  const forgets = useLoaded((signal) => loadForgets(model, signal), [model]);
  const due = [useDue(loaded), useDue(listed), useDue(parked), useDue(forgets)];
  const changed = () => due.forEach((again) => again());
  const connection = useEvents(model, ({ kind }) => kind !== "progress" && changed());
  useCaughtUp(connection, changed);
  const isRefused = listed.problem?.status === 403;
  return html`<${Connection} ...${connection} />
    <${Refusal} ...${loaded} />
    ${!isRefused && html`<${Parked} model=${model} loaded=${parked} onDone=${changed} />`}
    <${Forgets} model=${model} loaded=${forgets} onDone=${changed} />
    <${Part} title="All batches" loaded=${listed} aside=${html`<${Pending} model=${model} resource=${resource} onDone=${changed} />`}>
      ${(value) => html`<${List} model=${model} value=${withParked(value, parked.value)} resource=${resource} onDone=${changed} />
        <${Pages} value=${value} newest=${resource.batches} isAtEnd=${until === null} onUntil=${setUntil} />`}
    <//>`;
}

/** The batches up to number `top`, the newest first, with how each of them surprised. */
async function loadBatches(model, top, signal) {
  const { batches } = await get(of(model, "batches"), { after: Math.max(0, top - SIZE), limit: SIZE }, signal);
  const shown = batches.filter(({ batch }) => batch <= top).reverse();
  return { batches: shown, surprises: await surprisesOf(model, shown, signal) };
}

/** How parked batches surprised is in no series of scores: nothing learned from them. */
function withParked(value, waiting) {
  const known = Object.fromEntries((waiting?.parked ?? []).map((one) => [one.batch, one]));
  return { ...value, surprises: { ...known, ...value.surprises } };
}

function List({ model, value, resource, onDone }) {
  const [chosen, setChosen] = useState(new Set());
  if (resource.batches === 0) return html`<p class="quiet-state">No rows have come yet. <a href=${to(model, "post")}>Post some</a>, or send them from a program.</p>`;
  const choose = (batch, isChosen) => setChosen((before) => {
    const after = new Set(before);
    if (isChosen) after.add(batch);
    else after.delete(batch);
    return after;
  });
  const done = () => {
    setChosen(new Set());
    onDone();
  };
  const batches = [...chosen].sort((one, other) => one - other);
  return html`<div class="chosen" role="status"><span>${batches.length === 0 ? "Choose batches to forget them." : `${many(batches.length, "batch", "batches")} chosen: ${batches.slice(0, 12).join(", ")}${batches.length > 12 ? " …" : ""}`}</span>
      <${ForgetButton} model=${model} batches=${batches} onDone=${done} label=${`Forget ${batches.length === 0 ? "…" : many(batches.length, "batch", "batches")}`} />
      ${batches.length > 0 && html`<button type="button" class="plain" onClick=${() => setChosen(new Set())}>Choose none</button>`}</div>
    <${Table} model=${model} ...${value} chosen=${chosen} onChoose=${choose} onDone=${onDone} />`;
}

function Pages({ value: { batches }, newest, isAtEnd, onUntil }) {
  if (batches.length === 0) return null;
  const first = batches.at(-1).batch;
  return html`<nav class="pager" aria-label="Older and newer batches">
    ${!isAtEnd && html`<button type="button" class="plain" onClick=${() => onUntil(null)}>Newest</button>`}
    ${first > 1 && html`<button type="button" class="plain" onClick=${() => onUntil(first - 1)}>Earlier</button>`}
    <span class="small">batches ${number(first)} to ${number(batches[0].batch)} of ${number(newest)}</span>
  </nav>`;
}

function Pending({ model, resource: { pending, chunk }, onDone }) {
  return html`<div class="pending"><${Bar} value=${pending.rows} most=${chunk.rows} label="Pending rows of the next chunk" said=${`${many(pending.rows, "row")} of ${number(chunk.rows)} pending`} />
    <${CloseNowButton} model=${model} pending=${pending} onDone=${onDone} /></div>`;
}

/** What waits for a decision comes first. */
function Parked({ model, loaded, onDone }) {
  if (loaded.value?.parked.length === 0 && !loaded.problem) return null;
  return html`<${Part} title="Parked: a decision is waited for" loaded=${loaded} className="waiting">${({ parked, next_cursor: more }) => html`<ul class="parked">
      ${parked.map((one) => html`<li key=${one.batch} aria-label=${`Batch ${one.batch}`}><div><strong>Batch ${one.batch}</strong> <span class="small">${many(one.rows, "row")} · parked by ${one.parked_by} · <${When} at=${one.parked_at} /></span>
        <p>${one.reason}</p>${one.surprise && html`<${Surprise} surprise=${one.surprise} />`}</div>
        <div class="actions tight"><${ReleaseButton} model=${model} batch=${one.batch} onDone=${onDone} /><${DiscardButton} model=${model} batch=${one.batch} onDone=${onDone} /></div></li>`)}
    </ul>${more && html`<p class="small">and more than these: <code>posterity parked ${model}</code></p>`}`}<//>`;
}

function Surprise({ surprise: { z, threshold, nats, expected } }) {
  return html`<p class="small">Worse than expected by ${number(z, 1)} spreads (parked beyond ${threshold}): ${number(nats, 2)} nats a row, ${number(expected, 2)} expected.</p>`;
}

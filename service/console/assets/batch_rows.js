// The table of batches: one row each, and what was decided about it where one looks.

import { useState } from "preact/hooks";
import { get, of } from "./api.js";
import { DiscardButton, ParkButton, ReleaseButton } from "./changes.js";
import { Refusal } from "./following.js";
import { When, html, number, useLoaded } from "./ui.js";
import { versionLink } from "./words.js";

const STATES = { accepted: ["pending", ""], "in-chunk": ["in a chunk", ""], absorbed: ["absorbed", "good"], parked: ["parked", "warn"], discarded: ["discarded", "bad"], forgotten: ["forgotten", "bad"] };
const VERSIONS_SHOWN = 4;

export function Table({ model, batches, surprises, chosen, onChoose, onDone }) {
  const [open, setOpen] = useState(null);
  return html`<div class="scroll wide" tabindex="0" role="region" aria-label="Batches, the newest first"><table class="batches">
    <thead><tr><th scope="col"><span class="unseen">Choose</span></th><th scope="col">Batch</th><th scope="col">State</th><th scope="col" class="right">Rows</th><th scope="col">Chunk</th>
      <th scope="col">Absorbed in</th><th scope="col">Surprise</th><th scope="col">Accepted</th><th scope="col">Key</th><th scope="col"><span class="unseen">Decisions</span></th></tr></thead>
    <tbody>${batches.map((one) => html`<${Row} key=${one.batch} ...${{ model, batch: one, score: surprises[one.batch], onChoose, onDone }} isChosen=${chosen.has(one.batch)}
      isOpen=${open === one.batch} onOpen=${() => setOpen(open === one.batch ? null : one.batch)} />`)}</tbody>
  </table></div>`;
}

function Row({ model, batch, score, isChosen, onChoose, isOpen, onOpen, onDone }) {
  const [word, tone] = STATES[batch.state] ?? [batch.state, ""];
  return html`<tr class=${isChosen ? "is-chosen" : ""}>
      <td class="tick"><label><span class="unseen">Choose batch ${batch.batch}</span><input type="checkbox" checked=${isChosen} disabled=${batch.state === "forgotten"} onChange=${(e) => onChoose(batch.batch, e.target.checked)} /></label></td>
      <th scope="row">${number(batch.batch)}</th>
      <td class="nowrap"><span class=${`badge ${tone}`}>${word}</span>${batch.deleted_at && html`<span class="badge warn">rows deleted</span>`}</td>
      <td class="right">${number(batch.rows)}</td>
      <td>${batch.chunk === null ? "–" : number(batch.chunk)}</td>
      <td class="nowrap"><${Absorbed} model=${model} batch=${batch} /></td>
      <td class="nowrap"><${Surprise} score=${score} /></td>
      <td class="nowrap"><${When} at=${batch.accepted_at} /></td>
      <td class="key"><code title=${batch.key}>${batch.key}</code></td>
      <td><button type="button" class="quiet" aria-expanded=${isOpen} onClick=${onOpen} aria-label=${`Decisions about batch ${batch.batch}`}>Decisions</button></td>
    </tr>
    ${isOpen && html`<tr class="details"><td colspan="10"><${Decisions} model=${model} batch=${batch} onDone=${onDone} /></td></tr>`}`;
}

function Absorbed({ model, batch: { absorbed_in: versions, on_head: isOnHead } }) {
  if (versions.length === 0) return html`–`;
  const shown = versions.slice(-VERSIONS_SHOWN);
  return html`${shown.map((one, index) => html`${index > 0 && ", "}${versionLink(model, one)}`)}${versions.length > shown.length && ` and ${versions.length - shown.length} earlier`}
    ${!isOnHead && html` <span class="small">not on head's line</span>`}`;
}

function Surprise({ score }) {
  if (!score?.surprise) return html`<span class="small">–</span>`;
  const { z, is_surprising: isSurprising } = score.surprise;
  return isSurprising ? html`<span class="badge bad">${number(z, 1)} spreads</span>` : html`<span>${number(z, 1)}</span>`;
}

function Decisions({ model, batch, onDone }) {
  const number_ = String(batch.batch);
  const { value, problem } = useLoaded((signal) => get(of(model, "batches", number_, "decisions"), {}, signal), [model, number_, batch.state]);
  const isUndecided = batch.state === "accepted" || batch.state === "in-chunk" || (batch.state === "absorbed" && !batch.on_head);
  const isAside = batch.state === "parked" || batch.state === "discarded";
  return html`<div class="in-sight"><${Refusal} problem=${problem} />
    ${value?.decisions.length === 0 && html`<p class="quiet-state">Nothing was decided about it.</p>`}
    <ol class="decisions">${(value?.decisions ?? []).map((one) => html`<li key=${one.seq}><strong>${PAST[one.kind] ?? one.kind}</strong> by ${one.decided_by}, <${When} at=${one.decided_at} />${one.reason && html`: ${one.reason}`}
      ${one.surprise && html` <span class="small">(${number(one.surprise.z, 1)} spreads)</span>`}</li>`)}</ol>
    <div class="actions tight">
      ${isUndecided && html`<${ParkButton} model=${model} batch=${batch.batch} onDone=${onDone} />`}
      ${isAside && html`<${ReleaseButton} model=${model} batch=${batch.batch} onDone=${onDone} />`}
      ${(isUndecided || batch.state === "parked") && html`<${DiscardButton} model=${model} batch=${batch.batch} onDone=${onDone} />`}
    </div></div>`;
}

const PAST = { park: "Parked", release: "Released", discard: "Discarded", forget: "Forgotten" };

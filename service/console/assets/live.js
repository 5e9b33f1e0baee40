// The running update as it goes, what waits behind it, and what failed.

import { useState } from "preact/hooks";
import { CancelUpdateButton } from "./changes.js";
import { asCurl, get, of } from "./api.js";
import { Bar, Part, Refusal } from "./following.js";
import { Sparkline } from "./sparkline.js";
import { SameByHand, When, html, number, to } from "./ui.js";
import { adviceOf, batchesOf, many, versionLink } from "./words.js";

const BEFORE = 50;
const QUEUE_SHOWN = 3;
const POINTS_MOST = 600;

/** The updates that have not ended, and those just before them. */
export async function loadUpdates(model, counts, signal) {
  const open = counts.queued + counts.running;
  const all = Object.values(counts).reduce((sum, one) => sum + one, 0);
  const { updates } = await get(of(model, "updates"), { after: Math.max(0, all - open - BEFORE), limit: 100 }, signal);
  return updates;
}

/** What was heard of updates: {update: {step, steps, points}}; `hear` takes each event of progress. */
export function useProgress() {
  const [heard, setHeard] = useState({});
  const hear = ({ update, step, steps, elbo }) =>
    setHeard((before) => {
      const earlier = before[update]?.points ?? [];
      const kept = earlier.at(-1)?.x > step ? [] : earlier.slice(-POINTS_MOST);
      const points = elbo === null || kept.at(-1)?.x === step ? kept : [...kept, { x: step, y: elbo }];
      return { [update]: { step, steps, points } };
    });
  return [heard, hear];
}

/** What is being learned now; also for keys that may not read updates, as everybody hears how far they are. */
export function Now({ model, resource, updates, heard, onDone }) {
  const open = (updates.value ?? []).filter(({ state }) => state === "running" || state === "queued");
  const running = open.find(({ state }) => state === "running");
  const { running: count = 0, queued = 0 } = resource.updates;
  const number_ = running?.update ?? (count > 0 ? Object.keys(heard)[0] : undefined);
  return html`<section class="card part now" aria-labelledby="now">
    <div class="title"><h2 id="now">Now</h2>${running && html`<${CancelUpdateButton} model=${model} update=${running.update} onDone=${onDone} />`}</div>
    ${count > 0
      ? html`<${Running} model=${model} update=${running} name=${number_} said=${heard[number_] ?? running?.progress} />`
      : html`<p class="quiet-state">${idleIn(resource)}${resource.batches === 0 && html` <a href=${to(model, "post")}>Post rows</a> and a version is learned from them.`}</p>`}
    ${count === 0 && html`<${Last} model=${model} updates=${updates.value} />`}
    <${Refusal} ...${updates} />
    <${Queue} model=${model} queued=${open.filter(({ state }) => state === "queued")} count=${queued} onDone=${onDone} />
  </section>`;
}

function idleIn({ undecided, updates }) {
  if (undecided !== null) return `Nothing is learned until it is decided about version ${undecided}.`;
  return updates.queued > 0 ? "No worker has taken the next update yet." : "Nothing is being learned.";
}

/** The update that ended last. */
function Last({ model, updates = [] }) {
  const last = updates.filter((one) => one.finished_at).reduce((newest, one) => (!newest || one.finished_at > newest.finished_at ? one : newest), null);
  if (!last) return null;
  const { steps, seconds } = last.report ?? {};
  return html`<dl class="facts">
    <div><dt>Last</dt><dd>update ${last.update}, ${last.state}</dd></div>
    ${last.version !== null && html`<div><dt>Became</dt><dd>${versionLink(model, last.version)}</dd></div>`}
    <div><dt>Rows</dt><dd>${number(last.report?.rows ?? last.rows)}</dd></div>
    ${steps !== undefined && html`<div><dt>Steps</dt><dd>${number(steps)}</dd></div>`}
    ${seconds !== undefined && html`<div><dt>Took</dt><dd>${number(seconds, 1)} s</dd></div>`}
    <div><dt>Ended</dt><dd><${When} at=${last.finished_at} /></dd></div>
  </dl>`;
}

function Running({ model, update, name, said }) {
  const { step = 0, steps = null, points = [] } = said ?? {};
  return html`<div class="running">
    <p><strong>${name === undefined ? "An update" : `Update ${name}`}</strong> <span class="badge">running</span>
      ${update && html`<span class="small">attempt ${update.attempt} · ${many(update.rows, "row")} of ${batchesOf(update.batches)} on ${versionLink(model, update.prior)} · since <${When} at=${update.started_at} /></span>`}</p>
    <${Bar} value=${step} most=${steps} label=${`Steps of update ${name ?? ""}`} said=${said ? `step ${number(step)}${steps ? ` of ${number(steps)}` : ""}` : "starting"} />
    ${points.length > 0 && html`<div class="elbo"><${Sparkline} points=${points} most=${steps} label="ELBO" /><span class="small">ELBO ${number(points.at(-1).y, 1)}</span></div>`}
  </div>`;
}

function Queue({ model, queued, count, onDone }) {
  if (count === 0) return null;
  return html`<h3>${many(count, "update")} waiting</h3><ol class="queue">
    ${queued.slice(0, QUEUE_SHOWN).map(
      (one) => html`<li><span><strong>Update ${one.update}</strong> <span class="small">${batchesOf(one.batches)}, ${many(one.rows, "row")}${one.attempt > 0 && html` · attempt ${one.attempt} ended`}${one.error && html`: <code>${one.error.code}</code>`}</span></span>
        <${CancelUpdateButton} model=${model} update=${one.update} onDone=${onDone} /></li>`,
    )}
  </ol>${count > QUEUE_SHOWN && html`<p class="small">and ${number(count - Math.min(QUEUE_SHOWN, queued.length))} more</p>`}`;
}

/** Updates that failed for good, what they met, and what to do. */
export function Failed({ model, resource, updates }) {
  const count = resource.updates.failed ?? 0;
  if (count === 0) return null;
  return html`<${Part} title="Failed updates" loaded=${updates}>${(value) => {
    const failed = value.filter(({ state }) => state === "failed").reverse();
    return html`<ul class="failed">${failed.map((one) => html`<li>
        <h3>Update ${one.update} <span class="badge bad">failed</span></h3>
        <p class="small">Chunk ${one.chunk}, ${batchesOf(one.batches)}, ${many(one.rows, "row")}, attempt ${one.attempt}, <${When} at=${one.finished_at} /></p>
        <p>${one.error?.message} <code>${one.error?.code}</code></p>
        <p class="way"><strong>What to do:</strong> ${adviceOf(one.error?.code)}</p>
        <${SameByHand} command=${asCurl("POST", of(model, "replays"), { body: { chunks: [one.chunk] } })} />
      </li>`)}</ul>
      ${count > failed.length && html`<p class="small">${many(count - failed.length, "earlier one")}: <code>posterity updates ${model}</code> lists them all.</p>`}`;
  }}<//>`;
}

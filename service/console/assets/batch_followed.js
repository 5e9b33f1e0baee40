// A batch as it is followed, from when it was accepted until a version has learned from it.

import { useEffect, useRef, useState } from "preact/hooks";
import { get, of } from "./api.js";
import { CloseNowButton } from "./changes.js";
import { many } from "./changing.js";
import { Told, html, number, to, useEvents, useLoaded } from "./ui.js";

const POLL_MS = 2000;

/** `time` is when the batch was accepted: then its heading takes the focus. */
export function Following({ model: name, batch, rows, isReplay, time }) {
  const heading = useRef(null);
  useEffect(() => heading.current.focus(), [time]);
  const [running, setRunning] = useState(null);
  const { value, again } = useLoaded((signal) => aboutBatch(name, batch, signal), [name, batch]);
  const { isOpen, problem } = useEvents(name, (event) => {
    if (event.kind === "progress") setRunning((before) => ({ ...before, ...event }));
    else {
      if (event.kind === "started") setRunning({ update: event.update, chunk: event.chunk });
      again();
    }
  });
  useEffect(() => {
    if (isOpen) again();
    if (isOpen || problem) return undefined;
    const polling = setInterval(again, POLL_MS);
    return () => clearInterval(polling);
  }, [isOpen, problem]);
  return html`<section class="card following" aria-label=${`Batch ${batch}`}>
    <h2 ref=${heading} tabindex="-1">Batch ${batch} <span class="small">${many(rows, "row")}${isReplay ? ", posted before: counted once" : ""}</span></h2>
    <${Told} problem=${problem} />
    ${value && html`<ol class="steps">${stepsOf(name, value, running, again)}</ol>`}
  </section>`;
}

async function aboutBatch(name, number_, signal) {
  const [model, batch] = await Promise.all([get(of(name), {}, signal), get(of(name, "batches", String(number_)), {}, signal)]);
  return { model, batch };
}

function stepsOf(name, { model, batch }, running, again) {
  const [version] = batch.absorbed_in.slice(-1);
  const isAside = ["parked", "discarded", "forgotten"].includes(batch.state);
  const isChunk = batch.chunk !== null;
  const isLearned = version !== undefined;
  const step = (state, title, said) => html`<li class=${state} aria-current=${state === "current" ? "step" : null}><strong>${title}</strong> ${said}</li>`;
  if (isAside) return [step("done", "Accepted.", ""), step("current", `${batch.state[0].toUpperCase()}${batch.state.slice(1)}.`, html`Nothing learns from it; <a href=${to(name, "batches")}>the batches</a> say why.`)];
  return [
    step("done", "Accepted.", "It is stored, and counts once."),
    step(isChunk ? "done" : "current", isChunk ? `In chunk ${batch.chunk}.` : "Waits for its chunk.", !isChunk && html`<${Waiting} ...${{ name, model, again }} />`),
    step(isLearned ? "done" : isChunk ? "current" : "", isLearned ? "Learned." : "Being learned.", isChunk && !isLearned && html`<${Learning} running=${running?.chunk === batch.chunk || running?.step !== undefined ? running : null} />`),
    step(isLearned ? "done" : "", isLearned ? html`Absorbed in <a href=${to(name, "versions", String(version))}>version ${version}</a>.` : "Absorbed in a version.",
      isLearned && html`${batch.on_head ? "Head has learned from it." : `Head is at version ${model.head}, which has not learned from it.`} <a href=${to(name, "predict")}>Predict</a>`),
  ];
}

function Waiting({ name, model, again }) {
  const { pending, chunk } = model;
  return html`<p>${many(pending.rows, "row")} of ${number(chunk.rows)} are pending${chunk.seconds ? `; a chunk closes ${number(chunk.seconds)} seconds after its first row at the latest` : ""}.</p>
    <${CloseNowButton} model=${name} pending=${pending} onDone=${again} />`;
}

function Learning({ running }) {
  if (!running) return html`<p>A worker takes it up when what came before is done.</p>`;
  const { step, steps } = running;
  return html`<p>${step ? `Step ${number(step)}${steps ? ` of ${number(steps)}` : ""}` : "A worker has taken it up"}.</p>
    <progress aria-label="How far the update is" value=${steps ? step : undefined} max=${steps ?? undefined}></progress>`;
}

// Forgets: how far head's line is learned anew without some batches.

import { all, call, of } from "./api.js";
import { Bar, Part } from "./following.js";
import { useState } from "preact/hooks";
import { Confirm, When, html, number } from "./ui.js";
import { many, ranges, versionLink } from "./words.js";

const SHOWN = 10;

export const loadForgets = (model, signal) => all(of(model, "forgets"), "forgets", { signal });

export function Forgets({ model, loaded, onDone }) {
  if (loaded.value?.length === 0 && !loaded.problem) return null;
  return html`<${Part} title="Forgets" loaded=${loaded}>${(forgets) => html`<ul class="forgets">
      ${forgets.slice(-SHOWN).reverse().map((one) => html`<${Forget} key=${one.forget} model=${model} forget=${one} onDone=${onDone} />`)}
    </ul>${forgets.length > SHOWN && html`<p class="small">and ${number(forgets.length - SHOWN)} earlier</p>`}`}<//>`;
}

const TONES = { running: "", done: "good", failed: "bad", cancelled: "warn" };

function Forget({ model, forget, onDone }) {
  const { state, steps, method, batches, head, error, reason } = forget;
  return html`<li aria-label=${`Forget ${forget.forget}`}>
    <p><strong>Forget ${forget.forget}</strong> <span class=${`badge ${TONES[state]}`}>${state}</span>
      <span class="small">${batches.length === 1 ? "batch" : "batches"} ${ranges(batches)} · ${method === "replay" ? "exactly" : "approximately"} · asked by ${forget.asked_by} <${When} at=${forget.created_at} />${reason && ` · “${reason}”`}</span></p>
    ${state === "running" && html`<${Bar} value=${steps.published} most=${steps.all} label=${`Steps of forget ${forget.forget}`} said=${saysSteps(steps)} />
      <${CancelButton} model=${model} forget=${forget.forget} onDone=${onDone} />`}
    ${head !== null && html`<p class="small">Head moved to ${versionLink(model, head)}.</p>`}
    ${error && html`<p>${error.message} <code>${error.code}</code></p>`}
  </li>`;
}

function saysSteps({ published, all: count, running }) {
  const now = running?.steps ? `, the next one at step ${number(running.step)} of ${number(running.steps)}` : "";
  return `${number(published)} of ${many(count, "update")} learned again${now}`;
}

function CancelButton({ model, forget, onDone }) {
  const [isOpen, setOpen] = useState(false);
  const act = async () => {
    await call("DELETE", of(model, "forgets", String(forget)));
    onDone();
  };
  return html`<button type="button" class="plain" onClick=${() => setOpen(true)}>Cancel</button>
    ${isOpen && html`<${Confirm} title=${`Cancel forget ${forget}`} verb="Cancel the forget" danger act=${act} onClose=${() => setOpen(false)}>
      <p>Head stays where it is. The batches stay forgotten for all that comes: nothing learns from them any more.</p><//>`}`;
}

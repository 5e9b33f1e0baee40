// The part of a version's page that compares it with another one: how far they are apart, and which predicts better.

import { useState } from "preact/hooks";
import { get, of } from "./api.js";
import { Part } from "./following.js";
import { html, number, useLoaded } from "./ui.js";
import { many, nats, versionLink } from "./words.js";

const BAND = 1.96;
const HIGHER_IS_BETTER = new Set(["accuracy"]);

/** Bars of what each layer has, and the sum. */
export function Layers({ layers }) {
  const entries = Object.entries(layers);
  const most = Math.max(...entries.map(([, value]) => value), 1e-12);
  return html`<ul class="bars">${entries.map(([name, value]) => html`<li><span class="bar-name">${name}</span>
    <span class="bar-track" aria-hidden="true"><span style=${{ width: `${Math.max(0.5, (100 * value) / most)}%` }}></span></span>
    <span class="bar-value">${nats(value)}</span></li>`)}</ul>`;
}

export function Comparison({ model, version, parent, head }) {
  const query = new URLSearchParams(location.search);
  const [asked, setAsked] = useState({ other: query.get("with") ?? "", batch: query.get("of") ?? "" });
  const [form, setForm] = useState({ ...asked, other: asked.other || String(version === head ? (parent ?? 0) : head) });
  const set = (part) => setForm((before) => ({ ...before, ...part }));
  const ask = (event) => {
    event.preventDefault();
    history.replaceState(null, "", `?${new URLSearchParams({ with: form.other, ...(form.batch && { of: form.batch }) })}`);
    setAsked(form);
  };
  return html`<section class="card part" aria-labelledby="comparison"><div class="title"><h2 id="comparison">Compare with another version</h2></div>
    <form class="switches" onSubmit=${ask}>
      <label class="inline">Version <input type="number" min="0" required value=${form.other} onInput=${(e) => set({ other: e.target.value })} /></label>
      <label class="inline">on batch <input type="number" min="1" placeholder="none" value=${form.batch} onInput=${(e) => set({ batch: e.target.value })} /></label>
      <button type="submit" class="plain">Compare</button>
    </form>
    ${asked.other !== "" && html`<${Compared} model=${model} version=${version} ...${asked} />`}
  </section>`;
}

function Compared({ model, version, other, batch }) {
  const parts = of(model, "versions", String(version), "compare", other);
  const loaded = useLoaded((signal) => get(parts, batch === "" ? {} : { batch, most: 1 }, signal), [model, version, other, batch]);
  return html`<div aria-live="polite"><${Part} title=${`With version ${other}`} loaded=${loaded} className="inner">${(value) => html`<${Result} model=${model} value=${value} />`}<//></div>`;
}

function Result({ model, value }) {
  const { kl_nats: kl, predictions } = value;
  const only = (rows, batches) => `${many(rows, "row")}${batches.length ? ` of ${many(batches.length, "batch", "batches")}` : ""}`;
  return html`<dl class="terms">
      <div><dt>KL(version ${value.version} ‖ version ${value.other})</dt><dd>${nats(kl.total)}</dd></div>
      <div><dt>Newest common ancestor</dt><dd>${versionLink(model, value.common_ancestor)}</dd></div>
      <div><dt>Only version ${value.version} has learned</dt><dd>${only(value.rows_only_in_version, value.batches_only_in_version)}</dd></div>
      <div><dt>Only version ${value.other} has learned</dt><dd>${only(value.rows_only_in_other, value.batches_only_in_other)}</dd></div>
    </dl>
    ${Object.keys(kl.layers).length > 0 && html`<${Layers} layers=${kl.layers} />`}
    ${predictions && html`<${Predictions} value=${value} predictions=${predictions} />`}`;
}

function Predictions({ value, predictions }) {
  const { learned_by_version: one, learned_by_other: two, batch, metrics } = predictions;
  const who = one && two ? "Both have" : one ? `Version ${value.version} has` : `Version ${value.other} has`;
  return html`<h3>On the ${many(predictions.rows, "row")} of batch ${batch}</h3>
    ${(one || two) && html`<div class="notice warn"><p><strong>No fair test.</strong> ${who} learned from this batch.</p></div>`}
    <div class="scroll" tabindex="0" role="region" aria-label="Which one predicts better"><table>
      <thead><tr><th scope="col">Score</th><th scope="col">Difference</th><th scope="col">Which one predicts better</th></tr></thead>
      <tbody>${Object.entries(metrics ?? {}).map(([name, difference]) => html`<tr><th scope="row">${name}</th><td>${signed(difference.difference)} ± ${number(BAND * difference.standard_error, 3)}</td><td>${better(name, difference, value)}</td></tr>`)}</tbody>
    </table></div>
    <p class="small">The mean of version ${value.version} less that of version ${value.other} over the same rows, ±1.96 standard errors. Their predictions are ${number(predictions.mean_distance, 3)} ${predictions.unit} apart on average.</p>`;
}

const signed = (value) => (value === null ? "–" : `${value > 0 ? "+" : value < 0 ? "−" : ""}${number(Math.abs(value), 3)}`);

function better(name, { difference, standard_error: error }, { version, other }) {
  if (difference === null || error === null) return "–";
  if (Math.abs(difference) <= BAND * error) return "no difference that these rows can show";
  return `version ${difference > 0 === HIGHER_IS_BETTER.has(name) ? version : other}`;
}

// The part of a version's page that asks how far it can be believed, by what it predicted as head or on a batch.

import { useState } from "preact/hooks";
import { get, of } from "./api.js";
import { Part } from "./following.js";
import { Reliability } from "./reliability.js";
import { html, number, useLoaded } from "./ui.js";
import { many } from "./words.js";

/** Without a batch: of what the version predicted as head, before anything learned from it. */
export function Calibration({ model, version }) {
  const [batch, setBatch] = useState(new URLSearchParams(location.search).get("batch") ?? "");
  const loaded = useLoaded((signal) => get(of(model, "versions", String(version), "calibration"), { batch }, signal), [model, version, batch]);
  return html`<section class="card part" aria-labelledby="calibration"><div class="title"><h2 id="calibration">Can its confidence be believed?</h2></div>
    <${Choice} batch=${batch} onBatch=${setBatch} />
    <${Shown} loaded=${loaded} batch=${batch} />
  </section>`;
}

function Choice({ batch, onBatch }) {
  const [typed, setTyped] = useState(batch);
  const ask = (event) => {
    event.preventDefault();
    onBatch(typed.replaceAll(" ", ""));
  };
  return html`<form class="switches" onSubmit=${ask}>
    <fieldset class="switch"><legend class="unseen">On which rows</legend>
      <label><input type="radio" name="rows" checked=${batch === ""} onChange=${() => { setTyped(""); onBatch(""); }} />As head, before learning</label>
    </fieldset>
    <label class="inline">or on batch <input type="text" inputmode="numeric" pattern="[0-9]+( ?, ?[0-9]+)*" title="One number, or some with commas between them" size="7" autocomplete="off" value=${typed} onInput=${(e) => setTyped(e.target.value)} /></label>
    <button type="submit" class="plain" disabled=${typed === ""}>Show</button>
  </form>`;
}

function Shown({ loaded, batch }) {
  return html`<div aria-live="polite"><${Part} title=${batch === "" ? "As head" : `On batch ${batch}`} loaded=${loaded} className="inner">${(value) =>
    html`<${Trust} calibration=${value} /><${Reliability} calibration=${value} />`}<//></div>`;
}

/** Whether these rows are a fair test. */
function Trust({ calibration: { source, batches, rows } }) {
  if (rows === 0) return html`<p class="quiet-state">As head it predicted no batch that was learned afterwards. Choose a batch: its rows are predicted now.</p>`;
  if (source === "kept") return html`<p class="small">A fair test: ${many(rows, "row")} that it predicted as head, before anything had learned from them.</p>`;
  const learned = batches.filter((one) => one.learned);
  if (learned.length === 0) return html`<p class="small">A fair test: it has not learned from ${batches.length === 1 ? "this batch" : "these batches"}; ${many(rows, "row")}, predicted now.</p>`;
  return html`<div class="notice warn"><p><strong>No fair test.</strong> This version has learned from ${learned.length === 1 ? "batch" : "batches"} ${learned.map((one) => number(one.batch)).join(", ")}, so the diagram flatters it.</p></div>`;
}

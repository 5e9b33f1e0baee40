// A version: what it was learned from and how, how far it can be believed, and how it differs from others.

import { useState } from "preact/hooks";
import { call, get, of } from "../api.js";
import { Calibration } from "../calibration.js";
import { AliasButton, RollbackButton } from "../changes.js";
import { Comparison, Layers } from "../comparison.js";
import { Connection, Crumbs, Refusal, loadModel, useCaughtUp, useDue } from "../following.js";
import { Frame, Told, When, html, number, to, useEvents, useLoaded } from "../ui.js";
import { PUBLICATIONS, many, nats, ranges, versionLink } from "../words.js";

export default function Version({ model, version }) {
  const loaded = useLoaded((signal) => get(of(model, "versions", String(version)), {}, signal), [model, version]);
  const resource = useLoaded(loadModel(model), [model]);
  const due = { loaded: useDue(loaded), resource: useDue(resource) };
  const changed = () => Object.values(due).forEach((again) => again());
  const connection = useEvents(model, ({ kind }) => (kind === "moved" || kind === "published") && changed());
  useCaughtUp(connection, changed);
  const { value, problem } = loaded;
  return html`<${Frame} title=${`Version ${version}`} model=${model} tab="versions"
      aside=${value && html`<${Actions} model=${model} value=${value} resource=${resource.value} onDone=${changed} />`}>
    <${Crumbs} model=${model} here=${`Version ${version}`} />
    ${value !== undefined && html`<${Connection} ...${connection} />`}
    <${Refusal} ...${loaded} />
    ${value === undefined ? !problem && html`<p class="small" role="status">Loading …</p>` : html`<${Shown} model=${model} value=${value} resource=${resource.value} />`}
  <//>`;
}

function Shown({ model, value, resource }) {
  return html`
    <div class="grid of-their-own-height">
      <div class="column"><${Origin} model=${model} value=${value} /><${Before} model=${model} value=${value} /></div>
      <div class="column"><${Distance} value=${value} /><${Report} value=${value} /></div>
    </div>
    <${Calibration} model=${model} version=${value.version} />
    <${Comparison} model=${model} version=${value.version} parent=${value.parent} head=${resource?.head ?? value.version} />
    <${Neighbours} model=${model} value=${value} newest=${resource?.versions} />`;
}

function Actions({ model, value, resource, onDone }) {
  const { version, aliases } = value;
  const canRollBack = resource && version < resource.head;
  return html`<div class="actions tight">
    ${aliases.map((name) => html`<span class=${`badge ${name === "head" ? "strong" : ""}`}>${name}</span>`)}
    ${canRollBack && html`<${RollbackButton} model=${model} head=${resource.head} version=${version} onDone=${onDone} />`}
    ${resource && html`<${AliasButton} model=${model} version=${version} aliases=${resource.aliases} onDone=${onDone} />`}
    <${Download} model=${model} version=${version} />
  </div>`;
}

/** Fetched with the key, as a link alone would be refused, and then saved by the browser. */
function Download({ model, version }) {
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    setProblem(null);
    try {
      const response = await call("GET", of(model, "versions", String(version), "posterior"));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await response.blob());
      link.download = `${model}-${version}.safetensors`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  return html`<button type="button" class="plain" disabled=${isBusy} onClick=${save}>${isBusy ? "Downloading …" : "Download posterior"}</button>
    ${problem && html`<div class="below"><${problem.status === 403 ? Refusal : Told} problem=${problem} /></div>`}`;
}

function Origin({ model, value }) {
  const { evidence, publication } = value;
  return html`<section class="card part" aria-labelledby="origin"><div class="title"><h2 id="origin">Where it comes from</h2></div>
    <dl class="terms">
      <div><dt>Parent</dt><dd>${value.parent === null ? "none: the root prior" : versionLink(model, value.parent)}</dd></div>
      <div><dt>Made</dt><dd><${When} at=${value.created_at} /></dd></div>
      <div><dt>It learned</dt><dd>${value.chunk === null ? "nothing of a chunk" : `${many(value.rows, "row")} of chunk ${value.chunk}`}</dd></div>
      <div><dt>When published</dt><dd>${PUBLICATIONS[publication] ?? publication}</dd></div>
      <div><dt>Its whole evidence</dt><dd>${many(evidence.rows, "row")}${evidence.elsewhere > 0 && `, ${number(evidence.elsewhere)} of them elsewhere`}</dd></div>
      <div><dt>On its line</dt><dd>${many(value.depth, "version")} before it, branch ${value.branch}${value.fork !== null && html`, from ${versionLink(model, value.fork)}`}</dd></div>
    </dl>
    <dl class="terms wide">
      <div><dt>Batches it has learned from</dt><dd>${evidence.batches?.length ? ranges(evidence.batches) : "none"}</dd></div>
      ${evidence.divided.length > 0 && html`<div><dt>Of these, divided out (approximately)</dt><dd>${ranges(evidence.divided)}</dd></div>`}
      <div><dt>Digest of its posterior</dt><dd><code class="digest">${value.digest}</code></dd></div>
    </dl>
  </section>`;
}

function Distance({ value }) {
  const { report, parent, kl_nats: total } = value;
  const layers = report.kl_nats ?? report.approximation?.kl_nats?.layers ?? {};
  return html`<section class="card part" aria-labelledby="distance"><div class="title"><h2 id="distance">KL from its parent</h2></div>
    ${parent === null
      ? html`<p class="quiet-state">The root prior has no parent.</p>`
      : html`<p class="large">${nats(total)} <span class="small">in total: how much was learned</span></p>
        ${Object.keys(layers).length > 0 ? html`<${Layers} layers=${layers} />` : html`<p class="quiet-state">It is not told by layer here: compare it with its parent below.</p>`}`}
  </section>`;
}

function Report({ value: { report, seconds, recipe } }) {
  const { elbo, steps, epochs, rows, device, threads, torch, warnings = [], choice, gate } = report;
  const terms = [
    elbo && ["ELBO", `${nats(elbo.elbo)} over the chunk`],
    elbo && ["Of it, the data", nats(elbo.data_nats)],
    elbo && ["Of it, KL × β", `${nats(elbo.kl_nats)} × ${number(elbo.beta, 4)}`],
    steps !== undefined && ["Steps", `${number(steps)}, ${many(epochs, "pass", "passes")} over ${many(rows, "row")}`],
    seconds !== null && ["Took", `${number(seconds, 2)} s on ${device}${threads ? `, ${many(threads, "thread")}` : ""}`],
    ["Recipe", `${recipe.optimizer}, rate ${recipe.lr}, ${many(recipe.batch_rows, "row")} a step`],
    torch && ["torch", torch],
    gate && ["Gate", gate.held ?? "let through"],
    choice && ["Chosen", typeof choice === "string" ? choice : JSON.stringify(choice)],
  ].filter(Boolean);
  return html`<section class="card part" aria-labelledby="report"><div class="title"><h2 id="report">How it was learned</h2></div>
    ${steps === undefined && html`<p class="quiet-state">No update made it, so there is no report.</p>`}
    <dl class="terms">${terms.map(([term, said]) => html`<div><dt>${term}</dt><dd>${said}</dd></div>`)}</dl>
    ${warnings.map((one) => html`<div class="notice warn"><p><strong>Warning.</strong> ${one}</p></div>`)}
  </section>`;
}

const SCORES = { rows: ["Rows", 0], accuracy: ["Accuracy", 3], nll: ["NLL", 3], ece: ["ECE", 3], brier: ["Brier", 3], rmse: ["RMSE", 3], coverage: ["Coverage of 90 %", 3] };

function Before({ model, value: { prequential, parent } }) {
  return html`<section class="card part" aria-labelledby="before"><div class="title"><h2 id="before">Its rows, before they were learned</h2></div>
    ${prequential === null
      ? html`<p class="quiet-state">Nothing was predicted before it was made.</p>`
      : html`<p class="small">How its parent, ${versionLink(model, parent)}, predicted the rows that this version then learned.</p>
        <dl class="facts">${Object.entries(prequential).map(([name, value]) => html`<div><dt>${SCORES[name]?.[0] ?? name}</dt><dd>${number(value, SCORES[name]?.[1] ?? 3)}</dd></div>`)}</dl>`}
  </section>`;
}

function Neighbours({ model, value: { version }, newest }) {
  return html`<nav class="pager" aria-label="Neighbouring versions">
    ${version > 0 && html`<a class="button plain" href=${to(model, "versions", version - 1)}>Version ${version - 1}</a>`}
    ${newest > version && html`<a class="button plain" href=${to(model, "versions", version + 1)}>Version ${version + 1}</a>`}
  </nav>`;
}

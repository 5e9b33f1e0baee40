// All models, and how each of them stands.

import { all } from "../api.js";
import { Frame, Told, html, number, to, useLoaded } from "../ui.js";

export default function Models() {
  const { value: models, problem, isLoading } = useLoaded((signal) => all(["v1", "models"], "models", { signal }), []);
  return html`<${Frame} title="Models" tab="models" aside=${html`<a class="button" href="/console/new">New model</a>`}>
    <${Told} problem=${problem} />
    ${models === undefined && isLoading && html`<p class="small" role="status">Loading …</p>`}
    ${models?.length === 0 && html`<p>There is no model yet. <a href="/console/new">Create one</a>, or run <code>posterity demo</code>.</p>`}
    ${models?.length > 0 &&
    html`<ul class="cards">
      ${models.map((model) => html`<${Card} key=${model.name} model=${model} />`)}
    </ul>`}
  <//>`;
}

function Card({ model }) {
  const running = (model.updates.running ?? 0) + (model.updates.queued ?? 0);
  return html`<li class="card">
    <h2><a href=${to(model.name)}>${model.name}</a></h2>
    <p class="small">${model.net.kind}, ${model.family}, ${outputOf(model.output)}</p>
    <dl class="facts">
      <div><dt>Head</dt><dd>version ${model.head}</dd></div>
      <div><dt>Versions</dt><dd>${number(model.versions)}</dd></div>
      <div><dt>Rows</dt><dd>${number(model.rows)}</dd></div>
      <div><dt>Pending</dt><dd>${number(model.pending.rows)}</dd></div>
    </dl>
    ${running > 0 && html`<p class="badge live">${running} ${running === 1 ? "update" : "updates"} under way</p>`}
    ${model.undecided !== null && html`<p class="badge warn">version ${model.undecided} waits for a decision</p>`}
  </li>`;
}

export const outputOf = (output) =>
  output.kind === "categorical" ? `${Array.isArray(output.classes) ? output.classes.length : output.classes} classes` : `${output.dims ?? 1} number${output.dims > 1 ? "s" : ""}`;

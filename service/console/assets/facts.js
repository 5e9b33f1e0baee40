// What a model is: its description as it was resolved, in words.

import { html, number } from "./ui.js";
import { many } from "./words.js";

const seconds = (value) => (value % 86400 === 0 ? many(value / 86400, "day") : value % 3600 === 0 ? many(value / 3600, "hour") : value % 60 === 0 ? many(value / 60, "minute") : many(value, "second"));
const PUBLISH = { always: "to every fresh version", gated: "where it is no worse than its parent", manual: "by hand" };

/** The model's facts as a list of terms, and its whole description for whoever wants it. */
export function Facts({ resource }) {
  return html`<dl class="terms">${termsOf(resource).map(([term, said]) => html`<div><dt>${term}</dt><dd>${said}</dd></div>`)}</dl>
    <details class="small"><summary>The whole description</summary><pre tabindex="0">${JSON.stringify(descriptionOf(resource), null, 1)}</pre></details>`;
}

function termsOf({ net, input, output, family, prior, recipe, chunk, publish, gate, surprise, retention, imported }) {
  return [
    ["Net", netOf(net)],
    ["Input", `${input.shape.join(" × ")}, ${input.dtype}`],
    ["Output", outputIn(output)],
    ["Family", `${family}, prior ${prior.kind}${prior.sigma ? ` σ ${prior.sigma}` : ""}`],
    ["Recipe", `${recipe.optimizer}, ${many(recipe.epochs, "pass", "passes")} of ${many(recipe.batch_rows, "row")}, rate ${recipe.lr}`],
    ["Chunk closes", `at ${many(chunk.rows, "row")}${chunk.seconds ? `, or when the oldest has waited ${seconds(chunk.seconds)}` : ""}`],
    ["Head moves", `${PUBLISH[publish] ?? publish}${publish === "gated" ? ` (${percentOf(gate.held_out)} of a chunk held out)` : ""}`],
    ["Surprise", `${surprise.park ? "parks a batch" : "is noted"} beyond ${surprise.threshold} spreads`],
    ["Rows", retention.kind === "keep" ? "are kept" : `retention: ${retention.kind}`],
    imported && ["Imported", `from ${imported.model}, version ${imported.version}`],
  ].filter(Boolean);
}

const percentOf = (share) => `${number(100 * share)} %`;

function netOf({ kind, hidden, layers, ...rest }) {
  if (hidden) return `${kind}, ${hidden.length ? `hidden ${hidden.join(", ")}` : "no hidden layer"}`;
  if (layers) return `${kind}, ${many(layers.length, "layer")}`;
  return [kind, ...Object.values(rest).filter((one) => typeof one === "string")].join(", ");
}

function outputIn({ kind, classes, dims, noise }) {
  if (kind === "categorical") return Array.isArray(classes) ? `${classes.length} classes: ${shortened(classes)}` : many(classes, "class", "classes");
  return `${many(dims ?? 1, "number")}, noise ${noise === null ? "learned" : noise}`;
}

const shortened = (names) => (names.length > 5 ? `${names.slice(0, 5).join(", ")} …` : names.join(", "));

function descriptionOf({ name, net, input, output, family, prior, recipe, chunk, retention, predictions, publish, gate, surprise }) {
  return { name, net, input, output, family, prior, recipe, chunk, retention, predictions, publish, gate, surprise };
}

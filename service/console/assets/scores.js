// How head predicted each batch before anything learned from it: charts over batches and over versions.

import { useState } from "preact/hooks";
import { all, of } from "./api.js";
import { Chart } from "./chart.js";
import { html, number } from "./ui.js";
import { many } from "./words.js";

export const WINDOW = 10;
const SHOWN = 200;
const BAND = 1.96;
const BARS_MOST = 60;
const SWAMPS = 100;

const MEASURES = {
  categorical: [
    { name: "accuracy", title: "Accuracy", range: [0, 1] },
    { name: "nll", title: "NLL, nats per row" },
    { name: "ece", title: "ECE, 15 bins of confidence", range: [0, 1] },
  ],
  gaussian: [
    { name: "rmse", title: "RMSE, in label units", range: [0, Infinity] },
    { name: "nll", title: "NLL, nats per row" },
    { name: "coverage", title: "Coverage of 90 % intervals", range: [0, 1], wanted: 0.9 },
  ],
};

/**
 * The newest batches of the series, with the place of the first one. How long the series is is not known: set aside
 * batches are not in it, and replays are in it again. So it begins where there should be enough, and goes back if not.
 */
export async function loadScores(model, { batches, pending }, window, signal) {
  let after = Math.max(0, batches - pending.batches - SHOWN);
  for (;;) {
    const pages = await pagesOf(model, { after, window }, signal);
    const found = pages.flatMap((page) => page.batches);
    if (found.length >= SHOWN || after === 0) return { ...merged(pages), batches: found.slice(-SHOWN), first: after + Math.max(0, found.length - SHOWN) + 1, window };
    after = Math.max(0, after - SHOWN);
  }
}

async function pagesOf(model, query, signal) {
  const pages = [];
  const collect = (page) => pages.push(page);
  await all(of(model, "metrics"), "batches", { query, signal, collect });
  return pages;
}

function merged(pages) {
  const versions = new Map(pages.flatMap((page) => page.versions).map((one) => [one.version, one]));
  const notices = new Map(pages.flatMap((page) => page.notices).map((one) => [JSON.stringify(one), one]));
  return { rows: pages[0].rows, metrics: pages[0].metrics, versions: [...versions.values()].sort((one, other) => one.version - other.version), notices: [...notices.values()] };
}

/** `scores` as loadScores gives them; `moves` of head that were not the publishing of a version. */
export function Scores({ scores, moves, kind, window, onWindow }) {
  const [over, setOver] = useState("batches");
  if (scores.batches.length === 0) return html`<p class="quiet-state">No batch has been predicted and learned yet. Each one is predicted by head before anything learns from it, and that is shown here.</p>`;
  const data = over === "batches" ? overBatches(scores, moves) : overVersions(scores, moves);
  return html`<div class="switches">
      <fieldset class="switch"><legend class="unseen">Over</legend>
        ${["batches", "versions"].map((one) => html`<label><input type="radio" name="over" checked=${over === one} onChange=${() => setOver(one)} />Over ${one}</label>`)}
      </fieldset>
      ${over === "batches" && html`<label class="inline">Window <select value=${window} onChange=${(e) => onWindow(Number(e.target.value))}>
        ${[5, 10, 25, 100].map((one) => html`<option value=${one}>${one} batches</option>`)}</select></label>`}
      <span class="small">${many(scores.rows, "row")} predicted before they were learned${scores.first > 1 && `; the newest ${number(scores.batches.length)} batches`}. Bands are ±1.96 standard errors.</span>
    </div>
    <div class="charts">${MEASURES[kind].map((measure) => html`<${Measure} key=${measure.name} measure=${measure} data=${data} />`)}</div>`;
}

function Measure({ measure, data }) {
  const series = data.series(measure);
  const wanted = measure.wanted === undefined ? [] : [{ name: "wanted", values: data.x.map(() => measure.wanted), dash: [2, 4], colour: "--ink-soft" }];
  const left = data.swamping(measure);
  return html`<div><${Chart} title=${measure.title} x=${data.x} xName=${data.xName} series=${[...series, ...wanted]} marks=${data.marks} places=${3} height=${210} />
    ${left > 0 && html`<p class="small">${saysUndrawn(data, left)}</p>`}</div>`;
}

function saysUndrawn({ x, xName }, left) {
  const who = left > 1 ? `The first ${left} ${xName === "version" ? "versions" : "batches"} are` : `${xName[0].toUpperCase()}${xName.slice(1)} ${x[0]} is`;
  const averages = xName === "version" ? "" : `, nor are averages with ${left > 1 ? "them" : "it"}`;
  return `${who} not drawn${averages}: the untrained version 0 was more than ${SWAMPS} times further off than any version after it. The numbers below the chart have all.`;
}

/** How many of the first entries are version 0's, which was untrained, where it was so far off that nothing else could be seen. */
function swampingOf(entries, { name, range = [] }) {
  const count = entries.findIndex(({ version }) => version !== 0);
  if (count < 1 || range[1] === 1) return 0;
  const worst = (some) => Math.max(...some.map(({ metrics }) => Math.abs(metrics?.[name] ?? 0)));
  const later = worst(entries.slice(count));
  return later > 0 && worst(entries.slice(0, count)) > SWAMPS * later ? count : 0;
}

function overBatches({ batches, first, window }, moves) {
  const isOrdered = batches.every((one, index) => index === 0 || one.batch > batches[index - 1].batch);
  const x = batches.map((one, index) => (isOrdered ? one.batch : first + index));
  const swamping = (measure) => swampingOf(batches, measure);
  const series = (measure) => {
    const left = swamping(measure);
    return [
      { name: `last ${window} batches`, ...banded(batches, measure, "windowed"), undrawn: left && left + window - 1 },
      { name: "all so far", values: batches.map((one) => one.running?.[measure.name] ?? null), dash: [6, 4], undrawn: left && batches.length },
      { name: "each batch", ...banded(batches, measure, "metrics"), isDots: true, hasBars: batches.length <= BARS_MOST, colour: "--series-3", undrawn: left },
      ...surprising(batches, measure).map((one) => ({ ...one, undrawn: left })),
    ];
  };
  return { x, xName: isOrdered ? "batch" : "place", series, swamping, marks: marksOf(batches, x, moves) };
}

/** Batches that surprised, over the other points in another form and colour. */
function surprising(batches, measure) {
  const values = batches.map((one) => (one.surprise?.is_surprising ? (one.metrics?.[measure.name] ?? null) : null));
  return values.some((one) => one !== null) ? [{ name: "surprising", values, isDots: true, size: 10, colour: "--bad" }] : [];
}

function overVersions({ versions }, moves) {
  const x = versions.map(({ version }) => version);
  const swamping = (measure) => swampingOf(versions, measure);
  const series = (measure) => [{ name: "while it was head", ...banded(versions, measure, "metrics"), undrawn: swamping(measure) }];
  const marks = moves.filter((move) => x.includes(move.version)).map((move) => ({ at: move.version, word: `from ${move.previous}` }));
  return { x, xName: "version", series, swamping, marks: marks.sort((one, other) => one.at - other.at) };
}

const ERRORS = { metrics: "standard_errors", windowed: "windowed_standard_errors" };

/** The values with their bands of standard errors, cut where the measure ends. */
function banded(entries, { name, range = [-Infinity, Infinity] }, part) {
  const values = entries.map((one) => one[part]?.[name] ?? null);
  const errors = entries.map((one) => one[ERRORS[part]]?.[name] ?? null);
  if (!errors.some((one) => one !== null)) return { values };
  const edge = (sign) => values.map((value, index) => (value === null || errors[index] === null ? null : Math.min(range[1], Math.max(range[0], value + sign * BAND * errors[index]))));
  return { values, low: edge(-1), high: edge(1) };
}

/** Where head was moved by somebody, at the first batch that was predicted after it. */
function marksOf(batches, x, moves) {
  const marks = moves.map((move) => ({ move, index: batches.findIndex((one) => Date.parse(one.scored_at) > Date.parse(move.moved_at)) }));
  return marks.filter(({ index }) => index > 0).map(({ move, index }) => ({ at: x[index] - 0.5, word: `head → ${move.version}` }));
}

// Lines with their bands over versions or batches, drawn by uPlot in the colours of the page.

import uPlot from "uplot";
import { useEffect, useRef, useState } from "preact/hooks";
import { html, number } from "./ui.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * A chart of `series` over `x`: each {name, values, low?, high?, colour?, dash?, isDots?, size?, undrawn?}, values as long as x and null where
 * there are none; with `isDots` there is no line between them; as many first ones as `undrawn` says are in the numbers only. `marks` are places on x with a word. `onPick(index)` is called for the point that is clicked.
 * A table of the same numbers is there for whoever cannot see it.
 */
export function Chart({ title, x, xName, series, places = 3, height = 220, marks = [], yRange, onPick }) {
  const element = useRef(null);
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  useEffect(() => {
    const turned = () => setTheme(document.documentElement.dataset.theme);
    addEventListener("posterity-theme", turned);
    return () => removeEventListener("posterity-theme", turned);
  }, []);
  const [pointed, setPointed] = useState(null);
  useEffect(() => {
    const onPoint = ({ cursor, bbox }) => setPointed(cursor.idx === null || cursor.idx === undefined ? null : { index: cursor.idx, left: cursor.left + bbox.left / devicePixelRatio });
    const seen = series.map(drawnOf);
    const options = optionsOf({ onPoint, x, xName, series: seen, places, height, marks, yRange, width: element.current.clientWidth });
    const data = [x, ...seen.flatMap((one) => (one.low ? [one.values, one.high, one.low] : [one.values]))];
    const plot = new uPlot(options, data, element.current);
    if (onPick) plot.over.addEventListener("click", () => plot.cursor.idx !== null && onPick(plot.cursor.idx));
    const watching = new ResizeObserver(([entry]) => plot.setSize({ width: entry.contentRect.width, height }));
    watching.observe(element.current);
    return () => {
      watching.disconnect();
      plot.destroy();
    };
  }, [theme, JSON.stringify([x, series, marks])]);
  return html`<figure class="chart">
    <figcaption>${title}</figcaption>
    ${series.length > 1 && html`<p class="keys small">${series.map((one, index) => html`<${Key} series=${one} index=${index} />`)}</p>`}
    <div class="chart-plot" aria-hidden="true"><div ref=${element}></div>
      ${pointed && html`<${Tip} ...${{ ...pointed, x, xName, series, places }} width=${element.current.clientWidth} />`}</div>
    <${Numbers} title=${title} x=${x} xName=${xName} series=${series} places=${places} />
  </figure>`;
}

function drawnOf(one) {
  const { undrawn = 0, values, low, high } = one;
  if (!undrawn) return one;
  const cut = (list) => list.map((value, index) => (index < undrawn ? null : value));
  return { ...one, values: cut(values), ...(low ? { low: cut(low), high: cut(high) } : {}) };
}

/** What a line or a point of the chart means, in its form and colour. */
function Key({ series: { name, colour: own, dash, isDots }, index }) {
  const stroke = `var(${own ?? `--series-${(index % 4) + 1}`})`;
  return html`<span><svg width="22" height="10" aria-hidden="true">
    ${isDots ? html`<circle cx="11" cy="5" r="4" style=${{ fill: stroke }} />` : html`<path d="M0 5H22" style=${{ stroke, strokeWidth: 2, strokeDasharray: dash?.join(" ") }} />`}</svg>${name}</span>`;
}

/** What the lines are where the pointer is; the table has the same. */
function Tip({ index, left, width, x, xName, series, places }) {
  const style = left > width / 2 ? { right: `${width - left + 10}px` } : { left: `${left + 10}px` };
  const there = series.filter(({ values }) => values[index] !== null && values[index] !== undefined);
  return html`<div class="tip small" style=${style}><strong>${xName} ${x[index]}</strong>
    <dl>${there.map((one) => html`<dt>${one.name}</dt><dd>${cell(one, index, places)}</dd>`)}</dl></div>`;
}

function Numbers({ title, x, xName, series, places }) {
  return html`<details class="small"><summary>The numbers</summary>
    <div class="scroll" tabindex="0" role="region" aria-label=${`The numbers of ${title}`}><table>
      <thead><tr><th scope="col">${xName}</th>${series.map((one) => html`<th scope="col">${one.name}</th>`)}</tr></thead>
      <tbody>${x.map((at, index) => html`<tr><th scope="row">${at}</th>${series.map((one) => html`<td>${cell(one, index, places)}</td>`)}</tr>`)}</tbody>
    </table></div></details>`;
}

function cell(one, index, places) {
  const value = number(one.values[index], places);
  const hasBand = one.low && one.low[index] !== null && one.low[index] !== undefined;
  return hasBand ? `${value} (${number(one.low[index], places)} to ${number(one.high[index], places)})` : value;
}

function optionsOf({ onPoint, xName, series, places, height, marks, yRange, width }) {
  const drawn = [{ label: xName }];
  const bands = [];
  for (const [index, one] of series.entries()) {
    const stroke = colour(one.colour ?? `--series-${(index % 4) + 1}`);
    const value = (_plot, said) => number(said, places);
    drawn.push({ label: one.name, stroke, width: 2, dash: one.dash, value, spanGaps: true, ...dotsOf(one, stroke) });
    if (one.low) {
      const at = drawn.length;
      const edge = { stroke: "transparent", width: 0, points: { show: false }, value, spanGaps: true };
      drawn.push({ ...edge, label: `${one.name}, high` }, { ...edge, label: `${one.name}, low` });
      if (!one.isDots) bands.push({ series: [at, at + 1], fill: `${stroke}26` });
    }
  }
  const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "12px system-ui" };
  return {
    width,
    height,
    series: drawn,
    bands,
    legend: { show: false },
    cursor: { y: false },
    scales: { x: { time: false }, ...(yRange ? { y: { range: yRange } } : {}) },
    axes: [
      { ...axis, size: 34, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] },
      { ...axis, size: widthOfLabels, values: (_plot, splits) => labelsOf(splits) },
    ],
    hooks: { setCursor: [onPoint], draw: [(plot) => drawBars(plot, series), (plot) => drawMarks(plot, marks)] },
  };
}

const COMPACT_FROM = 10_000;

/** Large numbers in a short form (300K), unless that would make two of them alike. */
export function labelsOf(splits) {
  const said = (options) => splits.map((value) => value.toLocaleString("en", options));
  const plain = said({ maximumFractionDigits: 12 });
  if (!splits.some((value) => Math.abs(value) >= COMPACT_FROM)) return plain;
  const most = Math.max(...splits.map(Math.abs));
  const short = most < 1e15 ? said({ notation: "compact", maximumFractionDigits: 2 }) : splits.map((value) => (value === 0 ? "0" : value.toExponential(1)));
  return new Set(short).size === short.length ? short : plain;
}

const AXIS_LEAST = 56;
const BESIDE_LABELS = 20;

/** How wide the axis has to be for its labels. */
function widthOfLabels(plot, labels) {
  if (!labels?.length) return AXIS_LEAST;
  plot.ctx.save();
  plot.ctx.font = `${12 * devicePixelRatio}px system-ui`;
  const widest = Math.max(...labels.map((label) => plot.ctx.measureText(label).width)) / devicePixelRatio;
  plot.ctx.restore();
  return Math.max(AXIS_LEAST, Math.ceil(widest) + BESIDE_LABELS);
}

/** The bands of dots, which are no lines: a bar through each. */
function drawBars(plot, series) {
  const { ctx } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const [index, { low, high, isDots, hasBars = isDots, colour: own }] of series.entries()) {
    if (!hasBars || !low) continue;
    ctx.strokeStyle = `${colour(own ?? `--series-${(index % 4) + 1}`)}88`;
    ctx.beginPath();
    for (const [at, bottom] of low.entries()) {
      if (bottom === null) continue;
      const left = plot.valToPos(plot.data[0][at], "x", true);
      ctx.moveTo(left, plot.valToPos(bottom, "y", true));
      ctx.lineTo(left, plot.valToPos(high[at], "y", true));
    }
    ctx.stroke();
  }
  ctx.restore();
}

/** Points without a line between them, where the series is of dots alone. */
function dotsOf({ isDots, size = 5, values }, stroke) {
  if (!isDots) return { points: { size: 5, show: values.length < 40 && values.length > 1 ? undefined : values.length === 1 } };
  return { width: 0, paths: () => null, points: { show: true, size, fill: stroke, stroke } };
}

function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("--ink-soft");
  ctx.font = `${11 * devicePixelRatio}px system-ui`;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  let free = -Infinity;
  for (const { at, word } of marks) {
    const left = plot.valToPos(at, "x", true);
    const isNearEnd = left + ctx.measureText(word).width + 8 * devicePixelRatio > bbox.left + bbox.width;
    ctx.textAlign = isNearEnd ? "right" : "left";
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
    // Where marks are dense, a word that would cover the one before is left out; the line stays.
    const wide = ctx.measureText(word).width + 12 * devicePixelRatio;
    if ((isNearEnd ? left - wide : left) < free) continue;
    free = isNearEnd ? left : left + wide;
    ctx.fillText(word, left + (isNearEnd ? -4 : 4) * devicePixelRatio, bbox.top + 12 * devicePixelRatio);
  }
  ctx.restore();
}

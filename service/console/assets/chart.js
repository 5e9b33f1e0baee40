// Lines with their bands over versions or batches, drawn by uPlot in the colours of the page.

import uPlot from "uplot";
import { useEffect, useRef, useState } from "preact/hooks";
import { html, number } from "./ui.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * A chart of `series` over `x`: each {name, values, low?, high?, colour?, dash?}, values as long as x and null where
 * there are none. `marks` are places on x with a word. `onPick(index)` is called for the point that is clicked.
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
  useEffect(() => {
    const options = optionsOf({ x, xName, series, places, height, marks, yRange, width: element.current.clientWidth });
    const data = [x, ...series.flatMap((one) => (one.low ? [one.values, one.high, one.low] : [one.values]))];
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
    <div ref=${element} aria-hidden="true"></div>
    <${Numbers} title=${title} x=${x} xName=${xName} series=${series} places=${places} />
  </figure>`;
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

function optionsOf({ xName, series, places, height, marks, yRange, width }) {
  const drawn = [{ label: xName }];
  const bands = [];
  for (const [index, one] of series.entries()) {
    const stroke = colour(one.colour ?? `--series-${(index % 4) + 1}`);
    const value = (_plot, said) => number(said, places);
    drawn.push({ label: one.name, stroke, width: 2, dash: one.dash, value, points: { size: 5 }, spanGaps: true });
    if (one.low) {
      const at = drawn.length;
      const edge = { stroke: "transparent", width: 0, points: { show: false }, value, spanGaps: true };
      drawn.push({ ...edge, label: `${one.name}, high` }, { ...edge, label: `${one.name}, low` });
      bands.push({ series: [at, at + 1], fill: `${stroke}26` });
    }
  }
  const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "12px system-ui" };
  return {
    width,
    height,
    series: drawn,
    bands,
    legend: { live: false, show: series.length > 1 },
    cursor: { y: false },
    scales: { x: { time: false }, ...(yRange ? { y: { range: yRange } } : {}) },
    axes: [
      { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] },
      { ...axis, size: 56 },
    ],
    hooks: { draw: [(plot) => drawMarks(plot, marks)] },
  };
}

function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("--ink-soft");
  ctx.font = `${11 * devicePixelRatio}px system-ui`;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  for (const { at, word } of marks) {
    const left = plot.valToPos(at, "x", true);
    ctx.beginPath();
    ctx.moveTo(left, bbox.top);
    ctx.lineTo(left, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText(word, left + 4 * devicePixelRatio, bbox.top + 12 * devicePixelRatio);
  }
  ctx.restore();
}

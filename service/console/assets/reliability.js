// How far a version's confidence can be believed: a reliability diagram, or for numbers the coverage of its intervals.

import { html, number, percent } from "./ui.js";
import { many } from "./words.js";

const LEFT = 44;
const SIDE = 300;
const COUNTS = 56;
const TOP = 10;
const FOOT = TOP + SIDE + 40;
const TICKS = [0, 0.25, 0.5, 0.75, 1];

const x = (share) => LEFT + SIDE * share;
const y = (share) => TOP + SIDE * (1 - share);

/** The diagram of a calibration as the API answers it, what it says in words, and its numbers as a table. */
export function Reliability({ calibration }) {
  const { bins, levels, rows } = calibration;
  if (rows === 0) return null;
  const points = bins ? bins.filter((one) => one.rows > 0).map((one) => ({ ...one, said: one.confidence, was: one.accuracy })) : levels.map((one) => ({ ...one, said: one.level, was: one.share }));
  return html`<div class="reliability">
    <${Diagram} points=${points} bins=${bins} words=${bins ? ["Confidence", "Accuracy"] : ["Stated probability of the interval", "Share of labels inside"]} />
    <div class="reliability-words">
      <${Scores} calibration=${calibration} />
      ${bins ? html`<p>${eceInWords(calibration, points)}</p>` : html`<p>${coverageInWords(points)}</p>`}
      <p class="small">Whiskers are Wilson's 95 % intervals. On the diagonal a version is right about itself; below it, too sure; above it, it doubts too much.</p>
      <${Table} points=${points} isOfClasses=${Boolean(bins)} />
    </div>
  </div>`;
}

function Diagram({ points, bins, words }) {
  const height = bins ? FOOT + COUNTS + 26 : FOOT;
  return html`<svg class="diagram" viewBox=${`0 0 ${LEFT + SIDE + 16} ${height}`} role="img" aria-label=${`${words[1]} against ${words[0].toLowerCase()}; the numbers are in the table`}>
    ${TICKS.map((at) => html`<g class="grid-line"><path d=${`M${x(at)} ${y(0)}V${y(1)}M${x(0)} ${y(at)}H${x(1)}`} />
      <text x=${x(at)} y=${y(0) + 16} text-anchor="middle">${at}</text><text x=${LEFT - 8} y=${y(at) + 4} text-anchor="end">${at}</text></g>`)}
    <path class="diagonal" d=${`M${x(0)} ${y(0)}L${x(1)} ${y(1)}`} />
    ${points.map((one) => html`<g class="point"><path class="off-by" d=${`M${x(one.said)} ${y(one.said)}V${y(one.was)}`} />
      <path class="whisker" d=${`M${x(one.said)} ${y(one.low)}V${y(one.high)}M${x(one.said) - 4} ${y(one.low)}h8M${x(one.said) - 4} ${y(one.high)}h8`} />
      <circle cx=${x(one.said)} cy=${y(one.was)} r="4.5" /></g>`)}
    <text class="axis" x=${x(0.5)} y=${y(0) + 34} text-anchor="middle">${words[0]}</text>
    <text class="axis" transform=${`translate(11 ${y(0.5)}) rotate(-90)`} text-anchor="middle">${words[1]}</text>
    ${bins && html`<${Counts} bins=${bins} />`}
  </svg>`;
}

/** How many rows each bin has, below the bins. */
function Counts({ bins }) {
  const most = Math.max(1, ...bins.map(({ rows }) => rows));
  const bottom = FOOT + COUNTS;
  return html`<g class="counts">
    ${bins.map(({ lower, upper, rows }) => html`<rect x=${x(lower) + 1} width=${SIDE * (upper - lower) - 2} y=${bottom - (COUNTS * rows) / most} height=${(COUNTS * rows) / most}><title>${`${rows} rows`}</title></rect>`)}
    <path d=${`M${x(0)} ${bottom}H${x(1)}`} />
    <text x=${LEFT - 8} y=${FOOT + 10} text-anchor="end">${number(most)}</text>
    <text class="axis" x=${x(0.5)} y=${bottom + 20} text-anchor="middle">Rows by confidence</text>
  </g>`;
}

const NAMES = { accuracy: "Accuracy", nll: "NLL", ece: "ECE", brier: "Brier", rmse: "RMSE", coverage: "Coverage of 90 %" };

function Scores({ calibration: { metrics, standard_errors: errors, rows } }) {
  return html`<dl class="facts"><div><dt>Rows</dt><dd>${number(rows)}</dd></div>
    ${Object.entries(metrics ?? {}).map(([name, value]) => html`<div><dt>${NAMES[name] ?? name}</dt><dd>${number(value, 3)}${errors?.[name] !== null && errors?.[name] !== undefined && html` <span class="small">± ${number(1.96 * errors[name], 3)}</span>`}</dd></div>`)}
  </dl>`;
}

const inPoints = (share) => `${number(100 * share, 1)} percentage points`;

/** What the expected calibration error says, and which way. */
function eceInWords({ metrics, rows }, points) {
  const off = points.reduce((sum, one) => sum + one.rows * (one.was - one.said), 0) / rows;
  const way = Math.abs(off) < 0.005 ? "neither too sure nor too doubtful on the whole" : off < 0 ? `too sure: right less often than it says, by ${inPoints(-off)}` : `too doubtful: right more often than it says, by ${inPoints(off)}`;
  return `ECE ${number(metrics?.ece, 3)}: over ${many(rows, "row")}, stated confidence and accuracy are ${inPoints(metrics?.ece)} apart on average. It is ${way}.`;
}

function coverageInWords(points) {
  const worst = points.reduce((one, other) => (Math.abs(other.was - other.said) > Math.abs(one.was - one.said) ? other : one));
  const isOutside = points.filter((one) => one.said < one.low || one.said > one.high);
  const verdict = isOutside.length === 0 ? "No interval is off by more than these rows can tell apart." : isOutside[0].was < isOutside[0].said ? "Some intervals hold fewer labels than they say: it is too sure." : "Some intervals hold more labels than they say: it doubts too much.";
  return `Intervals of ${percent(worst.said, 0)} hold ${percent(worst.was)} of the labels${points.length > 1 ? ", which is the farthest off" : ""}. ${verdict}`;
}

function Table({ points, isOfClasses }) {
  const heads = isOfClasses ? ["Confidence", "Rows", "Mean confidence", "Accuracy"] : ["Stated", "Inside"];
  return html`<details class="small"><summary>The numbers</summary><div class="scroll" tabindex="0" role="region" aria-label="The numbers of the diagram"><table>
    <thead><tr>${heads.map((one) => html`<th scope="col">${one}</th>`)}<th scope="col">95 %</th></tr></thead>
    <tbody>${points.map((one) => html`<tr>
      ${isOfClasses ? html`<th scope="row">${number(one.lower, 2)} to ${number(one.upper, 2)}</th><td>${number(one.rows)}</td><td>${number(one.said, 3)}</td>` : html`<th scope="row">${percent(one.said, 0)}</th>`}
      <td>${number(one.was, 3)}</td><td>${number(one.low, 3)} to ${number(one.high, 3)}</td></tr>`)}</tbody>
  </table></div></details>`;
}

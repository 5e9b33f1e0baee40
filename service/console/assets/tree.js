// The tree of versions, drawn: the newest on top, a lane for each branch, and every version a link to its page.

import { WINDOW } from "./lines.js";
import { When, html, number, to } from "./ui.js";
import { PUBLICATIONS, many, nats } from "./words.js";

const ROW = 38;
const GAP = 26;
const MARGIN = 20;
const LANE = 20;
const LANES_WIDE = 120;
const LANES_MOST = 16;
const RADIUS = 6;

/** `lines` as loadLines gives them; `onUntil` is asked for another window. */
export function Tree({ model, lines, until, onUntil }) {
  const { rows, newest, top, head } = lines;
  const lanes = Math.min(LANES_MOST, 1 + Math.max(0, ...rows.map(({ lane }) => lane)));
  const apart = Math.min(LANE, LANES_WIDE / Math.max(1, lanes - 1));
  const placed = placesOf(rows, apart);
  const width = 2 * MARGIN + (lanes - 1) * apart;
  const bottom = top - WINDOW;
  return html`<div class="tree">
    <div class="scroll tree-rows" tabindex="0" role="region" aria-label="Versions, the newest first">
      <div class="tree-canvas">
        <svg width=${width} height=${placed.height} aria-hidden="true">
          ${rows.map((row) => html`<${Edge} row=${row} placed=${placed} rows=${rows} />`)}
          ${rows.map((row) => html`<${Node} row=${row} at=${placed.of.get(row.version)} isHead=${row.version === head} />`)}
        </svg>
        <ol>${rows.map((row) => html`<${Row} key=${row.version} model=${model} row=${row} isHead=${row.version === head} />`)}</ol>
      </div>
    </div>
    <div class="legend small">
      <span><i class="mark head" aria-hidden="true"></i>head</span>
      <span><i class="mark" aria-hidden="true"></i>on head's line</span>
      <span><i class="mark off" aria-hidden="true"></i>not on it: rolled back from, or held back; still there</span>
    </div>
    ${(bottom >= 0 || until !== null) &&
    html`<nav class="pager" aria-label="Older and newer versions">
      <button type="button" class="plain" disabled=${until === null} onClick=${() => onUntil(top + WINDOW >= newest ? null : top + WINDOW)}>Later</button>
      <button type="button" class="plain" disabled=${bottom < 0} onClick=${() => onUntil(bottom)}>Earlier</button>
      <span class="small">versions ${number(Math.max(0, bottom + 1))} to ${number(top)} of ${number(newest)}, and those they hang on</span>
    </nav>`}
  </div>`;
}

/** Where each row's middle is, with lanes so far apart; a row that leaves versions out below it has a gap there. */
function placesOf(rows, apart) {
  const of = new Map();
  let height = 0;
  for (const row of rows) {
    of.set(row.version, { x: MARGIN + Math.min(row.lane, LANES_MOST - 1) * apart, y: height + ROW / 2 });
    height += ROW + (row.missing > 0 ? GAP : 0);
  }
  return { of, height };
}

function Edge({ row, placed }) {
  const start = placed.of.get(row.version);
  const faded = row.isOnHead ? "" : " off";
  if (!row.from) {
    return row.missing > 0 && row.version > 0 ? html`<path class=${`edge far${faded}`} d=${`M${start.x} ${start.y}V${start.y + ROW / 2 + GAP}`} />` : null;
  }
  const end = placed.of.get(row.from.version);
  const kind = row.from.isNear ? "" : " far";
  const bend = end.y - ROW / 2;
  const down = start.x === end.x ? `V${end.y}` : `V${bend - 8}C${start.x} ${bend + 10} ${end.x} ${bend - 4} ${end.x} ${end.y}`;
  return html`<path class=${`edge${kind}${faded}`} d=${`M${start.x} ${start.y}${down}`} />`;
}

function Node({ row, at, isHead }) {
  const kind = isHead ? "head" : row.isOnHead ? "on" : "off";
  return html`<g class=${`node ${kind}`}>
    ${isHead && html`<circle class="ring" cx=${at.x} cy=${at.y} r=${RADIUS + 4} />`}
    <circle cx=${at.x} cy=${at.y} r=${RADIUS} />
  </g>`;
}

function Row({ model, row, isHead }) {
  const { facts } = row;
  const why = facts && !["head", "root"].includes(facts.publication) ? PUBLICATIONS[facts.publication] : null;
  return html`<li class=${`${row.isOnHead ? "" : "off"} ${row.missing > 0 ? "gapped" : ""}`}>
    <div class="tree-row">
      <a href=${to(model, "versions", row.version)} aria-current=${isHead ? "true" : null}>Version ${row.version}</a>
      ${[...row.aliases].sort((one, other) => (other === "head") - (one === "head")).map((name) => html`<span class=${`badge ${name === "head" ? "strong" : ""}`} title=${name}>${name}</span>`)}
      <span class="tree-facts small">${factsOf(row)}${why && html` · ${why}`}${!row.isOnHead && html`<span class="unseen"> · not on head's line</span>`}</span>
      ${facts && html`<span class="tree-when small"><${When} at=${facts.created_at} /></span>`}
    </div>
    ${row.missing > 0 && html`<div class="tree-gap small">${many(row.missing, "version")} between</div>`}
  </li>`;
}

function factsOf({ facts, isFork, version }) {
  if (version === 0) return "root prior";
  if (!facts) return isFork ? "where a branch starts" : "";
  return `+${many(facts.rows, "row")} · ${nats(facts.kl_nats)} from its parent`;
}

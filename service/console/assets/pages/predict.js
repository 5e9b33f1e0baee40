// Ask a model: draw, drop or type an input, and see what any two versions say of it, and how sure they are.

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { asCurl, get, of } from "../api.js";
import { Answer, differenceOf } from "../answers.js";
import { RowsTable, SHOWN_MOST } from "../answers_of_rows.js";
import { RollbackButton } from "../changes.js";
import { DrawPad, Small } from "../draw.js";
import { SAMPLES, infer, questionOf } from "../infer.js";
import { inputOf } from "../inputs.js";
import { CsvPad, NumbersPad, PicturePad, Range } from "../pads.js";
import { Crumbs, useCaughtUp } from "../following.js";
import { Frame, SameByHand, Told, html, to, useEvents, useLoaded } from "../ui.js";

const PAUSE_MS = 90;
const WRITTEN_MOST = 4096;
const WAYS = { draw: "Draw", picture: "Picture", numbers: "Numbers", csv: "CSV" };
const MOVES = new Set(["moved", "published", "held", "forgotten"]);

export default function Predict({ model: name }) {
  const { value: model, problem, again } = useLoaded((signal) => aboutModel(name, signal), [name]);
  const connection = useEvents(name, (event) => MOVES.has(event.kind) && again());
  useCaughtUp(connection, again);
  return html`<${Frame} title="Predict" model=${name} tab="predict">
    <${Crumbs} model=${name} here="Predict" />
    <${Told} problem=${problem ?? connection.problem} />
    ${!model && !problem && html`<p class="small" role="status">Loading …</p>`}
    ${model && html`<${Asking} key=${name} ...${{ model, isOpen: connection.isOpen }} />`}
  <//>`;
}

async function aboutModel(name, signal) {
  const model = await get(of(name), {}, signal);
  const head = await get(of(name, "versions", String(model.head)), {}, signal);
  return { ...model, parent: head.parent };
}

function Asking({ model, isOpen }) {
  const declared = inputOf(model.input);
  const [range, setRange] = useState({ paper: declared.paper, ink: declared.ink });
  const input = { ...declared, ...range };
  const [way, setWay] = useState(input.ways[0]);
  const [rows, setRows] = useState([]);
  const [at, setAt] = useState(0);
  const given = useCallback((some) => { setRows(some); setAt(0); }, []);
  const row = rows[at];
  return html`<div class="predict">
    <section class="card pad" aria-label="Input">
      ${input.ways.length > 1 && html`<div class="ways" role="group" aria-label="How to give an input">${input.ways.map(
        (one) => html`<button type="button" class="plain" aria-pressed=${way === one} onClick=${() => { setWay(one); given([]); }}>${WAYS[one]}</button>`,
      )}</div>`}
      <${Pad} key=${way} ...${{ way, input, model, given }} />
      ${row && input.height && html`<${Small} input=${input} values=${row.values} said=${row.said} />`}
      ${input.height && way !== "csv" && html`<${Range} ...${{ input, range, setRange }} />`}
    </section>
    <${Sides} ...${{ model, input, rows, at, setAt, isOpen }} />
  </div>`;
}

function Pad({ way, input, model, given }) {
  if (way === "draw") return html`<${DrawPad} input=${input} onRow=${(row) => given(row ? [{ ...row, name: "the drawing" }] : [])} />`;
  if (way === "picture") return html`<${PicturePad} input=${input} onRows=${given} />`;
  if (way === "numbers") return html`<${NumbersPad} input=${input} mean=${model.input.mean} onRows=${given} />`;
  return html`<${CsvPad} input=${input} onRows=${given} />`;
}

function Sides({ model, input, rows, at, setAt, isOpen }) {
  const [left, setLeft] = useState(model.parent === null ? "head" : "parent");
  const [right, setRight] = useState("head");
  const shown = useMemo(() => rows.slice(0, SHOWN_MOST), [rows]);
  const before = useAnswers(model, input, versionOf(model, left), shown);
  const after = useAnswers(model, input, versionOf(model, right), shown);
  const answers = [before, after].map((side) => side.answer && side.rows === shown && side.answer.rows[at]);
  const scale = scaleOf(answers);
  const side = (choice, choose, label, found, answer) =>
    html`<${Side} ...${{ model, choice, choose, label, found, answer, scale, isEmpty: !rows.length }} />`;
  return html`<section class="sides" aria-label="Answers"><h2 class="unseen">Answers</h2>
    ${rows.length > 1 && html`<${RowsTable} ...${{ model, input, rows, at, setAt, version: versionOf(model, right), answer: after.rows === shown ? after.answer : null }} />`}
    <div class="two">${side(left, setLeft, "First version", before, answers[0])}${side(right, setRight, "Second version", after, answers[1])}</div>
    ${answers[0] && answers[1] && html`<${Difference} ...${{ model, before: { version: before.answer.version, answer: answers[0] }, after: { version: after.answer.version, answer: answers[1] } }} />`}
    <p class="small">${isOpen ? "Answers follow head when it moves." : "Not connected to the model's events: answers follow head after a reload."}</p>
    ${rows[at] && html`<${SameByHand} command=${commandOf(model, versionOf(model, right), input, rows[at].values)} />`}
  </section>`;
}

function Difference({ model, before, after }) {
  return html`<section class="card difference" aria-label="What differs"><p aria-live="polite"><strong>What differs.</strong> ${differenceOf(model, before, after)}</p>
    ${before.version < model.head && html`<div class="actions"><${RollbackButton} model=${model.name} head=${model.head} version=${before.version} /></div>`}</section>`;
}

/** A row of more numbers than anybody wants to read comes from a file. */
function commandOf(model, version, input, values) {
  if (values.length > WRITTEN_MOST) return `posterity predict ${model.name} rows.npz --version ${version} --samples ${SAMPLES}`;
  const { method, parts, body } = questionOf(model, version, input, [values]);
  return asCurl(method, parts, { body });
}

/** The version that a choice is now: head or an alias as it points, head's parent, or a number. */
export function versionOf(model, choice) {
  if (choice === "parent") return model.parent ?? model.head;
  if (choice === "") return null;
  return /^\d+$/.test(choice) ? Number(choice) : (model.aliases[choice] ?? null);
}

/** {answer, rows, problem}: what the version says of the rows; older answers are dropped, and rows are asked about after a pause. */
function useAnswers(model, input, version, rows) {
  const [state, setState] = useState({});
  const asked = useRef(null);
  useEffect(() => {
    if (!rows.length || version === null) return setState({});
    const stop = new AbortController();
    const ask = () =>
      infer(model, version, input, rows.map((row) => row.values), { signal: stop.signal }).then(
        (answer) => setState({ answer, rows }),
        (problem) => !stop.signal.aborted && setState({ problem }),
      );
    const pause = setTimeout(ask, asked.current === rows ? 0 : PAUSE_MS);
    asked.current = rows;
    return () => {
      clearTimeout(pause);
      stop.abort();
    };
  }, [rows, version]);
  return state;
}

function Side({ model, choice, choose, label, found, answer, scale, isEmpty }) {
  const version = versionOf(model, choice);
  return html`<section class="card side" aria-label=${label} aria-busy=${!answer && !isEmpty}>
    <h3 class="unseen">${label}${version === null ? "" : `: version ${version}`}</h3>
    <${Chooser} ...${{ model, choice, choose, label, version }} />
    <${Told} problem=${found.problem} />
    <div aria-live="polite">${answer
      ? html`<${Answer} model=${model} version=${found.answer.version} answer=${answer} samples=${found.answer.samples} scale=${scale} />`
      : !found.problem && html`<p class="empty">${version === null ? "Choose a version." : isEmpty ? "Give an input, and the answer is here." : "Asking …"}</p>`}</div>
  </section>`;
}

function Chooser({ model, choice, choose, label, version }) {
  const names = Object.keys(model.aliases).filter((name) => name !== "head");
  const isNumber = /^\d*$/.test(choice);
  return html`<div class="chooser"><label>${label}
      <select value=${isNumber ? "number" : choice} onChange=${(e) => choose(e.target.value === "number" ? String(version ?? model.head) : e.target.value)}>
        <option value="head">head (version ${model.head})</option>
        ${model.parent !== null && html`<option value="parent">head's parent (version ${model.parent})</option>`}
        ${names.map((name) => html`<option value=${name}>${name} (version ${model.aliases[name]})</option>`)}
        <option value="number">a version by its number</option>
      </select></label>
    ${isNumber && html`<label>Number <input type="number" min="0" step="1" value=${choice} onInput=${(e) => choose(e.target.value)} /></label>`}
    <a class="small" href=${version === null ? null : to(model.name, "versions", String(version))}>About version ${version ?? "…"}</a></div>`;
}

/** One range for both sides of each number, so that their intervals can be compared. */
function scaleOf(answers) {
  const known = answers.filter((one) => one?.kind === "numbers");
  if (!known.length) return [];
  return known[0].dims.map((_, dim) => {
    const low = Math.min(...known.map((one) => one.dims[dim].lower));
    const high = Math.max(...known.map((one) => one.dims[dim].upper));
    const margin = 0.1 * (high - low || 1);
    return [low - margin, high + margin];
  });
}

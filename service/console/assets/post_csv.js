// Labeled rows of a CSV: which column is what, which class a word means, and what is wrong where, before anything is sent.

import { useEffect, useMemo, useState } from "preact/hooks";
import { many, listed } from "./changing.js";
import { placesOf, saidOnce, tableOf } from "./csv.js";
import { NOTHING, chosen, pasted } from "./csv_file.js";
import { faultOf } from "./inputs.js";
import { calledLabel, classesOf, labelOf } from "./labels.js";
import { FileDrop } from "./pads.js";
import { Told, html, number } from "./ui.js";

const WEIGHTS = ["weight", "weights"];
const SHOWN_ROWS = 8;
const SHOWN_COLUMNS = 40;
const MAPPED_MOST = 60;

/** Calls `onReady({rows, faults, content, isAsClients} | null)`; faulty lines are named and are not among the rows. */
export function CsvRows({ model, input, onReady }) {
  const [given, setGiven] = useState(NOTHING);
  const { name: file, bytes, text, fault } = given;
  const table = useMemo(() => tableOf(text), [text]);
  const [roles, setRoles] = useState([]);
  const [words, setWords] = useState({});
  const read = useMemo(() => (table.rows.length && roles.length ? rowsOf(model, input, table, roles, words) : null), [table, roles, words]);
  const use = (found) => {
    setGiven(found);
    setRoles(rolesOf(tableOf(found.text), model));
    setWords({});
  };
  useEffect(() => {
    const isAsClients = read && clientsRead(table, roles, model) && !Object.keys(words).length;
    onReady(read && { ...read, content: bytes, isAsClients });
  }, [read]);
  return html`
    <${FileDrop} label="A CSV file" accept=".csv,text/csv,text/plain" onFiles=${async ([one]) => one && use(await chosen(one))} />
    <details open=${!file && text !== ""}><summary>or paste its lines</summary>
      <label>Lines<textarea spellcheck=${false} value=${file ? "" : text} onInput=${(e) => use(pasted(e.target.value))}></textarea></label></details>
    <${Told} problem=${fault} />
    ${table.rows.length > 0 && roles.length > 0 && html`<h3>${file ?? "What was pasted"}: ${many(table.rows.length, "row")}${table.header ? " below a header" : ", no header"}</h3>
      <${Columns} ...${{ table, roles, setRoles, input, model }} />
      <${Preview} ...${{ table, roles, read }} />
      ${model.output.kind === "categorical" && html`<${Words} ...${{ model, read, words, setWords }} />`}`}`;
}

/** What each column is at first: inputs by the model's names, where it has any; the label by its name, else the last one. */
function rolesOf({ header, rows }, model) {
  const { places } = placesOf(header, model.input.names);
  return places.length ? rolesByNames(header, places, model) : rolesByPlace({ header, rows }, model);
}

function rolesByNames(header, inputs, model) {
  const roles = header.map((name, place) => (inputs.includes(place) ? "input" : WEIGHTS.includes(name.toLowerCase()) ? "weight" : "out"));
  const left = placesAs("out", roles);
  const dims = model.output.dims ?? 1;
  const one = calledLabel(header, left) ?? (left.length === 1 ? left[0] : undefined);
  for (const place of dims > 1 ? left.slice(-dims) : one === undefined ? [] : [one]) roles[place] = "label";
  return roles;
}

function rolesByPlace({ header, rows }, model) {
  const width = Math.max(...rows.slice(0, 50).map(({ cells }) => cells.length), header?.length ?? 0, 0);
  const names = Array.from({ length: width }, (_, place) => (header?.[place] ?? "").toLowerCase());
  const roles = names.map((name) => (WEIGHTS.includes(name) ? "weight" : "input"));
  const dims = model.output.dims ?? 1;
  const one = dims === 1 ? calledLabel(names, placesAs("input", roles)) : undefined;
  for (const place of one === undefined ? placesAs("input", roles).slice(-dims) : [one]) roles[place] = "label";
  return roles;
}

const placesAs = (role, roles) => roles.flatMap((one, place) => (one === role ? [place] : []));

/** Whether the file's rows are those that `posterity ingest` reads of it, which tells columns apart by the same rules. */
function clientsRead(table, roles, model) {
  return placesAs("label", roles).length === 1 && rolesOf(table, model).join() === roles.join();
}

function rowsOf(model, input, table, roles, words) {
  const places = (role) => roles.flatMap((one, place) => (one === role ? [place] : []));
  const byName = placesOf(table.header, model.input.names);
  const [chosen, labels, [weight]] = [places("input"), places("label"), places("weight")];
  const inputs = byName.places.length && chosen.every((place) => byName.places.includes(place)) ? byName.places.filter((place) => chosen.includes(place)) : chosen;
  const dims = model.output.kind === "categorical" ? 1 : (model.output.dims ?? 1);
  const columns = byName.missing.map((name) => ({ where: "header", message: `has no column “${name}”, which the model takes` }));
  if (inputs.length !== input.size) columns.push({ where: "columns", message: `${many(inputs.length, "column is", "columns are")} chosen as input, the model takes ${input.size} numbers` });
  if (labels.length !== dims) columns.push({ where: "columns", message: `${many(labels.length, "column is", "columns are")} chosen as label, the model has ${dims}` });
  const faults = [...columns];
  const unknown = new Map();
  const counts = new Map();
  const rows = [];
  for (const { number: line, cells } of table.rows) {
    const wrong = (place, message) => faults.push({ line, place, cell: cells[place], where: `line ${line}${place === undefined ? "" : `, ${nameOf(table, place)}`}`, message });
    const before = faults.length;
    if (cells.length !== roles.length) {
      wrong(undefined, `has ${many(cells.length, "cell")}, the others have ${roles.length}`);
      continue;
    }
    const values = inputs.map((place) => numberOf(cells[place], input.dtype, (message) => wrong(place, message)));
    const said = labels.map((place) => {
      const found = cells[place] in words ? { label: words[cells[place]] } : labelOf(model, cells[place]);
      if (found.fault) {
        wrong(place, found.fault);
        if (cells[place] !== "") unknown.set(cells[place], (unknown.get(cells[place]) ?? 0) + 1);
      } else if (model.output.kind === "categorical") counts.set(found.label, (counts.get(found.label) ?? 0) + 1);
      return found.label;
    });
    const heavy = weight === undefined ? undefined : weightOf(cells[weight], (message) => wrong(weight, message));
    if (faults.length === before && !columns.length) rows.push({ values, label: model.output.kind === "categorical" ? said[0] : said, weight: heavy });
  }
  return { rows, faults: saidOnce(faults), unknown, counts };
}

function numberOf(cell, dtype, wrong) {
  const value = cell === "" ? Number.NaN : Number(cell);
  const fault = faultOf(value, dtype);
  if (fault) wrong(cell === "" ? "is empty" : `“${cell}” ${fault}`);
  return dtype === "uint8" ? value : Math.fround(value);
}

function weightOf(cell, wrong) {
  const value = cell === "" ? Number.NaN : Number(cell);
  if (!(value >= 0 && value <= 1e6)) wrong(`“${cell}” is no weight of 0 to 1,000,000`);
  return value;
}

const nameOf = ({ header }, place) => (header ? `column “${header[place]}”` : `column ${place + 1}`);

function Columns({ table, roles, setRoles, input, model }) {
  const inputs = roles.filter((role) => role === "input").length;
  const set = (place, role) => setRoles(roles.map((one, at) => (at === place ? role : one)));
  const label = roles.indexOf("label");
  if (roles.length > SHOWN_COLUMNS || (model.output.dims ?? 1) === 1) {
    const choose = (place) => setRoles(roles.map((role, at) => (at === place ? "label" : role === "label" ? (model.input.names && table.header ? "out" : "input") : role)));
    return html`<div class="columns"><label>Label column <select value=${label} onChange=${(e) => choose(Number(e.target.value))}>
        ${roles.map((_, place) => html`<option value=${place}>${table.header ? table.header[place] : `column ${place + 1}`}</option>`)}</select></label>
      <p class="small">${inputs} of ${input.size} columns are input.</p></div>
      ${roles.length <= SHOWN_COLUMNS && html`<${Roles} ...${{ table, roles, set }} />`}`;
  }
  return html`<${Roles} ...${{ table, roles, set }} isOpen />`;
}

function Roles({ table, roles, set, isOpen }) {
  return html`<details open=${isOpen}><summary>What each column is</summary><div class="roles">${roles.map(
    (role, place) => html`<label>${table.header ? table.header[place] : `Column ${place + 1}`}<select aria-label=${table.header ? table.header[place] : `Column ${place + 1}`} value=${role} onChange=${(e) => set(place, e.target.value)}>
      <option value="input">input</option><option value="label">label</option><option value="weight">weight</option><option value="out">left out</option></select></label>`,
  )}</div></details>`;
}

/** The first rows, and the first that have faults. */
function Preview({ table, roles, read }) {
  const faulty = new Map((read?.faults ?? []).filter((one) => one.line !== undefined).map((one) => [`${one.line} ${one.place}`, one.message]));
  const lines = new Set((read?.faults ?? []).map((one) => one.line));
  const shown = [...table.rows.slice(0, SHOWN_ROWS), ...table.rows.slice(SHOWN_ROWS).filter((one) => lines.has(one.number)).slice(0, SHOWN_ROWS)];
  const columns = roles.map((_, place) => place).filter((place) => place < SHOWN_COLUMNS || roles[place] !== "input");
  return html`<div class="scroll preview" tabindex="0" role="region" aria-label="The first rows"><table>
    <thead><tr><th scope="col">Line</th>${columns.map((place) => html`<th scope="col">${table.header ? table.header[place] : place + 1}<br /><span class="role">${roles[place] === "out" ? "left out" : roles[place]}</span></th>`)}</tr></thead>
    <tbody>${shown.map(({ number: line, cells }) => html`<tr class=${lines.has(line) ? "wrong" : ""}><th scope="row">${line}</th>${columns.map((place) => {
      const message = faulty.get(`${line} ${place}`);
      return html`<td class=${`${message ? "bad" : ""} ${roles[place]}`} title=${message}>${cells[place] ?? ""}${message && html`<span class="unseen"> (${message})</span>`}</td>`;
    })}</tr>`)}</tbody></table></div>
    <p class="small">${number(Math.min(SHOWN_ROWS, table.rows.length))} of ${many(table.rows.length, "row")}${lines.size > 0 ? ", and the first with faults" : ""}.</p>`;
}

/** How many rows each class has, and which class a word means that is none. */
function Words({ model, read, words, setWords }) {
  if (!read) return null;
  const classes = classesOf(model);
  const asked = [...new Set([...Object.keys(words), ...read.unknown.keys()])].slice(0, MAPPED_MOST);
  const counted = classes.filter(({ label }) => read.counts.has(label)).map(({ label, name }) => `${name}: ${number(read.counts.get(label))}`);
  const set = (word, label) => setWords(label === "" ? Object.fromEntries(Object.entries(words).filter(([one]) => one !== word)) : { ...words, [word]: Number(label) });
  return html`${counted.length > 0 && html`<p class="small">Rows by class: ${listed(counted, 30)}.</p>`}
    ${asked.length > 0 && html`<fieldset><legend>Which class is meant</legend><div class="roles">${asked.map(
      (word) => html`<label>“${word}”<select value=${word in words ? words[word] : ""} onChange=${(e) => set(word, e.target.value)}>
        <option value="">choose a class</option>${classes.map(({ label, name }) => html`<option value=${label}>${name}</option>`)}</select></label>`,
    )}</div></fieldset>`}`;
}


// The other ways to give a row: a picture, a line of a CSV, numbers typed one by one.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { placesOf, saidOnce, tableOf } from "./csv.js";
import { many } from "./changing.js";
import { NOTHING, chosen, pasted } from "./csv_file.js";
import { faultOf, valuesOf } from "./inputs.js";
import { LABEL_COLUMNS } from "./labels.js";
import { decoded } from "./pixels.js";
import { Told, html } from "./ui.js";

const PICTURES_MOST = 100;
const WRITTEN_MOST = 200_000;

/** A picture from a file, dropped or pasted: `onRows([{values, said, name}])`. */
export function PicturePad({ input, onRows }) {
  const [files, setFiles] = useState([]);
  const [isInverted, setInverted] = useState(false);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    let isLatest = true;
    Promise.all(files.map(async (file) => ({ file, ...(await decoded(file, input, { isInverted })) }))).then(
      (pictures) => {
        if (!isLatest) return;
        setProblem(null);
        onRows(pictures.map(({ file, shares, said }) => ({ values: valuesOf(shares, input), said, name: file.name })));
      },
      (error) => isLatest && setProblem({ title: "This cannot be read", detail: error.message, code: "picture-unreadable" }),
    );
    return () => {
      isLatest = false;
    };
  }, [files, isInverted, input.paper, input.ink]);
  return html`<${FileDrop} label="A PNG or JPEG" accept="image/png,image/jpeg" multiple onFiles=${(chosen) => setFiles(chosen.slice(0, PICTURES_MOST))} />
    <label class="choice"><input type="checkbox" checked=${isInverted} onChange=${(e) => setInverted(e.target.checked)} />Invert light and dark</label>
    <${Told} problem=${problem} />`;
}

/** Files that are chosen, dropped on it, or pasted while the page is open. */
export function FileDrop({ label, accept, multiple = false, isFolder = false, onFiles }) {
  const [isOver, setOver] = useState(false);
  const chosen = useRef(null);
  const latest = useRef(onFiles);
  latest.current = onFiles;
  useEffect(() => {
    if (isFolder) return undefined;
    const pasted = (event) => {
      const files = Array.from(event.clipboardData?.files ?? []);
      if (files.length) latest.current(files);
    };
    addEventListener("paste", pasted);
    return () => removeEventListener("paste", pasted);
  }, []);
  const dropped = async (event) => {
    event.preventDefault();
    setOver(false);
    onFiles(await filesOf(event.dataTransfer));
  };
  return html`<div class=${`drop${isOver ? " over" : ""}`} onDragOver=${(event) => { event.preventDefault(); setOver(true); }}
      onDragLeave=${() => setOver(false)} onDrop=${dropped}>
    <label>${label}<input ref=${chosen} type="file" accept=${accept} multiple=${multiple} webkitdirectory=${isFolder || undefined}
      onChange=${(e) => { onFiles(Array.from(e.target.files)); e.target.value = ""; }} /></label>
    <p class="small">${isFolder ? "or drop it here." : "or drop it here, or paste it."}</p></div>`;
}

/** Every file that was dropped, those in folders with the path that they had there. */
async function filesOf(transfer) {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return Array.from(transfer.files);
  return (await Promise.all(entries.map((entry) => filesIn(entry)))).flat();
}

async function filesIn(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    Object.defineProperty(file, "path", { value: entry.fullPath.slice(1) });
    return [file];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return (await Promise.all(found.map((one) => filesIn(one)))).flat();
    found.push(...some);
  }
}

/** Lines of a CSV, a header and a column of labels tolerated: `onRows` gets those that are the model's, and none where one is not. */
export function CsvPad({ input, onRows }) {
  const [given, setGiven] = useState(NOTHING);
  const { text, fault } = given;
  const { rows, faults, said } = useMemo(() => rowsOf(text, input), [text]);
  useEffect(() => onRows(faults.length ? [] : rows), [text]);
  return html`<label>${input.names ? `Rows below a header with ${input.names.join(", ")}; or without one, in this order` : `Rows, each ${input.size} numbers with commas between them`}
      <textarea spellcheck=${false} value=${text.length > WRITTEN_MOST ? "" : text} onInput=${(e) => setGiven(pasted(e.target.value))} placeholder="0.5, 1.25, …"></textarea></label>
    <${FileDrop} label="or a CSV file" accept=".csv,text/csv,text/plain" onFiles=${async ([file]) => file && setGiven(await chosen(file))} />
    <${Told} problem=${fault} />
    ${said && html`<p class="small" role="status">${said}</p>`}
    <${Told} problem=${faults.length ? { title: "Nothing was asked", detail: "Some lines are no rows of this model.", code: "rows-unusable", errors: faults.slice(0, 5) } : null} />`;
}

function rowsOf(text, input) {
  if (!text.trim()) return { rows: [], faults: [], said: "" };
  const { header, rows: lines } = tableOf(text);
  const { places: named, missing } = placesOf(header, input.names);
  const label = labelIn(header, input);
  const places = label === null ? named : header.map((_, place) => place).filter((place) => place !== label);
  const faults = missing.map((name) => ({ where: "header", message: `has no column “${name}”, which the model takes` }));
  const rows = lines.map(({ number, cells: all }) => {
    const where = `line ${number}`;
    const cells = places.length ? places.map((place) => all[place] ?? "") : all;
    if (cells.length !== input.size) faults.push({ where, message: `has ${cells.length} ${cells.length === 1 ? "cell" : "cells"}, the model takes ${input.size} numbers` });
    const values = cells.map((cell) => (cell === "" ? Number.NaN : Number(cell)));
    const bad = values.findIndex((value) => faultOf(value, input.dtype));
    if (cells.length === input.size && bad >= 0) faults.push({ where: `${where}, column ${bad + 1}`, message: `“${cells[bad]}” ${faultOf(values[bad], input.dtype)}`, cell: cells[bad] });
    return { values, name: where, said: `the numbers of ${where}` };
  });
  const left = label === null ? "" : `; the column “${header[label]}” is left out`;
  return { rows, faults: saidOnce(faults), said: `${many(lines.length, "row")}${header ? " below a header" : ""}${left}.` };
}

/** Where the label is, in a file that was labeled to be posted: the one column that is too many, where it is called so. */
function labelIn(header, input) {
  if (!header || input.names || header.length !== input.size + 1) return null;
  const labels = header.flatMap((name, place) => (LABEL_COLUMNS.includes(name.toLowerCase()) ? [place] : []));
  return labels.length === 1 ? labels[0] : null;
}

/** Numbers typed one by one; each begins at the mean that the model declares. */
export function NumbersPad({ input, mean, onRows }) {
  const [cells, setCells] = useState(() => Array.from({ length: input.size }, (_, place) => String(fitMean(mean, place, input))));
  const values = cells.map((cell) => (cell.trim() === "" ? Number.NaN : Number(cell)));
  const faults = values.map((value) => faultOf(value, input.dtype));
  useEffect(() => onRows(faults.some(Boolean) ? [] : [{ values, said: "the numbers as typed", name: "the numbers" }]), [cells.join()]);
  return html`<div class="numbers">${cells.map(
    (cell, place) => html`<label>${calledIn(input, place)}<input inputmode="decimal" aria-label=${calledIn(input, place)} value=${cell} aria-invalid=${Boolean(faults[place])} aria-describedby=${faults[place] ? `fault-${place}` : null}
      onInput=${(e) => setCells((before) => before.map((one, at) => (at === place ? e.target.value : one)))} />
      ${faults[place] && html`<span class="small fault" id=${`fault-${place}`} role="alert">${faults[place]}</span>`}</label>`,
  )}</div>`;
}

const calledIn = ({ names }, place) => names?.[place] ?? `Number ${place + 1}`;

function fitMean(mean, place, input) {
  const value = Array.isArray(mean) ? (mean[place] ?? 0) : (mean ?? 0);
  return input.dtype === "uint8" ? Math.round(value) : Number(value.toPrecision(6));
}

/** What empty and full pixels are worth; the model does not say, so it can be set. */
export function Range({ input, range, setRange }) {
  const changed = (name) => (event) => event.target.value !== "" && setRange({ ...range, [name]: Number(event.target.value) });
  return html`<details class="small range-of-pixels"><summary>Pixels from ${input.paper} to ${input.ink}</summary>
    <p>An empty pixel and a full one as the model's rows have them. Swap them where it learned dark ink on light paper.</p>
    <div class="pair"><label>Empty <input type="number" step="any" value=${range.paper} onInput=${changed("paper")} /></label>
    <label>Full <input type="number" step="any" value=${range.ink} onInput=${changed("ink")} /></label></div></details>`;
}

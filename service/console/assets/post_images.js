// Labeled pictures: read in the browser, labeled by folder, by name, all alike or one by one.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { listed, many } from "./changing.js";
import { valuesOf } from "./inputs.js";
import { classesOf, labelOf } from "./labels.js";
import { FileDrop } from "./pads.js";
import { decoded } from "./pixels.js";
import { html, number } from "./ui.js";

const SHOWN = 120;
const LISTED_CLASSES = 60;
const BY = { folder: "the folder's name", prefix: "how the file's name begins", all: "one label for all" };

/** Calls `onReady({rows, faults} | null)`; a label that is chosen at a picture comes before all others. */
export function ImageRows({ model, input, onReady }) {
  const [pictures, setPictures] = useState([]);
  const [progress, setProgress] = useState(null);
  const [by, setBy] = useState("folder");
  const [all, setAll] = useState("");
  const [chosen, setChosen] = useState({});
  const [isInverted, setInverted] = useState(false);
  const files = useRef([]);
  const read = async (some) => {
    files.current = some.filter((file) => file.type.startsWith("image/") || /\.(png|jpe?g)$/i.test(file.name)).sort((one, other) => (pathOf(one) < pathOf(other) ? -1 : 1));
    if (files.current.length && !files.current.some((file) => folderOf(file))) setBy("prefix");
    setChosen({});
    await readAll(files.current, input, isInverted, setPictures, setProgress, () => files.current);
  };
  useEffect(() => {
    if (files.current.length) readAll(files.current, input, isInverted, setPictures, setProgress, () => files.current);
  }, [isInverted]);
  const labeled = useMemo(() => pictures.map((one) => ({ ...one, ...labelAt(model, one, { by, all, chosen }) })), [pictures, by, all, chosen]);
  const faults = labeled.flatMap(({ path, fault, problem }) => (problem ?? fault ? [{ where: path, message: problem ?? fault }] : []));
  useEffect(() => {
    const rows = labeled.filter((one) => !one.problem && !one.fault).map((one) => ({ values: valuesOf(one.shares, input), label: model.output.kind === "categorical" ? one.label : [one.label] }));
    onReady(labeled.length && !progress ? { rows, faults } : null);
  }, [labeled, progress, input.paper, input.ink]);
  return html`
    <div class="two"><${FileDrop} label="PNG or JPEG files" accept="image/png,image/jpeg" multiple onFiles=${read} />
      <${FileDrop} label="A folder of them" multiple isFolder onFiles=${read} /></div>
    ${progress && html`<p class="small" role="status">Reading picture ${number(progress.at)} of ${number(progress.of)} …</p>`}
    ${pictures.length > 0 && html`
      <h3>${many(pictures.length, "picture")}</h3>
      <div class="columns"><label>Labeled by <select value=${by} onChange=${(e) => setBy(e.target.value)}>
        ${Object.entries(BY).map(([one, said]) => html`<option value=${one}>${said}</option>`)}</select></label>
        ${by === "all" && html`<label>The label <${LabelField} ...${{ model, value: all, onChange: setAll }} /></label>`}
        <label class="choice"><input type="checkbox" checked=${isInverted} onChange=${(e) => setInverted(e.target.checked)} />Invert light and dark</label></div>
      <${Summary} ...${{ model, labeled }} />
      <${Grid} ...${{ model, input, labeled, set: (path, text) => setChosen((before) => ({ ...before, [path]: text })) }} />`}`;
}

const pathOf = (file) => file.path ?? (file.webkitRelativePath || file.name);
const folderOf = (file) => pathOf(file).split("/").at(-2) ?? "";

async function readAll(files, input, isInverted, setPictures, setProgress, latest) {
  const read = [];
  for (const [at, file] of files.entries()) {
    if (latest() !== files) return;
    if (at % 20 === 0) setProgress({ at: at + 1, of: files.length });
    const one = { path: pathOf(file), name: file.name, folder: folderOf(file) };
    try {
      read.push({ ...one, ...(await decoded(file, input, { isInverted })) });
    } catch (error) {
      read.push({ ...one, problem: error.message });
    }
  }
  setPictures(read);
  setProgress(null);
}

/** What the picture's label is, and how it is written in its field. */
function labelAt(model, { path, name, folder }, { by, all, chosen }) {
  const text = chosen[path] ?? { folder, prefix: /^[^-_. ]+/.exec(name)?.[0] ?? "", all }[by];
  return { text, ...labelOf(model, text) };
}

function Summary({ model, labeled }) {
  const said = [...new Set(labeled.map((one) => one.said).filter(Boolean))];
  const counts = new Map();
  for (const one of labeled) if (one.label !== undefined) counts.set(one.label, (counts.get(one.label) ?? 0) + 1);
  const classes = model.output.kind === "categorical" ? classesOf(model).filter(({ label }) => counts.has(label)) : [];
  return html`<p class="small">${said.length > 0 && html`${listed(said, 3)}. `}${classes.length > 0 && html`Pictures by class: ${listed(classes.map(({ label, name }) => `${name}: ${number(counts.get(label))}`), 30)}.`}</p>`;
}

/** Those with faults first, so that they are found. */
function Grid({ model, input, labeled, set }) {
  const shown = useMemo(() => labeled.filter((one) => one.problem), [labeled]).concat(labeled.filter((one) => !one.problem)).slice(0, SHOWN);
  return html`<ul class="thumbs" aria-label="Pictures">${shown.map(
    (one) => html`<li key=${one.path} class=${one.problem || one.fault ? "wrong" : ""}>
      ${one.problem ? html`<span class="small fault">${one.problem}</span>` : html`<${Thumb} input=${input} shares=${one.shares} />
      <label><span class="name" title=${one.path}>${one.name}</span><${LabelField} ...${{ model, value: one.text, onChange: (text) => set(one.path, text) }} /></label>`}
    </li>`,
  )}</ul>${labeled.length > shown.length && html`<p class="small">and ${many(labeled.length - shown.length, "more picture")}.</p>`}`;
}

function LabelField({ model, value, onChange }) {
  const isListed = model.output.kind === "categorical" && classesOf(model).length <= LISTED_CLASSES;
  if (!isListed) return html`<input value=${value} spellcheck=${false} onInput=${(e) => onChange(e.target.value)} />`;
  const { label, fault } = labelOf(model, value);
  return html`<select value=${fault ? "" : String(label)} aria-invalid=${Boolean(fault)} onChange=${(e) => onChange(nameAt(model, e.target.value))}>
    <option value="">${fault && value ? `${value}?` : "no label"}</option>${classesOf(model).map((one) => html`<option value=${String(one.label)}>${one.name}</option>`)}</select>`;
}

const nameAt = (model, label) => (label === "" ? "" : classesOf(model)[Number(label)].name);

function Thumb({ input, shares }) {
  const element = useRef(null);
  useEffect(() => {
    const context = element.current.getContext("2d");
    const picture = context.createImageData(input.width, input.height);
    const count = input.width * input.height;
    for (let index = 0; index < count; index += 1) {
      for (const channel of [0, 1, 2]) picture.data[4 * index + channel] = 255 * shares[(input.channels === 3 ? channel * count : 0) + index];
      picture.data[4 * index + 3] = 255;
    }
    context.putImageData(picture, 0, 0);
  }, [shares]);
  return html`<canvas ref=${element} width=${input.width} height=${input.height} aria-hidden="true"></canvas>`;
}

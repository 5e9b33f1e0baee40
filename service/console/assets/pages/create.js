// A new model: a form for the common case that shows the JSON it will post, or the JSON itself.

import { useEffect, useRef, useState } from "preact/hooks";
import { asCurl, post } from "../api.js";
import { tableOf } from "../csv.js";
import { chosen } from "../csv_file.js";
import { FAMILIES, FIRST, NETS, PUBLISH, descriptionOf, faultsOf, hiddenOf, idsIn, inputsOf, saysClasses } from "../describing.js";
import { listed, many } from "../changing.js";
import { calledLabel } from "../labels.js";
import { FileDrop } from "../pads.js";
import { Frame, SameByHand, Told, html, to } from "../ui.js";

const MODELS = ["v1", "models"];
/** Which field shows what the service says of a place: the longest beginning counts. */
const FIELDS = {
  name: "name", "net.hidden": "hidden", net: "net", "input.shape": "shape", "input.std": "full", input: "shape",
  "output.classes": "classes", output: "classes", family: "family", "chunk.rows": "chunkRows", "chunk.seconds": "chunkSeconds", publish: "publish",
};
const FAULTS_SHOWN = 8;

export default function Create() {
  const [form, setForm] = useState(FIRST);
  const [text, setText] = useState(null);
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const [created, setCreated] = useState(null);
  const element = useRef(null);
  useEffect(() => element.current?.querySelector('[aria-invalid="true"]')?.focus(), [problem]);
  const set = (part) => { setForm((before) => ({ ...before, ...part })); setProblem(null); };
  const faults = text === null && form.rows === "csv" && form.table ? faultsOf(form) : [];
  const isMissing = text === null && form.rows === "csv" && !form.table;
  const said = JSON.stringify(descriptionOf(form), null, 2);
  const go = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      setCreated(await post(MODELS, bodyOf(text ?? said)));
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  if (created) return html`<${Created} model=${created} />`;
  const at = text === null ? byField(problem) : { fields: {}, rest: problem };
  return html`<${Frame} title="New model" tab="models">
    <form ref=${element} class="create" onSubmit=${go} novalidate>
      <div class="card">${text === null
        ? html`<${Form} ...${{ form, set, wrong: at.fields, faults }} />`
        : html`<${Json} ...${{ text, setText, back: () => { setText(null); setProblem(null); } }} />`}
        <${Told} problem=${at.rest} />
        <div class="actions"><button type="submit" disabled=${isBusy || faults.length > 0 || isMissing}>${isBusy ? "…" : "Create the model"}</button>
          ${isMissing && html`<span class="small">Choose a CSV first.</span>`}</div></div>
      <section class="card posts" aria-label="What will be posted"><h2>What will be posted</h2>
        ${text === null && html`<pre tabindex="0">${shortened(said)}</pre>
        <button type="button" class="plain" onClick=${() => { setText(said); setProblem(null); }}>Advanced: edit the JSON</button>`}
        <${SameByHand} command=${commandOf(text ?? said)} />
        <p class="small">What a model is does not change afterwards; another description is another model. The JSON may say more than the form: prior, recipe, retention, gate, surprise.</p></section>
    </form>
  <//>`;
}

/** The JSON as it is; what is none is sent as it is, and the service says so. */
function bodyOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return new Blob([text], { type: "application/json" });
  }
}

function commandOf(text) {
  const body = bodyOf(text);
  return body instanceof Blob ? "" : asCurl("POST", MODELS, { body });
}

/** Lists of numbers on one line. */
const shortened = (json) => json.replace(/\[\s+((?:-?[\d.e+-]+|null|"[^"\n]*"),?\s*)+\]/g, (list) => list.replace(/\s+/g, " ").replace("[ ", "[").replace(" ]", "]"));

/** The problem's errors at their fields, and what of it belongs to none. */
function byField(problem) {
  if (!problem) return { fields: {}, rest: null };
  if (problem.code === "model-exists") return { fields: { name: problem.detail }, rest: null };
  const fields = {};
  const others = [];
  for (const one of problem.errors) {
    const place = Object.keys(FIELDS).sort((a, b) => b.length - a.length).find((start) => one.where === start || one.where.startsWith(`${start}.`));
    if (place) fields[FIELDS[place]] = [fields[FIELDS[place]], one.message].filter(Boolean).join("; ");
    else others.push(one);
  }
  const isPlaced = problem.errors.length > 0 && !others.length;
  return { fields, rest: isPlaced ? { title: problem.title, detail: "What is wrong is said at the fields.", code: problem.code } : problem };
}

function Form({ form, set, wrong, faults }) {
  const common = { form, set, wrong };
  return html`
    <${Field} ...${common} name="name" label="Name" hint="letters, digits, “.”, “_” and “-”" autocomplete="off" spellcheck=${false} />
    <fieldset><legend>Rows</legend>
      <div class="ways" role="group" aria-label="What a row is">${[["csv", "From a CSV"], ["pictures", "Pictures"]].map(
        ([one, word]) => html`<button type="button" class="plain" aria-pressed=${form.rows === one} onClick=${() => set({ rows: one, label: "classes", table: null, net: one === "csv" ? "mlp" : "lenet5" })}>${word}</button>`,
      )}</div>
      ${form.rows === "csv" ? html`<${Table} ...${common} faults=${faults} />` : html`<${Pictures} ...${common} />`}</fieldset>
    <fieldset><legend>Net</legend>
      <${Choice} ...${common} name="net" label="Layers" of=${form.rows === "csv" ? { mlp: NETS.mlp, linear: NETS.linear } : NETS} />
      ${form.net === "mlp" && html`<${Field} ...${common} form=${{ hidden: hiddenOf(form) }} name="hidden" label="Units of the hidden layers" hint="one number for each" />`}
      <${Choice} ...${common} name="family" label="Posterior" of=${FAMILIES} /></fieldset>
    <fieldset><legend>When it learns</legend>
      <div class="pair"><${Field} ...${common} name="chunkRows" label="Rows of a chunk" inputmode="numeric" />
      <${Field} ...${common} name="chunkSeconds" label="Seconds at most" hint="or empty" inputmode="decimal" /></div>
      <${Choice} ...${common} name="publish" label="Head moves" of=${PUBLISH} /></fieldset>`;
}

function Field({ form, set, wrong, name, label, hint, ...more }) {
  return html`<label>${label} ${hint && html`<span class="small">(${hint})</span>`}
    <input name=${name} value=${form[name]} ...${more} ...${marks(wrong, name)} onInput=${(e) => set({ [name]: e.target.value })} />
    <${Wrong} ...${{ wrong, name }} /></label>`;
}

function Choice({ form, set, wrong, name, label, of }) {
  return html`<label>${label}<select name=${name} value=${form[name]} ...${marks(wrong, name)} onChange=${(e) => set({ [name]: e.target.value })}>
    ${Object.entries(of).map(([one, said]) => html`<option value=${one}>${said}</option>`)}</select><${Wrong} ...${{ wrong, name }} /></label>`;
}

const marks = (wrong, name) => (wrong[name] ? { "aria-invalid": "true", "aria-describedby": `wrong-${name}` } : {});
const Wrong = ({ wrong, name }) => wrong[name] && html`<span class="small fault" id=${`wrong-${name}`} role="alert">${wrong[name]}</span>`;

function Table({ form, set, wrong, faults }) {
  const [fault, setFault] = useState(null);
  const use = async ([file]) => {
    if (!file) return;
    const read = await chosen(file);
    setFault(read.fault);
    if (read.fault) return set({ table: null });
    const table = tableOf(read.text);
    const labelAt = labelIn(table);
    const labels = table.rows.map(({ cells }) => cells[labelAt] ?? "");
    set({ table, labelAt, out: idsIn(table, labelAt), label: saysClasses(labels) ? "classes" : "number", name: form.name || file.name.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9._-]+/g, "-") });
  };
  const { table } = form;
  return html`<${FileDrop} label="A CSV file" accept=".csv,text/csv,text/plain" onFiles=${use} />
    <${Told} problem=${fault} />
    <p class="small">It stays in this browser: columns, means, standard deviations and classes are read from it, no row is sent.</p>
    <${Wrong} ...${{ wrong, name: "shape" }} />
    ${table && html`<p><strong>${many(table.rows.length, "row")}</strong>, ${many(inputsOf(form).length, "column")} as input.</p>
      <${LeftOut} ...${{ form }} />
      <div class="pair"><label>Label column<select value=${form.labelAt} onChange=${(e) => set({ labelAt: Number(e.target.value) })}>
          ${namesOf(table).map((name, place) => html`<option value=${place}>${name}</option>`)}</select></label>
        <label>The label is<select value=${form.label} onChange=${(e) => set({ label: e.target.value })}>
          <option value="classes">one of some classes</option><option value="number">a number</option></select><${Wrong} ...${{ wrong, name: "classes" }} /></label></div>
      <details><summary>Columns that are input</summary><div class="roles">${namesOf(table).map(
        (name, place) => place !== form.labelAt && html`<label class="choice"><input type="checkbox" checked=${!form.out.includes(place)}
          onChange=${(e) => set({ out: e.target.checked ? form.out.filter((one) => one !== place) : [...form.out, place] })} />${name}</label>`,
      )}</div></details>
      ${faults.length > 0 && html`<div class="problem" role="alert"><strong>${many(faults.length, "thing is", "things are")} wrong with the rows</strong>
        <ul>${faults.slice(0, FAULTS_SHOWN).map(({ where, message }) => html`<li><code>${where}</code> ${message}</li>`)}</ul>
        <p class="small">Leave a column out that is not of numbers, or mend the file.</p></div>`}`}`;
}

/** Columns that number the rows, as long as they are left out. */
function LeftOut({ form: { table, labelAt, out } }) {
  const ids = idsIn(table, labelAt).filter((place) => out.includes(place));
  if (!ids.length) return null;
  const [names, one] = [listed(ids.map((place) => `“${namesOf(table)[place]}”`)), ids.length === 1];
  return html`<p class="way" role="status">${names} ${one ? "numbers the rows and is" : "number the rows and are"} left out: another value in each row tells nothing of rows to come.
    Tick ${one ? "it" : "them"} under “Columns that are input” to put ${one ? "it" : "them"} back.</p>`;
}

const namesOf = (table) => table.rows[0].cells.map((_, place) => table.header?.[place] ?? `Column ${place + 1}`);

function labelIn(table) {
  const header = table.header ?? [];
  return calledLabel(header, [...header.keys()]) ?? table.rows[0].cells.length - 1;
}

function Pictures({ form, set, wrong }) {
  const common = { form, set, wrong };
  return html`<div class="pair"><${Field} ...${common} name="width" label="Width" hint="pixels" inputmode="numeric" />
      <${Field} ...${common} name="height" label="Height" hint="pixels" inputmode="numeric" /></div>
    <${Wrong} ...${{ wrong, name: "shape" }} />
    <div class="pair"><${Choice} ...${common} name="colours" label="Colours" of=${{ 1: "grey", 3: "red, green, blue" }} />
      <${Field} ...${common} name="full" label="Brightest pixel" hint="divides all" inputmode="decimal" /></div>
    <label>Classes <span class="small">(their names, one a line; or only how many)</span>
      <textarea class="short" spellcheck=${false} value=${form.names} placeholder=${"cat\ndog"} onInput=${(e) => set({ names: e.target.value, label: "classes" })}></textarea></label>
    ${!form.names.trim() && html`<${Field} ...${common} name="count" label="How many classes" inputmode="numeric" />`}
    <${Wrong} ...${{ wrong, name: "classes" }} />`;
}

function Json({ text, setText, back }) {
  return html`<label>The description, as JSON<textarea class="of-json" spellcheck=${false} value=${text} onInput=${(e) => setText(e.target.value)}></textarea></label>
    <p><button type="button" class="plain" onClick=${back}>Back to the form</button> <span class="small">The form does not take over what was changed here.</span></p>`;
}

function Created({ model }) {
  return html`<${Frame} title=${model.name} model=${model.name}>
    <section class="card" role="status"><h2>The model is there</h2>
      <p>Version 0, its prior, answers already, and doubts everything. Post rows, and it learns.</p>
      <div class="actions"><a class="button" href=${to(model.name, "post")}>Post rows</a>
        <a class="button plain" href=${to(model.name)}>Overview</a><a class="button plain" href=${to(model.name, "predict")}>Predict</a></div></section>
  <//>`;
}

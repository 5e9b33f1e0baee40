// What a version says of each of some rows: a table to choose one of, and all of them as a file.

import { useState } from "preact/hooks";
import { short } from "./answers.js";
import { many } from "./changing.js";
import { infer, nameOf } from "./infer.js";
import { Told, html, number, percent } from "./ui.js";

export const SHOWN_MOST = 100;
const NUMBERS_ASKED_MOST = 500_000;

/** The first rows with their answers, one of them chosen by click or by the arrow keys; `answer` may not be there yet. */
export function RowsTable({ model, input, rows, version, at, setAt, answer }) {
  const said = rows.length > SHOWN_MOST ? `the first ${SHOWN_MOST} of ${many(rows.length, "row")}` : many(rows.length, "row");
  return html`<section class="card answered" aria-label="Rows">
    <div class="title"><h2>${said[0].toUpperCase() + said.slice(1)}, by version ${version ?? "…"}</h2>
      <${Download} key=${version} ...${{ model, input, rows, version }} /></div>
    <div class="scroll" role="region" aria-label=${`The answers to ${said}`} tabindex="0"><table>
      <thead><tr><th scope="col">Row</th>${headsOf(model).map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
      <tbody>${rows.slice(0, SHOWN_MOST).map((row, index) => html`<tr key=${index} class=${index === at ? "is-chosen" : ""} onClick=${() => setAt(index)}>
        <th scope="row"><label><input type="radio" name="row" checked=${index === at} onChange=${() => setAt(index)} />${row.name}</label></th>
        ${cellsOf(model, answer?.rows[index]).map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div>
  </section>`;
}

const isOfClasses = (model) => model.output.kind === "categorical";
const dimsOf = (model) => Array.from({ length: model.output.dims ?? 1 }, (_, dim) => dim);

function headsOf(model) {
  if (isOfClasses(model)) return ["Label", "Probability", "Entropy, nats", "Model part, nats"];
  const of = (dim) => (dimsOf(model).length > 1 ? ` ${dim + 1}` : "");
  return dimsOf(model).flatMap((dim) => [`Mean${of(dim)}`, `90 % interval${of(dim)}`, `Model part${of(dim)}`]);
}

function cellsOf(model, one) {
  if (!one) return headsOf(model).map(() => "…");
  if (one.kind === "classes") return [nameOf(model, one.label), percent(one.probabilities[one.label]), number(one.entropy, 3), number(one.mutual, 3)];
  return one.dims.flatMap((dim) => [short(dim.mean), `${short(dim.lower)} to ${short(dim.upper)}`, percent(dim.epistemic_std ** 2 / (dim.std ** 2 || 1))]);
}

/** All rows are asked about in parts, by the same version, and their answers are saved. */
function Download({ model, input, rows, version }) {
  const [done, setDone] = useState(null);
  const [problem, setProblem] = useState(null);
  const save = async () => {
    setProblem(null);
    const each = Math.max(1, Math.min(SHOWN_MOST, Math.floor(NUMBERS_ASKED_MOST / input.size)));
    const answers = [];
    try {
      while (answers.length < rows.length) {
        setDone(answers.length);
        const some = rows.slice(answers.length, answers.length + each);
        answers.push(...(await infer(model, version, input, some.map(({ values }) => values), { isBrief: true })).rows);
      }
      saved(`${model.name}-version-${version}.csv`, fileOf(model, rows, answers));
    } catch (error) {
      setProblem(error);
    }
    setDone(null);
  };
  return html`<button type="button" class="plain" disabled=${done !== null || version === null} onClick=${save}>${done === null ? "Download predictions as CSV" : `${number(done)} of ${many(rows.length, "row")} …`}</button>
    <${Told} problem=${problem} />`;
}

function saved(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const OF_NUMBERS = ["mean", "lower", "upper", "std", "epistemic_std", "noise_std"];

/** A line for each row below a header, in full precision. */
function fileOf(model, rows, answers) {
  const lines = isOfClasses(model) ? linesOfClasses(model, answers) : linesOfNumbers(model, answers);
  const called = (index) => (index === 0 ? "row" : rows[index - 1].name);
  return lines.map((cells, index) => [called(index), ...cells].map(quoted).join(",")).join("\n") + "\n";
}

function linesOfClasses(model, answers) {
  const names = answers[0].probabilities.map((_, label) => `probability of ${nameOf(model, label)}`);
  const header = ["label", "probability", "entropy", "aleatoric", "mutual_information", ...names];
  return [header, ...answers.map((one) => [nameOf(model, one.label), one.probabilities[one.label], one.entropy, one.aleatoric, one.mutual, ...one.probabilities])];
}

function linesOfNumbers(model, answers) {
  const dims = dimsOf(model);
  const header = dims.flatMap((dim) => OF_NUMBERS.map((name) => (dims.length > 1 ? `${name}_${dim + 1}` : name)));
  return [header, ...answers.map((one) => one.dims.flatMap((dim) => OF_NUMBERS.map((name) => dim[name])))];
}

const quoted = (cell) => (/[",\r\n]/.test(String(cell)) ? `"${String(cell).replaceAll('"', '""')}"` : String(cell));

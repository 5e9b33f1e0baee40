// A model's description from what a form says, or from the columns of a CSV.

import { hasDecimalComma, isNumber, saidOnce } from "./csv.js";

export const NETS = {
  mlp: "dense layers",
  linear: "linear, no hidden layer",
  small: "a small convolution, for pictures of 6 pixels and more",
  lenet5: "LeNet-5, for pictures of 16 pixels and more",
  "3conv3fc": "3Conv3FC, for pictures of 23 pixels and more",
};
export const FAMILIES = {
  ffg: "ffg: a mean and a standard deviation for each weight",
  cfg: "cfg: also the covariance within each convolution's kernel",
  mnf: "mnf: a normalizing flow, one number for each kernel",
  "mnf-filter": "mnf-filter: a normalizing flow, one number for each filter",
  "mnf-rank1": "mnf-rank1: a normalizing flow, filter times channel",
  point: "point: plain weights, no doubt about them",
};
export const PUBLISH = {
  always: "always, at once",
  gated: "if the new version is no worse than the one before",
  manual: "when somebody moves it",
};

/** What the form says at first. */
export const FIRST = {
  name: "", rows: "csv", label: "classes", table: null, labelAt: 0, out: [],
  width: "28", height: "28", colours: "1", full: "255", count: "10", names: "",
  net: "mlp", hidden: null, family: "ffg", chunkRows: "500", chunkSeconds: "60", publish: "always",
};

/** The description that the form says; what is not said yet is null, which the service refuses at its place. */
export function descriptionOf(form) {
  const seconds = form.chunkSeconds.trim() === "" ? null : numberOf(form.chunkSeconds);
  const said = {
    name: form.name,
    net: netOf(form),
    input: form.rows === "csv" ? inputOfTable(form) : inputOfPictures(form),
    output: outputOf(form),
    family: form.family,
    chunk: { rows: numberOf(form.chunkRows), seconds },
  };
  return form.publish === "always" ? said : { ...said, publish: form.publish };
}

const numberOf = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : null);
const listOf = (text) => text.split(/[,\s]+/).filter(Boolean).map(numberOf);

/** The units of the hidden layers as they were typed, or as many as `posterity describe` takes for rows of this width. */
export function hiddenOf(form) {
  if (form.hidden !== null) return form.hidden;
  const width = form.rows === "csv" ? (form.table ? inputsOf(form).length : 0) : Number(form.colours) * Number(form.width) * Number(form.height);
  return width > 16 ? "64" : "32";
}

function netOf(form) {
  const { net } = form;
  if (net === "mlp") return { kind: "mlp", hidden: listOf(hiddenOf(form)) };
  if (net === "linear") return { kind: "mlp", hidden: [] };
  if (net !== "small") return { kind: net };
  const layers = [{ kind: "conv", filters: 16, kernel: 3 }, { kind: "relu" }, { kind: "maxpool", size: 2 }, { kind: "flatten" }, { kind: "dense", units: 64 }, { kind: "relu" }];
  return { kind: "layers", layers };
}

function inputOfPictures({ width, height, colours, full }) {
  return { shape: [Number(colours), numberOf(height), numberOf(width)], dtype: "uint8", std: numberOf(full) };
}

function inputOfTable(form) {
  if (!form.table) return { shape: [null] };
  const columns = inputsOf(form).map((place) => form.table.rows.map(({ cells }) => Number(cells[place])));
  const measured = columns.map(scaleOf);
  return { shape: [columns.length], ...namesOf(form), mean: measured.map(([mean]) => mean), std: measured.map(([, std]) => std) };
}

/** The header's names of the inputs, where they tell them apart: by them the columns of later files are found. */
function namesOf(form) {
  const names = form.table.header ? inputsOf(form).map((place) => form.table.header[place]) : [];
  return names.length && new Set(names).size === names.length && names.every((name) => /^[^\p{Cc}]{1,200}$/u.test(name)) ? { names } : {};
}

/** The columns that are input, by their places. */
export function inputsOf({ table, labelAt, out }) {
  const width = table.rows[0].cells.length;
  return Array.from({ length: width }, (_, place) => place).filter((place) => place !== labelAt && !out.includes(place));
}

/** Mean and standard deviation; 1 where a column does not vary. */
export function scaleOf(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const std = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return [Number(mean.toPrecision(8)), std > 1e-6 ? Number(std.toPrecision(8)) : 1];
}

function outputOf(form) {
  if (form.label === "number") return { kind: "gaussian" };
  if (form.rows === "csv" && form.table) return { kind: "categorical", classes: classesIn(form.table.rows.map(({ cells }) => cells[form.labelAt])) };
  const names = form.names.split("\n").map((name) => name.trim()).filter(Boolean);
  return { kind: "categorical", classes: names.length ? names : numberOf(form.count) };
}

/** How many there are, where they are numbered from 0; else their names in their order. */
export function classesIn(labels) {
  const distinct = [...new Set(labels)];
  const isNumbered = distinct.every((label) => /^\d+$/.test(label)) && Math.max(...distinct.map(Number)) === distinct.length - 1 && distinct.length > 1;
  if (isNumbered) return distinct.length;
  return distinct.sort((one, other) => (isNumber(one) && isNumber(other) ? one - other : one < other ? -1 : 1));
}

/** Whether the label column says classes: words, or a few whole numbers. */
export function saysClasses(labels) {
  const distinct = new Set(labels);
  if (hasCommas(labels)) return false;
  return labels.some((label) => !isNumber(label)) || (distinct.size <= 20 && [...distinct].every((label) => Number.isInteger(Number(label))));
}

const hasCommas = (labels) => labels.some(hasDecimalComma) && labels.every((label) => isNumber(label) || hasDecimalComma(label));

const IDS_LEAST = 10;
const OF_IDS = /(^|[_ ])(id|uuid|index|nr|no)$/i;

/**
 * The places of columns that number the rows, as far as another one is left as input: with another value in each row, and
 * counting or called so. They tell nothing of rows to come.
 */
export function idsIn({ header, rows }, labelAt) {
  if (rows.length < IDS_LEAST) return [];
  const inputs = rows[0].cells.map((_, place) => place).filter((place) => place !== labelAt);
  const ids = inputs.filter((place) => isId(header?.[place] ?? "", rows.map(({ cells }) => cells[place] ?? "")));
  return ids.length < inputs.length ? ids : [];
}

function isId(name, cells) {
  if (new Set(cells).size < cells.length) return false;
  if (OF_IDS.test(name.trim())) return true;
  const sorted = cells.map(Number).sort((one, other) => one - other);
  return cells.every(isNumber) && sorted.every((value, at) => at === 0 || value - sorted[at - 1] === 1);
}

/** What keeps the table from being described, named by line and column. */
export function faultsOf(form) {
  const { table, labelAt } = form;
  const width = table.rows[0].cells.length;
  const faults = [];
  const isOfNumbers = form.label === "number" || hasCommas(table.rows.map(({ cells }) => cells[labelAt] ?? ""));
  const nameOf = (place) => (table.header ? `column “${table.header[place]}”` : `column ${place + 1}`);
  const inputs = inputsOf(form);
  if (!inputs.length) faults.push({ where: "columns", message: "none is left as input" });
  for (const { number, cells } of table.rows) {
    if (cells.length !== width) faults.push({ where: `line ${number}`, message: `has ${cells.length} cells, the first row has ${width}` });
    else {
      const bad = inputs.find((place) => !isNumber(cells[place]));
      if (bad !== undefined) faults.push({ where: `line ${number}, ${nameOf(bad)}`, message: `“${cells[bad]}” is not a number`, cell: cells[bad] });
      if (cells[labelAt] === "") faults.push({ where: `line ${number}, ${nameOf(labelAt)}`, message: "has no label" });
      else if (isOfNumbers && !isNumber(cells[labelAt])) faults.push({ where: `line ${number}, ${nameOf(labelAt)}`, message: `“${cells[labelAt]}” is not a number`, cell: cells[labelAt] });
    }
  }
  return saidOnce(faults);
}

// What versions say of rows: the call of the Open Inference Protocol, and what its tensors mean.

import { call } from "./api.js";

export const SAMPLES = 64;
const CLASSES = ["probabilities", "entropy", "aleatoric", "mutual_information", "samples"];
const NUMBERS = ["mean", "std", "epistemic_std", "noise_std", "lower", "upper"];
export const INTERVAL = 0.9;

/** The call that asks a version about these flat rows. */
export function questionOf(model, version, input, rows, { samples = SAMPLES, isBrief = false } = {}) {
  const isClasses = model.output.kind === "categorical";
  const parameters = { method: "ensemble", samples, seed: 0, ...(isClasses ? {} : { interval: INTERVAL }) };
  const names = isClasses ? CLASSES.filter((name) => !isBrief || name !== "samples") : NUMBERS;
  const x = { name: "x", shape: [rows.length, ...input.shape], datatype: input.dtype === "uint8" ? "UINT8" : "FP32", data: rows.flatMap((row) => Array.from(row)) };
  return {
    method: "POST",
    parts: ["v2", "models", model.name, "versions", String(version), "infer"],
    body: { inputs: [x], outputs: names.map((name) => ({ name })), parameters },
  };
}

/**
 * What the version says: one answer for each row; without the spread over the drawn nets where it `isBrief`. Where so many
 * nets are too many for the service, fewer are drawn.
 */
export async function infer(model, version, input, rows, { signal, isBrief = false } = {}) {
  for (let samples = SAMPLES; ; samples /= 2) {
    try {
      const { method, parts, body } = questionOf(model, version, input, rows, { samples, isBrief });
      const answer = await call(method, parts, { body, signal });
      const tensors = Object.fromEntries(answer.outputs.map((one) => [one.name, one]));
      return { version, samples, rows: rows.map((_, row) => (tensors.probabilities ? classesAt(tensors, row) : numbersAt(tensors, row))) };
    } catch (error) {
      if (error.code !== "samples-too-many" || samples <= 2) throw error;
    }
  }
}

function classesAt(tensors, row) {
  const classes = tensors.probabilities.shape[1];
  const probabilities = tensors.probabilities.data.slice(row * classes, (row + 1) * classes);
  return {
    kind: "classes",
    probabilities,
    spread: tensors.samples ? spreadOf(tensors.samples, row) : null,
    label: probabilities.indexOf(Math.max(...probabilities)),
    entropy: tensors.entropy.data[row],
    aleatoric: tensors.aleatoric.data[row],
    mutual: tensors.mutual_information.data[row],
  };
}

function spreadOf({ shape: [, draws, classes], data }, row) {
  const drawn = (draw, one) => data[(row * draws + draw) * classes + one];
  return Array.from({ length: classes }, (_, one) => ends(Array.from({ length: draws }, (__, draw) => drawn(draw, one))));
}

/** The 5th and 95th percentile, between the nearest two. */
export function ends(values) {
  const sorted = values.toSorted((one, other) => one - other);
  const at = (share) => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    return sorted[below] + (place - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
  };
  return [at(0.05), at(0.95)];
}

function numbersAt(tensors, row) {
  const dims = tensors.mean.shape[1] ?? 1;
  const at = (name, dim) => tensors[name].data[row * dims + dim];
  return { kind: "numbers", dims: Array.from({ length: dims }, (_, dim) => Object.fromEntries(NUMBERS.map((name) => [name, at(name, dim)]))) };
}

/** What the model calls a class. */
export const nameOf = (model, label) => (Array.isArray(model.output.classes) ? model.output.classes[label] : String(label));

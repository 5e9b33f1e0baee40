// Rows as the service takes them: one file of safetensors, under a key that the same rows always have.

import { upload } from "./api.js";
import { sha256 } from "./sha256.js";

const TYPES = { F32: Float32Array, U8: Uint8Array, I64: BigInt64Array };

/** A safetensors file of these tensors: {name: {dtype, shape, values}}, the last a typed array. */
export function safetensors(tensors) {
  const header = {};
  const parts = [];
  let at = 0;
  for (const [name, { dtype, shape, values }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [at, at + values.byteLength] };
    parts.push(new Uint8Array(values.buffer));
    at += values.byteLength;
  }
  const text = JSON.stringify(header);
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const file = new Uint8Array(8 + json.length + at);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.length), true);
  let place = 8;
  for (const bytes of [json, ...parts]) {
    file.set(bytes, place);
    place += bytes.length;
  }
  return file;
}

/** The body of labeled rows: each {values, label, weight?}; labels are class numbers, or lists of numbers. */
export function bodyOf(model, input, rows) {
  const count = rows.length;
  const tensors = { x: tensorOf(input.dtype === "uint8" ? "U8" : "F32", [count, ...input.shape], rows, (row) => row.values) };
  tensors.y = model.output.kind === "categorical"
    ? tensorOf("I64", [count], rows, (row) => [BigInt(row.label)])
    : tensorOf("F32", [count, model.output.dims ?? 1], rows, (row) => row.label);
  if (rows.some((row) => row.weight !== undefined)) tensors.weights = tensorOf("F32", [count], rows, (row) => [row.weight ?? 1]);
  return safetensors(tensors);
}

function tensorOf(dtype, shape, rows, of) {
  const each = shape.slice(1).reduce((all, side) => all * side, 1);
  const values = new TYPES[dtype](rows.length * each);
  for (const [at, row] of rows.entries()) values.set(of(row), at * each);
  return { dtype, shape, values };
}

/** The key of a file, which `posterity ingest` gives it as well: so it is counted once, whichever of both posts it. */
export const keyOfFile = async (bytes) => `file-sha256:${await sha256(bytes)}`;

/** The key of rows that are in no file as they are posted: the same rows and labels have the same. */
export const keyOfRows = async (body) => `rows-sha256:${await sha256(body)}`;

const TRIES = 4;
const AGAIN = new Set(["unreachable", "overloaded", "unavailable", "request-late"]);

/**
 * The batch that the rows are. What gets no answer is sent again, under the same key: it is counted once, whether or
 * not it had arrived. `said({sent, all, attempt})` hears how far it is.
 */
export async function posted(model, body, key, said) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const progress = (sent, all) => said({ sent, all, attempt });
      return await upload(["v1", "models", model, "batches"], body, { "Content-Type": "application/x-safetensors", "Idempotency-Key": key }, progress);
    } catch (problem) {
      if (attempt === TRIES || !AGAIN.has(problem.code)) throw problem;
      said({ sent: 0, all: body.length, attempt: attempt + 1 });
      await new Promise((resolve) => setTimeout(resolve, 400 * 2 ** attempt));
    }
  }
}

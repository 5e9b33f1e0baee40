// What happened, in sentences; and what to do about an update that failed.

import { html, number, to } from "./ui.js";

export const MOVES = {
  create: "began",
  publish: "new version",
  put: "moved by hand",
  rollback: "rolled back",
  remove: "removed",
  hold: "held back",
  forget: "moved by a forget",
};

/** What became of head when a version was published, where it did not just move there. */
export const PUBLICATIONS = {
  root: "root prior",
  head: "head moved to it",
  gated: "held back by the gate",
  manual: "head is moved by hand",
  aside: "learned aside, for a forget",
  approximate: "divided, by an approximate forget",
  imported: "imported",
};

export const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

/** Nats with as many places as tell something. */
export const nats = (value) => (value === null || value === undefined ? "–" : `${number(value, Math.abs(value) < 10 ? 3 : 1)} nats`);

export const versionLink = (model, version, word = "version") =>
  version === null || version === undefined ? html`<span>–</span>` : html`<a href=${to(model, "versions", version)}>${word} ${version}</a>`;

const by = ({ by, reason }) => html`${by && ` by ${by}`}${reason && html`: “${reason}”`}`;

const SENTENCES = {
  accepted: (model, one) => html`Batch ${one.batch} was accepted, ${many(one.rows, "row")}`,
  closed: (model, one) => html`Chunk ${one.chunk} was closed ${CLOSED[one.reason] ?? ""}: ${batchesOf(one.batches)}, ${many(one.rows, "row")}`,
  started: (model, one) => html`Update ${one.update} started from ${versionLink(model, one.prior)}, attempt ${one.attempt}`,
  published: (model, one) => html`${versionLink(model, one.version, "Version")} was published: ${many(one.rows, "row")} learned on ${versionLink(model, one.parent)}${warned(one)}`,
  held: (model, one) => html`${versionLink(model, one.version, "Version")} was held back: ${one.reason}`,
  moved: (model, one) =>
    one.to === null
      ? html`Alias ${one.alias} was removed${by(one)}`
      : html`<strong>${one.alias}</strong> moved ${one.from === null ? "" : html`from ${versionLink(model, one.from)} `}to ${versionLink(model, one.to)}${by(one)}`,
  failed: (model, one) => html`${what(one)} failed${one.is_final ? "" : " and is tried again"}: ${one.message} (<code>${one.code}</code>)`,
  cancelled: (model, one) => html`${what(one)} was cancelled${one.message && `: ${one.message}`}`,
  parked: (model, one) => html`Batch ${one.batch} was parked${by(one)}`,
  released: (model, one) => html`Batch ${one.batch} was released${by(one)}`,
  discarded: (model, one) => html`Batch ${one.batch} was discarded${by(one)}`,
  deleted: (model, one) => html`The rows of batch ${one.batch} were deleted${by(one)}`,
  forgotten: (model, one) => html`Forget ${one.forget} is done: batches ${one.batches.join(", ")}; head is ${versionLink(model, one.head)}`,
};

const CLOSED = { rows: "as it was full", age: "as its oldest row was old enough", demand: "on demand" };
const warned = ({ warnings }) => (warnings?.length ? ` (${warnings.join("; ")})` : "");
const what = ({ update, forget }) => (update === undefined ? `Forget ${forget}` : `Update ${update}`);

/** “batch 3”, “batches 3 to 7”: a chunk is a range. */
export const batchesOf = (list) =>
  list.length === 0 ? "no batch" : list[0] === list.at(-1) ? `batch ${list[0]}` : `batches ${list[0]} to ${list.at(-1)}`;

/** The event as a sentence with links. */
export function sentenceOf(model, event) {
  return SENTENCES[event.kind]?.(model, event) ?? html`${event.kind}`;
}

const ADVICE = {
  "update-diverged": "The same chunk, prior and recipe would meet this again. Look at its batches: discard what is wrong, then replay the chunk; or create the model anew with a lower lr.",
  "device-unusable": "The worker's device cannot compute: its log says more. Start a worker on another one, then replay the chunk.",
  "out-of-memory": "Give the worker more memory, or create the model with smaller chunks or batch_rows; then replay the chunk.",
  "storage-failed": "See that the blobs can be read and written, then replay the chunk.",
  "lease-expired": "Its worker died or lost the database, as often as an update is tried. See that workers run and have memory enough, then replay the chunk.",
  "blob-missing": "Run posterity doctor: it names what is missing. Replay the chunk once it is back.",
  "blob-corrupt": "Run posterity doctor: it names what is damaged. Replay the chunk once it is restored.",
  "ledger-refused": "The worker's log says why the database refused it. Replay the chunk afterwards.",
};

/** What to do about an update that failed for good. */
export const adviceOf = (code) => ADVICE[code] ?? "The worker's log says more. When the cause is gone, replay the chunk: it is learned on top of head, and nothing of it is lost.";

const RANGES_SHOWN = 24;

/** “1–3, 5, 8–12”: numbers in their order, runs of them drawn together. */
export function ranges(numbers, most = RANGES_SHOWN) {
  const runs = [];
  for (const one of [...numbers].sort((left, right) => left - right)) {
    const last = runs.at(-1);
    if (last && one === last[1] + 1) last[1] = one;
    else runs.push([one, one]);
  }
  const said = runs.slice(0, most).map(([first, last]) => (first === last ? number(first) : `${number(first)}–${number(last)}`));
  return `${said.join(", ")}${runs.length > most ? ` and ${number(runs.length - most)} more runs` : ""}`;
}

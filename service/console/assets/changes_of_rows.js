// Buttons that decide about rows and their updates: forget, park, release, discard, cancel an update, close a chunk.

import { get, of } from "./api.js";
import { ChangeButton, because, listed, many, points } from "./changing.js";
import { html } from "./ui.js";

const READ_MOST = 20;

/** Takes batches back: head's line is learned anew without them, or divided where the rows of later ones are gone. */
export function ForgetButton({ model, batches, onDone, label, className }) {
  const count = batches.length;
  return html`<${ChangeButton}
    label=${label ?? (count === 1 ? "Forget" : `Forget ${count} batches`)}
    className=${className}
    disabled=${count === 0}
    title=${() => (count === 1 ? `Forget batch ${batches[0]}` : `Forget ${count} batches`)}
    verb=${() => "Forget for good"}
    danger
    form=${{ method: "replay" }}
    asks=${(form, set) => html`<${Method} ...${{ form, set }} />`}
    load=${(signal) => aboutForget(model, batches, signal)}
    says=${saysForget}
    request=${(_facts, form) => ({ method: "POST", parts: of(model, "forget"), body: { batches, method: form.method, ...because(form) } })}
    onDone=${onDone}
  />`;
}

function Method({ form, set }) {
  const choice = (method, name, said) => html`<label class="choice"><input type="radio" name="method" checked=${form.method === method} onChange=${() => set({ method })} />
    <span>${name} <span class="small">${said}</span></span></label>`;
  return html`<fieldset><legend>How</legend>
    ${choice("replay", "Exactly:", "what followed is learned again without them; needs the rows of later batches")}
    ${choice("approximate", "Approximately:", "head is divided by what it learned of them; needs no rows, and is no deletion")}
  </fieldset>`;
}

async function aboutForget(model, batches, signal) {
  const resource = await get(of(model), {}, signal);
  const read = await Promise.all(batches.slice(0, READ_MOST).map((one) => get(of(model, "batches", String(one)), {}, signal)));
  const head = await get(of(model, "versions", String(resource.head)), {}, signal);
  const learned = read.filter((one) => one.on_head);
  const first = learned.length ? await firstOf(model, head, learned, signal) : null;
  return { resource, batches, read, head, learned, first };
}

/** The earliest version of head's line that has learned from one of the batches. */
async function firstOf(model, head, learned, signal) {
  const numbers = [...new Set(learned.flatMap((one) => one.absorbed_in))].filter((one) => one <= head.version);
  const versions = await Promise.all(numbers.map((one) => get(of(model, "versions", String(one)), {}, signal)));
  const chunks = new Set(head.evidence.chunks ?? []);
  const onLine = versions.filter((one) => one.chunk === null || chunks.has(one.chunk));
  return onLine.sort((one, other) => one.depth - other.depth)[0] ?? null;
}

function saysForget({ resource, batches, read, head, learned, first }, { method }) {
  const rows = read.reduce((sum, one) => sum + one.rows, 0);
  const isAll = read.length === batches.length;
  const which = html`${batches.length === 1 ? "Batch" : "Batches"} ${listed(batches)}${isAll && ` (${many(rows, "row")})`}`;
  const forGood = "Nothing learns from them any more. This cannot be taken back: the rows would have to be posted again, under a new key.";
  const stay = "Older versions that have learned from them stay queryable by their numbers, and the rows stay until you delete them.";
  if (isAll && learned.length === 0) {
    return points(html`${which} will never be learned from: head has not learned from ${batches.length === 1 ? "it" : "them"} yet, so head stays at version ${head.version}.`, forGood);
  }
  if (method === "approximate") {
    return points(html`${which}: head, version ${head.version}, is <strong>divided</strong> by what its line learned of them, at once, and moves to the new version.`, "This is not exact: what came later was learned from weights that knew the rows. The answer says how far off it may be.", forGood, stay);
  }
  const again = first ? head.depth - first.depth + 1 : null;
  return points(
    first
      ? html`${which}: head's line goes back to <strong>version ${first.parent}</strong>, and what the ${many(again, "version")} since ${again === 1 ? "has" : "have"} learned is learned again without them, aside.`
      : html`${which}: head's line goes back to before the first of them, and what followed is learned again without them, aside.`,
    `Until that is done predictions are answered by version ${head.version} as now; then head moves, once.`,
    resource.pending.rows > 0 && `${many(resource.pending.rows, "pending row")} and whatever arrives meanwhile wait, and are learned on the new line.`,
    forGood,
    stay,
  );
}

/** Keeps a batch out until somebody releases or discards it. */
export function ParkButton({ model, batch, onDone, label, className }) {
  return html`<${Decision} ...${{ model, batch, onDone, className }} label=${label ?? "Park"} call="park" verb="Park it"
    says=${({ found, model: resource }) =>
      points(
        html`Batch ${batch} (${many(found.rows, "row")}) <strong>waits for a decision</strong>: nothing learns from it before it is released.`,
        found.chunk !== null && `Chunk ${found.chunk} is learned without it; an update that has it begins anew.`,
        found.chunk === null && "It is left out when its chunk is closed and learned.",
        found.absorbed_in.length > 0 && `Head does not go to ${found.absorbed_in.length === 1 ? "version" : "versions"} ${listed(found.absorbed_in)} while it is parked.`,
        `Head stays at version ${resource.head}; the rows are kept.`,
      )} />`;
}

/** Lets a batch that was set aside be learned from. */
export function ReleaseButton({ model, batch, onDone, label, className }) {
  return html`<${Decision} ...${{ model, batch, onDone, className }} label=${label ?? "Release"} call="release" verb="Release it"
    says=${({ found, decisions, model: resource }) =>
      points(
        html`Batch ${batch} (${many(found.rows, "row")}) <strong>is learned from</strong>, however surprising it is.`,
        saysWhy(decisions),
        found.chunk !== null ? `Where its chunk was learned without it, an update of its own learns from it, on top of head (version ${resource.head} now).` : "It is learned with the others of its chunk.",
      )} />`;
}

/** Nothing will learn from a batch. */
export function DiscardButton({ model, batch, onDone, label, className }) {
  return html`<${Decision} ...${{ model, batch, onDone, className }} label=${label ?? "Discard"} call="discard" verb="Discard it" danger
    says=${({ found, decisions, model: resource }) =>
      points(
        html`Batch ${batch} (${many(found.rows, "row")}) <strong>is never learned from</strong>, unless somebody releases it.`,
        saysWhy(decisions),
        `Head stays at version ${resource.head}. The rows stay until you delete them.`,
      )} />`;
}

function Decision({ model, batch, call, verb, ...more }) {
  const about = async (signal) => {
    const [resource, found, { decisions }] = await Promise.all([
      get(of(model), {}, signal),
      get(of(model, "batches", String(batch)), {}, signal),
      get(of(model, "batches", String(batch), "decisions"), {}, signal),
    ]);
    return { model: resource, found, decisions };
  };
  return html`<${ChangeButton} ...${more} title=${() => `${more.label} batch ${batch}`} verb=${() => verb} load=${about}
    request=${(_facts, form) => ({ method: "POST", parts: of(model, "batches", String(batch), call), body: because(form) })} />`;
}

function saysWhy(decisions) {
  const last = decisions.at(-1);
  const word = last && { park: "parked", discard: "discarded", release: "released", forget: "forgotten" }[last.kind];
  return last && html`It was ${word} by ${last.decided_by}${last.reason && html`: “${last.reason}”`}.`;
}

/** Ends an update that is queued or running. */
export function CancelUpdateButton({ model, update, onDone, label, className }) {
  const about = async (signal) => {
    const [resource, found] = await Promise.all([get(of(model), {}, signal), get(of(model, "updates", String(update)), {}, signal)]);
    return { resource, found };
  };
  return html`<${ChangeButton} ...${{ onDone, className }} label=${label ?? "Cancel"} title=${() => `Cancel update ${update}`}
    verb=${() => "Cancel the update"} danger hasReason=${false} load=${about} says=${saysCancel}
    request=${({ found }) => (isOpen(found) ? { method: "DELETE", parts: of(model, "updates", String(update)) } : null)} />`;
}

const isOpen = (update) => update.state === "queued" || update.state === "running";

function saysCancel({ resource, found }) {
  if (!isOpen(found)) return html`<p>It has ended already: ${found.state}${found.version !== null && `, version ${found.version}`}.</p>`;
  const step = found.progress && ` at step ${found.progress.step}${found.progress.steps ? ` of ${found.progress.steps}` : ""}`;
  const behind = (resource.updates.queued ?? 0) - (found.state === "queued" ? 1 : 0);
  return points(
    html`Update ${found.update}, ${found.state}${step}, <strong>ends without a version</strong>. Head stays at version ${resource.head}.`,
    `The ${many(found.rows, "row")} of chunk ${found.chunk} stay, and can be learned later by a replay of the chunk; nothing does so by itself.`,
    behind > 0 && `${many(behind, "update that waits goes", "updates that wait go")} on without it.`,
  );
}

/** Closes the pending rows into a chunk; `pending` is {batches, rows} as the page knows it. */
export function CloseNowButton({ model, pending, onDone, label, className }) {
  return html`<${ChangeButton} ...${{ onDone, className }} label=${label ?? "Close now"} disabled=${!pending?.rows} title=${() => "Close the chunk now"}
    verb=${() => "Close it"} hasReason=${false} load=${(signal) => get(of(model), {}, signal)} says=${saysClose}
    request=${(resource) => (resource.pending.rows > 0 ? { method: "POST", parts: of(model, "updates") } : null)} />`;
}

function saysClose({ pending, chunk, head, updates }) {
  if (!pending.rows) return html`<p>No rows are pending any more.</p>`;
  const before = (updates.running ?? 0) + (updates.queued ?? 0);
  return points(
    html`<strong>${many(pending.rows, "pending row")}</strong> of ${many(pending.batches, "batch", "batches")} become a chunk, without waiting for ${many(chunk.rows, "row")}${chunk.seconds && ` or ${chunk.seconds} seconds`}.`,
    before > 0 ? `A worker learns it after ${many(before, "update")} before it.` : `A worker makes a version of it, with version ${head} as its prior.`,
    "A chunk never changes afterwards; rows that come later are for the next one.",
  );
}

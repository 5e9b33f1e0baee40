// What every button that changes something has in common: it asks first, and says from the API what will come of it.

import { useState } from "preact/hooks";
import { asCurl, call } from "./api.js";
import { Dialog, SameByHand, Told, html, useLoaded } from "./ui.js";

/** The way on from what may be refused here, by its code. */
const WAYS = {
  "alias-moved": "Somebody moved it meanwhile. What is said here has been read again: confirm once more if you still want it.",
  "not-on-line": "A rollback goes back along head's own line. To another branch, point the alias head at the version.",
  "rollback-too-far": "Head's line is shorter than that: choose a later version.",
  "version-forgotten": "Head takes no version that would bring back what was given up. Release the batch if it was only discarded, or choose another version.",
  "version-parked": "Release the batch first, and head may go there; or choose another version.",
  "batch-absorbed": "Head has learned from it, so it can no longer be kept out: forget it instead.",
  "batch-forgotten": "There is no way back from a forget: post the rows again, under a new key.",
  "batch-not-parked": "Somebody has decided about it meanwhile; the history of its decisions says who.",
  "rows-deleted": "Its rows are gone, so nothing can learn from it any more.",
  "rows-missing": "What came later cannot be learned again without its rows. The approximate way needs none.",
  "approximation-impossible": "The exact way may still be open: choose it above.",
  "forget-busy": "Wait until it is done, or cancel it; then try again.",
  "head-undecided": "Point head at the version that waits, to accept it, or at where head is, to decline it; then try again.",
  "update-finished": "There is nothing left to cancel: it has ended meanwhile.",
  "nothing-pending": "They were closed meanwhile, and are on their way into a version.",
  "key-not-allowed": "Ask whoever runs the service for a key that may, and give it under “Key”.",
  "key-missing": "Give a key under “Key”.",
};
const READ_AGAIN = new Set(["alias-moved", "batch-not-parked", "update-finished", "nothing-pending", "approximation-overtaken"]);

/**
 * A button that opens a dialog. `load(signal, form)` reads what the change is about, `reload(form)` names what of the
 * form it depends on; `says(facts, form)` tells what will change, `asks(form, set, facts)` are further fields;
 * `request(facts, form)` is the call as {method, parts, body?, headers?, query?}, or null where there is nothing to do.
 */
export function ChangeButton({ label, className = "plain", disabled = false, ...change }) {
  const [isOpen, setOpen] = useState(false);
  return html`<button type="button" class=${className} disabled=${disabled} onClick=${() => setOpen(true)}>${label}</button>
    ${isOpen && html`<${Change} ...${change} onClose=${() => setOpen(false)} />`}`;
}

function Change({ title, verb, danger, form: first = {}, hasReason = true, load, reload = () => [], says, asks, request, onDone, onClose }) {
  const [form, setForm] = useState({ reason: "", ...first });
  const [refused, setRefused] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const { value: facts, problem, isLoading, again } = useLoaded((signal) => load(signal, form), reload(form));
  const set = (part) => setForm((before) => ({ ...before, ...part }));
  const asked = facts && !problem ? request(facts, form) : null;
  const go = async (event) => {
    event.preventDefault();
    if (!asked) return;
    setBusy(true);
    setRefused(null);
    try {
      const answer = await call(asked.method, asked.parts, asked);
      onClose();
      onDone?.(answer);
    } catch (error) {
      setRefused(error);
      if (READ_AGAIN.has(error.code)) again();
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title(form)} onClose=${onClose}>
    <form class="change" onSubmit=${go}>
      ${asks && asks(form, set, facts)}
      <div class="says" aria-live="polite" aria-busy=${isLoading}>
        ${facts ? says(facts, form) : !problem && html`<p class="small">Reading what will change …</p>`}
      </div>
      ${hasReason &&
      html`<label>Reason <span class="small">(kept in the history)</span>
        <input maxlength="1000" autocomplete="off" value=${form.reason} onInput=${(e) => set({ reason: e.target.value })} /></label>`}
      <${Refused} problem=${refused ?? problem} />
      ${asked && html`<${SameByHand} command=${asCurl(asked.method, asked.parts, asked)} />`}
      <div class="actions">
        <button type="submit" class=${danger ? "danger" : ""} disabled=${isBusy || isLoading || !asked}>${isBusy ? "…" : verb(form, facts)}</button>
        <button type="button" class="plain" onClick=${onClose}>Leave it</button>
      </div>
    </form>
  <//>`;
}

/** What was refused, and the way on from there. */
export function Refused({ problem }) {
  const way = problem && WAYS[problem.code];
  return html`<${Told} problem=${problem} />${way && html`<p class="way"><strong>What to do:</strong> ${way}</p>`}`;
}

/** The points of what will change; those that are false are left out. */
export const points = (...said) => html`<ul class="points">${said.filter(Boolean).map((one) => html`<li>${one}</li>`)}</ul>`;

/** “1 row”, “2 rows”, “1,440 rows”. */
export function many(count, one, more = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : more}`;
}

/** “3”, “3 and 4”, “3, 4 and 5”, “3, 4, 5 and 12 more”. */
export function listed(parts, most = 6) {
  const shown = parts.slice(0, most);
  const rest = parts.length - shown.length;
  if (rest > 0) return `${shown.join(", ")} and ${rest} more`;
  return shown.length < 2 ? shown.join("") : `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}

/** The body's reason, where one was given. */
export const because = (form) => (form.reason.trim() ? { reason: form.reason.trim() } : {});

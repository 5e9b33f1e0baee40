// What was live when: every move of an alias, what it pointed at at some moment, and everything that happened.

import { useState } from "preact/hooks";
import { all, get, of } from "../api.js";
import { AliasButton, RollbackButton } from "../changes.js";
import { Connection, Crumbs, Part, Refusal, isHidden, loadModel, useCaughtUp, useDue } from "../following.js";
import { Events } from "../happened.js";
import { Frame, When, html, number, useEvents, useLoaded } from "../ui.js";
import { MOVES, versionLink } from "../words.js";

const SIZE = 50;

export default function History({ model }) {
  const loaded = useLoaded(loadModel(model), [model]);
  return html`<${Frame} title="History" model=${model} tab="history">
    <${Crumbs} model=${model} here="History" />
    ${isHidden(loaded) ? html`<${Refusal} ...${loaded} />` : loaded.value === undefined ? html`<p class="small" role="status">Loading …</p>` : html`<${Shown} model=${model} loaded=${loaded} />`}
  <//>`;
}

function Shown({ model, loaded }) {
  const { aliases, head } = loaded.value;
  const [alias, setAlias] = useState("head");
  const [until, setUntil] = useState(null);
  const [newest, setNewest] = useState(null);
  const moves = useLoaded((signal) => loadMoves(model, alias, alias in aliases, until, signal), [model, alias, until]);
  const due = { loaded: useDue(loaded), moves: useDue(moves) };
  const changed = () => Object.values(due).forEach((again) => again());
  const connection = useEvents(model, ({ kind }) => kind === "moved" && changed(), setNewest);
  useCaughtUp(connection, changed);
  const choose = (name) => {
    setUntil(null);
    setAlias(name);
  };
  return html`<${Connection} ...${connection} />
    <${LiveAt} model=${model} aliases=${aliases} />
    <${Part} title=${html`Moves of <code>${alias}</code>`} loaded=${moves} aside=${html`<div class="actions tight">
        <${RollbackButton} model=${model} head=${head} onDone=${changed} /><${AliasButton} model=${model} aliases=${aliases} onDone=${changed} /></div>`}>
      ${(value) => html`<${Choice} alias=${alias} aliases=${aliases} onAlias=${choose} />
        <${Moves} model=${model} value=${value} />
        <nav class="pager" aria-label="Older and newer moves">
          ${until !== null && html`<button type="button" class="plain" onClick=${() => setUntil(null)}>Newest</button>`}
          ${value.earlier > 0 && html`<button type="button" class="plain" onClick=${() => setUntil(value.earlier)}>Earlier</button>`}
          <span class="small">${value.moves.length > 0 && `moves ${number(value.moves.at(-1).seq)} to ${number(value.moves[0].seq)} of ${number(value.newest)}`}</span></nav>`}
    <//>
    <${Events} model=${model} newest=${newest} />`;
}

/** The newest moves up to `until`, newest first. An alias that was removed does not say how often it moved. */
async function loadMoves(model, alias, isThere, until, signal) {
  const parts = of(model, "aliases", alias, "history");
  if (!isThere) {
    const moves = await all(parts, "moves", { signal });
    return cut(moves.slice(0, until ?? moves.length), moves.length);
  }
  const { seq } = await get(of(model, "aliases", alias), {}, signal);
  const top = Math.min(until ?? seq, seq);
  const { moves } = await get(parts, { after: Math.max(0, top - SIZE), limit: SIZE }, signal);
  return cut(moves.filter((one) => one.seq <= top), seq);
}

function cut(moves, newest) {
  const shown = moves.slice(-SIZE).reverse();
  return { moves: shown, newest, earlier: (shown.at(-1)?.seq ?? 1) - 1 };
}

function Choice({ alias, aliases, onAlias }) {
  const [typed, setTyped] = useState("");
  const ask = (event) => {
    event.preventDefault();
    onAlias(typed.trim());
  };
  const names = Object.keys(aliases).includes(alias) ? Object.keys(aliases) : [...Object.keys(aliases), alias];
  return html`<div class="switches">
    <fieldset class="switch"><legend class="unseen">Alias</legend>${names.map((name) => html`<label><input type="radio" name="alias" checked=${name === alias} onChange=${() => onAlias(name)} />${name}</label>`)}</fieldset>
    <form class="inline" onSubmit=${ask}><label class="inline">or a removed one <input type="text" required size="12" autocomplete="off" spellcheck="false" value=${typed} onInput=${(e) => setTyped(e.target.value)} /></label>
      <button type="submit" class="plain">Show</button></form>
  </div>`;
}

function Moves({ model, value }) {
  return html`<div class="scroll tall" tabindex="0" role="region" aria-label="Moves, the newest first"><table class="audit">
    <thead><tr><th scope="col">When</th><th scope="col">From → to</th><th scope="col">What</th><th scope="col">Who</th><th scope="col">Why</th></tr></thead>
    <tbody>${value.moves.map((move) => html`<tr key=${move.seq}>
      <td class="nowrap"><${When} at=${move.moved_at} /></td>
      <td class="nowrap">${move.previous === null ? "–" : versionLink(model, move.previous)} → ${move.version === null ? "nothing" : versionLink(model, move.version)}</td>
      <td><span class=${`badge ${move.kind === "rollback" || move.kind === "remove" || move.kind === "forget" ? "warn" : ""}`}>${MOVES[move.kind] ?? move.kind}</span></td>
      <td>${move.moved_by}</td><td class="why">${move.reason}</td></tr>`)}</tbody>
  </table></div>`;
}

/** “What was live at” a moment of the reader's own clock. */
function LiveAt({ model, aliases }) {
  const [form, setForm] = useState({ alias: "head", at: localNow() });
  const [asked, setAsked] = useState(null);
  const set = (part) => setForm((before) => ({ ...before, ...part }));
  const ask = (event) => {
    event.preventDefault();
    setAsked({ alias: form.alias, at: new Date(form.at).toISOString() });
  };
  return html`<section class="card part" aria-labelledby="live-at"><div class="title"><h2 id="live-at">What was live at</h2></div>
    <form class="switches" onSubmit=${ask}>
      <label class="inline">Alias <select value=${form.alias} onChange=${(e) => set({ alias: e.target.value })}>${Object.keys(aliases).map((name) => html`<option>${name}</option>`)}</select></label>
      <label class="inline">at <input type="datetime-local" step="1" required value=${form.at} onInput=${(e) => set({ at: e.target.value })} /></label>
      <button type="submit" class="plain">Ask</button>
      <span class="small">in your time zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}</span>
    </form>
    ${asked && html`<${WasLive} model=${model} ...${asked} />`}
  </section>`;
}

function WasLive({ model, alias, at }) {
  const { value, problem } = useLoaded((signal) => get(of(model, "aliases", alias), { at }, signal), [model, alias, at]);
  return html`<div aria-live="polite"><${Refusal} problem=${problem} />
    ${value && !problem && html`<p><strong>${alias}</strong> pointed at ${versionLink(model, value.version)}: since <${When} at=${value.moved_at} />, by ${value.moved_by}${value.reason && `, “${value.reason}”`}.</p>`}</div>`;
}

function localNow() {
  const now = new Date();
  return new Date(now.getTime() - 60_000 * now.getTimezoneOffset()).toISOString().slice(0, 19);
}

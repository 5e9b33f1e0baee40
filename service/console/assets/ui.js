// What the pages have in common: the frame around them, how they load, and how they tell what went wrong.

import { h, Component } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import htm from "htm";
import { key } from "./api.js";
import { listen } from "./stream.js";

export const html = htm.bind(h);

const TABS = [
  ["", "Overview"],
  ["predict", "Predict"],
  ["post", "Post rows"],
  ["batches", "Batches"],
  ["history", "History"],
];

export const to = (model, ...parts) => ["/console/models", encodeURIComponent(model), ...parts].join("/");

/** The frame: where one is, where one can go, and the page itself. `tab` is the model's tab that is open. */
export function Frame({ title, model, tab, children, aside }) {
  useEffect(() => {
    document.title = model ? `${title} · ${model} · Posterity` : `${title} · Posterity`;
  }, [title, model]);
  return html`
    <a class="skip" href="#main">To the content</a>
    <header class="top">
      <a class="brand" href="/console"><img src="/console/assets/icon.svg" alt="" width="24" height="24" />Posterity</a>
      <nav aria-label="Main">
        <a href="/console" aria-current=${!model && tab === "models" ? "page" : null}>Models</a>
        <a href="/docs">API</a>
      </nav>
      <span class="grow"></span>
      <${KeyButton} />
      <${ThemeButton} />
    </header>
    ${model &&
    html`<nav class="tabs" aria-label=${`Of ${model}`}>
      ${TABS.map(
        ([part, name]) =>
          html`<a href=${part ? to(model, part) : to(model)} aria-current=${tab === part ? "page" : null}>${name}</a>`,
      )}
    </nav>`}
    <main id="main" tabindex="-1">
      <div class="title"><h1>${title}</h1>${aside}</div>
      ${children}
    </main>
  `;
}

function ThemeButton() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  const next = theme === "dark" ? "light" : "dark";
  const turn = () => {
    document.documentElement.dataset.theme = next;
    localStorage.setItem("posterity-theme", next);
    setTheme(next);
    dispatchEvent(new Event("posterity-theme"));
  };
  return html`<button class="quiet" type="button" onClick=${turn} aria-label=${`Change to ${next} theme`}>
    <span aria-hidden="true">${theme === "dark" ? "☀" : "☾"}</span>
  </button>`;
}

function KeyButton() {
  const [isOpen, setOpen] = useState(false);
  return html`<button class="quiet" type="button" onClick=${() => setOpen(true)}>${key.get() ? "Key set" : "Key"}</button>
    ${isOpen && html`<${KeyDialog} onClose=${() => setOpen(false)} />`}`;
}

/** Asks for the key that the API is called with; the page begins anew with it. */
export function KeyDialog({ onClose }) {
  const [word, setWord] = useState(key.get());
  const use = (event) => {
    event.preventDefault();
    key.set(word);
    location.reload();
  };
  return html`<${Dialog} title="Key" onClose=${onClose}>
    <form onSubmit=${use}>
      <p>Calls are made with this key until this tab is closed. It says what you may do; <code>posterity keys create</code> makes one.</p>
      <label>API key <input type="password" autocomplete="off" spellcheck=${false} value=${word} onInput=${(e) => setWord(e.target.value)} /></label>
      <div class="actions"><button type="submit">Use it</button>
      <button type="button" class="plain" onClick=${() => { key.set(""); location.reload(); }}>Forget it</button></div>
    </form>
  <//>`;
}

/** A dialog that holds the focus; Escape closes it, and the focus goes back to where it was. */
export function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    element.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${element} aria-label=${title} onClose=${onClose}>
    <div class="title"><h2>${title}</h2>
      <button type="button" class="quiet" aria-label="Close" onClick=${() => element.current.close()}><span aria-hidden="true">✕</span></button></div>
    ${children}
  </dialog>`;
}

/**
 * Asks whether to do what cannot be overlooked. `act` is awaited; what it throws is told, and the dialog stays.
 * Its children say what will change.
 */
export function Confirm({ title, verb, danger = false, act, onClose, children }) {
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const go = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await act();
      onClose();
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${go}>
      ${children}
      <${Told} problem=${problem} />
      <div class="actions">
        <button type="submit" class=${danger ? "danger" : ""} disabled=${isBusy}>${isBusy ? "…" : verb}</button>
        <button type="button" class="plain" onClick=${onClose}>Leave it</button>
      </div>
    </form>
  <//>`;
}

/** What went wrong, in the problem's own words, and its code; nothing where nothing did. */
export function Told({ problem }) {
  const [isAsking, setAsking] = useState(false);
  if (!problem) return null;
  return html`<div class="problem" role="alert">
    <strong>${problem.title ?? "Something went wrong"}</strong>
    <p>${problem.detail ?? problem.message}</p>
    ${(problem.errors ?? []).length > 0 &&
    html`<ul>${problem.errors.map((one) => html`<li><code>${one.where}</code> ${one.message}</li>`)}</ul>`}
    <p class="small"><code>${problem.code ?? problem.name}</code>
      ${problem.status === 401 && html` <button type="button" onClick=${() => setAsking(true)}>Give a key</button>`}</p>
    ${isAsking && html`<${KeyDialog} onClose=${() => setAsking(false)} />`}
  </div>`;
}

/** A command that does the same, to be copied. */
export function SameByHand({ command }) {
  return html`<details class="by-hand"><summary>The same as a command</summary><pre tabindex="0">${command}</pre></details>`;
}

/**
 * What `load(signal)` gives: {value, problem, isLoading, again}. A value stays while it is loaded again, so that
 * nothing on the page jumps. Where the key was revoked meanwhile, an earlier problem stays too.
 */
export function useLoaded(load, reasons) {
  const [state, setState] = useState({ value: undefined, problem: null, isLoading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setState((before) => ({ ...before, isLoading: true }));
    load(stop.signal).then(
      (value) => !stop.signal.aborted && setState({ value, problem: null, isLoading: false }),
      (problem) => !stop.signal.aborted && setState((before) => ({ ...before, problem: problem.status === 401 ? (before.problem ?? problem) : problem, isLoading: false })),
    );
    return () => stop.abort();
  }, [...reasons, round]);
  const again = useCallback(() => setRound((before) => before + 1), []);
  return { ...state, again };
}

/**
 * Calls `on` for each event of the model while the page is open, `seen` with the newest number. {isOpen, problem}:
 * whether events arrive, and why they will not arrive again.
 */
export function useEvents(model, on, seen) {
  const [connection, setConnection] = useState({ isOpen: false, problem: null });
  const latest = useRef(on);
  latest.current = on;
  useEffect(() => {
    const stop = new AbortController();
    const said = (isOpen, problem = null) => setConnection((before) => (before.isOpen === isOpen && before.problem === problem ? before : { isOpen, problem }));
    listen(model, (event) => latest.current(event), { signal: stop.signal, said, seen });
    return () => stop.abort();
  }, [model]);
  return connection;
}

/** A page that fails says so instead of staying blank. */
export class Guard extends Component {
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }
  render({ children }, { error }) {
    return error ? html`<main><${Told} problem=${error} /></main>` : children;
  }
}

/** A number with so many places, its thousands apart; a dash where there is none. */
export const number = (value, places = 0) =>
  value === null || value === undefined ? "–" : value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });

export const percent = (value, places = 1) => (value === null || value === undefined ? "–" : `${number(100 * value, places)} %`);

/** A time, in the reader's own zone; the exact one in UTC is its title. */
export function When({ at }) {
  if (!at) return html`<span>–</span>`;
  const date = new Date(at);
  const isToday = date.toDateString() === new Date().toDateString();
  const said = isToday ? date.toLocaleTimeString() : date.toLocaleString();
  return html`<time dateTime=${at} title=${at}>${said}</time>`;
}

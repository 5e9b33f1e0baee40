// How the pages that show a model follow it: parts that load by themselves, and load again when something happened.

import { useCallback, useEffect, useId, useRef } from "preact/hooks";
import { of, get } from "./api.js";
import { Told, html, to } from "./ui.js";

const SOON_MILLISECONDS = 300;
const BETWEEN_MILLISECONDS = 2000;

/**
 * A function that has `loaded` loaded again: soon, where nothing happened of late. However often it is called, one load
 * is over before the next one begins, and a pause lies between them, as keys may have a rate.
 */
export function useDue({ isLoading, again }) {
  const state = useRef({ isDue: false, timer: null, last: -Infinity });
  Object.assign(state.current, { isLoading, again });
  const look = useCallback(() => {
    const { isDue, timer, last } = state.current;
    if (!isDue || timer !== null || state.current.isLoading) return;
    state.current.timer = setTimeout(() => {
      state.current.timer = null;
      if (state.current.isLoading) return;
      Object.assign(state.current, { isDue: false, last: performance.now() });
      state.current.again();
    }, Math.max(SOON_MILLISECONDS, BETWEEN_MILLISECONDS - (performance.now() - last)));
  }, []);
  useEffect(look, [isLoading]);
  useEffect(() => () => clearTimeout(state.current.timer), []);
  return useCallback(() => {
    state.current.isDue = true;
    look();
  }, []);
}

/** Calls `catchUp` whenever events begin to arrive: what happened before that was told to nobody here. */
export function useCaughtUp({ isOpen }, catchUp) {
  useEffect(() => {
    if (isOpen) catchUp();
  }, [isOpen]);
}

/** Whether the page hears what happens; where that was refused and is not tried again, why, and what can be done. */
export function Connection({ isOpen, problem }) {
  const words = isOpen ? "Connected: this page follows what happens" : problem ? "Not connected any more: this page shows what was so before" : "Not connected: trying again";
  return html`<p class=${`connection ${isOpen ? "on" : "off"}`} role="status"><span class="dot" aria-hidden="true"></span>${words}</p>
    <${Told} problem=${problem} />`;
}

/** A part of a page that loads by itself. `children` is called with the value; what may not be seen is said calmly. */
export function Part({ title, loaded, aside, children, className = "" }) {
  const id = useId();
  const { value, problem, isLoading } = loaded;
  const isShown = value !== undefined && problem?.status !== 403;
  return html`<section class=${`card part ${className}`} aria-labelledby=${id} aria-busy=${isLoading}>
    <div class="title"><h2 id=${id}>${title}</h2>${isShown && aside}</div>
    <${Refusal} ...${loaded} />
    ${isShown ? children(value) : !problem && html`<p class="small" role="status">Loading …</p>`}
  </section>`;
}

/**
 * Told as a problem, unless it is only that the key in use does not allow to see this. Where there is a value, the key
 * was good when it was read: that it is not any more is told once, where the page says whether it is connected.
 */
export function Refusal({ problem, value }) {
  if (problem?.status === 401 && value !== undefined) return null;
  if (problem?.code !== "key-not-allowed") return html`<${Told} problem=${problem} />`;
  return html`<p class="locked"><strong>Not with this key.</strong> ${problem.detail}</p>`;
}

/** Who looks at a page that is about one model, and cannot: the reason, in place of everything. */
export function isHidden(loaded) {
  return loaded.value === undefined && loaded.problem !== null;
}

export const loadModel = (model) => (signal) => get(of(model), {}, signal);

/** How far something is: a bar, and the same in words. */
export function Bar({ value, most, label, said }) {
  const share = most ? Math.min(100, Math.round((100 * value) / most)) : null;
  return html`<div class="bar">
    <progress max=${most || 1} value=${most ? Math.min(value, most) : undefined} aria-label=${label}></progress>
    <span class="small">${said}${share !== null && html` · ${share} %`}</span>
  </div>`;
}

/** The model that a page within it is about. */
export function Crumbs({ model, here }) {
  return html`<nav class="crumbs small" aria-label="Where this is"><a href=${to(model)}>${model}</a> <span aria-hidden="true">/</span> <span aria-current="page">${here}</span></nav>`;
}

// An answer as it is shown: who wins and how sure it is, the classes with their spread, and where the doubt comes from.

import { nameOf } from "./infer.js";
import { html, number, percent } from "./ui.js";

const SHOWN = 10;

/** One row's answer of a version; `scale` is the range that intervals of numbers are drawn in, shared by both sides. */
export function Answer({ model, version, answer, samples, scale }) {
  return answer.kind === "classes"
    ? html`<${Classes} ...${{ model, version, answer, samples }} />`
    : html`<${Numbers} ...${{ version, answer, scale }} />`;
}

function Classes({ model, version, answer, samples }) {
  const { label, probabilities, spread } = answer;
  const [low, high] = spread[label];
  return html`
    <p class="says-class"><strong class="winner">${nameOf(model, label)}</strong>
      <span>with probability <strong>${percent(probabilities[label])}</strong><br />
      <span class="small">9 in 10 of ${samples} drawn nets say <span class="nowrap">${percent(low)} to ${percent(high)}</span></span></span></p>
    <${Bars} ...${{ model, answer }} />
    <${Doubt} ...${{ version, answer, classes: probabilities.length }} />`;
}

/** The classes in their order where there are few, else the likeliest. */
function shownOf(probabilities) {
  const order = probabilities.map((_, label) => label);
  if (order.length <= SHOWN) return order;
  return order.sort((one, other) => probabilities[other] - probabilities[one]).slice(0, SHOWN);
}

function Bars({ model, answer }) {
  const { probabilities, spread, label: best } = answer;
  const shown = shownOf(probabilities);
  const rest = probabilities.length - shown.length;
  return html`<table class="chances"><caption class="small">Probabilities; a line spans 9 in 10 nets${rest > 0 && `; ${number(rest)} less likely classes are left out`}</caption>
    <colgroup><col style=${{ width: `${Math.min(14, 2 + Math.max(...shown.map((label) => nameOf(model, label).length)))}ch` }} /><col /><col class="of-value" /></colgroup>
    <thead class="unseen"><tr><th scope="col">Class</th><th scope="col">Probability</th><th scope="col">5 to 95 %</th></tr></thead>
    <tbody>${shown.map((label) => {
      const [low, high] = spread[label];
      return html`<tr key=${label} class=${label === best ? "best" : ""}>
        <th scope="row" title=${nameOf(model, label)}>${nameOf(model, label)}</th>
        <td><span class="track" aria-hidden="true"><span class="fill" style=${{ width: share(probabilities[label]) }}></span>
          <span class="range" style=${{ left: `min(${share(low)}, calc(100% - 3px))`, width: share(high - low) }}></span></span></td>
        <td class="value">${percent(probabilities[label])}<span class="unseen">, ${percent(low)} to ${percent(high)}</span></td></tr>`;
    })}</tbody></table>`;
}

const share = (value) => `${(100 * Math.min(1, Math.max(0, value))).toFixed(2)}%`;

/** The entropy out of the most that it can be, in its two parts. */
function Doubt({ version, answer, classes }) {
  const { entropy, aleatoric, mutual } = answer;
  const most = Math.log(classes);
  return html`<div class="doubt" role="group" aria-label="Uncertainty">
    <h4>Uncertainty <span class="small">${number(entropy, 3)} of at most ${number(most, 3)} nats</span></h4>
    <div class="stack" role="img" aria-label=${`Of at most ${number(most, 3)} nats, ${number(aleatoric, 3)} from the data and ${number(mutual, 3)} from the model`}>
      <span class="of-data" style=${{ width: share(aleatoric / most) }}></span><span class="of-model" style=${{ width: share(mutual / most) }}></span></div>
    <dl>
      <div><dt><span class="swatch of-data" aria-hidden="true"></span>Data ${number(aleatoric, 3)}</dt><dd>${version > 0 && saysData(aleatoric / most)}</dd></div>
      <div><dt><span class="swatch of-model" aria-hidden="true"></span>Model ${number(mutual, 3)}</dt><dd>${version > 0 && saysModel(mutual / most)}</dd></div>
    </dl><${Nothing} version=${version} /></div>`;
}

/** What a version that has seen no row can say of doubt is its prior's. */
const Nothing = ({ version }) => version === 0 && html`<p class="small">Version 0 has learned nothing yet: these parts are its prior's.</p>`;

function saysData(part) {
  if (part < 0.05) return "As this version sees it, inputs like this have one clear answer.";
  if (part < 0.3) return "As this version sees it, inputs like this are a little ambiguous.";
  return "As this version sees it, inputs like this are ambiguous in themselves.";
}

function saysModel(part) {
  if (part < 0.01) return "The drawn nets agree.";
  if (part < 0.1) return "The drawn nets differ somewhat: rows like this would teach it more.";
  return "The drawn nets disagree: rows like this would teach it most.";
}

function Numbers({ version, answer, scale }) {
  return answer.dims.map(
    (one, dim) => html`<div class="predicted" role="group" key=${dim} aria-label=${answer.dims.length > 1 ? `Number ${dim + 1}` : "The number"}>
      <p class="says-class"><strong class="winner">${short(one.mean)}</strong>
        <span>${answer.dims.length > 1 && `number ${dim + 1}, `}between <strong>${short(one.lower)}</strong> and <strong>${short(one.upper)}</strong><br />
        <span class="small">with probability 90 %; standard deviation ${short(one.std)}</span></span></p>
      <${Interval} one=${one} scale=${scale[dim]} />
      <${Variance} version=${version} one=${one} />
    </div>`,
  );
}

function Interval({ one, scale: [low, high] }) {
  const at = (value) => (value - low) / (high - low);
  return html`<div class="interval" role="img" aria-label=${`Mean ${short(one.mean)}, 90 % interval from ${short(one.lower)} to ${short(one.upper)}`}>
    <span class="track"><span class="range" style=${{ left: share(at(one.lower)), width: share(at(one.upper) - at(one.lower)) }}></span>
    <span class="mean" style=${{ left: share(at(one.mean)) }}></span></span>
    <span class="small ends"><span>${short(low)}</span><span>${short(high)}</span></span></div>`;
}

function Variance({ version, one }) {
  const model = one.epistemic_std ** 2 / (one.std ** 2 || 1);
  return html`<div class="doubt" role="group" aria-label="Uncertainty"><h4>Where the variance comes from</h4>
    <div class="stack" role="img" aria-label=${`${percent(1 - model)} from the data, ${percent(model)} from the model`}>
      <span class="of-data" style=${{ width: share(1 - model) }}></span><span class="of-model" style=${{ width: share(model) }}></span></div>
    <dl>
      <div><dt><span class="swatch of-data" aria-hidden="true"></span>Data ${percent(1 - model)}</dt><dd>Noise of the labels${version > 0 ? ", as this version sees it" : ""}, ±${short(one.noise_std)}.</dd></div>
      <div><dt><span class="swatch of-model" aria-hidden="true"></span>Model ${percent(model)}</dt><dd>Doubt about the weights, ±${short(one.epistemic_std)}${version > 0 ? ": rows like this would lessen it" : ""}.</dd></div>
    </dl><${Nothing} version=${version} /></div>`;
}

/** Four figures that count. */
export const short = (value) => (value === 0 ? "0" : Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 }));

/** What differs between two answers, in words. */
export function differenceOf(model, before, after) {
  if (before.version === after.version) return `Both sides are version ${before.version}, so they say the same.`;
  const [one, other] = [before.answer, after.answer];
  return one.kind === "classes" ? classesDiffer(model, before, after, one, other) : numbersDiffer(before, after, one, other);
}

function classesDiffer(model, before, after, one, other) {
  const says = (side, answer) => `Version ${side.version} says ${nameOf(model, answer.label)} (${percent(answer.probabilities[answer.label])})`;
  const moves = other.probabilities.map((probability, label) => probability - one.probabilities[label]);
  const most = moves.reduce((best, move, label) => (Math.abs(move) > Math.abs(moves[best]) ? label : best), 0);
  const first = one.label === other.label
    ? `Both say ${nameOf(model, one.label)}: ${percent(one.probabilities[one.label])} by version ${before.version}, ${percent(other.probabilities[one.label])} by version ${after.version}.`
    : `${says(before, one)}, version ${after.version} says ${nameOf(model, other.label)} (${percent(other.probabilities[other.label])}).`;
  const moved = Math.abs(moves[most]) < 0.0005 ? "" : ` Class ${nameOf(model, most)} moved most, from ${percent(one.probabilities[most])} to ${percent(other.probabilities[most])}.`;
  return `${first}${moved} ${doubtMoved("Doubt about the model", one.mutual, other.mutual)} ${doubtMoved("Doubt in the data", one.aleatoric, other.aleatoric)}`;
}

function doubtMoved(what, from, to) {
  if (Math.abs(to - from) < 0.0005) return `${what} stayed at ${number(to, 3)} nats.`;
  return `${what} ${to > from ? "rose" : "fell"} from ${number(from, 3)} to ${number(to, 3)} nats.`;
}

function numbersDiffer(before, after, one, other) {
  return one.dims
    .map((dim, index) => {
      const now = other.dims[index];
      const name = one.dims.length > 1 ? `Number ${index + 1}` : "The mean";
      return `${name} ${now.mean >= dim.mean ? "rose" : "fell"} from ${short(dim.mean)} (version ${before.version}) to ${short(now.mean)} (version ${after.version}); doubt about the model went from ±${short(dim.epistemic_std)} to ±${short(now.epistemic_std)}.`;
    })
    .join(" ");
}

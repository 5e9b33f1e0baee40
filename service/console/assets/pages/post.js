// Post labeled rows: pictures or a CSV, looked through before anything is sent, and followed until a version knows them.

import { useCallback, useState } from "preact/hooks";
import { get, of } from "../api.js";
import { Following } from "../batch_followed.js";
import { many } from "../changing.js";
import { inputOf, sizeSaid } from "../inputs.js";
import { CsvRows } from "../post_csv.js";
import { ImageRows } from "../post_images.js";
import { Range } from "../pads.js";
import { bodyOf, keyOfFile, keyOfRows, posted } from "../rows.js";
import { Crumbs } from "../following.js";
import { Frame, SameByHand, Told, html, number, percent, useLoaded } from "../ui.js";

const FAULTS_SHOWN = 12;
const TOO_LARGE = new Set(["batch-too-large", "body-too-large"]);

export default function Post({ model: name }) {
  const { value: model, problem } = useLoaded((signal) => get(of(name), {}, signal), [name]);
  return html`<${Frame} title="Post rows" model=${name} tab="post">
    <${Crumbs} model=${name} here="Post rows" />
    <${Told} problem=${problem} />
    ${!model && !problem && html`<p class="small" role="status">Loading …</p>`}
    ${model && html`<${Posting} model=${model} />`}
  <//>`;
}

function Posting({ model }) {
  const declared = inputOf(model.input);
  const isPictures = declared.height !== null && (model.output.dims ?? 1) === 1;
  const [range, setRange] = useState({ paper: declared.paper, ink: declared.ink });
  const [way, setWay] = useState(isPictures ? "pictures" : "csv");
  const [ready, setReady] = useState(null);
  const [batches, setBatches] = useState([]);
  const input = { ...declared, ...range };
  const prepared = useCallback(setReady, []);
  const accepted = (one) => setBatches((before) => [{ ...one, time: Date.now() }, ...before.filter(({ batch }) => batch !== one.batch)]);
  const Rows = way === "pictures" ? ImageRows : CsvRows;
  return html`<section class="card" aria-label="Rows">
      <p>Each row is ${number(declared.size)} ${declared.size === 1 ? "number" : "numbers"}${declared.isFlat ? "" : ` (${sizeSaid(declared.shape)})`} and its label, ${saysLabel(model.output)}. What is posted is counted once, however often it is sent.</p>
      ${isPictures && html`<div class="ways" role="group" aria-label="What is posted">${[["pictures", "Pictures"], ["csv", "CSV"]].map(
        ([one, word]) => html`<button type="button" class="plain" aria-pressed=${way === one} onClick=${() => { setWay(one); setReady(null); }}>${word}</button>`,
      )}</div>`}
      <${Rows} key=${way} ...${{ model, input }} onReady=${prepared} />
      ${way === "pictures" && html`<${Range} ...${{ input, range, setRange }} />`}
      ${ready && html`<${Sending} key=${way} ...${{ model, input, ready, way }} onPosted=${accepted} />`}
    </section>
    <p class="unseen" role="status">${batches[0] && `Batch ${batches[0].batch} is accepted: ${many(batches[0].rows, "row")}.`}</p>
    ${batches.map((one) => html`<${Following} key=${one.batch} model=${model.name} ...${one} />`)}`;
}

function saysLabel(output) {
  if (output.kind !== "categorical") return output.dims > 1 ? `${output.dims} numbers` : "a number";
  return Array.isArray(output.classes) ? `one of ${output.classes.length} named classes` : `a class from 0 to ${output.classes - 1}`;
}

/** What is wrong, or the button that posts; `isOwnKey` posts a file's rows under a key that is made of them instead. */
function Sending({ model, input, ready, way, onPosted }) {
  const [progress, setProgress] = useState(null);
  const [problem, setProblem] = useState(null);
  const { rows, faults } = ready;
  const isOfFile = way === "csv" && ready.isAsClients;
  const send = async ({ isOwnKey = false, parts = 1 } = {}) => {
    if (progress !== null) return;
    setProblem(null);
    try {
      for (let part = 0; part < parts; part += 1) {
        const some = rows.slice(Math.round((part * rows.length) / parts), Math.round(((part + 1) * rows.length) / parts));
        const body = bodyOf(model, input, some);
        const key = isOfFile && !isOwnKey && parts === 1 ? await keyOfFile(ready.content) : await keyOfRows(body);
        const { answer, isReplay } = await posted(model.name, body, key, (said) => setProgress({ ...said, part, parts }));
        onPosted({ batch: answer.batch, rows: answer.rows, isReplay });
      }
    } catch (error) {
      setProblem({ error, parts });
    }
    setProgress(null);
  };
  if (faults.length) return html`<${Faults} faults=${faults} />`;
  if (!rows.length) return html`<p>There are no rows in it.</p>`;
  return html`<div class="actions"><button type="button" aria-disabled=${progress !== null} onClick=${() => send()}>Post ${many(rows.length, "row")}</button></div>
    ${progress && html`<${Progress} ...${progress} />`}
    ${problem && html`<${Refusal} ...${{ problem, send, rows }} />`}
    <${SameByHand} command=${commandOf(model, way, isOfFile)} />`;
}

function Faults({ faults }) {
  const more = faults.length - FAULTS_SHOWN;
  return html`<div class="problem" role="alert"><strong>Nothing is sent yet: ${many(faults.length, "thing is", "things are")} wrong</strong>
    <ul>${faults.slice(0, FAULTS_SHOWN).map(({ where, message }) => html`<li><code>${where}</code> ${message}</li>`)}</ul>
    ${more > 0 && html`<p class="small">and ${number(more)} more.</p>`}</div>`;
}

function Progress({ sent, all, attempt, part, parts }) {
  return html`<p role="status" class="small">${parts > 1 && `Part ${part + 1} of ${parts}: `}${sent < all ? `${percent(sent / all, 0)} of ${number(all / 1024)} KiB sent` : "Sent; waiting for the answer"}${attempt > 1 && `. No answer came: this is attempt ${attempt}, and the rows count once all the same`}.</p>
    <progress aria-label="How much is sent" value=${sent} max=${all}></progress>`;
}

function Refusal({ problem: { error, parts }, send, rows }) {
  const isTooLarge = TOO_LARGE.has(error.code) && 2 * parts <= rows.length;
  const way = {
    "idempotency-key-reused": "This file was posted before with other rows or labels, perhaps with another label column. If these are meant as well, they get a key of their own.",
    "key-not-allowed": "Your key may not post rows: ask whoever runs the service for one with the scope “ingest”, and give it under “Key”. What you chose stays here until you leave the page.",
    unreachable: "Nothing is lost: post again when the service is back. If it had arrived, it counts once all the same.",
  }[error.code];
  return html`<${Told} problem=${error} />
    ${(way || isTooLarge) && html`<p class="way"><strong>What to do:</strong> ${way ?? `Post it in ${2 * parts} parts, each a batch of its own.`}</p>`}
    <div class="actions">${isTooLarge && html`<button type="button" onClick=${() => send({ parts: 2 * parts })}>Post in ${2 * parts} parts</button>`}
      ${error.code === "idempotency-key-reused" && html`<button type="button" onClick=${() => send({ isOwnKey: true })}>Post these rows as well</button>`}
      ${error.code === "unreachable" && html`<button type="button" onClick=${() => send()}>Post again</button>`}</div>`;
}

/** The command line posts CSV files; pictures go as a form, one file each. */
function commandOf(model, way, isOfFile) {
  if (way === "csv" && isOfFile) return `posterity ingest ${model.name} rows.csv --wait`;
  const url = `${location.origin}/v1/models/${model.name}/batches`;
  if (way === "csv") return `# With the label as last column, or called “label”:\nposterity ingest ${model.name} rows.csv --wait`;
  return `curl '${url}' -H 'Idempotency-Key: monday-1' \\\n  -F images=@one.png -F images=@two.png -F 'labels=[1, 2]'`;
}

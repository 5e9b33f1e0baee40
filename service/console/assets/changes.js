// Buttons that move an alias: rollback, and pointing or removing a name; and the others of changes_of_rows.js.

import { get, of } from "./api.js";
import { ChangeButton, because, listed, many, points } from "./changing.js";
import { html } from "./ui.js";

export { CancelUpdateButton, CloseNowButton, DiscardButton, ForgetButton, ParkButton, ReleaseButton } from "./changes_of_rows.js";

const HEAD = "head";
const NAME = "[a-z][a-z0-9_\\-]{0,63}";

/** Moves head back along its line to `version`, or, where none is given, to one chosen in the dialog: its parent at first. */
export function RollbackButton({ model, version, onDone, label, className }) {
  return html`<${ChangeButton}
    label=${label ?? (version === undefined ? "Roll back" : `Roll back to version ${version}`)}
    className=${className}
    title=${() => "Roll back"}
    verb=${(_form, facts) => (facts?.target ? `Roll back to version ${facts.target.version}` : "Roll back")}
    form=${{ to: version }}
    asks=${version === undefined && ((form, set, facts) => html`<${Version} label="To version" value=${form.to ?? facts?.target?.version} onChange=${(to) => set({ to })} />`)}
    load=${(signal, form) => aboutRollback(model, form.to, signal)}
    reload=${(form) => [form.to]}
    says=${saysRollback}
    request=${(facts, form) =>
      facts.target && facts.target.version !== facts.head.version
        ? { method: "POST", parts: of(model, "rollback"), body: { to: facts.target.version, ...because(form) }, headers: ifAt(facts.alias) }
        : null}
    onDone=${onDone}
  />`;
}

async function aboutRollback(model, to, signal) {
  const [resource, alias] = await Promise.all([get(of(model), {}, signal), get(of(model, "aliases", HEAD), {}, signal)]);
  const head = await get(of(model, "versions", String(alias.version)), {}, signal);
  const asked = to ?? head.parent ?? head.version;
  const target = asked === "" ? null : await get(of(model, "versions", String(asked)), {}, signal);
  return { resource, alias, head, target };
}

function saysRollback({ resource, head, target }) {
  if (!target) return html`<p>Choose a version of head's line, which is at version ${head.version}.</p>`;
  if (target.version === head.version) return html`<p>Head is at version ${head.version} already.</p>`;
  const left = head.depth - target.depth;
  const rows = head.evidence.rows - target.evidence.rows;
  const others = Object.entries(resource.aliases).filter(([name]) => name !== HEAD);
  return points(
    html`Head moves from version ${head.version} to <strong>version ${target.version}</strong>.`,
    html`Predictions without a version are answered by ${target.version} from the next request on.`,
    left > 0 && `${many(left, "version")} ${left === 1 ? "stays" : "stay"} queryable by ${left === 1 ? "its number" : "their numbers"}; head no longer knows the ${many(rows, "row")} learned since.`,
    ...saysWaiting(resource, target.version),
    others.length > 0 && `Other aliases stay where they are: ${listed(others.map(([name, at]) => `${name} at ${at}`))}.`,
  );
}

function saysWaiting({ updates, pending }, version) {
  const running = updates.running ?? 0;
  const queued = updates.queued ?? 0;
  return [
    running > 0 && `The running update begins anew from version ${version}; nothing of its chunk is lost.`,
    queued > 0 && `${many(queued, "queued update starts", "queued updates start")} from version ${version}.`,
    pending.rows > 0 && `${many(pending.rows, "pending row is", "pending rows are")} learned on top of version ${version}.`,
  ];
}

/** Points a name (`name` to begin with) at `version` or at one chosen in the dialog, or removes a name; `aliases` are those there are. */
export function AliasButton({ model, version, name, aliases = {}, onDone, label, className }) {
  const ofVersion = Object.entries(aliases).filter(([name, at]) => at !== version && name !== HEAD);
  return html`<${ChangeButton}
    label=${label ?? (version === undefined ? "Move an alias" : "Point an alias here")}
    className=${className}
    title=${() => "Move an alias"}
    verb=${(form) => (form.isRemoved ? "Remove it" : "Point it there")}
    form=${{ name: name ?? ofVersion[0]?.[0] ?? "", to: version ?? aliases[HEAD] ?? 0, isRemoved: false }}
    asks=${(form, set) => html`<${AliasFields} ...${{ form, set, aliases, isFixed: version !== undefined }} />`}
    load=${(signal, form) => aboutAlias(model, form, signal)}
    reload=${(form) => [form.to]}
    says=${saysAlias}
    request=${(facts, form) => requestOfAlias(model, facts, form)}
    onDone=${onDone}
  />`;
}

function AliasFields({ form, set, aliases, isFixed }) {
  return html`<label>Name <input list="aliases" required pattern=${NAME} autocomplete="off" spellcheck=${false} value=${form.name}
      title="1 to 64 of a-z, 0-9, - and _, beginning with a letter" onInput=${(e) => set({ name: e.target.value.trim() })} /></label>
    <datalist id="aliases">${Object.keys(aliases).map((name) => html`<option value=${name} />`)}</datalist>
    ${!isFixed && !form.isRemoved && html`<${Version} label="Version" value=${form.to} onChange=${(to) => set({ to })} />`}
    ${form.name in aliases && form.name !== HEAD &&
    html`<label class="choice"><input type="checkbox" checked=${form.isRemoved} onChange=${(e) => set({ isRemoved: e.target.checked })} />Remove it instead</label>`}`;
}

async function aboutAlias(model, { to }, signal) {
  const [resource, { aliases }, target] = await Promise.all([
    get(of(model), {}, signal),
    get(of(model, "aliases"), {}, signal),
    to === "" ? null : get(of(model, "versions", String(to)), {}, signal),
  ]);
  return { resource, aliases, target };
}

/** The name that the form says, null where it is none; and where it points, null where it points nowhere. */
function named({ aliases }, { name }) {
  return new RegExp(`^${NAME}$`).test(name) ? { name, alias: aliases.find((one) => one.alias === name) ?? null } : { name: null, alias: null };
}

function saysAlias(facts, form) {
  const { resource, target } = facts;
  const { name, alias } = named(facts, form);
  if (!name) return html`<p class="small">A name says who uses the version: <code>stable</code>, <code>shop-floor</code>. The name <code>head</code> is what predictions default to.</p>`;
  const query = html`<code>?alias=${name}</code>`;
  if (form.isRemoved && alias) {
    return points(html`The alias <strong>${name}</strong> no longer points at version ${alias.version}, which stays as it is.`, html`Requests with ${query} are refused (404) from the next one on.`, "Its history stays.");
  }
  if (!target) return null;
  if (alias?.version === target.version && name !== HEAD) return html`<p><strong>${name}</strong> is at version ${target.version} already.</p>`;
  if (name === HEAD) {
    return points(
      alias.version === target.version
        ? html`Head stays at version ${target.version}${resource.undecided !== null && html`, and <strong>version ${resource.undecided} is declined</strong>: later chunks go on from here`}.`
        : html`Head moves from version ${alias.version} to <strong>version ${target.version}</strong>.`,
      html`Predictions without a version are answered by ${target.version} from the next request on.`,
      ...saysWaiting(resource, target.version),
    );
  }
  return points(
    alias ? html`<strong>${name}</strong> moves from version ${alias.version} to <strong>version ${target.version}</strong>.` : html`The new alias <strong>${name}</strong> points at <strong>version ${target.version}</strong>.`,
    html`Predictions with ${query} are answered by ${target.version} from the next request on.`,
    `Head stays at version ${resource.head}.`,
  );
}

function requestOfAlias(model, facts, form) {
  const { resource, target } = facts;
  const { name, alias } = named(facts, form);
  if (!name) return null;
  const parts = of(model, "aliases", name);
  if (form.isRemoved) return alias && { method: "DELETE", parts, headers: ifAt(alias) };
  if (!target || (alias?.version === target.version && !(name === HEAD && resource.undecided !== null))) return null;
  return { method: "PUT", parts, body: { version: target.version, ...because(form) }, headers: alias ? ifAt(alias) : { "If-None-Match": "*" } };
}

/** Only if the alias has not moved since it was read. */
const ifAt = (alias) => ({ "If-Match": `"${alias.seq}"` });

function Version({ label, value, onChange }) {
  const changed = (event) => onChange(event.target.value === "" ? "" : Math.trunc(Number(event.target.value)));
  return html`<label>${label} <input type="number" min="0" step="1" required value=${value} onInput=${changed} /></label>`;
}

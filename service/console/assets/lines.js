// The tree of versions, laid out: which versions are shown, on which lane, and what each was learned from.

import { all, get, of } from "./api.js";

export const WINDOW = 60;
const FORKS_MOST = 24;
const BRANCHES_MOST = 1000;

/**
 * The versions up to `top` (the newest, if it is left out), as many as a window holds, and the older ones that say how
 * they hang together: forks, and versions that aliases point at.
 */
export async function loadLines(model, { head, aliases, versions: newest }, until, signal) {
  const top = Math.min(until ?? newest, newest);
  const [{ versions }, branches] = await Promise.all([
    get(of(model, "versions"), top >= WINDOW ? { after: top - WINDOW, limit: WINDOW } : { limit: top + 1 }, signal),
    loadBranches(model, signal),
  ]);
  const lines = { head, newest, top, branches: new Map(branches.map((one) => [one.branch, one])), versions };
  return { ...lines, rows: laidOut(lines, aliases) };
}

async function loadBranches(model, signal) {
  const first = await all(of(model, "branches"), "branches", { most: BRANCHES_MOST, signal });
  if (first.length < BRANCHES_MOST) return first;
  // More branches than anybody looks at: beside the first ones, those of the newest versions.
  const last = await all(of(model, "branches"), "branches", { query: { after: first.at(-1).branch }, signal });
  return [...first, ...last];
}

/** Rows, the newest version first: {version, branch, lane, aliases, isOnHead, from, isGap, more} */
function laidOut(lines, aliases) {
  const shown = new Map(lines.versions.map((one) => [one.version, { version: one.version, branch: one.branch, facts: one }]));
  for (const version of Object.values(aliases)) addOlder(shown, lines, version);
  addForks(shown, lines);
  const rows = [...shown.values()].sort((one, other) => other.version - one.version);
  const onHead = boundsOf(lines, branchOf(lines, lines.head), lines.head);
  const named = Object.groupBy(Object.keys(aliases), (name) => aliases[name]);
  for (const [index, row] of rows.entries()) {
    row.aliases = named[row.version] ?? [];
    row.isOnHead = row.version <= (onHead.get(row.branch) ?? -1);
    row.from = ancestorOf(rows, lines, row);
    row.isFork = lines.branches.size > 1 && [...lines.branches.values()].some(({ fork }) => fork === row.version);
    row.missing = index + 1 < rows.length ? row.version - rows[index + 1].version - 1 : row.version;
  }
  allotLanes(rows);
  return rows;
}

function addOlder(shown, lines, version) {
  if (shown.has(version) || version > lines.top) return;
  const branch = branchOf(lines, version);
  if (branch !== undefined) shown.set(version, { version, branch });
}

/** The forks of the branches that are shown, and theirs. */
function addForks(shown, lines) {
  const asked = [...new Set([...shown.values()].map(({ branch }) => branch))].sort((one, other) => other - one);
  for (let index = 0, added = 0; index < asked.length && added < FORKS_MOST; index++) {
    const { fork, parent_branch: parent } = lines.branches.get(asked[index]) ?? {};
    if (fork === null || fork === undefined) continue;
    if (!shown.has(fork)) {
      shown.set(fork, { version: fork, branch: parent });
      added++;
    }
    if (!asked.includes(parent)) asked.push(parent);
  }
}

/** The branch of a version that is not loaded: the alias table of the branches knows it. */
function branchOf({ branches, versions }, version) {
  const loaded = versions.find((one) => one.version === version);
  if (loaded) return loaded.branch;
  for (const one of branches.values()) if (Object.values(one.aliases).includes(version)) return one.branch;
  return undefined;
}

/** For each branch that the line of a version passes, the last version of it that is on the line. */
function boundsOf({ branches }, branch, version) {
  const bounds = new Map();
  for (let at = branch, last = version; at !== undefined && at !== null && !bounds.has(at); ) {
    bounds.set(at, last);
    ({ fork: last, parent_branch: at } = branches.get(at) ?? {});
  }
  return bounds;
}

/** The newest version that is shown and that this one was learned from: {version, isNear}, or null. */
function ancestorOf(rows, lines, row) {
  const bounds = boundsOf(lines, row.branch, row.version - 1);
  const found = rows.find((one) => one.version < row.version && one.version <= (bounds.get(one.branch) ?? -1));
  return found ? { version: found.version, isNear: row.facts ? row.facts.parent === found.version : false } : null;
}

/**
 * Head's line is the first lane. Every other lane is held from a branch's newest row down to the row that it comes from,
 * and is free again below it.
 */
function allotLanes(rows) {
  const lanes = [Infinity];
  const of = new Map();
  const order = new Map(rows.map((row, index) => [row.version, index]));
  for (const [index, row] of rows.entries()) {
    if (!row.isOnHead && !of.has(row.branch)) {
      const free = lanes.findIndex((until) => until <= index);
      const lane = free === -1 ? lanes.length : free;
      const { from, version } = rows.findLast((one) => one.branch === row.branch && !one.isOnHead);
      lanes[lane] = from ? order.get(from.version) : order.get(version) + 1;
      of.set(row.branch, lane);
    }
    row.lane = row.isOnHead ? 0 : of.get(row.branch);
  }
}

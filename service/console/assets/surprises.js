// How batches surprised head, found in the series of scores without reading all of it.

import { get, of } from "./api.js";

const PAGE = 100;
const TRIES = 6;

/**
 * {batch: its entry of the series}, of these batches (newest first). The series has places, not numbers of batches: those
 * that were set aside are left out, so a batch stands no later than its number, if nothing was learned twice.
 */
export async function surprisesOf(model, batches, signal) {
  if (batches.length === 0) return {};
  const first = batches.at(-1).batch;
  const wanted = new Set(batches.map(({ batch }) => batch));
  const found = {};
  let after = Math.max(0, first - 1 - PAGE);
  for (let tries = 0; tries < TRIES; tries++) {
    const page = await get(of(model, "metrics"), { after, limit: PAGE }, signal).catch((error) => (error.status === 403 ? { batches: [] } : Promise.reject(error)));
    for (const one of page.batches) if (wanted.has(one.batch)) found[one.batch] = one;
    const isTooLate = (page.batches[0]?.batch ?? Infinity) > first && after > 0;
    const isTooEarly = page.next_cursor !== null && page.batches.at(-1).batch < batches[0].batch;
    if (isTooLate) after = Math.max(0, after - PAGE);
    else if (isTooEarly) after += PAGE;
    else break;
  }
  return found;
}

// A CSV file as it was chosen, or lines as they were pasted: what they say, or why nothing can be read of them.

import { tableOf } from "./csv.js";

/** Nothing is given yet. */
export const NOTHING = { name: null, bytes: new Uint8Array(), text: "", fault: null };

export const chosen = async (file) => read(new Uint8Array(await file.arrayBuffer()), file.name);

export const pasted = (text) => (text === "" ? NOTHING : { ...read(new TextEncoder().encode(text), null), text });

/** {name, bytes, text, fault}: the text is empty where it cannot be read, and the fault, else null, says why. */
function read(bytes, name) {
  const called = name === null ? "What was pasted" : `“${name}”`;
  const refused = (why) => ({ name, bytes, text: "", fault: { title: "Nothing can be read of it", detail: `${called} ${why}`, code: "csv-unusable" } });
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refused("is not UTF-8: save it as CSV UTF-8.");
  }
  if (!text.trim()) return refused("is empty.");
  if (!tableOf(text).rows.length) return refused("has no rows below its header.");
  return { name, bytes, text, fault: null };
}

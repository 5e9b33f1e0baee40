// Rows of a CSV, as spreadsheets write them and as clients of the service read them.

const DELIMITERS = [",", ";", "\t"];

/** {delimiter, lines}: each line {number, cells}, numbered as in the file; empty ones are left out. */
export function parsed(text) {
  const content = text.replace(/^\ufeff/, "");
  const [first] = content.split(/\r?\n/).filter((line) => line.trim());
  const count = (delimiter) => (first ?? "").split(delimiter).length;
  // Where all that semicolons part are numbers, commas are within them.
  const areWithin = count(";") > 1 && first.split(";").every((cell) => isMeant(cell.trim()));
  const delimiter = areWithin ? ";" : DELIMITERS.reduce((best, one) => (count(one) > count(best) ? one : best));
  return { delimiter, lines: linesOf(content, delimiter) };
}

function linesOf(content, delimiter) {
  const lines = [];
  let [cells, cell, isQuoted, number, began] = [[], "", false, 1, 1];
  const endLine = () => {
    cells.push(cell.trim());
    if (cells.length > 1 || cells[0]) lines.push({ number: began, cells });
    [cells, cell] = [[], ""];
  };
  for (let index = 0; index < content.length; index += 1) {
    const character = content[index];
    if (character === "\n") number += 1;
    if (isQuoted) {
      if (character === '"' && content[index + 1] === '"') cell += content[(index += 1)];
      else if (character === '"') isQuoted = false;
      else cell += character;
    } else if (character === '"' && !cell.trim()) [isQuoted, cell] = [true, ""];
    else if (character === delimiter) {
      cells.push(cell.trim());
      cell = "";
    } else if (character === "\n") {
      endLine();
      began = number;
    } else if (character !== "\r") cell += character;
  }
  endLine();
  return lines;
}

export const isNumber = (cell) => cell !== "" && Number.isFinite(Number(cell));

/** “12,5” and “1.250,00”, as spreadsheets of many languages write them. */
export const hasDecimalComma = (cell) => /^[-+]?\d[\d.]*,\d+(e[-+]?\d+)?$/i.test(cell);

const isMeant = (cell) => isNumber(cell) || hasDecimalComma(cell);

/** The faults, each with the `cell` that it is about, with what is one mistake of the whole file said once, where it is first. */
export function saidOnce(faults) {
  const commas = faults.filter(({ cell }) => hasDecimalComma(cell ?? ""));
  const [first, ...others] = commas;
  const leftOut = new Set(others);
  const more = others.length ? `; so do ${others.length.toLocaleString("en")} more` : "";
  const said = (one) => ({ ...one, message: `“${one.cell}” looks like a decimal comma: save with points${more}` });
  return faults.filter((one) => !leftOut.has(one)).map((one) => (one === first ? said(one) : one));
}

/**
 * {header, rows}: whether the first line names the columns is told by a name above numbers, or by 0, 1, 2, … as
 * pandas writes them; the names are null where there is no header. A line of words alone, with nothing below, is one.
 */
export function tableOf(text) {
  const { delimiter, lines } = parsed(text);
  const [first, ...below] = lines;
  if (!first) return { delimiter, header: null, rows: [] };
  const hasHeader = below.length > 0 ? isHeader(first.cells, below) : !first.cells.some(isMeant);
  return { delimiter, header: hasHeader ? first.cells : null, rows: hasHeader ? below : lines };
}

function isHeader(first, below) {
  const isNumbered = first.length > 2 && first.every((cell, place) => cell === String(place) || !isNumber(cell)) && first[1] === "1" && first[2] === "2";
  const names = first.some((cell, place) => !isMeant(cell) && below.slice(0, 20).some(({ cells }) => isMeant(cells[place] ?? "")));
  return isNumbered || names || (first.every((cell) => !isMeant(cell)) && below.some(({ cells }) => cells.some(isMeant)));
}

/**
 * Where the columns with these names are, in the order of the names: {places, missing}. Both are empty where the model or
 * the table has no names; where one is missing there are no places.
 */
export function placesOf(header, names) {
  if (!header || !names) return { places: [], missing: [] };
  const lowered = header.map((name) => name.trim().toLowerCase());
  const found = names.map((name) => (header.includes(name) ? header.indexOf(name) : lowered.indexOf(name.trim().toLowerCase())));
  const missing = names.filter((_, at) => found[at] < 0);
  return { places: missing.length ? [] : found, missing };
}

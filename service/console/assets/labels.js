// What a label says: a class by its name or number, or numbers.

/** What a column of labels is called. */
export const LABEL_COLUMNS = ["label", "labels", "y", "class", "target"];

/** Which of these columns of a header is called as labels are, the name that says it best first; undefined: none. */
export const calledLabel = (header, places) =>
  LABEL_COLUMNS.map((name) => places.find((place) => header[place].trim().toLowerCase() === name)).find((place) => place !== undefined);

/** {label} of what is written, or {fault}. */
export function labelOf(model, text) {
  const said = text.trim();
  if (model.output.kind !== "categorical") {
    const number = said === "" ? Number.NaN : Number(said);
    return Number.isFinite(number) ? { label: Math.fround(number) } : { fault: `“${said}” is not a number` };
  }
  const { classes } = model.output;
  const names = Array.isArray(classes) ? classes : [];
  const exact = names.indexOf(said);
  const alike = exact >= 0 ? exact : names.findIndex((name) => name.toLowerCase() === said.toLowerCase());
  if (alike >= 0) return { label: alike };
  const count = names.length || classes;
  const number = said === "" ? Number.NaN : Number(said);
  if (Number.isInteger(number) && number >= 0 && number < count) return { label: number };
  if (said === "") return { fault: "has no label" };
  return { fault: names.length ? `“${said}” is no class of this model` : `“${said}” is no class: there are 0 to ${count - 1}` };
}

/** Every class as {label, name}. */
export function classesOf(model) {
  const { classes } = model.output;
  return Array.isArray(classes) ? classes.map((name, label) => ({ label, name })) : Array.from({ length: classes }, (_, label) => ({ label, name: String(label) }));
}

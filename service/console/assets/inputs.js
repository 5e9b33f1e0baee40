// What a model takes: the shape of a row, how its pixels are counted, and how somebody can give it one.

const TYPED_MOST = 40;
const DRAWN_LEAST = 25;

/**
 * {size, channels, height, width, dtype, paper, ink, ways}: the last is which pads there are for it, the best first.
 * Channels, height and width are null where a row is no picture; a flat row of a square number may be one, unless its numbers have names.
 */
export function inputOf({ shape, dtype, mean, std, names }) {
  const size = shape.reduce((all, side) => all * side, 1);
  const picture = names ? null : pictureOf(shape, size);
  const isPicture = picture !== null;
  const ways = [
    isPicture && picture.channels === 1 && "draw",
    isPicture && "picture",
    size <= TYPED_MOST && shape.length === 1 && "numbers",
    "csv",
  ].filter(Boolean);
  return { shape, size, dtype, names: names ?? null, ...(picture ?? { channels: null, height: null, width: null }), isFlat: shape.length === 1, ...rangeOf(dtype, mean, std), ways };
}

function pictureOf(shape, size) {
  const side = Math.sqrt(size);
  if (shape.length === 1 && size >= DRAWN_LEAST && Number.isInteger(side)) return { channels: 1, height: side, width: side };
  if (shape.length === 2) return { channels: 1, height: shape[0], width: shape[1] };
  if (shape.length === 3 && (shape[0] === 1 || shape[0] === 3)) return { channels: shape[0], height: shape[1], width: shape[2] };
  return null;
}

/** What an empty and a full pixel are worth; where rows are divided by more than 1 alone, that is what they go up to. */
function rangeOf(dtype, mean, std) {
  const isCentred = [mean ?? 0].flat().some((one) => one !== 0);
  const [scale] = [std ?? 1].flat();
  if (!isCentred && scale > 1 && scale <= 255) return { paper: 0, ink: scale };
  return { paper: 0, ink: dtype === "uint8" || scale > 1 ? 255 : 1 };
}

/** Values between paper and ink, as the model's dtype has them, from shares of 0 to 1. */
export function valuesOf(shares, { paper, ink, dtype }) {
  return Array.from(shares, (share) => fit(paper + (ink - paper) * share, dtype));
}

/** The nearest number that the dtype has. */
export function fit(value, dtype) {
  if (dtype === "uint8") return Math.min(255, Math.max(0, Math.round(value)));
  return Math.fround(Number(value.toFixed(6)));
}

/** Why this number is none for the model, or null. */
export function faultOf(value, dtype) {
  if (!Number.isFinite(value)) return "is not a number";
  if (dtype === "uint8" && (!Number.isInteger(value) || value < 0 || value > 255)) return "is no whole number from 0 to 255";
  if (Math.abs(value) > 1e15) return "is larger than 1e15";
  return null;
}

/** One flat row as nested lists of the model's shape. */
export function nested(values, shape) {
  if (shape.length === 1) return Array.from(values);
  const each = values.length / shape[0];
  return Array.from({ length: shape[0] }, (_, at) => nested(values.slice(at * each, (at + 1) * each), shape.slice(1)));
}

export const sizeSaid = (shape) => shape.join(" × ");

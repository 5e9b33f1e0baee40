// Pictures as the model's rows: decoded in the browser, cut and scaled to the model's size; what was done is said.

/** Shares 0 to 1 of ink in `width` × `height` cells, each the mean of its part of the plane. */
export function shrink({ plane, width, height }, part, cells) {
  const sums = summed(plane, width, height);
  const shares = new Float64Array(cells.width * cells.height);
  for (let row = 0; row < cells.height; row += 1) {
    for (let column = 0; column < cells.width; column += 1) {
      const left = part.left + (column * part.width) / cells.width;
      const top = part.top + (row * part.height) / cells.height;
      const right = left + part.width / cells.width;
      const bottom = top + part.height / cells.height;
      const whole = at(sums, width, height, right, bottom) - at(sums, width, height, left, bottom) - at(sums, width, height, right, top) + at(sums, width, height, left, top);
      shares[row * cells.width + column] = Math.min(1, Math.max(0, whole / ((right - left) * (bottom - top))));
    }
  }
  return shares;
}

/** The sum of everything left of and above each corner of a pixel. */
function summed(plane, width, height) {
  const sums = new Float64Array((width + 1) * (height + 1));
  for (let row = 0; row < height; row += 1) {
    let line = 0;
    for (let column = 0; column < width; column += 1) {
      line += plane[row * width + column];
      sums[(row + 1) * (width + 1) + column + 1] = sums[row * (width + 1) + column + 1] + line;
    }
  }
  return sums;
}

/** The sum up to a place between corners, bilinear, which is exact within a pixel; outside the plane nothing is added. */
function at(sums, width, height, x, y) {
  const [column, row] = [Math.min(width, Math.max(0, x)), Math.min(height, Math.max(0, y))];
  const [left, top] = [Math.min(width - 1, Math.floor(column)), Math.min(height - 1, Math.floor(row))];
  const [along, down] = [column - left, row - top];
  const corner = (right, below) => sums[(top + below) * (width + 1) + left + right];
  return (1 - down) * ((1 - along) * corner(0, 0) + along * corner(1, 0)) + down * ((1 - along) * corner(0, 1) + along * corner(1, 1));
}

/** The smallest box around what is above `least`; null where nothing is. */
export function boxOf({ plane, width, height }, least = 0.05) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      if (plane[row * width + column] <= least) continue;
      left = Math.min(left, column);
      right = Math.max(right, column);
      top = Math.min(top, row);
      bottom = Math.max(bottom, row);
    }
  }
  return right < 0 ? null : { left, top, width: right - left + 1, height: bottom - top + 1 };
}

/** Where the plane is to be cut so that what is drawn fills the model's picture as digits of its size usually do. */
export function centred(drawing, cells) {
  const box = boxOf(drawing);
  if (!box) return null;
  // MNIST has its digits in 20 of 28 pixels, around their centre of mass; pictures of a few pixels are filled.
  const isSmall = Math.min(cells.width, cells.height) < 16;
  const margin = isSmall ? 1 : 28 / 20;
  const unit = margin * Math.max(box.width / cells.width, box.height / cells.height);
  const [x, y] = isSmall ? [box.left + box.width / 2, box.top + box.height / 2] : massOf(drawing);
  return { left: x - (unit * cells.width) / 2, top: y - (unit * cells.height) / 2, width: unit * cells.width, height: unit * cells.height };
}

function massOf({ plane, width }) {
  let [all, x, y] = [0, 0, 0];
  for (const [index, share] of plane.entries()) {
    all += share;
    x += share * ((index % width) + 0.5);
    y += share * (Math.floor(index / width) + 0.5);
  }
  return [x / all, y / all];
}

/** The picture in a file as the model's row: {shares, said}, channel by channel. Throws an Error that names the file. */
export async function decoded(file, input, { isInverted = false } = {}) {
  if (!/^image\/(png|jpeg)$/.test(file.type)) throw new Error(`${file.name}: is neither PNG nor JPEG`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${file.name}: is damaged, or no picture`);
  }
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const part = middleOf(width, height, input);
  const planes = planesOf(data, input.channels, isInverted);
  const shares = planes.map((plane) => shrink({ plane, width, height }, part, input));
  return { shares: shares.flatMap((one) => Array.from(one)), said: saidOf(data, width, height, part, input, isInverted) };
}

/** The largest part in the middle that has the shape of the model's picture. */
function middleOf(width, height, input) {
  const unit = Math.min(width / input.width, height / input.height);
  const part = { width: unit * input.width, height: unit * input.height };
  return { ...part, left: (width - part.width) / 2, top: (height - part.height) / 2 };
}

/** Grey as 0.299 R + 0.587 G + 0.114 B, in whole steps as the service counts it, or each colour; on white paper. */
function planesOf(data, channels, isInverted) {
  const count = data.length / 4;
  const planes = Array.from({ length: channels }, () => new Float64Array(count));
  for (let index = 0; index < count; index += 1) {
    const opaque = data[4 * index + 3] / 255;
    const [red, green, blue] = [0, 1, 2].map((one) => data[4 * index + one] * opaque + 255 * (1 - opaque));
    const values = channels === 1 ? [greyOf(red, green, blue)] : [red, green, blue];
    for (const [channel, value] of values.entries()) planes[channel][index] = (isInverted ? 255 - value : value) / 255;
  }
  return planes;
}

/** As Pillow does it, in 16 bits behind the point. */
const greyOf = (red, green, blue) => Math.floor((19595 * red + 38470 * green + 7471 * blue + 0x8000) / 65536);

function saidOf(data, width, height, part, input, isInverted) {
  const isCut = Math.abs(part.width - width) > 0.5 || Math.abs(part.height - height) > 0.5;
  const isScaled = part.width !== input.width || part.height !== input.height;
  const isColoured = input.channels === 1 && data.some((value, index) => index % 4 < 2 && value !== data[index + 1]);
  const isClear = data.some((value, index) => index % 4 === 3 && value < 255);
  const said = [
    isCut && `cut to the middle ${Math.round(part.width)} × ${Math.round(part.height)}`,
    isScaled && `scaled to ${input.width} × ${input.height}`,
    isColoured && "colours made grey",
    isClear && "put on white where it was transparent",
    isInverted && "inverted",
  ].filter(Boolean);
  return `${width} × ${height} pixels${said.length ? `, ${said.join(", ")}` : ", taken as they are"}`;
}

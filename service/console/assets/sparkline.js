// A line of numbers as an SVG path, for lines that are too small for axes.

import { html, number } from "./ui.js";

const WIDTH = 240;
const HEIGHT = 44;

/** A small line of `points` ({x, y}); `most` is the x at which it will end. The numbers are said beside it. */
export function Sparkline({ points, most, label }) {
  const finite = points.filter(({ y }) => Number.isFinite(y));
  if (finite.length < 2) return html`<svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true"></svg>`;
  const last = Math.max(most ?? 0, finite.at(-1).x, 1);
  const low = Math.min(...finite.map(({ y }) => y));
  const high = Math.max(...finite.map(({ y }) => y));
  const at = ({ x, y }) => [(WIDTH * x) / last, HEIGHT - 4 - ((HEIGHT - 8) * (y - low)) / (high - low || 1)];
  const places = finite.map(at).map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`);
  const [endX, endY] = at(finite.at(-1));
  return html`<svg class="spark" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img"
      aria-label=${`${label}: from ${number(finite[0].y, 1)} to ${number(finite.at(-1).y, 1)} so far`}>
    <polyline points=${places.join(" ")} /><path d=${`M${endX.toFixed(1)} ${endY.toFixed(1)}h0.01`} />
  </svg>`;
}

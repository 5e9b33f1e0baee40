"""Plots of results as SVG: plain text that says the same on every machine, in a light and in a dark page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 860, 330
LEFT, TOP, SIDE, GAP, DOWN = 56, 34, 350, 74, 210
LEGEND_TOP, LEGEND_ROW = 292, 20
TICKS = 5
COLORS = 8
STYLE = """
svg { --paper: #ffffff; --ink: #24292f; --grid: #d8dee4; --c0: #57606a; --c1: #0969da; --c2: #1a7f37; --c3: #bf3989;
  --c4: #bc4c00; --c5: #8250df; --c6: #116d77; --c7: #9a6700; }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --ink: #e6edf3; --grid: #30363d; --c0: #9da7b3;
  --c1: #58a6ff; --c2: #3fb950; --c3: #f778ba; --c4: #f0883e; --c5: #bc8cff; --c6: #39c5cf; --c7: #d29922; } }
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.title { font-weight: 600; } .grid { stroke: var(--grid); } .curve { fill: none; stroke-width: 1.8; }
.bound { stroke-dasharray: 6 4; }
"""


@dataclass(frozen=True)
class Curve:
    """Points (x, y) in the order of x; a bound is one number that the whole panel is compared with."""

    label: str
    points: tuple[Point, ...]
    is_bound: bool = False


@dataclass(frozen=True)
class Panel:
    """One of the two halves of a plot; curves of the same place in their panels have the same color."""

    title: str
    curves: tuple[Curve, ...]


def svg(panels: tuple[Panel, Panel], *, x_title: str, is_log: bool = False) -> str:
    """The panels side by side above the legend of the first one's curves."""
    legend = _legend(panels[0].curves)
    height = LEGEND_TOP + LEGEND_ROW * (1 + max(row for row, _ in legend))
    drawn = [_panel(panel, LEFT + i * (SIDE + GAP), x_title, is_log) for i, panel in enumerate(panels)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="var(--paper)"/>',
        *(line for lines in drawn for line in lines),
        *(line for _, line in legend),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers from low to high."""
    raw = (high - low) / TICKS
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(step * i, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _panel(panel: Panel, left: float, x_title: str, is_log: bool) -> list[str]:
    xs = sorted({x for curve in panel.curves if not curve.is_bound for x, _ in curve.points})
    ys = [y for curve in panel.curves for _, y in curve.points]
    at_x = _scale(math.log10(xs[0]) if is_log else xs[0], math.log10(xs[-1]) if is_log else xs[-1], left, left + SIDE)
    margin = 0.05 * (max(ys) - min(ys)) or 0.1
    low, high = min(ys) - margin, max(ys) + margin
    at_y = _scale(low, high, TOP + DOWN, TOP)

    def place(x: float) -> float:
        return at_x(math.log10(x) if is_log else x)

    lines = [f'<text class="title" x="{left}" y="{TOP - 14}">{escape(panel.title)}</text>']
    for y in ticks(low, high):
        lines.append(f'<line class="grid" x1="{left}" x2="{left + SIDE}" y1="{at_y(y):.1f}" y2="{at_y(y):.1f}"/>')
        lines.append(f'<text x="{left - 6}" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:g}</text>')
    lines += [f'<text x="{place(x):.1f}" y="{TOP + DOWN + 18}" text-anchor="middle">{x:g}</text>' for x in xs]
    lines.append(f'<text x="{left + SIDE / 2}" y="{TOP + DOWN + 36}" text-anchor="middle">{escape(x_title)}</text>')
    for index, curve in enumerate(panel.curves):
        points = [(x, curve.points[0][1]) for x in (xs[0], xs[-1])] if curve.is_bound else curve.points
        path = " ".join(f"{place(x):.1f},{at_y(y):.1f}" for x, y in points)
        kind = "curve bound" if curve.is_bound else "curve"
        lines.append(f'<polyline class="{kind}" stroke="{_color(index)}" points="{path}"/>')
    return lines


def _legend(curves: Sequence[Curve]) -> list[tuple[int, str]]:
    """The row that each entry is in, and the entry."""
    entries = []
    x, row = float(LEFT), 0
    for index, curve in enumerate(curves):
        wide = 50 + 6.4 * len(curve.label)
        if x + wide > WIDTH:
            x, row = float(LEFT), row + 1
        y = LEGEND_TOP + LEGEND_ROW * row
        kind = "curve bound" if curve.is_bound else "curve"
        line = f'<line class="{kind}" stroke="{_color(index)}" x1="{x}" x2="{x + 22}" y1="{y}" y2="{y}"/>'
        entries.append((row, f'{line}<text x="{x + 28}" y="{y + 4}">{escape(curve.label)}</text>'))
        x += wide
    return entries


def _scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    return lambda value: first + (value - low) / ((high - low) or 1.0) * (last - first)


def _color(index: int) -> str:
    return f"var(--c{index % COLORS})"

"""docs/paper.md and its plots, made of results and nothing else; the words around them are by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean

from benchmarks.paper import claims, results
from benchmarks.paper.lines import Result
from benchmarks.paper.plots import Curve, Panel, svg
from benchmarks.paper.sets import Experiment, SetName, experiments
from benchmarks.paper.tables import Found, final, markdown, table

PAGE = Path(__file__).parents[2] / "docs" / "paper.md"
BLOCK = re.compile(r"<!-- results: ([a-z0-9-]+) -->\n.*?<!-- end of results -->", re.DOTALL)
STATED = re.compile(r"Set `(\w+)`")
SCORES = (("accuracy", "accuracy %", 100.0), ("nll", "NLL, nats per row", 1.0))


def write(name: SetName, folder: Path, page: Path = PAGE) -> None:
    """The page and its plots say what the results of the set in the folder say."""
    text, plots = made(name, folder, page)
    for path, plot in plots.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(plot)
    page.write_text(text)


def made(name: SetName, folder: Path, page: Path = PAGE) -> tuple[str, dict[Path, str]]:
    """The text of the page, and its plots by their paths."""
    found = {e.name: (e, found_of(e, folder)) for e in experiments(name)}
    by_name = {key: of for key, (_, of) in found.items()}
    blocks = {"set": _set(name, by_name), "claims": claims.table(by_name)}
    plots = {}
    for experiment, of in found.values():
        if any(of.values()):
            plots[page.parent / page.stem / f"{experiment.name}.svg"] = plot(experiment, of)
            blocks[experiment.name] = _block(experiment, of, page.stem)

    def block(match: re.Match[str]) -> str:
        body = blocks.get(match[1], f"There are no results of this in the set `{name}`.")
        return f"<!-- results: {match[1]} -->\n{body}\n<!-- end of results -->"

    return BLOCK.sub(block, page.read_text()), plots


def found_of(experiment: Experiment, folder: Path) -> Found:
    """The results that the folder has of the experiment, by label."""
    return {
        row.label: [kept for line in row.lines if (kept := results.read(folder, line)) is not None]
        for row in experiment.rows
    }


def plot(experiment: Experiment, found: Found) -> str:
    """Accuracy and NLL part by part, or by beta."""
    if experiment.kind == "sweep":
        panels = [Panel(title, _by_beta(found, score, factor)) for score, title, factor in SCORES]
        return svg((panels[0], panels[1]), x_title="beta", is_log=True)
    panels = [Panel(title, _by_part(found, score, factor)) for score, title, factor in SCORES]
    return svg((panels[0], panels[1]), x_title="part")


def _by_part(found: Found, score: str, factor: float) -> tuple[Curve, ...]:
    curves = []
    for label, of in found.items():
        if of:
            parts = zip(*(result.parts for result in of), strict=True)
            means = [factor * mean(part.scores["ensemble"][score] for part in same) for same in parts]
            curves.append(Curve(label, tuple(enumerate(means, start=1)), is_bound=len(means) == 1))
    return tuple(curves)


def _by_beta(found: Found, score: str, factor: float) -> tuple[Curve, ...]:
    routes = {"ensemble": "ensemble", "mean": "mean weights"}
    there = {float(beta): of for beta, of in found.items() if of}
    return tuple(
        Curve(label, tuple((beta, mean(map(final(route, score, factor), of))) for beta, of in there.items()))
        for route, label in routes.items()
    )


def _block(experiment: Experiment, found: Found, folder: str) -> str:
    of = [result for results_of_row in found.values() for result in results_of_row]
    return "\n\n".join(
        [
            f"**{experiment.title}.** {_scored(of)}",
            markdown(table(experiment, found)),
            f"![{experiment.title}]({folder}/{experiment.name}.svg)",
        ]
    )


def _scored(of: Sequence[Result]) -> str:
    line = of[0].line
    return (
        f"{_listed(result.source for result in of)}. Final scores: at most {line.final_rows:,} {line.held_out} rows, "
        f"{line.final_draws} draws. Plot: {line.curve_rows:,} of them after each part, {line.curve_draws} draws."
    )


def _set(name: SetName, found: dict[str, Found]) -> str:
    unique = {result.line.key: result for rows in found.values() for row in rows.values() for result in row}
    of = list(unique.values())
    if not of:
        return f"Set `{name}`, which has no results yet."
    around = [result.surroundings for result in of]
    hours = sum(result.cpu_seconds for result in of) / 3600
    places = _listed(f"{one['processor']} ({one['machine']}, threads: {one['threads']})" for one in around)
    return (
        f"Set `{name}`: {len(of)} lines, {hours:.1f} CPU hours of updates on {places}; "
        f"torch {_listed(one['torch'] for one in around)}; commits {_listed(one['commit'] for one in around)}."
    )


def _listed(values: Iterable[str]) -> str:
    """Each of the values once, in the order of their first place."""
    return ", ".join(dict.fromkeys(values))

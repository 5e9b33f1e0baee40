"""A line performed: its parts absorbed one after another, scored after each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import bayes
from benchmarks.paper.images import Rows, read
from benchmarks.paper.lines import Line, Part, Result, Scores
from benchmarks.paper.pretraining import pretrained
from benchmarks.paper.stream import stream


def absorb(
    line: Line, data: Path, *, device: str = "cpu", progress: Callable[[float], None] = lambda _: None
) -> Result:
    """What comes out of the line with the data sets under `data`; `progress` is told the part that is done, 0 to 1."""
    dataset = read(line.dataset, data)
    seen = stream(dataset, line.stream, line.held_out, parts=line.parts, part_rows=line.part_rows, seed=line.seed)
    made_of = pretrained(line, seen.old, device=device) if seen.old is not None and line.prior != "vague" else None
    model = bayes.Model.from_description(line.description(made_of.digests if made_of else {}))
    posterior = root = bayes.root(model, made_of)
    parts: list[Part] = []
    steps, seconds, cpu_seconds = 0, 0.0, 0.0
    for index, rows in enumerate(seen.parts):
        before = _curve(line, posterior, rows, device) if index and line.drifts else None
        chunk = bayes.Chunk(rows.images, rows.labels)
        told = partial(_tell, progress, index, line.parts)
        began, cpu_began = time.perf_counter(), time.process_time()
        if made_of and model.is_on_grid and index == 0:
            posterior, report = bayes.absorb_on_grid(model, made_of, chunk, device=device, progress=told)
        else:
            posterior, report = bayes.absorb(posterior, chunk, model.recipe, root=root, device=device, progress=told)
        seconds += time.perf_counter() - began
        cpu_seconds += time.process_time() - cpu_began
        steps += report.steps
        scores = _curve(line, posterior, seen.held_out_at(index), device)
        parts.append(Part(scores, before, report.choice.sigma if report.choice else None, list(report.warnings)))
    held_out = seen.held_out_at(line.parts - 1)
    return Result(
        line=line,
        source=dataset.source,
        device=device,
        model=model.to_description(),
        parts=parts,
        final=_scores(posterior, held_out.at(slice(0, line.final_rows)), draws=line.final_draws, device=device),
        steps=steps,
        seconds=round(seconds, 3),
        cpu_seconds=round(cpu_seconds, 3),
    )


def _tell(progress: Callable[[float], None], done: int, parts: int, of: bayes.Progress) -> None:
    progress((done + of.step / of.steps) / parts)


def _curve(line: Line, posterior: bayes.Posterior, rows: Rows, device: str) -> dict[str, Scores]:
    return _scores(posterior, rows.at(slice(0, line.curve_rows)), draws=line.curve_draws, device=device)


def _scores(posterior: bayes.Posterior, rows: Rows, *, draws: int, device: str) -> dict[str, Scores]:
    """By prediction route; the ensemble's draws have the seed 0, as those of the service by default."""
    ensemble = bayes.predict(posterior, rows.images, samples=draws, device=device)
    mean = bayes.predict(posterior, rows.images, method="mean", device=device)
    return {"ensemble": _rounded(bayes.score(ensemble, rows.labels)), "mean": _rounded(bayes.score(mean, rows.labels))}


def _rounded(scores: Mapping[str, float]) -> Scores:
    return {name: round(value, 6) for name, value in scores.items()}

"""One line of an experiment: what it is, and what comes out of it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import bayes
from benchmarks.paper.images import DatasetName, Rows, read
from benchmarks.paper.stream import HeldOutName, StreamName, stream

Scores = dict[str, float]
NET: dict[DatasetName, str] = {"mnist": "lenet5", "cifar10": "3conv3fc"}
INPUT: dict[DatasetName, dict[str, object]] = {
    "mnist": {"shape": [1, 28, 28], "dtype": "uint8"},
    "cifar10": {
        "shape": [3, 32, 32],
        "dtype": "uint8",
        "mean": [125.3, 123.0, 113.9],
        "std": [63.0, 62.1, 66.7],
    },
}


@dataclass(frozen=True)
class Line:
    """All that decides the result of a line: rows, model, recipe, and how it is scored.

    Attributes:
        recipe: every field that is not to be chosen by `auto`.
        curve_rows, curve_draws: rows held out and weight draws of the scores after each part but the last.
        final_rows, final_draws: the same after the last part; never more rows than there are.
    """

    dataset: DatasetName
    parts: int
    part_rows: int
    family: str
    recipe: Mapping[str, str | float]
    seed: int
    stream: StreamName = "all"
    held_out: HeldOutName = "test"
    device: str = "cpu"
    curve_rows: int = 1_000
    curve_draws: int = 8
    final_rows: int = 10_000
    final_draws: int = 32

    @property
    def key(self) -> str:
        """A name for the line: 16 hexadecimal digits of a digest of all fields that are not left at their default."""
        stated = {f.name: getattr(self, f.name) for f in fields(self)}
        stated = {f.name: stated[f.name] for f in fields(self) if f.default is MISSING or stated[f.name] != f.default}
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def drifts(self) -> bool:
        """What the rows say changes from part to part."""
        return self.stream in ("rotation", "relabeling")

    def description(self, classes: int) -> dict[str, object]:
        """The model of the line, as its client describes it."""
        return {
            "net": {"kind": NET[self.dataset]},
            "input": INPUT[self.dataset],
            "output": {"kind": "categorical", "classes": classes},
            "family": self.family,
            "recipe": {**self.recipe, "seed": self.seed},
            "chunk": {"rows": self.part_rows},
        }


@dataclass(frozen=True)
class Part:
    """Scores after a part by prediction route; `before`, on its own rows, by the posterior that had not seen them."""

    scores: dict[str, Scores]
    before: dict[str, Scores] | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What came out of a line; `seconds` and `cpu_seconds` are those of all its updates together."""

    line: Line
    source: str
    model: dict[str, object]
    parts: tuple[Part, ...]
    steps: int
    seconds: float
    cpu_seconds: float
    surroundings: dict[str, Any] = field(default_factory=dict)

    @property
    def final(self) -> dict[str, Scores]:
        """The scores after the last part by prediction route, "ensemble" and "mean"."""
        return self.parts[-1].scores

    @property
    def milliseconds_per_step(self) -> float:
        """CPU time of a step on the CPU, elapsed time elsewhere."""
        return 1000 * (self.cpu_seconds if self.line.device == "cpu" else self.seconds) / self.steps

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"key": self.line.key}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        kept = json.loads(text)
        del kept["key"]
        parts = tuple(Part(p["scores"], p["before"], tuple(p["warnings"])) for p in kept.pop("parts"))
        return cls(line=Line(**kept.pop("line")), parts=parts, **kept)


def run(line: Line, data: Path, progress: Callable[[float], None] = lambda _: None) -> Result:
    """What comes out of the line with the data sets under `data`; `progress` is told the part that is done, 0 to 1."""
    dataset = read(line.dataset, data)
    seen = stream(dataset, line.stream, line.held_out, parts=line.parts, part_rows=line.part_rows, seed=line.seed)
    model = bayes.Model.from_description(line.description(seen.classes))
    root = posterior = bayes.root(model)
    parts: list[Part] = []
    steps, seconds, cpu_seconds = 0, 0.0, 0.0
    for index, rows in enumerate(seen.parts):
        before = _scores(line, posterior, rows, is_last=False) if index and line.drifts else None
        began, cpu_began = time.perf_counter(), time.process_time()
        posterior, report = bayes.absorb(
            posterior,
            bayes.Chunk(rows.images, rows.labels),
            model.recipe,
            root=root,
            device=line.device,
            progress=partial(_tell, progress, index, line.parts),
        )
        seconds += time.perf_counter() - began
        cpu_seconds += time.process_time() - cpu_began
        steps += report.steps
        scores = _scores(line, posterior, seen.held_out_at(index), is_last=index == line.parts - 1)
        parts.append(Part(scores, before, report.warnings))
    return Result(line, dataset.source, model.to_description(), tuple(parts), steps, seconds, cpu_seconds)


def _tell(progress: Callable[[float], None], done: int, parts: int, of: bayes.Progress) -> None:
    progress((done + of.step / of.steps) / parts)


def _scores(line: Line, posterior: bayes.Posterior, rows: Rows, *, is_last: bool) -> dict[str, Scores]:
    """By prediction route; the ensemble's draws have the seed 0, as those of the service by default."""
    images, labels = rows.at(slice(0, line.final_rows if is_last else line.curve_rows))
    draws = line.final_draws if is_last else line.curve_draws
    ensemble = bayes.predict(posterior, images, samples=draws, device=line.device)
    mean = bayes.predict(posterior, images, method="mean", device=line.device)
    return {"ensemble": _rounded(bayes.score(ensemble, labels)), "mean": _rounded(bayes.score(mean, labels))}


def _rounded(scores: Mapping[str, float]) -> Scores:
    return {name: round(value, 6) for name, value in scores.items()}

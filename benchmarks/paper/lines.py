"""One line of an experiment: what it is, and what comes out of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal

from benchmarks.paper.images import DatasetName
from benchmarks.paper.stream import CLASSES, OLD_CLASSES, HeldOutName, StreamName

Scores = dict[str, float]
PriorName = Literal["vague", "weights", "laplace"]

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
        recipe: every field that is not to be chosen by `auto`; images are not moved unless it says so.
        curve_rows, curve_draws: rows held out and weight draws of the scores after each part.
        final_rows, final_draws: the same of the final scores; never more rows than there are.
        prior: "weights" and "laplace" are around w*, with a fresh head; `sigmas` are those to choose from, or the one.
        old_rows, old_epochs: what w* was learned from, rows of the old classes and passes over them.
        old_batch_rows: how many of these the width of a Laplace prior is measured on.
    """

    dataset: DatasetName
    parts: int
    part_rows: int
    family: str
    recipe: Mapping[str, str | float]
    seed: int
    stream: StreamName = "all"
    held_out: HeldOutName = "test"
    curve_rows: int = 1_000
    curve_draws: int = 8
    final_rows: int = 10_000
    final_draws: int = 32
    prior: PriorName = "vague"
    sigmas: tuple[float, ...] = ()
    old_rows: int = 0
    old_epochs: int = 0
    old_batch_rows: int = 0

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

    def description(self, digests: Mapping[str, str]) -> dict[str, object]:
        """The model of the line, as its client describes it, with a prior made of the blobs of these digests."""
        prior: dict[str, object] = {"kind": "gaussian"}
        if self.prior != "vague":
            prior = {"kind": self.prior, **digests, "head": "fresh"}
        if self.sigmas:
            prior |= {"sigmas": list(self.sigmas)}
        return {
            **self._shaped(OLD_CLASSES if self.stream == "new-classes" else CLASSES),
            "family": self.family,
            "prior": prior,
            "recipe": {"shift_pixels": 0, **self.recipe, "seed": self.seed},
            "chunk": {"rows": self.part_rows},
        }

    def old_description(self) -> dict[str, object]:
        """The model that w* is learned by: fine-tuning, by the recipe of the line but for its passes."""
        recipe = {name: self.recipe[name] for name in ("lr", "lr_final", "batch_rows") if name in self.recipe}
        return {
            **self._shaped(OLD_CLASSES),
            "family": "point",
            "recipe": {**recipe, "optimizer": "adam", "epochs": self.old_epochs, "shift_pixels": 0, "seed": self.seed},
        }

    def _shaped(self, classes: int) -> dict[str, object]:
        output = {"kind": "categorical", "classes": classes}
        return {"net": {"kind": NET[self.dataset]}, "input": INPUT[self.dataset], "output": output}


@dataclass(frozen=True)
class Part:
    """What became of a part of a line.

    Attributes:
        scores: on the rows held out, after the part, by prediction route.
        before: on its own rows, by the posterior that had not seen them; None where the stream does not drift.
        sigma: the one that was chosen of several.
        warnings: those of the update.
    """

    scores: dict[str, Scores]
    before: dict[str, Scores] | None
    sigma: float | None
    warnings: list[str]


@dataclass(frozen=True)
class Result:
    """What came out of a line; `seconds` and `cpu_seconds` are those of all its updates together.

    `final` has the scores after the last part by prediction route, "ensemble" and "mean".
    """

    line: Line
    source: str
    device: str
    model: dict[str, object]
    parts: list[Part]
    final: dict[str, Scores]
    steps: int
    seconds: float
    cpu_seconds: float
    surroundings: dict[str, Any] = field(default_factory=dict)

    @property
    def milliseconds_per_step(self) -> float:
        """CPU time of a step on the CPU, elapsed time elsewhere."""
        return 1000 * (self.cpu_seconds if self.device == "cpu" else self.seconds) / self.steps

    def to_json(self) -> str:
        return json.dumps({"key": self.line.key, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Result:
        """The result whose `to_json` the text is."""
        kept = json.loads(text)
        key, line, parts = kept.pop("key"), kept.pop("line"), kept.pop("parts")
        result = cls(
            line=Line(**{**line, "sigmas": tuple(line["sigmas"])}), parts=[Part(**part) for part in parts], **kept
        )
        assert result.line.key == key, f"{key} is not the key of its line"
        return result

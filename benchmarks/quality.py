"""Moments in one pass beside 32 drawn nets: `python -m benchmarks.quality --data <root>` writes results/quality.json.

MNIST, LeNet-5, ten chunks drawn without replacement and absorbed by the automatic recipe; seeds choose the rows. All
methods speak of one posterior: of the 10,000 test images, and of the same turned by a quarter; the AUROC says how well
the entropy tells these from those. A bound holds where it does for every posterior.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

import bayes
from benchmarks import mnist, record
from benchmarks.mnist import Rows

CHUNKS = 10
SAMPLES = 32
SEEDS = (1, 2, 3)
CHUNK_ROWS = (500, 600)
FAMILIES: tuple[bayes.FamilyName, ...] = ("ffg",)
BOUNDS: Mapping[str, tuple[float, float]] = {
    "accuracy": (-0.002, 0.002),
    "nll": (-1.0, 0.003),
    "ece": (-1.0, 0.003),
    "auroc": (-0.005, 1.0),
}
"""Least and most of the moments' score less that of the drawn nets."""

Scores = dict[str, float]


class Line(NamedTuple):
    """What a posterior was made by."""

    family: bayes.FamilyName
    chunk_rows: int
    seed: int

    def __str__(self) -> str:
        return f"{self.family}, {CHUNKS} x {self.chunk_rows}, seed {self.seed}"


def main() -> None:
    parser = argparse.ArgumentParser(description="The quality of one-pass moments beside that of 32 drawn nets.")
    parser.add_argument("--families", nargs="+", default=FAMILIES, help="ffg, cfg")
    parser.add_argument("--chunk-rows", nargs="+", type=int, default=CHUNK_ROWS, help="rows of each of the ten chunks")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="each chooses other rows")
    parser.add_argument("--test-rows", type=int, default=10_000, help="the first so many; few make a quick trial")
    given = arguments(parser)
    lines = [Line(*each) for each in product(given.families, given.chunk_rows, given.seeds)]
    train = mnist.read(given.data, train=True)
    held_out = mnist.read(given.data, train=False).at(torch.arange(given.test_rows))
    result: dict[str, Any] = {
        "what": f"MNIST, LeNet-5: moments beside {SAMPLES} drawn nets, on test images and these turned by 90 degrees",
        "test_rows": given.test_rows,
        "bounds": BOUNDS,
        "seeds": given.seeds,
        **record.surroundings(),
        "posteriors": {},
    }
    for line in track(lines, description="posteriors"):
        posterior = made(train, line, cache=given.cache)
        result["posteriors"][str(line)] = {"digest": posterior.digest, **compare(posterior, held_out)}
        result["holds"] = held([found["holds"] for found in result["posteriors"].values()])
        record.write("quality", result)
    Console().print(table(result["posteriors"]))
    Console().print("for every posterior:", result["holds"])


def arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What is given on the command line, with the folders that every comparison on posteriors of MNIST needs."""
    parser.add_argument("--data", type=Path, required=True, help="the folder that has MNIST/raw, or is to have it")
    parser.add_argument("--cache", type=Path, help="a folder that keeps posteriors; empty it when bayes/ learns anew")
    parser.add_argument("--threads", type=int, default=2, help="torch's")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.cache = given.cache or Path(tempfile.mkdtemp(prefix="posteriors-"))
    return given


def chunks_of(train: Rows, line: Line) -> list[Rows]:
    """The chunks that the line's posterior is made of."""
    chunks, _ = mnist.stream(train, line.seed, chunks=CHUNKS, chunk_rows=line.chunk_rows)
    return chunks


def made(train: Rows, line: Line, *, cache: Path) -> bayes.Posterior:
    """The posterior after the line's ten chunks, by the automatic recipe and one thread; from the cache if there."""
    path = cache / f"{line.family}-{CHUNKS}x{line.chunk_rows}-{line.seed}.safetensors"
    if path.exists():
        return bayes.Posterior.from_bytes(path.read_bytes())
    model = bayes.Model.from_description(
        {**mnist.DESCRIPTION, "family": line.family, "chunk": {"rows": line.chunk_rows}, "recipe": "auto"}
    )
    posterior, threads = bayes.root(model), torch.get_num_threads()
    torch.set_num_threads(1)
    for chunk in track(chunks_of(train, line), description=str(line), transient=True):
        posterior, _ = bayes.absorb(posterior, bayes.Chunk(*chunk), model.recipe)
    torch.set_num_threads(threads)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(posterior.to_bytes())
    partial.replace(path)
    return posterior


def compare(posterior: bayes.Posterior, held_out: Rows) -> dict[str, Any]:
    """The scores of each method, how the moments' differ from the drawn nets', and which bounds that keeps."""
    ways = {
        "moments": bayes.ready(posterior, method="moments"),
        "ensemble": bayes.ready(posterior, method="ensemble", samples=SAMPLES),
        "mean": bayes.ready(posterior, method="mean"),
    }
    assert ways["moments"].method == "moments"
    scores = {name: scored(ready, held_out) for name, ready in ways.items()}
    difference = {name: scores["moments"][name] - scores["ensemble"][name] for name in BOUNDS}
    holds = {name: least <= difference[name] <= most for name, (least, most) in BOUNDS.items()}
    return {"scores": scores, "difference": difference, "holds": holds}


def scored(ready: bayes.Ready, held_out: Rows) -> Scores:
    """Accuracy, NLL and ECE of the test images, and the AUROC of the entropy beside the turned ones."""
    usual = said(ready, held_out.images)
    turned = said(ready, held_out.images.rot90(1, (2, 3)))
    return {
        "accuracy": bayes.accuracy(usual.probabilities, held_out.labels),
        "nll": bayes.nll(usual.probabilities, held_out.labels),
        "ece": bayes.ece(usual.probabilities, held_out.labels),
        "auroc": bayes.auroc(usual.entropy, turned.entropy),
    }


def said(ready: bayes.Ready, images: torch.Tensor) -> bayes.CategoricalPrediction:
    prediction = bayes.ask(ready, images)
    assert isinstance(prediction, bayes.CategoricalPrediction)
    return prediction


def held(each: Sequence[Mapping[str, bool]]) -> dict[str, bool]:
    """Which bounds hold for every posterior."""
    return {name: all(holds[name] for holds in each) for name in BOUNDS}


def table(posteriors: Mapping[str, Mapping[str, Any]]) -> Table:
    shown = Table("posterior", "score", "moments", f"{SAMPLES} nets", "means", "difference", "bound", "holds")
    for line, found in posteriors.items():
        for name, (least, most) in BOUNDS.items():
            figures = [f"{found['scores'][way][name]:.4f}" for way in ("moments", "ensemble", "mean")]
            bound = f"{least:+g}" if name == "auroc" else f"{most:+g}"
            answer = "yes" if found["holds"][name] else "no"
            shown.add_row(line, name, *figures, f"{found['difference'][name]:+.4f}", bound, answer)
    return shown


if __name__ == "__main__":
    main()

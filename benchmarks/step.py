"""What one step of an update costs: `python -m benchmarks.step` writes results/step.json.

LeNet-5 on MNIST-sized rows, batches of 50 and of 100, one sample of the weights, one thread, CPU seconds of the
process. Ours are whole updates by `bayes.absorb`, which adds the reading of the rows, the final evaluation and the
report to its steps, from a posterior that has absorbed one chunk before; the other libraries are their bare training
loops (benchmarks/peers/steps.py). Each takes as many steps as `auto` does for a chunk of 500 rows. All take turns in
one process, so that a busy machine is busy for all. Ratios are those within one turn of the rounds, to the update of a
point, and to the loop of plain torch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

import bayes
from benchmarks import mnist, peers, record
from benchmarks.peers.steps import STEPS

OURS: Mapping[str, dict[str, object]] = {
    "point": {"family": "point"},
    "ffg": {"family": "ffg"},
    "ffg, ivon": {"family": "ffg", "recipe": {"optimizer": "ivon"}},
    "cfg": {"family": "cfg"},
    "mnf": {"family": "mnf"},
    "mnf-filter": {"family": "mnf-filter"},
}
BATCHES = (50, 100)
EPOCHS, MINIBATCHES = 15, 10
ROUNDS = 3
SEED = 0

Contender = Callable[[], float]
"""Takes EPOCHS * MINIBATCHES steps and returns the CPU seconds of one of them."""


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU seconds of one training step, ours and other libraries'.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns that every contender takes")
    rounds = parser.parse_args().rounds
    peers.require()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    result: dict[str, Any] = {
        "what": "CPU milliseconds per training step, LeNet-5, one thread, one weight sample; ratios within a round",
        "steps": EPOCHS * MINIBATCHES,
        "rounds": rounds,
        "seed": SEED,
        **record.surroundings(),
        "batch_rows": {},
    }
    for batch_rows in BATCHES:
        result["batch_rows"][batch_rows] = summary(measure(batch_rows, rounds))
        record.write("step", result)
        Console().print(table(batch_rows, result["batch_rows"][batch_rows]))


def measure(batch_rows: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds per step of each contender in each round."""
    generator = torch.Generator().manual_seed(SEED)
    rows = batch_rows * MINIBATCHES
    images = torch.randint(0, 256, (rows, 1, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (rows,), generator=generator)
    contenders = {f"posterity {name}": ours(images, labels, extra) for name, extra in OURS.items()}
    contenders |= {name: loop(images, labels, name) for name in STEPS}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    turns = [name for _ in range(rounds) for name in contenders]
    for name in track(turns, description=f"batches of {batch_rows}"):
        seconds[name].append(contenders[name]())
    return seconds


def ours(images: Tensor, labels: Tensor, extra: Mapping[str, object]) -> Contender:
    """A whole update of a model with these fields, through the public API; like the others', its images stay."""
    chunk = bayes.Chunk(images, labels)
    recipe = {
        **_mapping(extra.get("recipe")),
        "shift_pixels": 0,
        "epochs": EPOCHS,
        "batch_rows": len(labels) // MINIBATCHES,
    }
    model = bayes.Model.from_description({**mnist.DESCRIPTION, **extra, "recipe": {**recipe}})
    first = bayes.Model.from_description({**mnist.DESCRIPTION, **extra, "recipe": {**recipe, "epochs": 1}})
    prior, _ = bayes.absorb(bayes.root(first), chunk, first.recipe)

    def contender() -> float:
        began = time.process_time()
        _, report = bayes.absorb(prior, chunk, model.recipe)
        return (time.process_time() - began) / report.steps

    return contender


def loop(images: Tensor, labels: Tensor, name: str) -> Contender:
    """The training loop of the library, after a step that warms it up."""
    step = STEPS[name]()
    batches = list(zip(images.chunk(MINIBATCHES), labels.chunk(MINIBATCHES), strict=True))
    step(batches[0][0] / mnist.PIXEL_MAX, batches[0][1])

    def contender() -> float:
        began = time.process_time()
        for _ in range(EPOCHS):
            for part, truth in batches:
                step(part / mnist.PIXEL_MAX, truth)
        return (time.process_time() - began) / (EPOCHS * MINIBATCHES)

    return contender


def summary(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Of each contender the milliseconds per step and the ratios: median over the rounds, least and most."""
    found: dict[str, dict[str, float]] = {}
    for name, own in seconds.items():
        to_point = [mine / base for mine, base in zip(own, seconds["posterity point"], strict=True)]
        to_plain = [mine / base for mine, base in zip(own, seconds["plain torch"], strict=True)]
        found[name] = {
            "milliseconds": round(1000 * median(own), 2),
            "to_point": round(median(to_point), 2),
            "to_point_least": round(min(to_point), 2),
            "to_point_most": round(max(to_point), 2),
            "to_plain_torch": round(median(to_plain), 2),
        }
    return found


def table(batch_rows: int, figures: Mapping[str, Mapping[str, float]]) -> Table:
    shown = Table("one step", "CPU ms", "x point", "least to most", "x plain torch", title=f"batches of {batch_rows}")
    for name, of in figures.items():
        spread = f"{of['to_point_least']:.2f} to {of['to_point_most']:.2f}"
        shown.add_row(name, f"{of['milliseconds']:.1f}", f"{of['to_point']:.2f}", spread, f"{of['to_plain_torch']:.2f}")
    return shown


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":
    main()

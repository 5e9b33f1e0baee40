"""A newcomer's model against tuned ones: `python -m benchmarks.out_of_the_box --data <root>` writes its result.

MNIST, LeNet-5, ten chunks of 600 rows drawn without replacement, ten epochs each, tested after the last chunk on all
10,000 test images; seeds 1, 2, 3 choose the rows. Ours leaves the whole recipe but the epochs to `auto` and predicts by
its default; beside it a point by the same recipe, which is fine-tuning. As `auto` moves the images of LeNet-5 by up to
2 pixels, both also run without, and the libraries also with. The two libraries that did best in a survey of ten
(posteriors' VI and torch-blue) run with their KL tempered by hand to 0.01 and their posterior carried forward by hand
as the next prior: once with a constant learning rate, as their documents have it, and once with the decay of ours lent
to them and the best of the settings in TRIED. `--tune` tries these, and shifts of ours, on 5,000 training rows that
are in no chunk (seed 11) and writes results/out_of_the_box_tuning.json; the test images have no part in it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

import bayes
from benchmarks import mnist, peers, record
from benchmarks.mnist import Rows
from benchmarks.peers.chains import Chain, Posteriors, Settings, TorchBlue

CHUNKS, CHUNK_ROWS, EPOCHS = 10, 600, 10
SEEDS, SEEDS_TUNED = (1, 2, 3), (11,)
VALIDATION_ROWS = 5_000
PLAIN, BEST = "rate as documented", "rate decays as ours"
TRIED: Mapping[str, Mapping[str, tuple[Settings, ...]]] = {
    "posteriors": {
        PLAIN: (Settings(lr=1e-3, lr_final=1.0, sigma_start=0.02),),
        BEST: (
            Settings(lr=1e-3, lr_final=0.02, sigma_start=0.02),
            Settings(lr=2e-3, lr_final=0.02, sigma_start=0.02),
            Settings(lr=1e-3, lr_final=0.02, sigma_start=0.05),
        ),
    },
    "torch-blue": {
        PLAIN: (
            Settings(lr=1e-3, lr_final=1.0, sigma_start=0.5),
            Settings(lr=1e-3, lr_final=1.0, sigma_start=0.1),
        ),
        BEST: (
            Settings(lr=1e-3, lr_final=0.02, sigma_start=0.5),
            Settings(lr=1e-3, lr_final=0.02, sigma_start=0.25),
            Settings(lr=1e-3, lr_final=0.02, sigma_start=1.0),
            Settings(lr=1e-3, lr_final=0.02, sigma_start=0.1),
        ),
    },
}
"""Of each library and rate; the first is the best of them on validation rows and goes into the comparison."""
PEERS: Mapping[str, Callable[[Settings, torch.Generator], Chain]] = {"posteriors": Posteriors, "torch-blue": TorchBlue}

SHIFTS_TRIED = (0, 1, 2, 3)
"""In pixels, of our own recipe."""

Start = Callable[[int], Chain]
"""The model of this seed before any rows."""


class Ours:
    """A model of ours; its recipe is `auto` but for the epochs and what else is given."""

    def __init__(self, family: str, **given: int) -> None:
        recipe = {"epochs": EPOCHS, **given}
        description = {**mnist.DESCRIPTION, "family": family, "chunk": {"rows": CHUNK_ROWS}, "recipe": recipe}
        self._model = bayes.Model.from_description(description)
        self._posterior = bayes.root(self._model)
        self.shift_pixels = self._model.recipe.shift_pixels

    def absorb(self, rows: Rows) -> None:
        self._posterior, _ = bayes.absorb(self._posterior, bayes.Chunk(*rows), self._model.recipe)

    def probabilities(self, images: Tensor) -> Tensor:
        prediction = bayes.predict(self._posterior, images, method="ensemble")
        assert isinstance(prediction, bayes.CategoricalPrediction)
        return prediction.probabilities


def main() -> None:
    parser = argparse.ArgumentParser(description="Ten chunks of MNIST by our automatic recipe and by tuned libraries.")
    parser.add_argument("--data", type=Path, required=True, help="the folder that has MNIST/raw, or is to have it")
    parser.add_argument("--tune", action="store_true", help="try the libraries' settings on validation rows instead")
    given = parser.parse_args()
    peers.require()
    torch.set_num_threads(1)
    train = mnist.read(given.data, train=True)
    if given.tune:
        measure("out_of_the_box_tuning", candidates(), SEEDS_TUNED, lambda seed: streamed(train, seed))
    else:
        held_out = mnist.read(given.data, train=False)
        measure("out_of_the_box", contenders(), SEEDS, lambda seed: streamed(train, seed, held_out))


def contenders() -> dict[str, Start]:
    best = {f"{name}, {rate}": _peer(name, tried[0]) for name, rates in TRIED.items() for rate, tried in rates.items()}
    return {
        "posterity ffg, auto": lambda _: Ours("ffg"),
        "fine-tuning (point), auto": lambda _: Ours("point"),
        **best,
        "posterity ffg, auto, images not moved": _ours("ffg", 0),
        "fine-tuning (point), auto, images not moved": _ours("point", 0),
        **{f"{name}, {BEST}, images moved as ours": _moving(name, rates[BEST][0]) for name, rates in TRIED.items()},
    }


def candidates() -> dict[str, Start]:
    each = [(name, settings) for name, rates in TRIED.items() for tried in rates.values() for settings in tried]
    peers_tried = {f"{name}, {_brief(settings)}": _peer(name, settings) for name, settings in each}
    return {
        **{f"posterity ffg, auto, shift_pixels {pixels}": _ours("ffg", pixels) for pixels in SHIFTS_TRIED},
        **peers_tried,
    }


def measure(
    name: str,
    starts: Mapping[str, Start],
    seeds: tuple[int, ...],
    rows: Callable[[int], tuple[list[Rows], Rows]],
) -> None:
    """Leads every contender through the stream of every seed; the result is written after each."""
    scores: dict[str, list[dict[str, float]]] = {contender: [] for contender in starts}
    result: dict[str, Any] = {
        "what": f"MNIST, LeNet-5, {CHUNKS} chunks of {CHUNK_ROWS} rows, {EPOCHS} epochs each; scores after the last",
        "seeds": seeds,
        **record.surroundings(),
    }
    turns = [(seed, contender) for seed in seeds for contender in starts]
    for seed, contender in track(turns, description=name):
        chunks, held_out = rows(seed)
        scores[contender].append(lead(starts[contender], seed, chunks, held_out))
        result["scores"] = {known: summary(found) for known, found in scores.items() if found}
        record.write(name, result)
    Console().print(table(result["scores"]))


def lead(start: Start, seed: int, chunks: list[Rows], held_out: Rows) -> dict[str, float]:
    """The scores on the held-out rows after all chunks, and the CPU seconds of learning and of predicting."""
    torch.manual_seed(seed)
    began = time.process_time()
    chain = start(seed)
    for chunk in chunks:
        chain.absorb(chunk)
    learned = time.process_time()
    probabilities = chain.probabilities(held_out.images)
    return {
        "accuracy": bayes.accuracy(probabilities, held_out.labels),
        "nll": bayes.nll(probabilities, held_out.labels),
        "ece": bayes.ece(probabilities, held_out.labels),
        "learning_seconds": learned - began,
        "predicting_seconds": time.process_time() - learned,
    }


def streamed(train: Rows, seed: int, held_out: Rows | None = None) -> tuple[list[Rows], Rows]:
    """The chunks of this seed, and rows to test on: those held out, or training rows that are in no chunk."""
    chunks, left = mnist.stream(train, seed, chunks=CHUNKS, chunk_rows=CHUNK_ROWS)
    return chunks, left.at(torch.arange(VALIDATION_ROWS)) if held_out is None else held_out


def summary(found: list[dict[str, float]]) -> dict[str, Any]:
    """The mean of each score over the seeds, and each seed's own."""
    return {name: {"mean": mean(s[name] for s in found), "seeds": [s[name] for s in found]} for name in found[0]}


def table(scores: Mapping[str, Mapping[str, Any]]) -> Table:
    shown = Table("contender", "accuracy %", "of each seed", "NLL", "ECE", "CPU s learning")
    for name, of in scores.items():
        seeds = " ".join(f"{100 * value:.2f}" for value in of["accuracy"]["seeds"])
        means = {score: of[score]["mean"] for score in of}
        figures = (f"{means['nll']:.4f}", f"{means['ece']:.4f}", f"{means['learning_seconds']:.0f}")
        shown.add_row(name, f"{100 * means['accuracy']:.2f}", seeds, *figures)
    return shown


def _peer(name: str, settings: Settings) -> Start:
    return lambda seed: PEERS[name](settings, torch.Generator().manual_seed(seed))


def _ours(family: str, shift_pixels: int) -> Start:
    return lambda _: Ours(family, shift_pixels=shift_pixels)


def _moving(name: str, settings: Settings) -> Start:
    return _peer(name, replace(settings, shift_pixels=Ours("ffg").shift_pixels))


def _brief(settings: Settings) -> str:
    rate = f"lr {settings.lr:g} to {settings.lr * settings.lr_final:g}"
    return f"{rate}, sigma {settings.sigma_start:g}, prior {settings.prior_sigma:g}"


if __name__ == "__main__":
    main()

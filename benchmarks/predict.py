"""What a prediction costs and is worth: `python -m benchmarks.predict --data <root>` writes results/predict.json.

LeNet-5 on MNIST, one posterior of family ffg made of ten chunks of 500 rows by the automatic recipe. A plain net of its
means in torch's own layers is the measure of all. Ours predicts by moments, by 8 and 32 kept nets, and by the means;
the other libraries hold the same means and sigmas and predict as they document, with 32 samples (peers/predictors.py).
3Conv3FC on images of noise is ours alone, and without 32 nets, which take half a minute for 1,024 images. Ours takes
bytes and gives probabilities and entropies, all others take floats and give probabilities.

All take turns in one process, in another order each round. A contender's figure of a round is the median of its calls,
of which there are as many as fill a fifth of a second, and at least one. Ratios are those of medians over the rounds.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any, assert_never

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

import bayes
from bayes.layers import Conv, Dense, Flatten, Layer, MaxPool, Relu, Softplus
from bayes.nets import Layered, expand
from benchmarks import mnist, peers, record
from benchmarks.mnist import PIXEL_MAX, Rows
from benchmarks.peers.predictors import SAMPLES, SAMPLING, Predictor, laplace_torch, predictor
from benchmarks.quality import Line, arguments, chunks_of, made, said

LINE = Line("ffg", 500, 1)
SEED = 0
BATCHES = (1, 64, 1024)
ROUNDS, ROUNDS_OF_SLOW, SLOW_SECONDS = 7, 5, 1.0
SECONDS = 0.2
SCORED_ROWS, SLICE_ROWS = 2_000, 250
PLAIN, CHANNELS_LAST, MOMENTS = "plain torch", "plain torch, channels last", "posterity, moments"
Ways = Mapping[str, Mapping[str, Any]]
"""Of each way of ours to predict what `bayes.ready` is told."""
OURS: Ways = {
    MOMENTS: {"method": "moments"},
    "posterity, 8 nets": {"method": "ensemble", "samples": 8},
    f"posterity, {SAMPLES} nets": {"method": "ensemble", "samples": SAMPLES},
    "posterity, means": {"method": "mean"},
}
COLOR: Mapping[str, object] = {
    "net": {"kind": "3conv3fc"},
    "input": {"shape": [3, 32, 32], "dtype": "uint8"},
    "output": {"kind": "categorical", "classes": 10},
    "recipe": {"epochs": 1, "steps_least": 1},
}

Calls = Mapping[str, Callable[[], object]]
"""Of each contender what predicts a batch once."""


def main() -> None:
    given = arguments(argparse.ArgumentParser(description="Milliseconds and scores of predictions, ours and others'."))
    peers.require()
    torch.manual_seed(SEED)
    train, held_out = mnist.read(given.data, train=True), mnist.read(given.data, train=False)
    posterior = made(train, LINE, cache=given.cache)
    others = others_of(posterior, train)
    result: dict[str, Any] = {
        "what": "milliseconds of one prediction, and its scores; ratios of medians over the rounds",
        "posterior": {"line": str(LINE), "digest": posterior.digest},
        "threads": torch.get_num_threads(),
        "seed": SEED,
        **record.surroundings(),
    }
    noise = torch.randint(0, 256, (max(BATCHES), 3, 32, 32), dtype=torch.uint8)
    color, few = of_noise(noise), {name: how for name, how in OURS.items() if how.get("samples") != SAMPLES}
    subjects: Mapping[str, Callable[[int], Calls]] = {
        "lenet5": lambda rows: calls(posterior, held_out.images[:rows], OURS, others),
        "3conv3fc": lambda rows: calls(color, noise[:rows], few, {}),
    }
    for net, contenders in subjects.items():
        result[net] = {}
        for rows in BATCHES:
            result[net][rows] = summary(measure(contenders(rows), f"{net}, {rows} rows"))
            record.write("predict", result)
            Console().print(times_table(f"{net}, {rows} rows", result[net][rows]))
    result["scores"] = scores(posterior, held_out, others)
    record.write("predict", result)
    Console().print(scores_table(result["scores"]))


def others_of(posterior: bayes.Posterior, train: Rows) -> dict[str, Predictor]:
    """The other libraries' predictors with this posterior, laplace-torch's made of the rows that ours was made of."""
    beliefs = {layer.name: posterior.layer(layer.name) for layer in posterior.network.weighted}
    chunks = chunks_of(train, LINE)
    seen = Rows(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))
    found = {name: predictor(build(beliefs)) for name, build in SAMPLING.items()}
    for structure in ("kron", "diag"):
        found[f"laplace-torch, last layer, {structure}"] = laplace_torch(beliefs, seen, structure=structure)
    return found


def of_noise(images: Tensor) -> bayes.Posterior:
    """A posterior of 3Conv3FC that has seen a few images of noise, once."""
    model = bayes.Model.from_description(COLOR)
    few = images[:50]
    posterior, _ = bayes.absorb(bayes.root(model), bayes.Chunk(few, torch.arange(len(few)) % 10), model.recipe)
    return posterior


def calls(posterior: bayes.Posterior, images: Tensor, ways: Ways, others: Mapping[str, Predictor]) -> Calls:
    """Every contender with the batch in the form that it takes."""
    floats = posterior.input.scale(images)
    plain, last = sequential(posterior), sequential(posterior).to(memory_format=torch.channels_last)
    ready = {name: bayes.ready(posterior, **how) for name, how in ways.items()}
    return {
        PLAIN: partial(_probabilities, plain, floats),
        CHANNELS_LAST: partial(_probabilities, last, floats.contiguous(memory_format=torch.channels_last)),
        **{name: partial(bayes.ask, using, images) for name, using in ready.items()},
        **{name: partial(other, floats) for name, other in others.items()},
    }


def measure(contenders: Calls, description: str) -> dict[str, list[float]]:
    """Seconds of one call of each contender in each round.

    First each is called once to warm up; where that takes long it counts, and the last rounds are left out.
    """
    order = random.Random(SEED)  # noqa: S311
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    slow = {name: took for name, call in contenders.items() if (took := next(timed(call))) > SLOW_SECONDS}
    for index in track(range(ROUNDS), description=description):
        for name in order.sample(sorted(contenders), len(contenders)):
            if name not in slow or 0 < index < ROUNDS_OF_SLOW:
                seconds[name].append(median(timed(contenders[name])))
    return seconds | {name: [took, *seconds[name]] for name, took in slow.items()}


def timed(call: Callable[[], object]) -> Iterator[float]:
    """Seconds of one call after another, until they fill a fifth of a second."""
    began = ended = time.perf_counter()
    while ended - began < SECONDS:
        called = ended
        call()
        ended = time.perf_counter()
        yield ended - called


def summary(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Of each contender the milliseconds, median over the rounds with least and most, and ratios of medians."""
    middle = {name: median(own) for name, own in seconds.items()}
    return {
        name: {
            "milliseconds": round(1000 * middle[name], 3),
            "least": round(1000 * min(own), 3),
            "most": round(1000 * max(own), 3),
            "rounds": len(own),
            "to_plain": round(middle[name] / middle[PLAIN], 2),
            "to_channels_last": round(middle[name] / middle[CHANNELS_LAST], 2),
            "to_moments": round(middle[name] / middle[MOMENTS], 2),
        }
        for name, own in seconds.items()
    }


def scores(posterior: bayes.Posterior, held_out: Rows, others: Mapping[str, Predictor]) -> dict[str, Any]:
    """Of all on the same first test rows, as 32 samples take minutes for 10,000; of ours also on all of them."""
    first = held_out.at(torch.arange(SCORED_ROWS))
    found: dict[str, Any] = {f"first {SCORED_ROWS}": {}, f"all {len(held_out.labels)}": {}}
    on_first, on_all = found.values()
    for name, how in OURS.items():
        probabilities = said(bayes.ready(posterior, **how), held_out.images).probabilities
        on_all[name] = scored(probabilities, held_out.labels)
        on_first[name] = scored(probabilities[:SCORED_ROWS], first.labels)
    for name, other in track(others.items(), description="scores"):
        parts = [other(part / PIXEL_MAX) for part in torch.split(first.images, SLICE_ROWS)]
        on_first[name] = scored(torch.cat(parts), first.labels)
    return found


def scored(probabilities: Tensor, labels: Tensor) -> dict[str, float]:
    judges = {"accuracy": bayes.accuracy, "nll": bayes.nll, "ece": bayes.ece}
    return {name: round(judge(probabilities, labels), 5) for name, judge in judges.items()}


def sequential(posterior: bayes.Posterior) -> nn.Sequential:
    """The net of the posterior's means, of torch's own layers."""
    assert isinstance(posterior.net, Layered)
    inputs = iter([layer.inputs for layer in posterior.network.weighted])
    net = nn.Sequential(*(_module(layer, inputs) for layer in expand(posterior.net, posterior.output.units)))
    means = (posterior.layer(of.name)[f"{part}.mu"] for of in posterior.network.weighted for part in ("weight", "bias"))
    net.load_state_dict(dict(zip(net.state_dict(), means, strict=True)))
    return net


def _module(layer: Layer, inputs: Iterator[int]) -> nn.Module:
    match layer:
        case Conv(filters, kernel, padding, stride):
            return nn.Conv2d(next(inputs), filters, kernel, stride, padding)
        case Dense(units):
            return nn.Linear(next(inputs), units)
        case MaxPool(size, stride):
            return nn.MaxPool2d(size, stride)
        case Relu():
            return nn.ReLU()
        case Softplus():
            return nn.Softplus()
        case Flatten():
            return nn.Flatten()
        case _:
            assert_never(layer)


@torch.inference_mode()
def _probabilities(net: nn.Module, images: Tensor) -> Tensor:
    said: Tensor = net(images).softmax(-1)
    return said


def times_table(title: str, figures: Mapping[str, Mapping[str, float]]) -> Table:
    shown = Table("one prediction", "ms", "least to most", "x plain", "x channels last", "x moments", title=title)
    for name, of in figures.items():
        ratios = [f"{of[ratio]:.2f}" for ratio in ("to_plain", "to_channels_last", "to_moments")]
        shown.add_row(name, f"{of['milliseconds']:.3f}", f"{of['least']:.3f} to {of['most']:.3f}", *ratios)
    return shown


def scores_table(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    shown = Table("test rows", "contender", "accuracy %", "NLL", "ECE")
    for rows, of in found.items():
        for name, figures in of.items():
            accuracy, nll, ece = figures.values()
            shown.add_row(rows, name, f"{100 * accuracy:.2f}", f"{nll:.4f}", f"{ece:.4f}")
    return shown


if __name__ == "__main__":
    main()

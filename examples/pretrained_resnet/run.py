"""A pretrained torchvision net goes on learning: its weights and a Laplace approximation are the prior.

`python examples/pretrained_resnet/run.py` pretrains a net, starts a service of its own and leaves nothing running.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import rotate

from client import Client
from client.demo.place import run_example
from client.demo.report import Report

SIDE = 32
MEAN, STD = 64.0, 90.0
OF_IMAGENET = {"mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]}
"""What torchvision's own weights were trained with, in pixels from 0 to 255."""
OLD_ROWS = 1000
HELD_OUT = 300

Images = NDArray[np.uint8]  # [rows, 3, 32, 32]
Labels = NDArray[np.int64]  # [rows]
Rows = tuple[Images, Labels]


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    net: str
    passes: int
    chunks: int
    rows: int
    seed: int
    weights: Path | None


@dataclass(frozen=True)
class Tasks:
    """Digits as one camera sees them, for pretraining, and as another one does; and rows to measure with."""

    old: Rows
    new: Rows
    held_out_old: Rows
    held_out_new: Rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running service; without, one of its own")
    parser.add_argument("--net", default="resnet18", help="a classification model of torchvision")
    parser.add_argument("--weights", type=Path, help="safetensors of `python -m bayes`; else pretrain here")
    parser.add_argument("--passes", type=int, default=6, help="passes of the pretraining over 1,000 rows")
    parser.add_argument("--chunks", type=int, default=2)
    parser.add_argument("--rows", type=int, default=60, help="rows of a chunk")
    parser.add_argument("--seed", type=int, default=1)
    asked = Asked(**{name: value for name, value in vars(parser.parse_args()).items() if name != "url"})
    url = parser.parse_args().url
    title = f"A pretrained {asked.net} meets another camera: its weights as a Laplace prior"
    return run_example(title, lambda client, report: perform(client, report, asked), url=url)


def perform(client: Client, report: Report, asked: Asked) -> None:
    """The same few rows were learned from the pretrained weights and from nothing; the table says what came of it."""
    tasks = digits(asked.seed)
    if asked.weights:
        blob = client.upload(asked.weights).blob
        report.say(f"Weights from {asked.weights}.")
    else:
        blob = client.upload(pretrain(asked, tasks.old)).blob
        report.say(f"Pretrained here on {OLD_ROWS:,} digits of the old camera, {asked.passes} passes.")
    batch = client.upload({"x": tasks.old[0]}).blob
    priors: dict[str, dict[str, object]] = {
        "laplace": {"kind": "laplace", "blob": blob, "batch": batch, "head": "fresh" if asked.weights else "keep"},
        "none": {"kind": "gaussian"},
    }
    models = {name: client.create_model(description(asked, prior)).name for name, prior in priors.items()}
    report.title("                 new camera, held out           old camera, held out")
    report.say("rows learned   laplace prior    no prior     laplace prior    no prior")
    scores = [measure(client, models, tasks)]
    report.say(line(0, scores[0]))
    for at in range(0, asked.chunks * asked.rows, asked.rows):
        for model in models.values():
            client.ingest(model, *(part[at : at + asked.rows] for part in tasks.new))
            client.settle(model)
        scores.append(measure(client, models, tasks))
        report.say(line(at + asked.rows, scores[-1]))
    report.say()
    check(report, scores, asked.rows, is_own=asked.weights is None)


def check(report: Report, scores: list[dict[str, float]], rows: int, *, is_own: bool) -> None:
    before, first, last = scores[0], scores[1], scores[-1]
    worth = 100 * (first["laplace new"] - first["none new"])
    report.check(holds=worth > 10, claim=f"after {rows} rows of the new camera the prior is worth {worth:.1f} points")
    report.check(
        holds=last["laplace new"] > last["none new"],
        claim=f"it is still ahead after {rows * (len(scores) - 1)}: "
        f"{last['laplace new']:.1%} are right, without it {last['none new']:.1%}",
    )
    if is_own:
        report.check(
            holds=before["laplace old"] > 0.85,
            claim=f"version 0 is the pretrained net: right on {before['laplace old']:.1%} of the old camera's rows",
        )
        report.check(
            holds=last["laplace new"] > before["laplace new"] + 0.1,
            claim=f"of the new camera's it was right on {before['laplace new']:.1%} before it learned",
        )


def measure(client: Client, models: dict[str, str], tasks: Tasks) -> dict[str, float]:
    """The accuracy of each model's head on the held-out rows of either camera."""
    rows = {"new": tasks.held_out_new, "old": tasks.held_out_old}
    return {
        f"{name} {camera}": float((client.predict(model, images, method="mean").labels == labels).mean())
        for name, model in models.items()
        for camera, (images, labels) in rows.items()
    }


def line(rows: int, score: dict[str, float]) -> str:
    columns = [f"{score[f'{name} {camera}']:13.1%}" for camera in ("new", "old") for name in ("laplace", "none")]
    return f"{rows:12d} {columns[0]} {columns[1]}    {columns[2]} {columns[3]}"


def description(asked: Asked, prior: dict[str, object]) -> dict[str, object]:
    return {
        "name": f"camera-{uuid4().hex[:8]}",
        "net": {"kind": "torchvision", "name": asked.net},
        "input": {"shape": [3, SIDE, SIDE], "dtype": "uint8"}
        | (OF_IMAGENET if asked.weights else {"mean": MEAN, "std": STD}),
        "output": {"kind": "categorical", "classes": 10},
        "prior": prior,
        "recipe": {"epochs": 10, "batch_rows": 20, "steps_least": 0},
        "chunk": {"rows": asked.rows, "seconds": None},
    }


def digits(seed: int) -> Tasks:
    """Scikit-learn's digits at 32 by 32 pixels; the new camera is tilted by 30 degrees, dim and noisy."""
    x, y = load_digits(return_X_y=True)
    small = torch.tensor(x, dtype=torch.float32).reshape(-1, 1, 8, 8) * 15.9
    large = functional.interpolate(small, size=SIDE, mode="bilinear").round().repeat(1, 3, 1, 1)
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(y))
    images, labels = large.numpy().astype(np.uint8)[order], y[order].astype(np.int64)
    tilted = rotate(torch.from_numpy(images), 30).numpy()
    seen = np.clip(0.6 * tilted + 40 + generator.normal(0, 20, images.shape), 0, 255).astype(np.uint8)
    old, kept, new = slice(OLD_ROWS), slice(OLD_ROWS, OLD_ROWS + HELD_OUT), slice(OLD_ROWS + HELD_OUT, None)
    return Tasks(
        old=(images[old], labels[old]),
        new=(seen[new], labels[new]),
        held_out_old=(images[kept], labels[kept]),
        held_out_new=(seen[kept], labels[kept]),
    )


def pretrain(asked: Asked, rows: Rows) -> dict[str, Tensor]:
    """The state_dict of the torchvision net after some passes over the rows, as any training would leave it."""
    torch.manual_seed(asked.seed)
    images, labels = (torch.from_numpy(part) for part in rows)
    inputs = (images.float() - MEAN) / STD
    net = torchvision.models.get_model(asked.net, num_classes=10)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    steps = asked.passes * (OLD_ROWS // 50)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=steps)
    net.train()
    for _ in range(asked.passes):
        for minibatch in torch.randperm(OLD_ROWS).reshape(-1, 50):
            optimizer.zero_grad()
            torch.autograd.backward(functional.cross_entropy(net(inputs[minibatch]), labels[minibatch]))
            optimizer.step()
            schedule.step()
    return dict(net.state_dict())


if __name__ == "__main__":
    sys.exit(main())

"""Steps down the objective, minibatch by minibatch."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bayes.chunk import Chunk
from bayes.errors import UpdateDiverged
from bayes.families.parts import Noise
from bayes.inputs import Input
from bayes.objective import Batch, Objective, Parts
from bayes.recipe import Recipe
from bayes.report import Progress
from bayes.shifts import Shift

PROGRESS_MAX = 50
EVALUATION_ROWS = 100


class Optimizer(Protocol):
    """What changes the parameters of an update in place."""

    def step(self, batch: Batch, decay: float) -> Tensor:
        """One step on a minibatch, at this part of the learning rates; returns its loss, detached."""

    def finish(self) -> None:
        """After the last step: the parameters hold what was learned."""


@dataclass(frozen=True)
class Rows:
    """The rows of a chunk on the device of an update, each scaled when it is taken."""

    input: Input
    inputs: Tensor
    labels: Tensor
    weights: Tensor

    @classmethod
    def of(cls, chunk: Chunk, rows: Input, device: torch.device) -> "Rows":
        weights = torch.ones(chunk.rows, dtype=torch.float32) if chunk.weights is None else chunk.weights
        return cls(rows, chunk.inputs.to(device), chunk.labels.to(device), weights.to(device))

    def at(self, index: Tensor | slice, shift: Shift | None = None) -> Batch:
        inputs = self.inputs[index]
        scaled = self.input.scale(inputs if shift is None else shift(inputs))
        return Batch(scaled, self.labels[index], self.weights[index])


def descend(
    optimizer: Optimizer,
    objective: Objective,
    rows: Rows,
    *,
    recipe: Recipe,
    shuffle: torch.Generator,
    shift: Shift | None,
    progress: Callable[[Progress], None] | None,
    check: Callable[[], None],
) -> int:
    """The optimizer has gone over the rows as often as the recipe says; returns the number of steps.

    Every step sees its rows through the shift, if there is one. `check` is called before every step, `progress` about
    50 times; what they raise ends the descent.

    Raises:
        UpdateDiverged: the loss is not finite.
    """
    steps = recipe.steps(objective.rows)
    every = math.ceil(steps / PROGRESS_MAX)
    loss_sum, counted = rows.weights.new_zeros(()), 0
    for step, index in enumerate(_passes(objective, recipe.passes(objective.rows), shuffle), start=1):
        check()
        batch = rows.at(index.to(rows.labels.device), shift)
        loss_sum += optimizer.step(batch, decay(step, steps, recipe.lr_final))
        counted += len(index)
        if step % every == 0 or step == steps:
            mean = float(loss_sum) * objective.batch_rows / counted
            if not math.isfinite(mean):
                raise UpdateDiverged(f"the loss is {mean} by step {step} of {steps}; a lower lr may help")
            if progress is not None:
                progress(Progress(step, steps, -objective.weight * mean))
            loss_sum, counted = torch.zeros_like(loss_sum), 0
    optimizer.finish()
    return steps


def decay(step: int, steps: int, final: float) -> float:
    """The part of the learning rate at step 1 ... steps: 1 for the first half, then linear down to `final`."""
    half = steps / 2
    return 1.0 if step <= half else 1.0 - (1.0 - final) * (step - half) / (steps - half)


@torch.no_grad()
def evidence(q: Parts, objective: Objective, rows: Rows, noise: Noise, *, check: Callable[[], None]) -> float:
    """The expected log likelihood of all rows in nats, estimated with one draw of the noise for each row.

    `check` is called before every slice of rows; what it raises ends the evaluation.
    """
    nats = 0.0
    for at in range(0, objective.rows, EVALUATION_ROWS):
        check()
        part = rows.at(slice(at, at + EVALUATION_ROWS))
        drawn = objective.complete(q, noise, len(part.labels))
        nats -= float((part.weights * objective.nll(drawn, part, noise)).sum(dtype=torch.float64))
    return nats


def _passes(objective: Objective, passes: int, shuffle: torch.Generator) -> Iterator[Tensor]:
    for _ in range(passes):
        yield from torch.split(torch.randperm(objective.rows, generator=shuffle), objective.batch_rows)

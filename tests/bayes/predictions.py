"""Predictions as the tests compare and stop them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bayes import CategoricalPrediction, GaussianPrediction, Prediction


def tensors(prediction: Prediction) -> dict[str, Tensor]:
    """The tensors of a prediction by name."""
    return {name: part for name, part in vars(prediction).items() if isinstance(part, Tensor)}


def is_same(one: Prediction, other: Prediction) -> bool:
    """Both have the same bytes, and come of the same method."""
    pairs = zip(tensors(one).values(), tensors(other).values(), strict=True)
    return one.method == other.method and all(torch.equal(*pair) for pair in pairs)


def classes(prediction: Prediction) -> CategoricalPrediction:
    assert isinstance(prediction, CategoricalPrediction)
    return prediction


def numbers(prediction: Prediction) -> GaussianPrediction:
    assert isinstance(prediction, GaussianPrediction)
    return prediction


@dataclass
class Stop:
    """A check of whether to go on, which raises InterruptedError when it is called so often."""

    at: int
    calls: int = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise InterruptedError

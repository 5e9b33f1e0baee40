"""What a prediction says of its rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

Method = Literal["moments", "ensemble", "mean"]


@dataclass(frozen=True, eq=False)
class CategoricalPrediction:
    """Float64 on the CPU: probabilities [rows, classes]; in nats [rows], entropy = aleatoric + mutual_information.

    entropy is that of the probabilities; mutual_information the part of it that more evidence could take away, as it
    comes from what the posterior's nets do not agree on.
    """

    probabilities: Tensor
    entropy: Tensor
    aleatoric: Tensor
    mutual_information: Tensor
    method: Method


@dataclass(frozen=True, eq=False)
class GaussianPrediction:
    """Float64 on the CPU, label units, [rows, dims]: std^2 = epistemic_std^2 (of the weights) + noise_std^2."""

    mean: Tensor
    std: Tensor
    epistemic_std: Tensor
    noise_std: Tensor
    method: Method

    def interval(self, level: float = 0.9) -> tuple[Tensor, Tensor]:
        """Where the label lies with this probability above 0 and below 1: lower and upper, [rows, dims] each.

        The central interval of N(mean, std^2). It has the mean and the variance of what the weights and the noise say
        together, and needs no more than those; the tails of a mixture of 16 draws would be those of its farthest draw.
        """
        assert 0 < level < 1
        reach = math.sqrt(2) * torch.erfinv(torch.tensor(level, dtype=torch.float64)) * self.std
        return self.mean - reach, self.mean + reach


Prediction = CategoricalPrediction | GaussianPrediction


@dataclass(frozen=True, eq=False)
class Drawn:
    """What drawn nets say together, and what each of them says: float64 on the CPU, [rows, draws, classes or dims].

    draws are class probabilities, or means in label units; their mean over the draws is that of the prediction.
    """

    prediction: Prediction
    draws: Tensor


def join(answers: Sequence[Prediction]) -> Prediction:
    """The answers of one method as one, their rows in order."""
    first = answers[0]
    if len(answers) == 1:
        return first
    names = [field.name for field in fields(first) if field.name != "method"]
    return type(first)(
        **{name: torch.cat([getattr(answer, name) for answer in answers]) for name in names}, method=first.method
    )


def rows_of(prediction: Prediction, rows: slice) -> Prediction:
    """Some rows of the prediction."""
    names = [field.name for field in fields(prediction) if field.name != "method"]
    return type(prediction)(**{name: getattr(prediction, name)[rows] for name in names}, method=prediction.method)

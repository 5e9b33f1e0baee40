"""Two predictions of the same rows, compared row by row."""

import math
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor

from bayes.errors import InvalidInputs
from bayes.prediction import CategoricalPrediction, GaussianPrediction, Prediction


@dataclass(frozen=True)
class Difference:
    """The mean over rows of a score of the one prediction less that of the other, and the standard error of the mean.

    One row alone has no standard error: it is infinite.
    """

    mean: float
    standard_error: float
    rows: int


def paired(one: Prediction, other: Prediction, labels: Tensor) -> dict[str, Difference]:
    """By how much the one is higher in each score: of classes accuracy, nll and brier, of numbers nll and mse.

    As the rows are the same, what is hard about them is in both and falls out of the standard error.

    Raises:
        InvalidInputs: the two are of different kinds or shapes, or there are no rows.
    """
    ours, theirs = by_row(one, labels), by_row(other, labels)
    if ours.keys() != theirs.keys():
        raise InvalidInputs("a prediction of classes and one of numbers cannot be compared")
    return {name: _mean(ours[name] - theirs[name]) for name in ours}


def by_row(prediction: Prediction, labels: Tensor) -> dict[str, Tensor]:
    """The scores of each row, float64 [rows].

    Raises:
        InvalidInputs: the labels do not pair up with the prediction, or there are no rows.
    """
    match prediction:
        case CategoricalPrediction(probabilities):
            if labels.shape != probabilities.shape[:1] or not len(labels):
                raise InvalidInputs(f"labels {list(labels.shape)} do not pair up with the prediction, or are none")
            labels = labels.long()
            of_label = probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)
            truth = torch.nn.functional.one_hot(labels, probabilities.shape[1])
            return {
                "accuracy": (probabilities.argmax(1) == labels).double(),
                "nll": -of_label.clamp(min=torch.finfo(torch.float64).tiny).log(),
                "brier": (probabilities - truth).square().sum(1),
            }
        case GaussianPrediction():
            shape = prediction.mean.shape
            if shape not in (labels.shape, (*labels.shape, 1)) or not len(labels):
                raise InvalidInputs(f"labels {list(labels.shape)} do not pair up with the prediction, or are none")
            error = labels.reshape(shape).double() - prediction.mean
            off = error / prediction.std
            return {
                "nll": (0.5 * (off.square() + math.log(2 * math.pi)) + prediction.std.log()).sum(1),
                "mse": error.square().mean(1),
            }
        case _:
            assert_never(prediction)


def _mean(differences: Tensor) -> Difference:
    rows = len(differences)
    error = float(differences.std()) / math.sqrt(rows) if rows > 1 else math.inf
    return Difference(float(differences.mean()), error, rows)

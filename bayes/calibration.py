"""How right predictions are, and how well they know it."""

import math
from typing import assert_never

import torch
from torch import Tensor

from bayes.predict import CategoricalPrediction, GaussianPrediction, Prediction


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """The part of rows whose most probable class is the label."""
    return float((probabilities.argmax(1) == labels).double().mean())


def nll(probabilities: Tensor, labels: Tensor) -> float:
    """The mean negative log probability of the label in nats; finite also where the probability is 0."""
    of_label = probabilities.double().gather(1, labels.unsqueeze(1))
    return float(-of_label.clamp(min=torch.finfo(torch.float64).tiny).log().mean())


def brier(probabilities: Tensor, labels: Tensor) -> float:
    """The mean squared distance between the probabilities and the label's indicator, 0 to 2."""
    truth = torch.nn.functional.one_hot(labels, probabilities.shape[1])
    return float((probabilities.double() - truth).square().sum(1).mean())


def ece(probabilities: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """The expected calibration error: over equal bins (a, b] of confidence, the mean |accuracy - confidence|.

    Source: Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    confidence, predicted = probabilities.double().max(1)
    off = (predicted == labels).double() - confidence
    index = (confidence * bins).ceil().long().clamp(1, bins) - 1
    return float(torch.zeros(bins, dtype=torch.float64).index_add_(0, index, off).abs().sum() / len(labels))


def entropy(probabilities: Tensor) -> Tensor:
    """The entropy of each row's probabilities in nats, [rows]."""
    return -torch.xlogy(probabilities.double(), probabilities.double()).sum(1)


def rmse(prediction: GaussianPrediction, labels: Tensor) -> float:
    """The root of the mean squared error over rows and dimensions, in label units."""
    return float((prediction.mean - labels).square().mean().sqrt())


def gaussian_nll(prediction: GaussianPrediction, labels: Tensor) -> float:
    """The mean negative log density of the label under N(mean, std^2), in nats per row."""
    off = (labels - prediction.mean) / prediction.std
    return float((0.5 * (off.square() + math.log(2 * math.pi)) + prediction.std.log()).sum(1).mean())


def score(prediction: Prediction, labels: Tensor) -> dict[str, float]:
    """The scores of a prediction against its labels: accuracy, nll, ece and brier, or rmse and nll."""
    match prediction:
        case CategoricalPrediction(probabilities):
            return {
                "accuracy": accuracy(probabilities, labels),
                "nll": nll(probabilities, labels),
                "ece": ece(probabilities, labels),
                "brier": brier(probabilities, labels),
            }
        case GaussianPrediction():
            return {"rmse": rmse(prediction, labels), "nll": gaussian_nll(prediction, labels)}
        case _:
            assert_never(prediction)

"""How right predictions are, and how well they know it.

Labels that do not pair up with the prediction row by row, and predictions of no rows, are refused as InvalidInputs.
"""

import math
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor

from bayes.errors import InvalidInputs
from bayes.prediction import CategoricalPrediction, GaussianPrediction, Prediction


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """The part of rows whose most probable class is the label."""
    labels = _classes(probabilities, labels)
    return float((probabilities.argmax(1) == labels).double().mean())


def nll(probabilities: Tensor, labels: Tensor) -> float:
    """The mean negative log probability of the label in nats; finite also where the probability is 0."""
    of_label = probabilities.double().gather(1, _classes(probabilities, labels).unsqueeze(1))
    return float(-of_label.clamp(min=torch.finfo(torch.float64).tiny).log().mean())


def brier(probabilities: Tensor, labels: Tensor) -> float:
    """The mean squared distance between the probabilities and the label's indicator, 0 to 2."""
    truth = torch.nn.functional.one_hot(_classes(probabilities, labels), probabilities.shape[1])
    return float((probabilities.double() - truth).square().sum(1).mean())


@dataclass(frozen=True, eq=False)
class Reliability:
    """What became of the rows in each bin (lower, upper] of confidence that has any; float64, [bins] each.

    confidence is the mean probability of the predicted class, accuracy the part of the rows where it is the label.
    """

    lower: Tensor
    upper: Tensor
    confidence: Tensor
    accuracy: Tensor
    rows: Tensor


def reliability(probabilities: Tensor, labels: Tensor, *, bins: int = 15) -> Reliability:
    """The rows by how sure the prediction was, in equal bins; bins without rows are left out.

    Source: DeGroot and Fienberg 1983, "The Comparison and Evaluation of Forecasters".
    """
    rows, confidences, rights = tally(probabilities, labels, bins=bins)
    (held,) = rows.nonzero(as_tuple=True)
    rows = rows[held]
    return Reliability(held / bins, (held + 1) / bins, confidences[held] / rows, rights[held] / rows, rows)


def tally(probabilities: Tensor, labels: Tensor, *, bins: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of each equal bin of confidence the rows, the sum of their confidences, and how many are right; [bins] each."""
    labels = _classes(probabilities, labels)
    confidence, predicted = probabilities.double().max(1)
    index = (confidence * bins).ceil().long().clamp(1, bins) - 1
    rows, confidences, rights = (
        torch.zeros(bins, dtype=torch.float64).index_add_(0, index, counted)
        for counted in (torch.ones_like(confidence), confidence, (predicted == labels).double())
    )
    return rows, confidences, rights


def ece(probabilities: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """The expected calibration error: over equal bins (a, b] of confidence, the mean |accuracy - confidence|.

    Source: Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks", eq. 3.
    """
    found = reliability(probabilities, labels, bins=bins)
    return float((found.rows * (found.accuracy - found.confidence).abs()).sum() / len(labels))


def entropy(probabilities: Tensor) -> Tensor:
    """The entropy of each row's probabilities in nats, [rows]."""
    return -torch.xlogy(probabilities.double(), probabilities.double()).sum(1)


def auroc(inside: Tensor, outside: Tensor) -> float:
    """The probability that a row from outside scores higher than one from inside, [rows] each; a tie counts half.

    With the entropy as score it says how well doubt tells strange rows from usual ones: 1 always, 0.5 not at all.

    Raises:
        InvalidInputs: a side has another shape, or no rows, or a score that is NaN.

    Source: Mann and Whitney 1947; Hanley and McNeil 1982: this is the area under the ROC curve.
    """
    if not inside.dim() == outside.dim() == 1 or not len(inside) or not len(outside):
        raise InvalidInputs(f"scores {list(inside.shape)} and {list(outside.shape)} must be [rows], at least one each")
    if bool(inside.isnan().any() or outside.isnan().any()):
        raise InvalidInputs("scores contain NaN")
    usual, strange = inside.double().sort().values, outside.double()
    below = torch.searchsorted(usual, strange)
    up_to = torch.searchsorted(usual, strange, right=True)
    return int((below + up_to).sum()) / (2 * len(inside) * len(outside))


def rmse(prediction: GaussianPrediction, labels: Tensor) -> float:
    """The root of the mean squared error over rows and dimensions, in label units."""
    return float((prediction.mean - _numbers(prediction, labels)).square().mean().sqrt())


def gaussian_nll(prediction: GaussianPrediction, labels: Tensor) -> float:
    """The mean negative log density of the label under N(mean, std^2), in nats per row."""
    off = (_numbers(prediction, labels) - prediction.mean) / prediction.std
    return float((0.5 * (off.square() + math.log(2 * math.pi)) + prediction.std.log()).sum(1).mean())


def crps(prediction: GaussianPrediction, labels: Tensor) -> float:
    r"""The mean continuous ranked probability score of N(mean, std^2) over rows and dimensions, in label units.

    .. math:: \sigma \left( z (2 \Phi(z) - 1) + 2 \phi(z) - \pi^{-1/2} \right), \quad z = (y - \mu) / \sigma

    Source: Gneiting and Raftery 2007, "Strictly Proper Scoring Rules, Prediction, and Estimation", eq. 21, as a loss.
    """
    off = (_numbers(prediction, labels) - prediction.mean) / prediction.std
    density = (-0.5 * off.square()).exp() / math.sqrt(2 * math.pi)
    reach = off * torch.erf(off / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi)
    return float((prediction.std * reach).mean())


def coverage(prediction: GaussianPrediction, labels: Tensor, *, level: float = 0.9) -> float:
    """The part of the labels, over rows and dimensions, that lie in the prediction's intervals of this level."""
    labels = _numbers(prediction, labels)
    lower, upper = prediction.interval(level)
    return float(((lower <= labels) & (labels <= upper)).double().mean())


def interval_width(prediction: GaussianPrediction, *, level: float = 0.9) -> float:
    """The mean width of the prediction's intervals of this level over rows and dimensions, in label units."""
    _check_rows(prediction.mean)
    lower, upper = prediction.interval(level)
    return float((upper - lower).mean())


def score(prediction: Prediction, labels: Tensor) -> dict[str, float]:
    """The scores of a prediction against its labels.

    Of classes: accuracy, nll, ece and brier. Of numbers: rmse, nll and the coverage of 90 % intervals.
    """
    match prediction:
        case CategoricalPrediction(probabilities):
            return {
                "accuracy": accuracy(probabilities, labels),
                "nll": nll(probabilities, labels),
                "ece": ece(probabilities, labels),
                "brier": brier(probabilities, labels),
            }
        case GaussianPrediction():
            return {
                "rmse": rmse(prediction, labels),
                "nll": gaussian_nll(prediction, labels),
                "coverage": coverage(prediction, labels),
            }
        case _:
            assert_never(prediction)


def _classes(probabilities: Tensor, labels: Tensor) -> Tensor:
    """The labels as int64 [rows], each a class of the probabilities [rows, classes].

    Raises:
        InvalidInputs: they are none, or there are no rows.
    """
    shapes = f"labels {list(labels.shape)} and probabilities {list(probabilities.shape)}"
    if probabilities.dim() != 2 or labels.shape != probabilities.shape[:1]:
        raise InvalidInputs(f"{shapes} do not pair up; give [rows] and [rows, classes]")
    _check_rows(probabilities)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise InvalidInputs(f"labels are {labels.dtype}; classes are whole numbers")
    labels, classes = labels.long(), probabilities.shape[1]
    if int(labels.min()) < 0 or int(labels.max()) >= classes:
        raise InvalidInputs(f"labels must be class indices from 0 to {classes - 1}")
    return labels


def _numbers(prediction: GaussianPrediction, labels: Tensor) -> Tensor:
    """The labels as [rows, dims] of the prediction; of one dimension they may come as [rows].

    Raises:
        InvalidInputs: they have another shape, or there are no rows.
    """
    shape = prediction.mean.shape
    if shape not in (labels.shape, (*labels.shape, 1)):
        raise InvalidInputs(f"labels {list(labels.shape)} and predictions {list(shape)} do not pair up")
    _check_rows(prediction.mean)
    return labels.reshape(shape)


def _check_rows(predicted: Tensor) -> None:
    if not len(predicted):
        raise InvalidInputs(f"predictions {list(predicted.shape)} have no rows")

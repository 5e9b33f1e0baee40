"""How well rows were predicted, as sums over them: the scores of any union of batches are the sum of theirs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import add
from typing import Any, assert_never

import torch
from torch import Tensor

from bayes.calibration import brier, coverage, entropy, gaussian_nll, nll, rmse, tally
from bayes.prediction import CategoricalPrediction, GaussianPrediction, Prediction

BINS = 15
"""Equal bins of confidence, as `ece` has them if it is told nothing else."""


@dataclass(frozen=True)
class OfClasses:
    """Sums of rows that were told classes: right ones, Brier scores, and in each bin of confidence what `ece` needs."""

    correct: int
    brier: float
    bin_rows: tuple[int, ...]
    bin_confidence: tuple[float, ...]
    bin_correct: tuple[int, ...]

    def __add__(self, other: OfClasses) -> OfClasses:
        return OfClasses(
            self.correct + other.correct,
            self.brier + other.brier,
            tuple(map(add, self.bin_rows, other.bin_rows)),
            tuple(map(add, self.bin_confidence, other.bin_confidence)),
            tuple(map(add, self.bin_correct, other.bin_correct)),
        )


@dataclass(frozen=True)
class OfNumbers:
    """Sums of rows that were told numbers: how many, their squared errors, and how many 90 % intervals hold theirs."""

    values: int
    squared_error: float
    covered: int

    def __add__(self, other: OfNumbers) -> OfNumbers:
        return OfNumbers(
            self.values + other.values, self.squared_error + other.squared_error, self.covered + other.covered
        )


@dataclass(frozen=True)
class Scores:
    """Sums over rows of what a prediction was worth to their labels; nats unless said otherwise.

    Attributes:
        nll: of the negative log probability (density) of the label, its surprisal.
        excess: of the surprisal less what the prediction expected of it, its (differential) entropy.
        excess_squares: of the square of that, in nats squared.
        excess_variance: of the variance that the prediction expected of the surprisal, in nats squared.

    A sum that no float holds is infinite.
    """

    rows: int
    nll: float
    excess: float
    excess_squares: float
    excess_variance: float
    outputs: OfClasses | OfNumbers

    @staticmethod
    def of(prediction: Prediction, labels: Tensor) -> Scores:
        """The scores of a prediction of at least one row against its labels.

        Raises:
            InvalidInputs: the two do not pair up, or there are no rows.
        """
        match prediction:
            case CategoricalPrediction(probabilities):
                return _of_classes(probabilities, labels)
            case GaussianPrediction():
                return _of_numbers(prediction, labels)
            case _:
                assert_never(prediction)

    def __add__(self, other: Scores) -> Scores:
        """The scores of the rows of both, which were told the same kind of output."""
        outputs: OfClasses | OfNumbers
        if isinstance(self.outputs, OfClasses):
            assert isinstance(other.outputs, OfClasses)
            outputs = self.outputs + other.outputs
        else:
            assert isinstance(other.outputs, OfNumbers)
            outputs = self.outputs + other.outputs
        return Scores(
            self.rows + other.rows,
            self.nll + other.nll,
            self.excess + other.excess,
            self.excess_squares + other.excess_squares,
            self.excess_variance + other.excess_variance,
            outputs,
        )

    def metrics(self) -> dict[str, float | None]:
        """What `score` says of these rows; None where that is beyond the numbers of JSON."""
        match self.outputs:
            case OfClasses() as told:
                gaps = zip(told.bin_correct, told.bin_confidence, strict=True)
                means = {
                    "accuracy": told.correct / self.rows,
                    "nll": self.nll / self.rows,
                    "ece": sum(abs(correct - confidence) for correct, confidence in gaps) / self.rows,
                    "brier": told.brier / self.rows,
                }
            case OfNumbers() as told:
                means = {
                    "rmse": math.sqrt(told.squared_error / told.values),
                    "nll": self.nll / self.rows,
                    "coverage": told.covered / told.values,
                }
            case _:
                assert_never(self.outputs)
        return _finite(means)

    def standard_errors(self) -> dict[str, float | None]:
        r"""How far each of `metrics` may be off by chance: its standard error over rows like these, by the same names.

        With :math:`n` rows, the rows' excess :math:`e`, and in bin :math:`b` :math:`n_b` rows of which the part
        :math:`a_b` is right:

        .. math:: s_{acc} = \sqrt{p (1 - p) / n}, \quad
            s_{nll} = \sqrt{\tfrac{1}{n (n - 1)} \sum (e - \bar e)^2}, \quad
            s_{ece} = \tfrac1n \sqrt{\sum_b n_b a_b (1 - a_b)}, \quad
            s_{cov} = \sqrt{c (1 - c) / n}

        nll: of the surprisal, that part which the inputs do not foretell; the sums hold no squares of the surprisal
        itself. It is what was seen, so an overconfident prediction has a large one, where the variance that it expects
        of itself would be small. ece: at most this, as a gap has no sign. coverage: at most this, as the numbers of a
        row may be inside or outside together. None: one row alone, or beyond the numbers of JSON, or, of brier and
        rmse, not in the sums.
        """
        rows = self.rows
        match self.outputs:
            case OfClasses() as told:
                right = told.correct / rows
                spread = sum(_spread(correct, of) for correct, of in zip(told.bin_correct, told.bin_rows, strict=True))
                of_metrics = {
                    "accuracy": math.sqrt(right * (1 - right) / rows),
                    "nll": self._nll_error(),
                    "ece": math.sqrt(spread) / rows,
                    "brier": math.nan,
                }
            case OfNumbers() as told:
                inside = told.covered / told.values
                coverage_error = math.sqrt(inside * (1 - inside) / rows)
                of_metrics = {"rmse": math.nan, "nll": self._nll_error(), "coverage": coverage_error}
            case _:
                assert_never(self.outputs)
        return _finite(of_metrics)

    def _nll_error(self) -> float:
        if self.rows == 1 or not math.isfinite(self.excess_squares):
            return math.nan
        # Where the excess is much the same for all rows, rounding may leave less than nothing.
        around = max(0.0, self.excess_squares - self.excess * (self.excess / self.rows))
        return math.sqrt(around / (self.rows * (self.rows - 1)))

    def to_json(self) -> dict[str, Any]:
        """The sums by name, one of them a `kind`; one that is infinite is None."""
        common = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "outputs"}
        kind = "categorical" if isinstance(self.outputs, OfClasses) else "gaussian"
        sums = {"kind": kind, **common, **vars(self.outputs)}
        return {name: _plain(value) for name, value in sums.items()}

    @staticmethod
    def from_json(sums: Mapping[str, Any]) -> Scores:
        """The scores of which `to_json` made this."""
        held: dict[str, Any] = {}
        for name, value in sums.items():
            held[name] = math.inf if value is None else tuple(value) if isinstance(value, list) else value
        held.pop("kind")
        kind = OfClasses if sums["kind"] == "categorical" else OfNumbers
        outputs = kind(**{field.name: held.pop(field.name) for field in fields(kind)})
        return Scores(**held, outputs=outputs)


def _of_classes(probabilities: Tensor, labels: Tensor) -> Scores:
    rows = len(probabilities)
    in_nll, in_brier = nll(probabilities, labels) * rows, brier(probabilities, labels) * rows
    bin_rows, bin_confidence, bin_correct = tally(probabilities, labels, bins=BINS)
    # As in `nll`, the surprisal of what was thought impossible is finite.
    surprisals = -probabilities.double().clamp(min=torch.finfo(torch.float64).tiny).log()
    excess = surprisals.gather(1, labels.long().unsqueeze(1)).squeeze(1) - entropy(probabilities)
    variance = (probabilities * (surprisals - entropy(probabilities).unsqueeze(1)).square()).sum(1)
    outputs = OfClasses(
        correct=int(bin_correct.sum()),
        brier=in_brier,
        bin_rows=tuple(map(int, bin_rows.tolist())),
        bin_confidence=tuple(bin_confidence.tolist()),
        bin_correct=tuple(map(int, bin_correct.tolist())),
    )
    return _scores(in_nll, excess, variance, outputs)


def _of_numbers(prediction: GaussianPrediction, labels: Tensor) -> Scores:
    rows, values = len(prediction.mean), prediction.mean.numel()
    outputs = OfNumbers(
        values=values,
        squared_error=rmse(prediction, labels) ** 2 * values,
        covered=round(coverage(prediction, labels) * values),
    )
    off = (labels.reshape(prediction.mean.shape) - prediction.mean) / prediction.std
    excess = (0.5 * (off.square() - 1)).sum(1)
    return _scores(gaussian_nll(prediction, labels) * rows, excess, torch.full_like(off, 0.5).sum(1), outputs)


def _scores(in_nll: float, excess: Tensor, variance: Tensor, outputs: OfClasses | OfNumbers) -> Scores:
    return Scores(
        rows=len(excess),
        nll=in_nll,
        excess=float(excess.sum()),
        excess_squares=float(excess.square().sum()),
        excess_variance=float(variance.sum()),
        outputs=outputs,
    )


def _spread(correct: int, rows: int) -> float:
    """The variance of how many of a bin's rows are right."""
    return correct * (rows - correct) / rows if rows else 0.0


def _finite(found: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return None if value == math.inf else value

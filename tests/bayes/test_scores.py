"""Scores are sums: they say of any union of batches what `score` says of its rows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import add

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, Normal

from bayes import CategoricalPrediction, GaussianPrediction, InvalidInputs, Prediction, Scores, score
from bayes.prediction import rows_of

SEEDS = st.integers(0, 2**32 - 1)
CUTS = st.lists(st.integers(1, 39), max_size=4, unique=True)


def of_classes(probabilities: Tensor) -> CategoricalPrediction:
    zeros = torch.zeros(len(probabilities), dtype=torch.float64)
    return CategoricalPrediction(probabilities, zeros, zeros, zeros, "moments")


def of_numbers(mean: Tensor, std: Tensor) -> GaussianPrediction:
    return GaussianPrediction(mean, std, torch.zeros_like(std), std, "moments")


def some_classes(seed: int, rows: int = 40, classes: int = 4) -> tuple[CategoricalPrediction, Tensor]:
    """Probabilities from even to certain, so that every kind of bin has rows, and any labels."""
    stream = torch.Generator().manual_seed(seed)
    sharpness = 10 ** (4 * torch.rand(rows, 1, generator=stream, dtype=torch.float64) - 1)
    logits = sharpness * torch.randn(rows, classes, generator=stream, dtype=torch.float64)
    return of_classes(logits.softmax(1)), torch.randint(classes, (rows,), generator=stream)


def some_numbers(seed: int, rows: int = 40, dims: int = 3) -> tuple[GaussianPrediction, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    mean, log_std, off = torch.randn(3, rows, dims, generator=stream, dtype=torch.float64)
    return of_numbers(mean, log_std.exp()), (mean + 2 * off).float()


Made = Callable[[int], tuple[Prediction, Tensor]]
MADE: list[Made] = [some_classes, some_numbers]


@pytest.mark.parametrize("made", MADE)
@settings(deadline=None, max_examples=60)
@given(seed=SEEDS)
def test_metrics_of_scores_are_what_score_says(made: Made, seed: int) -> None:
    prediction, labels = made(seed)

    metrics = Scores.of(prediction, labels).metrics()

    expected = score(prediction, labels)
    assert list(metrics) == list(expected)
    assert metrics == pytest.approx(expected, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("made", MADE)
@settings(deadline=None, max_examples=60)
@given(seed=SEEDS, cuts=CUTS)
def test_the_sum_of_the_scores_of_batches_is_the_score_of_all_their_rows(
    made: Made, seed: int, cuts: list[int]
) -> None:
    prediction, labels = made(seed)
    slices = [slice(*ends) for ends in pairwise([0, *sorted(cuts), 40])]

    summed = reduce(add, [Scores.of(rows_of(prediction, rows), labels[rows]) for rows in slices])

    whole = Scores.of(prediction, labels)
    assert summed.metrics() == pytest.approx(score(prediction, labels), rel=1e-12, abs=1e-15)
    flat, expected = summed.to_json(), whole.to_json()
    assert flat.keys() == expected.keys()
    assert flat.pop("kind") == expected.pop("kind")
    for name, value in expected.items():
        assert flat[name] == pytest.approx(value, rel=1e-10, abs=1e-10), name


@pytest.mark.parametrize("made", MADE)
@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_scores_survive_json_to_the_last_bit(made: Made, seed: int) -> None:
    scores = Scores.of(*made(seed))

    assert Scores.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False))) == scores


def test_the_excess_of_classes_is_the_surprisal_less_the_entropy_and_its_variance_that_of_the_surprisal() -> None:
    prediction, labels = some_classes(1)
    spread = Categorical(probs=prediction.probabilities)
    surprisals = -prediction.probabilities.clamp(min=1e-300).log()
    entropy = (prediction.probabilities * surprisals).sum(1)

    scores = Scores.of(prediction, labels)

    excess = -spread.log_prob(labels) - entropy  # type: ignore[no-untyped-call]
    second = (prediction.probabilities * surprisals.square()).sum(1)
    kept = excess.isfinite() & (excess < 30)
    assert bool(kept.any())
    few = Scores.of(of_classes(prediction.probabilities[kept]), labels[kept])
    assert few.excess == pytest.approx(float(excess[kept].sum()), rel=1e-9)
    assert few.excess_squares == pytest.approx(float(excess[kept].square().sum()), rel=1e-9)
    assert scores.excess_variance == pytest.approx(float((second - entropy.square()).sum()), rel=1e-9)


def test_the_excess_of_numbers_is_the_surprisal_less_the_differential_entropy() -> None:
    prediction, labels = some_numbers(2)
    spread = Normal(prediction.mean, prediction.std)

    scores = Scores.of(prediction, labels)

    excess = (-spread.log_prob(labels.double()) - spread.entropy()).sum(1)  # type: ignore[no-untyped-call]
    assert scores.excess == pytest.approx(float(excess.sum()), rel=1e-9)
    assert scores.excess_squares == pytest.approx(float(excess.square().sum()), rel=1e-9)
    assert scores.excess_variance == 40 * 3 * 0.5


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_labels_that_a_prediction_draws_itself_have_no_excess_and_the_variance_it_expects(kind: str) -> None:
    stream = torch.Generator().manual_seed(3)
    prediction: Prediction
    if kind == "classes":
        prediction, _ = some_classes(3, rows=20_000)
        labels = torch.multinomial(prediction.probabilities, 1, generator=stream).squeeze(1)
    else:
        prediction, _ = some_numbers(3, rows=20_000)
        labels = prediction.mean + prediction.std * torch.randn(20_000, 3, generator=stream, dtype=torch.float64)

    scores = Scores.of(prediction, labels)

    assert abs(scores.excess) < 4 * math.sqrt(scores.excess_variance)
    assert scores.excess_squares == pytest.approx(scores.excess_variance, rel=0.1)


def test_what_was_thought_impossible_scores_a_finite_number() -> None:
    scores = Scores.of(of_classes(torch.tensor([[1.0, 0.0]], dtype=torch.float64)), torch.tensor([1]))

    assert scores.nll == scores.excess == pytest.approx(708.396, abs=1e-3)
    assert scores.excess_variance == 0


def test_a_sum_that_no_float_holds_is_none_in_json_and_in_metrics_and_stays_so_in_sums() -> None:
    far = torch.tensor([[1e30]])
    tiny = torch.tensor([[1e-150]], dtype=torch.float64)
    scores = Scores.of(of_numbers(torch.zeros(1, 1, dtype=torch.float64), tiny), far)

    plain = json.loads(json.dumps(scores.to_json(), allow_nan=False))

    assert plain["nll"] is plain["excess"] is plain["excess_squares"] is None
    assert plain["squared_error"] == pytest.approx(1e60)
    assert Scores.from_json(plain) == scores
    both = scores + Scores.of(*some_numbers(1, dims=1))
    assert both.metrics()["nll"] is None
    assert both.metrics()["coverage"] is not None


def test_scores_of_classes_and_of_numbers_have_no_sum() -> None:
    with pytest.raises(AssertionError):
        Scores.of(*some_classes(1)) + Scores.of(*some_numbers(1))


@pytest.mark.parametrize("made", MADE)
def test_labels_that_do_not_pair_up_and_no_rows_are_refused(made: Made) -> None:
    prediction, labels = made(1)

    with pytest.raises(InvalidInputs):
        Scores.of(prediction, labels[:-1])
    with pytest.raises(InvalidInputs):
        Scores.of(rows_of(prediction, slice(0, 0)), labels[:0])


def test_labels_of_one_dimension_may_come_without_its_axis() -> None:
    prediction, labels = some_numbers(1, dims=1)

    assert Scores.of(prediction, labels.squeeze(1)) == Scores.of(prediction, labels)


def test_scores_are_values() -> None:
    scores = Scores.of(*some_classes(1))

    assert scores == Scores.of(*some_classes(1))
    assert scores != replace(scores, nll=scores.nll + 1)


@pytest.mark.parametrize("made", MADE)
@settings(deadline=None, max_examples=30)
@given(seed=SEEDS)
def test_standard_errors_have_the_names_of_the_metrics_and_are_none_where_the_sums_do_not_say(
    made: Made, seed: int
) -> None:
    scores = Scores.of(*made(seed))

    found = scores.standard_errors()

    assert list(found) == list(scores.metrics())
    assert {name for name, value in found.items() if value is None} == ({"brier"} if made is some_classes else {"rmse"})


def test_the_standard_error_of_the_accuracy_is_that_of_a_binomial_share() -> None:
    sure = torch.tensor([[0.9, 0.1]] * 8, dtype=torch.float64)

    found = Scores.of(of_classes(sure), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])).standard_errors()

    assert found["accuracy"] == pytest.approx(math.sqrt(0.75 * 0.25 / 8))
    assert found["ece"] == found["accuracy"], "all rows are in one bin"


def test_the_standard_error_of_the_ece_adds_up_the_variances_of_the_bins() -> None:
    probabilities = torch.tensor([[0.6, 0.4]] * 5 + [[0.95, 0.05]] * 20, dtype=torch.float64)
    labels = torch.tensor([0] * 3 + [1] * 2 + [0] * 19 + [1])

    found = Scores.of(of_classes(probabilities), labels).standard_errors()

    variances = 5 * (3 / 5) * (2 / 5) + 20 * (19 / 20) * (1 / 20)
    assert found["ece"] == pytest.approx(math.sqrt(variances) / 25)


@pytest.mark.parametrize("made", MADE)
def test_the_standard_error_of_the_nll_is_that_of_the_mean_excess_of_the_rows(made: Made) -> None:
    prediction, labels = made(4)
    rows = [Scores.of(rows_of(prediction, slice(row, row + 1)), labels[row : row + 1]).excess for row in range(40)]

    found = Scores.of(prediction, labels).standard_errors()

    assert found["nll"] == pytest.approx(float(torch.tensor(rows).double().std()) / math.sqrt(40), rel=1e-6)


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_means_of_labels_drawn_again_scatter_by_the_standard_errors(kind: str) -> None:
    stream = torch.Generator().manual_seed(8)
    rows, draws = 400, 500
    prediction: Prediction
    if kind == "classes":
        # Surer than right by far, so no gap of a bin is near 0, and the labels come from something else than it says.
        truth = torch.full((rows, 3), 0.2, dtype=torch.float64)
        truth[:, 0] = 0.6
        prediction = of_classes(torch.tensor([[0.9, 0.06, 0.04]], dtype=torch.float64).expand(rows, 3))
        drawn = [torch.multinomial(truth, 1, generator=stream).squeeze(1) for _ in range(draws)]
    else:
        prediction, _ = some_numbers(8, rows=rows, dims=1)
        off = [torch.randn(rows, 1, generator=stream, dtype=torch.float64) for _ in range(draws)]
        drawn = [prediction.mean + 2 * prediction.std * one for one in off]

    found = [Scores.of(prediction, labels) for labels in drawn]

    for name, expected in found[0].standard_errors().items():
        if expected is not None:
            means = torch.tensor([one.metrics()[name] for one in found], dtype=torch.float64)
            mean_error = sum(one.standard_errors()[name] or 0.0 for one in found) / draws
            assert float(means.std()) == pytest.approx(mean_error, rel=0.12), name


def test_what_the_numbers_of_json_cannot_hold_has_no_standard_error_and_one_row_alone_has_none_of_its_nll() -> None:
    far = of_numbers(torch.zeros(2, 1, dtype=torch.float64), torch.full((2, 1), 1e-150, dtype=torch.float64))

    beyond = Scores.of(far, torch.full((2, 1), 1e30)).standard_errors()
    alone = Scores.of(*some_classes(1, rows=1)).standard_errors()

    assert (beyond["nll"], beyond["coverage"]) == (None, 0)
    assert alone["nll"] is None


@pytest.mark.parametrize("confidence", [0.51, 0.53, 0.57, 0.7])
def test_equal_rows_have_a_standard_error_of_nothing_whatever_is_rounded(confidence: float) -> None:
    sure = torch.tensor([[confidence, 1 - confidence]], dtype=torch.float64).expand(1_000, 2)

    found = Scores.of(of_classes(sure), torch.zeros(1_000, dtype=torch.int64)).standard_errors()

    assert found["nll"] == pytest.approx(0, abs=1e-9)


def test_the_numbers_of_a_row_count_as_one_trial_of_the_coverage_as_they_may_be_inside_together() -> None:
    zeros = torch.zeros(8, 5, dtype=torch.float64)
    labels = zeros.clone()
    labels[6:] = 9.0

    found = Scores.of(of_numbers(zeros, torch.ones_like(zeros)), labels).standard_errors()

    assert found["coverage"] == pytest.approx(math.sqrt(0.75 * 0.25 / 8))

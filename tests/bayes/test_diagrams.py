"""Reliability diagrams: stated probabilities against what became of them, with intervals that are honest about few."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bayes import CategoricalPrediction, GaussianPrediction, Inside, InvalidInputs, Scores, bins_of, wilson
from bayes.diagrams import LEVEL_KEPT, LEVELS
from bayes.prediction import rows_of
from bayes.scores import BINS, OfClasses, OfNumbers
from tests.bayes.test_scores import SEEDS, of_classes, of_numbers, some_classes, some_numbers


def told(prediction: CategoricalPrediction, labels: Tensor) -> OfClasses:
    outputs = Scores.of(prediction, labels).outputs
    assert isinstance(outputs, OfClasses)
    return outputs


def binomial(count: int, trials: int, chance: float) -> float:
    return math.comb(trials, count) * chance**count * (1 - chance) ** (trials - count)


@pytest.mark.parametrize(
    ("share", "trials", "low", "high"),
    [
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0 / 20, 20, 0.0, 0.1611),
        (1.0, 20, 0.8389, 1.0),
    ],
)
def test_wilson_s_interval_is_that_of_published_tables(share: float, trials: int, low: float, high: float) -> None:
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3, and its mirror."""
    assert wilson(share, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_wilson_s_interval_holds_the_probability_about_as_often_as_it_says(chance: float) -> None:
    """Summed exactly over everything that 60 trials can show."""
    trials = 60

    held = sum(
        binomial(count, trials, chance)
        for count in range(trials + 1)
        if wilson(count / trials, trials)[0] <= chance <= wilson(count / trials, trials)[1]
    )

    assert held == pytest.approx(0.95, abs=0.02)


@settings(deadline=None)
@given(count=st.integers(0, 500), more=st.integers(0, 500))
def test_the_ends_of_wilson_s_interval_are_as_far_from_the_share_as_their_own_scatter(count: int, more: int) -> None:
    trials = count + more + 1
    share = count / trials

    for end in wilson(share, trials):
        assert 0 <= end <= 1
        if 0 < end < 1:
            assert abs(share - end) == pytest.approx(1.959963984540054 * math.sqrt(end * (1 - end) / trials), rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(seed=SEEDS)
def test_the_gaps_of_the_bins_weighted_by_rows_are_the_ece(seed: int) -> None:
    prediction, labels = some_classes(seed)
    scores = Scores.of(prediction, labels)

    bins = bins_of(told(prediction, labels))

    gaps = [
        one.rows * abs(one.accuracy - one.confidence)
        for one in bins
        if one.accuracy is not None and one.confidence is not None
    ]
    assert sum(one.rows for one in bins) == 40
    assert sum(gaps) / 40 == pytest.approx(scores.metrics()["ece"], rel=1e-12, abs=1e-15)


def test_bins_cover_all_confidences_and_one_without_rows_says_nothing() -> None:
    prediction = of_classes(torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]], dtype=torch.float64))

    bins = bins_of(told(prediction, torch.tensor([0, 0, 1])))

    assert [one.lower for one in bins] == [index / BINS for index in range(BINS)]
    assert [one.upper for one in bins[:-1]] == [one.lower for one in bins[1:]]
    assert bins[-1].upper == 1
    [held] = [one for one in bins if one.rows]
    assert held.lower < 0.5 <= held.upper
    assert (held.rows, held.confidence, held.accuracy) == (3, 0.5, 2 / 3)
    assert (held.low, held.high) == wilson(2 / 3, 3)
    empty = {(one.confidence, one.accuracy, one.low, one.high) for one in bins if not one.rows}
    assert empty == {(None, None, None, None)}


def test_the_labels_of_a_prediction_that_is_right_about_itself_lie_on_the_diagonal() -> None:
    stream = torch.Generator().manual_seed(5)
    prediction, _ = some_classes(5, rows=20_000)
    labels = torch.multinomial(prediction.probabilities, 1, generator=stream).squeeze(1)

    bins = [one for one in bins_of(told(prediction, labels)) if one.rows >= 100]

    assert len(bins) > 8
    for one in bins:
        assert one.confidence is not None
        assert one.accuracy is not None
        assert abs(one.accuracy - one.confidence) < 4 * math.sqrt(one.confidence * (1 - one.confidence) / one.rows)


def test_half_of_labels_at_both_ends_of_an_interval_and_half_beyond_are_counted_so() -> None:
    zeros, ones = torch.zeros(4, 1, dtype=torch.float64), torch.ones(4, 1, dtype=torch.float64)
    ends = torch.tensor([[0.6744], [-0.6744], [0.6746], [-0.6746]], dtype=torch.float64)  # Half lies within 0.67449.

    found = Inside.of(of_numbers(zeros, ones), ends, levels=(0.4, 0.5, 0.6))

    assert found.counts == (0, 2, 4)
    assert [one.share for one in found.shares()] == [0, 0.5, 1]
    assert [(one.low, one.high) for one in found.shares()] == [wilson(share, 4) for share in (0, 0.5, 1)]


def test_labels_that_a_prediction_draws_itself_lie_in_its_intervals_as_often_as_it_says() -> None:
    stream = torch.Generator().manual_seed(6)
    prediction, _ = some_numbers(6, rows=20_000, dims=1)
    labels = prediction.mean + prediction.std * torch.randn(20_000, 1, generator=stream, dtype=torch.float64)

    shares = Inside.of(prediction, labels).shares()

    assert [one.level for one in shares] == list(LEVELS)
    for one in shares:
        assert abs(one.share - one.level) < 4 * math.sqrt(one.level * (1 - one.level) / 20_000)


def test_the_level_that_is_kept_says_what_the_coverage_says() -> None:
    prediction, labels = some_numbers(7)
    scores = Scores.of(prediction, labels)
    assert isinstance(scores.outputs, OfNumbers)

    [kept] = Inside.kept(scores.rows, scores.outputs).shares()

    [same] = [one for one in Inside.of(prediction, labels).shares() if one.level == LEVEL_KEPT]
    assert kept == same
    assert kept.share == scores.metrics()["coverage"]


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, cut=st.integers(1, 39))
def test_labels_counted_in_two_parts_are_those_of_the_whole(seed: int, cut: int) -> None:
    prediction, labels = some_numbers(seed)
    parts = [slice(0, cut), slice(cut, 40)]

    predictions = [(rows_of(prediction, part), labels[part]) for part in parts]
    one, other = (Inside.of(of, found) for of, found in predictions if isinstance(of, GaussianPrediction))

    assert one + other == Inside.of(prediction, labels)


def test_labels_that_do_not_pair_up_are_refused() -> None:
    prediction, labels = some_numbers(1)

    with pytest.raises(InvalidInputs):
        Inside.of(prediction, labels[:-1])

"""Two predictions of the same rows, compared row by row: differences of scores, and their standard errors."""

from __future__ import annotations

import math

import pytest
import torch

import bayes
from bayes import CategoricalPrediction, GaussianPrediction, InvalidInputs, paired


def classes(probabilities: torch.Tensor) -> CategoricalPrediction:
    entropy = bayes.entropy(probabilities)
    return CategoricalPrediction(probabilities, entropy, entropy, torch.zeros_like(entropy), "mean")


def numbers(mean: torch.Tensor, std: torch.Tensor) -> GaussianPrediction:
    return GaussianPrediction(mean, std, torch.zeros_like(std), std, "mean")


def drawn(rows: int, seed: int) -> torch.Tensor:
    return torch.rand(rows, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(1)


def test_the_differences_are_those_of_the_scores_of_each_prediction() -> None:
    labels = torch.arange(50) % 4
    one, other = classes(drawn(50, 0)), classes(drawn(50, 1))

    found = paired(one, other, labels)

    ours, theirs = bayes.score(one, labels), bayes.score(other, labels)
    for name in ("accuracy", "nll", "brier"):
        assert found[name].mean == pytest.approx(ours[name] - theirs[name])
        assert found[name].rows == 50


def test_of_numbers_the_nll_and_the_squared_error_are_compared() -> None:
    labels = torch.linspace(-2, 2, 40).unsqueeze(1)
    draws = torch.randn(2, 40, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one = numbers(draws[0], torch.full_like(draws[0], 1.5))
    other = numbers(draws[1], torch.full_like(draws[1], 0.5))

    found = paired(one, other, labels)

    assert found["nll"].mean == pytest.approx(bayes.gaussian_nll(one, labels) - bayes.gaussian_nll(other, labels))
    assert found["mse"].mean == pytest.approx(bayes.rmse(one, labels) ** 2 - bayes.rmse(other, labels) ** 2)


def test_a_prediction_differs_from_itself_by_nothing_and_without_error() -> None:
    labels = torch.arange(20) % 4
    one = classes(drawn(20, 3))

    found = paired(one, one, labels)

    assert all((difference.mean, difference.standard_error) == (0.0, 0.0) for difference in found.values())


def test_the_standard_error_is_that_of_the_mean_over_rows_drawn_again() -> None:
    """Over 2,000 draws of 60 rows each, the mean differs by as much as its standard error says. Seed 0."""
    draws = torch.Generator().manual_seed(0)
    rows = torch.rand(20_000, 4, generator=draws, dtype=torch.float64).softmax(1)
    others = (rows + 0.3 * torch.rand(20_000, 4, generator=draws, dtype=torch.float64)).softmax(1)
    labels = torch.randint(0, 4, (20_000,), generator=draws)
    found = []
    for _ in range(2000):
        chosen = torch.randint(0, 20_000, (60,), generator=draws)
        found.append(paired(classes(rows[chosen]), classes(others[chosen]), labels[chosen])["nll"])

    spread = torch.tensor([one.mean for one in found]).std()
    said = torch.tensor([one.standard_error for one in found]).mean()
    assert float(spread / said) == pytest.approx(1.0, abs=0.08)


def test_one_row_has_no_standard_error() -> None:
    one = classes(drawn(1, 0))

    assert math.isinf(paired(one, one, torch.tensor([0]))["nll"].standard_error)


def test_what_does_not_pair_up_is_refused() -> None:
    with pytest.raises(InvalidInputs):
        paired(classes(drawn(3, 0)), classes(drawn(3, 1)), torch.tensor([0, 1]))
    with pytest.raises(InvalidInputs):
        paired(classes(drawn(0, 0)), classes(drawn(0, 1)), torch.empty(0, dtype=torch.long))

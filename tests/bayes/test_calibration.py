import math

import pytest
import torch

from bayes import (
    CategoricalPrediction,
    GaussianPrediction,
    accuracy,
    brier,
    ece,
    entropy,
    gaussian_nll,
    nll,
    rmse,
    score,
)

PROBABILITIES = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875], [0.25, 0.75]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 1, 0])


def gaussian() -> GaussianPrediction:
    mean = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    return GaussianPrediction(mean, torch.full_like(mean, 2.0), torch.zeros_like(mean), torch.full_like(mean, 2.0))


def test_accuracy_takes_the_first_of_equal_probabilities() -> None:
    assert accuracy(PROBABILITIES, LABELS) == 2 / 4


def test_nll_is_the_mean_log_probability_of_the_labels() -> None:
    by_hand = -(math.log(0.75) + math.log(0.5) + math.log(0.875) + math.log(0.25)) / 4

    assert nll(PROBABILITIES, LABELS) == pytest.approx(by_hand, rel=1e-15)


def test_nll_is_finite_where_the_label_was_thought_impossible() -> None:
    assert nll(torch.tensor([[1.0, 0.0]]), torch.tensor([1])) == pytest.approx(708.396, abs=1e-3)


def test_brier_is_the_mean_squared_distance_from_the_labels() -> None:
    by_hand = (2 * 0.25**2 + 2 * 0.5**2 + 2 * 0.125**2 + 2 * 0.75**2) / 4

    assert brier(PROBABILITIES, LABELS) == by_hand


def test_ece_is_the_mean_gap_of_each_bin_by_its_rows() -> None:
    # Bins (0.4, 0.6]: 0.5 wrong. (0.6, 0.8]: 0.75 right and 0.75 wrong. (0.8, 1]: 0.875 right.
    by_hand = (1 * 0.5 + 2 * 0.25 + 1 * 0.125) / 4

    assert ece(PROBABILITIES, LABELS, bins=5) == pytest.approx(by_hand, rel=1e-15)


def test_a_confidence_on_the_edge_of_a_bin_belongs_to_the_lower_bin() -> None:
    probabilities = torch.tensor([[0.5, 0.5], [0.75, 0.25]], dtype=torch.float64)

    assert ece(probabilities, torch.tensor([0, 1]), bins=2) == (0.5 + 0.75) / 2
    assert ece(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), bins=2) == 0.0


def test_entropy_of_a_sure_row_is_zero_and_of_an_even_row_log_classes() -> None:
    rows = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])

    assert entropy(rows).tolist() == pytest.approx([0.0, math.log(4)])


def test_rmse_and_nll_of_a_gaussian_are_those_by_hand() -> None:
    labels = torch.tensor([[1.0], [6.0]])

    assert rmse(gaussian(), labels) == pytest.approx(math.sqrt(16 / 2))
    by_hand = math.log(2) + 0.5 * math.log(2 * math.pi) + (0 + 0.5 * 4) / 2
    assert gaussian_nll(gaussian(), labels) == pytest.approx(by_hand)


def test_a_score_has_what_fits_the_output() -> None:
    zeros = torch.zeros(4)
    classes = score(CategoricalPrediction(PROBABILITIES, zeros, zeros, zeros), LABELS)
    numbers = score(gaussian(), torch.tensor([[1.0], [6.0]]))

    assert classes == {
        "accuracy": accuracy(PROBABILITIES, LABELS),
        "nll": nll(PROBABILITIES, LABELS),
        "ece": ece(PROBABILITIES, LABELS),
        "brier": brier(PROBABILITIES, LABELS),
    }
    assert set(numbers) == {"rmse", "nll"}

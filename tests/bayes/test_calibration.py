import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.distributions import Normal

from bayes import (
    CategoricalPrediction,
    GaussianPrediction,
    InvalidInputs,
    accuracy,
    auroc,
    brier,
    coverage,
    crps,
    ece,
    entropy,
    gaussian_nll,
    interval_width,
    nll,
    reliability,
    rmse,
    score,
)

PROBABILITIES = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875], [0.25, 0.75]], dtype=torch.float64)
LABELS = torch.tensor([0, 1, 1, 0])


OF_CLASSES = [accuracy, nll, brier, ece, reliability]
OF_NUMBERS = [rmse, gaussian_nll, crps, coverage]


def gaussian() -> GaussianPrediction:
    mean = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    std = torch.full_like(mean, 2.0)
    return GaussianPrediction(mean, std, torch.zeros_like(mean), std, "ensemble")


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


def test_reliability_tells_each_bin_with_rows_by_its_edges_confidence_accuracy_and_rows() -> None:
    found = reliability(PROBABILITIES, LABELS, bins=5)

    assert found.rows.tolist() == [1, 2, 1]
    assert found.lower.tolist() == pytest.approx([0.4, 0.6, 0.8])
    assert found.upper.tolist() == pytest.approx([0.6, 0.8, 1.0])
    assert found.confidence.tolist() == [0.5, 0.75, 0.875]
    assert found.accuracy.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("choices", [2, 5, 10**9])
def test_auroc_is_that_of_scikit_learn_with_ties_and_without(choices: int) -> None:
    stream = torch.Generator().manual_seed(choices)
    inside = torch.randint(0, choices, (40,), generator=stream)
    outside = torch.randint(choices // 3, choices + 1, (25,), generator=stream)

    truth = np.repeat([0, 1], [40, 25])
    assert auroc(inside, outside) == pytest.approx(roc_auc_score(truth, torch.cat([inside, outside])), rel=1e-12)


def test_auroc_is_one_when_every_strange_row_scores_higher_and_half_when_all_score_the_same() -> None:
    assert auroc(torch.tensor([0.0, 1.0]), torch.tensor([1.5, 2.0])) == 1
    assert auroc(torch.tensor([1.5, 2.0]), torch.tensor([0.0, 1.0])) == 0
    assert auroc(torch.ones(3), torch.ones(7)) == 0.5


def test_entropy_of_a_sure_row_is_zero_and_of_an_even_row_log_classes() -> None:
    rows = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])

    assert entropy(rows).tolist() == pytest.approx([0.0, math.log(4)])


def test_rmse_and_nll_of_a_gaussian_are_those_by_hand() -> None:
    labels = torch.tensor([[1.0], [6.0]])

    assert rmse(gaussian(), labels) == pytest.approx(math.sqrt(16 / 2))
    by_hand = math.log(2) + 0.5 * math.log(2 * math.pi) + (0 + 0.5 * 4) / 2
    assert gaussian_nll(gaussian(), labels) == pytest.approx(by_hand)


def test_an_interval_holds_its_level_of_the_normal_distribution() -> None:
    lower, upper = gaussian().interval(0.8)

    spread = Normal(gaussian().mean, gaussian().std)
    torch.testing.assert_close(spread.cdf(lower), torch.full_like(lower, 0.1))  # type: ignore[no-untyped-call]
    torch.testing.assert_close(spread.cdf(upper), torch.full_like(upper, 0.9))  # type: ignore[no-untyped-call]


def test_coverage_counts_the_labels_within_and_width_is_that_between_the_ends() -> None:
    one_sigma = math.erf(1 / math.sqrt(2))
    labels = torch.tensor([[3.0], [4.1]], dtype=torch.float64)

    assert coverage(gaussian(), labels - 0.001, level=one_sigma) == 0.5
    assert coverage(gaussian(), labels - 0.2, level=one_sigma) == 1.0
    assert coverage(gaussian(), labels + 0.1, level=one_sigma) == 0.0
    assert interval_width(gaussian(), level=one_sigma) == pytest.approx(4.0)


def test_crps_is_the_integral_of_the_squared_distance_of_the_distribution_functions() -> None:
    labels = torch.tensor([[3.0], [4.1]], dtype=torch.float64)
    points = torch.linspace(-40, 40, 800_001, dtype=torch.float64)
    spread = Normal(gaussian().mean, gaussian().std)

    steps = spread.cdf(points) - (points >= labels).double()  # type: ignore[no-untyped-call]

    assert crps(gaussian(), labels) == pytest.approx(
        float(torch.trapezoid(steps.square(), points, dim=1).mean()), rel=1e-4
    )


def test_a_score_has_what_fits_the_output() -> None:
    zeros = torch.zeros(4)
    classes = score(CategoricalPrediction(PROBABILITIES, zeros, zeros, zeros, "ensemble"), LABELS)
    numbers = score(gaussian(), torch.tensor([[1.0], [6.0]]))

    assert classes == {
        "accuracy": accuracy(PROBABILITIES, LABELS),
        "nll": nll(PROBABILITIES, LABELS),
        "ece": ece(PROBABILITIES, LABELS),
        "brier": brier(PROBABILITIES, LABELS),
    }
    assert numbers == {
        "rmse": pytest.approx(math.sqrt(8)),
        "nll": pytest.approx(gaussian_nll(gaussian(), torch.tensor([[1.0], [6.0]]))),
        "coverage": 0.5,
    }


@pytest.mark.parametrize("score_of", OF_NUMBERS)
def test_labels_of_one_dimension_may_come_without_its_axis(
    score_of: Callable[[GaussianPrediction, Tensor], float],
) -> None:
    assert score_of(gaussian(), torch.tensor([1.0, 6.0])) == score_of(gaussian(), torch.tensor([[1.0], [6.0]]))


@pytest.mark.parametrize("score_of", OF_NUMBERS)
@pytest.mark.parametrize("shape", [(1,), (3,), (1, 2), (2, 2), (2, 1, 1), (1, 1), (0, 1)])
def test_labels_of_another_shape_than_the_predictions_are_refused_by_both_shapes(
    score_of: Callable[[GaussianPrediction, Tensor], float], shape: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInputs, match=re.escape(f"labels {list(shape)} and predictions [2, 1] ")):
        score_of(gaussian(), torch.zeros(shape))


def test_labels_without_an_axis_are_refused_where_a_label_has_several_numbers() -> None:
    wide = torch.ones(2, 2, dtype=torch.float64)

    with pytest.raises(InvalidInputs, match=re.escape("labels [2] and predictions [2, 2] ")):
        rmse(GaussianPrediction(wide, wide, wide, wide, "ensemble"), torch.ones(2))


@pytest.mark.parametrize("score_of", OF_CLASSES)
@pytest.mark.parametrize("labels", [LABELS.unsqueeze(1), LABELS[:3], LABELS[:1], LABELS[0], LABELS.expand(4, 4)])
def test_class_labels_of_another_shape_than_the_rows_are_refused_by_both_shapes(
    score_of: Callable[[Tensor, Tensor], object], labels: Tensor
) -> None:
    with pytest.raises(
        InvalidInputs, match=re.escape(f"labels {list(labels.shape)} and probabilities [4, 2] do not pair up")
    ):
        score_of(PROBABILITIES, labels)


@pytest.mark.parametrize("score_of", OF_CLASSES)
@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS.double(), "torch.float64; classes are whole numbers"),
        (LABELS.bool(), "torch.bool; classes are whole numbers"),
        (LABELS + 1, "from 0 to 1"),
        (LABELS - 1, "from 0 to 1"),
    ],
)
def test_labels_that_are_no_classes_are_refused(
    score_of: Callable[[Tensor, Tensor], object], labels: Tensor, words: str
) -> None:
    with pytest.raises(InvalidInputs, match=words):
        score_of(PROBABILITIES, labels)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_class_labels_are_whole_numbers_of_any_width(dtype: torch.dtype) -> None:
    zeros = torch.zeros(4)
    prediction = CategoricalPrediction(PROBABILITIES, zeros, zeros, zeros, "ensemble")

    assert score(prediction, LABELS.to(dtype)) == score(prediction, LABELS)


@pytest.mark.parametrize("score_of", OF_CLASSES)
def test_no_rows_of_classes_have_no_score(score_of: Callable[[Tensor, Tensor], object]) -> None:
    with pytest.raises(InvalidInputs, match=re.escape("[0, 2] have no rows")):
        score_of(PROBABILITIES[:0], LABELS[:0])


@pytest.mark.parametrize("score_of", [*OF_NUMBERS, lambda prediction, _: interval_width(prediction)])
def test_no_rows_of_numbers_have_no_score(score_of: Callable[[GaussianPrediction, Tensor], float]) -> None:
    none = torch.zeros(0, 1, dtype=torch.float64)

    with pytest.raises(InvalidInputs, match=re.escape("[0, 1] have no rows")):
        score_of(GaussianPrediction(none, none, none, none, "ensemble"), none)


@pytest.mark.parametrize(
    ("inside", "outside", "words"),
    [
        (torch.tensor([0.0, math.nan]), torch.ones(2), "NaN"),
        (torch.ones(2), torch.tensor([math.nan]), "NaN"),
        (torch.ones(0), torch.ones(2), re.escape("[0] and [2]")),
        (torch.ones(2), torch.ones(0), re.escape("[2] and [0]")),
        (torch.ones(2, 1), torch.ones(2), re.escape("[2, 1] and [2]")),
    ],
)
def test_auroc_of_no_rows_or_of_scores_that_are_no_numbers_is_refused(
    inside: Tensor, outside: Tensor, words: str
) -> None:
    with pytest.raises(InvalidInputs, match=words):
        auroc(inside, outside)

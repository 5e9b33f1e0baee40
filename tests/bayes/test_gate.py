"""The gate: which rows are held out, and when a fresh version is worse than its parent."""

from __future__ import annotations

import pytest
import torch

import bayes
from bayes import CategoricalPrediction, Gate
from bayes.prediction import rows_of

LABELS = torch.zeros(1000, dtype=torch.long)


def right_for(rows: int, *, sure: float = 0.9) -> CategoricalPrediction:
    """A prediction of 1,000 rows of class 0 that is right for the first so many, and sure of what it says."""
    of_label = torch.where(torch.arange(1000) < rows, sure, 1 - sure).double()
    probabilities = torch.stack([of_label, 1 - of_label], 1)
    entropy = bayes.entropy(probabilities)
    return CategoricalPrediction(probabilities, entropy, entropy, torch.zeros_like(entropy), "mean")


def worse(fresh: CategoricalPrediction, parent: CategoricalPrediction, **tolerances: float) -> tuple[str, ...]:
    return Gate(**{"nll": 100.0} | tolerances).judge(fresh, parent, LABELS).worse


def test_the_same_rows_of_a_batch_are_held_out_whoever_asks() -> None:
    gate = Gate(held_out=0.25)

    first, again = gate.split("sha256:one", 400, seed=3), gate.split("sha256:one", 400, seed=3)

    assert torch.equal(first, again)
    assert not torch.equal(first, gate.split("sha256:two", 400, seed=3))
    assert not torch.equal(first, gate.split("sha256:one", 400, seed=4))


def test_as_many_rows_are_held_out_as_the_gate_says() -> None:
    """Of 500 batches of 40 rows each; the standard deviation of the share is 0.3 points."""
    gate = Gate(held_out=0.2)

    held = torch.cat([gate.split(f"sha256:{number}", 40, seed=0) for number in range(500)])

    assert float(held.double().mean()) == pytest.approx(0.2, abs=0.012)


def test_a_version_as_good_as_its_parent_is_fit() -> None:
    assert worse(right_for(900), right_for(900)) == ()
    assert worse(right_for(950), right_for(900)) == ()
    assert Gate().judge(right_for(900), right_for(900), LABELS).is_fit


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        (9, ()),  # Less than a point.
        (12, ()),  # More than a point, but by less than its standard error.
        (15, ("accuracy",)),
        (21, ("accuracy",)),
    ],
)
def test_accuracy_may_fall_by_a_point_and_what_its_standard_error_explains(lost: int, found: tuple[str, ...]) -> None:
    assert worse(right_for(900 - lost), right_for(900)) == found


def test_more_than_twice_what_may_be_lost_is_worse_whatever_its_standard_error() -> None:
    assert worse(right_for(879), right_for(900), standard_errors=10.0) == ("accuracy",)
    assert worse(right_for(881), right_for(900), standard_errors=10.0) == ()


def test_of_few_rows_only_their_standard_error_tells() -> None:
    """One of 40 rows is 2.5 points."""
    few = slice(880, 920)

    fresh, parent = (rows_of(right_for(rows), few) for rows in (899, 900))
    found = Gate(nll=100.0).judge(fresh, parent, LABELS[few])

    assert found.differences["accuracy"].mean == pytest.approx(-0.025)
    assert found.worse == ()


@pytest.mark.parametrize(("lost", "found"), [(3, ()), (8, ("accuracy",))])
def test_of_few_rows_a_loss_has_to_be_twice_as_sure(lost: int, found: tuple[str, ...]) -> None:
    """3 of 24 rows are 12.5 points, 1.7 standard errors beyond the first; 8 are 3.3."""
    few = slice(880, 904)
    fresh, parent = (rows_of(right_for(rows), few) for rows in (904 - lost, 904))

    assert Gate(nll=100.0).judge(fresh, parent, LABELS[few]).worse == found
    assert Gate(nll=100.0, standard_errors=0.5).judge(fresh, parent, LABELS[few]).worse == ("accuracy",)


def test_a_version_that_is_surer_of_its_errors_is_worse_in_nll() -> None:
    verdict = Gate(nll=0.1).judge(right_for(900, sure=0.999999), right_for(900, sure=0.9), LABELS)

    assert verdict.worse == ("nll",)
    assert "nll +" in verdict.sentence()
    assert verdict.to_json()["differences"]["nll"]["rows"] == 1000


def test_what_cannot_be_told_from_nothing_good_is_worse() -> None:
    broken = right_for(900)
    broken.probabilities[0] = float("nan")

    assert "nll" in Gate().judge(broken, right_for(900), LABELS).worse

from __future__ import annotations

import pytest

from benchmarks.figures import Claim, figure, number, percentile, ratio


def test_a_ratio_is_one_of_medians_and_its_spread_that_of_the_rounds() -> None:
    found = ratio([2.0, 4.0, 9.0], [1.0, 4.0, 3.0])

    assert (found.middle, found.least, found.most) == (4 / 3, 1.0, 3.0)


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 1), (50, 50), (98.5, 99), (99, 99), (99.1, 100), (100, 100)]
)  # fmt: skip
def test_a_percentile_is_a_value_that_was_seen(percent: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


def test_a_figure_is_said_with_its_spread() -> None:
    assert str(figure([1.0, 0.5, 30.25])) == "1.00 (0.50 to 30.2)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(36_737.4, "36,737"), (99.96, "100.0"), (9.994, "9.99"), (0.0123, "0.0123"), (-2.5, "-2.50")],
)
def test_a_number_has_as_many_digits_as_can_be_told(value: float, expected: str) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(("holds", "expected"), [(True, "yes"), (False, "**no**"), (None, "")])
def test_a_claim_says_whether_it_holds_where_it_is_held_to_something(holds: bool | None, expected: str) -> None:
    assert Claim("words", "figure", None, holds).cells == ["words", "", "figure", expected]

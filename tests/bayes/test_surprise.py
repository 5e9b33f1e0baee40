"""A batch is surprising if it is worse predicted than expected, and no less so for what came before it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
import torch

from bayes import Scores, surprise
from tests.bayes.test_scores import of_classes, of_numbers

ROWS = 200
Made = Callable[..., Scores]


def classes(seed: int, *, rows: int = ROWS, sure: float = 1.0, shuffled: float = 0.0) -> Scores:
    """Rows whose labels their probabilities drew; the version is `sure` times too sure, some labels are shuffled."""
    stream = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, 5, generator=stream, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=stream).squeeze(1)
    moved = round(rows * shuffled)
    labels[:moved] = labels[:moved][torch.randperm(moved, generator=stream)]
    return Scores.of(of_classes((sure * logits).softmax(1)), labels)


def numbers(seed: int, *, rows: int = ROWS, sure: float = 1.0, off: float = 0.0) -> Scores:
    stream = torch.Generator().manual_seed(seed)
    mean, noise = torch.randn(2, rows, 2, generator=stream, dtype=torch.float64)
    return Scores.of(of_numbers(mean, torch.full_like(mean, 1 / sure)), mean + noise + off)


def line(made: Made, count: int, **how: float) -> list[Scores]:
    return [made(seed, **how) for seed in range(1, count + 1)]


@pytest.mark.parametrize("made", [classes, numbers])
@pytest.mark.parametrize("sure", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("rows", [20, 200, 5000])
def test_a_version_that_is_too_sure_or_not_sure_enough_is_not_surprised_by_more_of_the_same(
    made: Made, sure: float, rows: int
) -> None:
    earlier = line(made, 40, sure=sure, rows=rows)

    found = [surprise(now, earlier[:at]) for at, now in enumerate(earlier)]

    assert not any(each.is_surprising for each in found)


@pytest.mark.parametrize("sure", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("count", [2, 3, 10, 40])
def test_shuffled_labels_and_labels_that_moved_are_surprising(sure: float, count: int) -> None:
    poisoned = surprise(classes(99, sure=sure, shuffled=1.0), line(classes, count, sure=sure))
    drifted = surprise(numbers(99, sure=sure, off=2.0), line(numbers, count, sure=sure))

    assert poisoned.is_surprising
    assert drifted.is_surprising


def test_a_batch_that_is_better_predicted_than_others_is_no_surprise() -> None:
    found = surprise(numbers(99, sure=0.5), line(numbers, 10, sure=2.0))

    assert found.nats < found.expected
    assert found.z < 0
    assert not found.is_surprising


def test_a_root_that_knows_nothing_of_the_labels_scale_does_not_hide_what_comes_in_the_third_batch() -> None:
    by_root, by_first = numbers(1, sure=1.0, off=8.0), numbers(2)
    assert by_root.excess / by_root.rows > 50

    assert surprise(numbers(99, off=2.0), [by_root, by_first]).is_surprising
    assert not surprise(numbers(98), [by_root, by_first]).is_surprising


def test_poisoned_batches_among_the_earlier_ones_do_not_hide_the_next_one() -> None:
    poisoned = [classes(seed, shuffled=1.0) for seed in (51, 52, 53, 54)]
    earlier = [*line(classes, 3), *poisoned, *line(classes, 3)]

    assert surprise(classes(99, shuffled=1.0), earlier).is_surprising
    assert not surprise(classes(99), earlier).is_surprising


def test_nothing_is_surprising_before_two_batches_are_there_to_compare_with() -> None:
    poisoned = classes(99, shuffled=1.0)

    for count in (0, 1):
        found = surprise(poisoned, line(classes, count))
        assert found.z > found.threshold
        assert found.references == count
        assert not found.is_surprising


def test_small_batches_are_compared_with_as_groups_of_rows() -> None:
    single = [classes(seed, rows=1) for seed in range(1, 321)]

    found = surprise(classes(99, shuffled=1.0), single)

    assert found.references == 10
    assert found.is_surprising
    assert not surprise(classes(98), single).is_surprising


def test_few_rows_are_never_surprising_however_wrong() -> None:
    certain = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(6, 2)
    wrong = Scores.of(of_classes(certain), torch.ones(6, dtype=torch.int64))

    found = surprise(wrong, line(classes, 10))

    assert found.z <= math.sqrt(6)
    assert not found.is_surprising


def test_only_the_newest_twenty_batches_count() -> None:
    early, late = line(classes, 30, sure=3.0), line(classes, 20)

    assert surprise(classes(99), [*early, *late]) == surprise(classes(99), late)


def test_the_same_excess_in_more_rows_is_no_less_surprising() -> None:
    earlier = line(classes, 10)
    part = classes(99, shuffled=0.3)

    assert surprise(part + part, earlier).z > surprise(part, earlier).z


def test_the_threshold_is_the_least_z_that_is_surprising() -> None:
    earlier, now = line(classes, 10), classes(99, shuffled=1.0)
    z = surprise(now, earlier).z

    assert surprise(now, earlier, threshold=z).is_surprising
    assert not surprise(now, earlier, threshold=math.nextafter(z, math.inf)).is_surprising


def test_scores_that_overflow_are_surprising_and_are_nothing_to_compare_with() -> None:
    tiny = torch.full((50, 1), 1e-150, dtype=torch.float64)
    beyond = Scores.of(of_numbers(torch.zeros(50, 1, dtype=torch.float64), tiny), torch.full((50, 1), 1e30))
    earlier = line(numbers, 5)

    found = surprise(beyond, earlier)

    assert found.is_surprising
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["nats"] is plain["spread"] is None
    assert plain["is_surprising"] is True
    assert surprise(numbers(9), [*earlier, beyond]) == surprise(numbers(9), earlier)


def test_by_hand() -> None:
    # Two classes, both thought equally likely: every row has the surprisal that is expected of it.
    even = torch.full((100, 2), 0.5, dtype=torch.float64)
    earlier = [Scores.of(of_classes(even), torch.zeros(100, dtype=torch.int64))] * 4
    probabilities = torch.tensor([[0.9, 0.1]], dtype=torch.float64).expand(100, 2)
    expected = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))

    found = surprise(Scores.of(of_classes(probabilities), torch.ones(100, dtype=torch.int64)), earlier)

    excess = -math.log(0.1) - expected
    between = 4 * 0.1**2 / (4 + 4) * (1 + 1 / 4)
    assert found.expected == 0
    assert found.nats == pytest.approx(excess)
    assert found.spread == pytest.approx(math.sqrt(between + excess**2 / 100))
    assert found.z == pytest.approx(excess / found.spread)

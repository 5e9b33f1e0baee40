from __future__ import annotations

from typing import Any

import pytest
import torch

import bayes
from bayes.surprise import THRESHOLD
from benchmarks import mnist, surprise
from benchmarks.mnist import Rows
from benchmarks.surprise import Streams, claims, counted, measured, rounded, shuffled, summary, turned
from tests.benchmarks import given

STREAM = Streams(
    seed=1,
    place=3,
    clean=[0.0, 9.0, 1.0, -1.0, 2.0],
    poisoned=[0.0, 9.0, 1.0, 12.0, 2.6],
    turned={"30": 3.0, "45": 4.0, "90": 5.0, "15": 1.0},
    shuffled={"20%": 6.0},
)


def bands(count: int, seed: int) -> Rows:
    """Images with a bright band at the height that their class tells, which a turn carries elsewhere."""
    stream = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (count,), generator=stream)
    images = torch.randint(60, (count, 1, 28, 28), generator=stream, dtype=torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 2 + 2 * label : 4 + 2 * label, :14] = 255
    return Rows(images, labels)


@pytest.fixture(scope="module")
def streams() -> Streams:
    description = {**mnist.DESCRIPTION, "net": {"kind": "mlp", "hidden": [20]}, "chunk": {"rows": 200}}
    model = bayes.Model.from_description({**description, "recipe": {"epochs": 10}})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = measured(model, [bands(200, seed) for seed in range(6)], seed=3)
    torch.set_num_threads(threads)
    return found


def test_a_poisoned_batch_and_a_turned_one_stand_out_from_clean_ones(streams: Streams) -> None:
    assert max(streams.clean[2:]) < THRESHOLD
    assert streams.poisoned[streams.place] == max(streams.poisoned) > THRESHOLD
    assert streams.turned["90"] > THRESHOLD


def test_what_comes_after_a_poisoned_batch_is_judged_by_a_version_that_learned_it(streams: Streams) -> None:
    assert 2 <= streams.place < len(streams.clean) - 1
    assert streams.poisoned[: streams.place] == streams.clean[: streams.place]
    assert all(
        bad != good for bad, good in zip(streams.poisoned[streams.place :], streams.clean[streams.place :], strict=True)
    )


def test_the_same_seed_gives_the_same_place_and_others_give_every_place_from_the_third_on() -> None:
    def place(seed: int) -> int:
        return surprise.place_of(10, torch.Generator().manual_seed(seed))

    assert place(5) == place(5)
    assert {place(seed) for seed in range(200)} == set(range(2, 10))


def test_a_share_of_labels_is_shuffled_and_no_label_is_new() -> None:
    rows = Rows(*given.rows(400))

    some = shuffled(rows, 0.25, torch.Generator().manual_seed(1))

    assert torch.equal(some.images, rows.images)
    assert some.labels.bincount().tolist() == rows.labels.bincount().tolist()
    assert 0.25 * 0.8 < (some.labels != rows.labels).double().mean() <= 0.25
    every = shuffled(rows, 1.0, torch.Generator().manual_seed(1))
    assert 0.8 < (every.labels != rows.labels).double().mean() < 1


def test_turned_rows_keep_their_labels() -> None:
    rows = Rows(*given.rows(4))

    quarter = turned(rows, 90)

    assert torch.equal(quarter.images, rows.images.rot90(1, (2, 3)))
    assert torch.equal(quarter.labels, rows.labels)


def test_alarms_are_counted_from_the_third_batch_on_and_those_after_the_poisoned_one_by_themselves() -> None:
    found = summary([STREAM, STREAM])

    assert found["clean"] == {"batches": 6, "alarms": 0, "middle": 1.0, "least": -1.0, "most": 2.0}
    assert found["after_poison"] == {"batches": 2, "alarms": 2, "middle": 2.6, "least": 2.6, "most": 2.6}
    assert (found["poisoned"]["batches"], found["poisoned"]["alarms"], found["poisoned_above_all"]) == (2, 2, 2)
    assert (found["turned"]["all"]["batches"], found["turned"]["all"]["alarms"]) == (6, 6)
    assert (found["turned"]["15"]["batches"], found["turned"]["15"]["alarms"]) == (2, 0)
    assert found["shuffled"]["20%"]["alarms"] == 2


def test_a_z_at_the_threshold_is_an_alarm() -> None:
    assert counted([THRESHOLD, THRESHOLD - 0.01])["alarms"] == 1
    assert counted([]) == {"batches": 0, "alarms": 0}


def test_a_result_has_two_digits_of_every_z() -> None:
    assert rounded(Streams(1, 2, [1.23456], [0.5], {"30": 2.499}, {}))["clean"] == [1.23]


def result(**changes: dict[str, Any]) -> dict[str, Any]:
    of = summary([STREAM] * 2) | {"after_poison": counted([1.0, 2.0])} | changes
    return {
        "bounds": {"detected_least": 0.95, "false_most": 0.05},
        "seeds": {"mlp": [1, 2], "lenet5": [1, 2]},
        "nets": {"mlp": of, "lenet5": summary([STREAM] * 2)},
    }


def test_claims_hold_where_bad_batches_surprise_and_clean_ones_do_not() -> None:
    found = claims(result())

    assert [claim.holds for claim in found] == [True, True, True, None, None]
    assert found[0].figure == "2 of 2, z 12.0 (12.0 to 12.0); above every clean batch of its stream: 2 of 2"


@pytest.mark.parametrize(
    ("changes", "which"),
    [
        ({"poisoned": counted([9.0] * 18 + [0.0])}, 0),
        ({"poisoned_above_all": 1}, 0),
        ({"turned": {"all": counted([9.0] * 18 + [0.0])}}, 1),
        ({"clean": counted([0.0] * 18 + [9.0])}, 2),
        ({"after_poison": counted([0.0] * 18 + [9.0])}, 2),
    ],
)
def test_one_of_nineteen_that_is_wrong_breaks_its_bound(changes: dict[str, Any], which: int) -> None:
    assert [claim.holds for claim in claims(result(**changes))[:3]] == [place != which for place in range(3)]

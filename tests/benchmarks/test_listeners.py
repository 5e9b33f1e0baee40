from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.listeners import ARMS, another, beside_elsewhere, claims, cost, noise, watch
from benchmarks.live.ears import Ear, is_wrong
from tests.benchmarks.served import SMALL, serving

IMAGES = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2)
EQUAL = {"none": [1.0, 1.2, 1.0], "none again": [1.1, 1.0, 1.0], "elsewhere": [1.1, 1.0, 2.2]}


def test_every_listener_hears_every_event_and_every_arm_is_measured(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, server, client), another(tmp_path) as other:
        client.create_model(SMALL)

        seen = watch(server, other, IMAGES, np.array([0, 1, 2]), rounds=1, seconds=1.0, listeners=5)

    assert seen.wrong == 0
    assert seen.heard >= 2 * 5 * 3
    assert all(len(of[arm]) == 1 and of[arm][0] > 0 for of in (seen.p50_ms, seen.p99_ms) for arm in ARMS)


@pytest.mark.parametrize(
    ("heard", "expected"), [([5, 6, 7], False), ([5, 7], True), ([5, 6, 6, 7], True), ([6, 5, 7], True), ([5, 6], True)]
)
def test_a_listener_that_missed_something_is_counted(heard: list[int], expected: bool) -> None:
    ear = Ear()
    ear.start, ear.heard = 4, heard

    assert is_wrong(ear, 7) is expected


def test_the_claims_hold_within_what_two_equal_arms_are_apart_and_without_a_fault() -> None:
    of = EQUAL | {"listeners": [1.1, 1.1, 1.1]}
    good = {"listeners": 200, "events_per_second": 5.0, "rounds": 3, "p50_ms": of, "p99_ms": of, "heard": 9, "wrong": 0}

    assert (noise(of).least, noise(of).most) == (1.0 / 1.2, 1.2)
    assert cost(of).middle == pytest.approx(1.1 / 1.05)
    assert beside_elsewhere(of).middle == pytest.approx(1.0)
    assert [claim.holds for claim in claims(good)] == [True, True, None]
    slow = EQUAL | {"listeners": [1.4, 1.4, 1.4]}
    assert [claim.holds for claim in claims(good | {"p99_ms": slow})] == [False, True, None]
    assert [claim.holds for claim in claims(good | {"wrong": 1})] == [True, False, None]
    assert [claim.holds for claim in claims(good | {"heard": 0})] == [True, False, None]

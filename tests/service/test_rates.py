"""Rates: no key sends more than it may, and whoever waits as told is let in."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.rates import Rates
from service.rejected import RateLimited
from store.keys import KeyRow
from store.kinds import Scope
from tests.service.expected import expect_problem
from tests.service.keyed import make_key, shown
from tests.service.live import INPUTS, running

EPOCH = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.seconds = EPOCH

    def __call__(self) -> float:
        return self.seconds


def key(name: str = "ada", *, requests_per_minute: int | None = None) -> KeyRow:
    return KeyRow(name, "0", frozenset({Scope.PREDICT}), "*", requests_per_minute, "test", 0.0, None, None)


async def sent(rates: Rates, row: KeyRow) -> int:
    """0 when the request is let in, else how many seconds to wait."""
    try:
        await rates.count(row)
    except RateLimited as refused:
        seconds = refused.facts["seconds"]
        assert isinstance(seconds, int)
        assert seconds >= 1
        return seconds
    return 0


@settings(max_examples=300, deadline=None)
@given(
    most=st.integers(1, 12),
    offset=st.floats(0, 120, allow_nan=False),
    pauses=st.lists(st.floats(0, 20, allow_nan=False) | st.sampled_from([0.0, 1.0, 30.0, 60.0]), max_size=40),
)
def test_whoever_waits_as_long_as_told_is_let_in(most: int, offset: float, pauses: list[float]) -> None:
    clock, row = Clock(), key(requests_per_minute=most)
    clock.seconds += offset

    async def send_all() -> None:
        rates = Rates(requests_per_minute=None)
        for pause in pauses:
            clock.seconds += pause
            if seconds := await sent(rates, row):
                clock.seconds += seconds
                assert await sent(rates, row) == 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", clock)
        asyncio.run(send_all())


@pytest.mark.parametrize("offset", [0.0, 17.3, 59.9])
def test_in_a_minute_no_more_come_in_than_may(monkeypatch: pytest.MonkeyPatch, offset: float) -> None:
    clock = Clock()
    clock.seconds += offset
    monkeypatch.setattr(time, "time", clock)

    async def send_all() -> list[float]:
        rates, entered = Rates(requests_per_minute=None), list[float]()
        for _ in range(3000):
            if await sent(rates, key(requests_per_minute=30)) == 0:
                entered.append(clock.seconds)
            clock.seconds += 0.1
        return entered

    entered = asyncio.run(send_all())

    assert len(entered) >= 30 * 4  # Five minutes.
    # The minute before counts in proportion, as if its requests had come evenly: that may let in up to as many again.
    assert max(sum(start <= moment < start + 60 for moment in entered) for start in entered) <= 2 * 30
    assert len(entered) <= 30 * 6


def test_keys_are_counted_apart_and_the_keys_own_rate_comes_before_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time", Clock())

    async def send_all() -> list[list[bool]]:
        rates = Rates(requests_per_minute=2)
        rows = [key("ada"), key("bob", requests_per_minute=3), key("eve", requests_per_minute=1)]
        return [[await sent(rates, row) == 0 for _ in range(4)] for row in rows]

    assert asyncio.run(send_all()) == [
        [True, True, False, False],
        [True, True, True, False],
        [True, False, False, False],
    ]


def test_without_a_rate_nothing_is_counted() -> None:
    async def send_all() -> set[int]:
        rates = Rates(requests_per_minute=None)
        return {await sent(rates, key()) for _ in range(100)}

    assert asyncio.run(send_all()) == {0}


def test_what_is_kept_of_a_key_does_not_grow_with_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "time", clock)

    async def send_all() -> int:
        rates = Rates(requests_per_minute=1_000_000)
        for number in range(6000):
            await rates.count(key(f"key-{number % 3}"))
            clock.seconds += 1.0
            await asyncio.sleep(0)
        storage = rates._limiter.storage
        return len(storage.storage) + len(storage.expirations) + len(storage.locks)  # type: ignore[attr-defined]

    assert asyncio.run(send_all()) <= 3 * 3 * 4


def test_a_key_over_its_rate_is_told_how_long_to_wait_and_nothing_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as live:
        model = live.create()
        limited, other = (
            make_key(live, name, "admin", requests_per_minute=most) for name, most in (("slow", 2), ("b", None))
        )
        with shown(live, limited):
            assert [live.client.post(f"{model}/predictions", json=INPUTS).status_code for _ in range(2)] == [200, 200]

            for answer in (
                live.client.post(f"{model}/predictions", json=INPUTS),
                live.client.put(f"{model}/aliases/best", json={"version": 0}),
                live.client.get("/nothing"),
            ):
                problem = expect_problem(answer, "rate-limited")
                seconds = int(answer.headers["Retry-After"])
                assert 1 <= seconds <= 61
                assert f"in {seconds} seconds" in problem["detail"]
                assert "'slow'" in problem["detail"]
            assert live.client.get("/livez").status_code == 200
        with shown(live, other):
            assert [alias["alias"] for alias in live.client.get(f"{model}/aliases").json()["aliases"]] == ["head"]

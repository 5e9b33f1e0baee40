"""Rates: no key sends more than it may, and whoever waits as told is let in."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from service.rates import Rates
from service.rejected import RateLimited
from store.values import KeyRow, Scope
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


def sent(rates: Rates, row: KeyRow) -> int:
    """0 when the request is let in, else how many seconds to wait."""
    try:
        rates.count(row)
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
    rates = Rates(requests_per_minute=None, clock=clock)

    for pause in pauses:
        clock.seconds += pause
        if seconds := sent(rates, row):
            clock.seconds += seconds
            assert sent(rates, row) == 0


@settings(max_examples=300, deadline=None)
@given(
    most=st.integers(1, 12),
    offset=st.floats(0, 120, allow_nan=False),
    pauses=st.lists(st.floats(0, 20, allow_nan=False) | st.sampled_from([0.0, 1.0, 30.0, 60.0]), max_size=60),
)
def test_in_no_minute_more_come_in_than_may_nor_fewer(most: int, offset: float, pauses: list[float]) -> None:
    clock, row, entered = Clock(), key(requests_per_minute=most), list[float]()
    clock.seconds += offset
    rates = Rates(requests_per_minute=None, clock=clock)

    for pause in pauses:
        clock.seconds += pause
        lately = sum(moment + 60.0 > clock.seconds for moment in entered)
        assert (sent(rates, row) == 0) == (lately < most)
        if lately < most:
            entered.append(clock.seconds)


def test_what_would_come_in_between_two_minutes_waits() -> None:
    clock = Clock()
    rates, row = Rates(requests_per_minute=3, clock=clock), key()
    clock.seconds += 59.0

    def send() -> bool:
        return sent(rates, row) == 0

    assert [send() for _ in range(3)] == [True] * 3
    clock.seconds += 13.0
    assert not send()
    clock.seconds += 47.0
    assert send()


def test_keys_are_counted_apart_and_the_keys_own_rate_comes_before_the_settings() -> None:
    rates = Rates(requests_per_minute=2, clock=Clock())
    rows = [key("ada"), key("bob", requests_per_minute=3), key("eve", requests_per_minute=1)]

    assert [[sent(rates, row) == 0 for _ in range(4)] for row in rows] == [
        [True, True, False, False],
        [True, True, True, False],
        [True, False, False, False],
    ]


def test_without_a_rate_nothing_is_counted() -> None:
    rates = Rates(requests_per_minute=None)

    assert {sent(rates, key()) for _ in range(100)} == {0}
    assert rates.remembered == 0


def test_no_more_is_remembered_of_a_key_than_it_may_send_and_nothing_of_one_that_is_silent() -> None:
    clock = Clock()
    rates, most = Rates(requests_per_minute=50, clock=clock), 0
    for number in range(6000):
        sent(rates, key(f"key-{number % 3}"))
        clock.seconds += 0.1
        most = max(most, rates.remembered)

    assert most == 3 * 50
    clock.seconds += 60.0
    sent(rates, key("another"))
    assert rates.remembered == 1


def test_a_key_over_its_rate_is_told_how_long_to_wait_and_nothing_is_done(tmp_path: Path) -> None:
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

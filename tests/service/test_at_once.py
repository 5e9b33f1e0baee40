"""Short work is done by the event loop, together and in short turns; everything else by threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import at_once
from service.at_once import SECONDS_MAX, AtOnce
from service.rejected import Overloaded, PredictionLate, Unavailable
from tests.service.gathered import WAIT_SECONDS, Asked, Calls, Item

Work = AtOnce[str, Item, Item]

QUICK, SLOW = 0.001, 2 * SECONDS_MAX
HOUR = 3600.0


@dataclass
class Timed:
    """Answers each item with itself, after as many seconds of a clock of its own as an item of the key takes."""

    costs: dict[str, float] = field(default_factory=dict)
    now: float = 0.0
    seen: list[tuple[str, list[int], bool]] = field(default_factory=list)
    """Key, items, and whether the event loop did it."""

    def __call__(self, key: str, asked: Sequence[Asked]) -> Sequence[Item]:
        is_loop = threading.current_thread() is threading.main_thread()
        self.seen.append((key, [one.item[1] for one in asked], is_loop))
        self.now += self.costs.get(key, QUICK) * len(asked)
        return [one.item for one in asked]


@contextmanager
def working(
    answering: Callable[[str, Sequence[Asked]], Sequence[Item]],
    *,
    is_ready: Callable[[str], bool] = lambda _: True,
    items_max: int = 10_000,
    bytes_max: int = 10_000,
) -> Iterator[Work]:
    def clock() -> float:
        return answering.now if isinstance(answering, Timed) else time.monotonic()

    work: Work = AtOnce(
        answering,
        is_ready=is_ready,
        kind=lambda key: key,
        threads=2,
        items_max=items_max,
        bytes_max=bytes_max,
        clock=clock,
    )
    try:
        yield work
    finally:
        work.close()


async def ask(work: Work, key: str, number: int, *, is_shared: bool = True, seconds: float = HOUR) -> Item:
    return await work.ask(key, (key, number), is_shared=is_shared, nbytes=1, seconds=seconds)


async def together(work: Work, *items: Item) -> list[Item | BaseException]:
    """The answers to items that are asked in one turn of the event loop."""
    asked = (ask(work, key, number) for key, number in items)
    return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), WAIT_SECONDS)


def test_the_first_item_goes_to_a_thread_and_quick_ones_are_then_answered_by_the_loop() -> None:
    timed = Timed()

    async def callers(work: Work) -> None:
        for number in range(3):
            assert await ask(work, "a", number) == ("a", number)

    with working(timed) as work:
        asyncio.run(callers(work))
    assert timed.seen == [("a", [0], False), ("a", [1], True), ("a", [2], True)]


def test_what_came_in_one_turn_is_one_call_for_each_key() -> None:
    timed, items = Timed({"a": 0.0001, "b": 0.0001}), [("ab"[number % 2], number) for number in range(10)]

    async def callers(work: Work) -> None:
        await together(work, ("a", -1), ("b", -2))
        assert await together(work, *items) == items

    with working(timed) as work:
        asyncio.run(callers(work))
    assert timed.seen[2:] == [("a", [0, 2, 4, 6, 8], True), ("b", [1, 3, 5, 7, 9], True)]


def test_one_call_has_no_more_than_64_items() -> None:
    timed, items = Timed({"a": 0.0}), [("a", number) for number in range(150)]

    async def callers(work: Work) -> None:
        await ask(work, "a", -1)
        assert await together(work, *items) == items

    with working(timed) as work:
        asyncio.run(callers(work))
    assert [len(numbers) for _, numbers, _ in timed.seen] == [1, 64, 64, 22]


@pytest.mark.parametrize("is_shared", [True, False])
def test_what_is_slow_or_not_shared_stays_with_the_threads(is_shared: bool) -> None:
    timed = Timed({"a": SLOW if is_shared else QUICK})

    async def callers(work: Work) -> None:
        for number in range(3):
            await ask(work, "a", number, is_shared=is_shared)

    with working(timed) as work:
        asyncio.run(callers(work))
    assert [is_loop for _, _, is_loop in timed.seen] == [False] * 3


def test_what_became_slow_goes_to_the_threads_until_it_is_quick_again() -> None:
    timed = Timed()

    async def callers(work: Work) -> None:
        for number, cost in enumerate((QUICK, QUICK, 1.0, QUICK, QUICK)):
            timed.costs["a"] = cost
            await ask(work, "a", number)

    with working(timed) as work:
        asyncio.run(callers(work))
    assert [is_loop for _, _, is_loop in timed.seen] == [False, True, True, False, True]


def test_what_becomes_slow_while_it_waits_goes_to_the_threads() -> None:
    timed, items = Timed(), [("a", number) for number in range(12)]

    async def callers(work: Work) -> None:
        await ask(work, "a", -1)
        timed.costs["a"] = 1.0
        assert await together(work, *items) == items

    with working(timed) as work:
        asyncio.run(callers(work))
    assert timed.seen[:2] == [("a", [-1], False), ("a", [0, 1, 2, 3, 4], True)]
    assert {is_loop for _, _, is_loop in timed.seen[2:]} == {False}


def test_what_needs_something_that_is_not_at_hand_goes_to_a_thread() -> None:
    timed, ready = Timed(), {"a"}

    async def callers(work: Work) -> None:
        await together(work, ("a", 0), ("b", 1))
        assert await together(work, ("a", 2), ("b", 3), ("a", 4), ("b", 5)) == [("a", 2), ("b", 3), ("a", 4), ("b", 5)]
        ready.add("b")
        await ask(work, "b", 6)

    with working(timed, is_ready=ready.__contains__) as work:
        asyncio.run(callers(work))
    assert ("a", [2, 4], True) in timed.seen
    assert timed.seen[-1] == ("b", [6], True)
    assert {is_loop for key, _, is_loop in timed.seen[:-1] if key == "b"} == {False}


def test_where_nobody_can_say_what_is_at_hand_a_thread_finds_out() -> None:
    timed = Timed()

    def fail(_: str) -> bool:
        raise OSError("the disk is gone")

    async def callers(work: Work) -> None:
        for number in range(3):
            assert await ask(work, "a", number) == ("a", number)

    with working(timed, is_ready=fail) as work:
        asyncio.run(callers(work))
    assert [is_loop for _, _, is_loop in timed.seen] == [False] * 3


@settings(deadline=None, max_examples=60)
@given(
    costs=st.lists(st.floats(0, 0.9 * SECONDS_MAX), min_size=1, max_size=8),
    turns=st.lists(st.lists(st.integers(0, 7), max_size=100), max_size=6),
)
def test_the_loop_is_not_kept_longer_than_it_may_be_by_however_many_items_of_however_many_keys(
    costs: list[float], turns: list[list[int]]
) -> None:
    keys = [f"key {index}" for index in range(len(costs))]
    timed, ticks = Timed(dict(zip(keys, costs, strict=True))), list[float]()

    async def tick() -> None:
        while True:
            ticks.append(timed.now)
            await asyncio.sleep(0)

    async def callers(work: Work) -> None:
        for key in keys:
            await ask(work, key, -1)
        ticking, asking = asyncio.create_task(tick()), []
        for turn, chosen in enumerate(turns):
            items = [(keys[index % len(keys)], 100 * turn + number) for number, index in enumerate(chosen)]
            asking.append(asyncio.create_task(together(work, *items)))
            await asyncio.sleep(0)
            assert await asking[turn] == items if turn % 2 else True
        await asyncio.gather(*asking)
        ticking.cancel()

    with working(timed) as work:
        asyncio.run(callers(work))
    pauses = [later - earlier for earlier, later in pairwise(ticks)]
    assert max(pauses, default=0.0) <= SECONDS_MAX * (1 + 1e-6)


def test_keys_that_had_no_time_are_first_in_the_next_turn() -> None:
    timed, keys = Timed({"a": 0.004, "b": 0.004, "c": 0.004}), "abc"

    async def callers(work: Work) -> None:
        await together(work, *((key, -1) for key in keys))
        await together(work, *((key, number) for number in range(2) for key in keys))

    with working(timed) as work:
        asyncio.run(callers(work))
    assert [key for key, _, is_loop in timed.seen if is_loop] == [*"abcabc"]


def test_a_clock_that_sees_no_time_pass_divides_by_nothing() -> None:
    timed = Timed({"a": 0.0})

    async def callers(work: Work) -> None:
        for number in range(3):
            assert await together(work, ("a", number)) == [("a", number)]

    with working(timed) as work:
        asyncio.run(callers(work))


def test_kinds_beyond_those_that_are_remembered_are_learned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_once, "KEPT_MAX", 2)
    items = [(f"key {number % 7}", number) for number in range(70)]

    with working(Timed()) as work:
        for _ in range(3):
            assert asyncio.run(together(work, *items)) == items


def test_more_items_than_may_wait_are_refused_by_the_loop_as_well() -> None:
    async def callers(work: Work) -> list[Item | BaseException]:
        await ask(work, "a", -1)
        found = await together(work, *(("a", number) for number in range(5)))
        assert await ask(work, "a", 5) == ("a", 5)
        return found

    with working(Timed(), items_max=3) as work:
        found = asyncio.run(callers(work))
    assert found[:3] == [("a", 0), ("a", 1), ("a", 2)]
    assert [type(one) for one in found[3:]] == [Overloaded] * 2


@pytest.mark.parametrize("is_shared", [True, False])
def test_an_item_is_given_up_at_its_time_whether_it_waits_or_is_being_computed(is_shared: bool) -> None:
    calls = Calls()
    calls.shut("a")

    async def callers(work: Work) -> None:
        computed = asyncio.create_task(ask(work, "a", 0, is_shared=is_shared, seconds=0.2))
        await asyncio.sleep(0)
        calls.wait_for()
        with pytest.raises(PredictionLate):
            await asyncio.wait_for(ask(work, "a", 1, is_shared=is_shared, seconds=0.05), WAIT_SECONDS)
        with pytest.raises(PredictionLate):
            await asyncio.wait_for(computed, WAIT_SECONDS)
        calls.open("a")
        assert await ask(work, "a", 2, is_shared=is_shared) == ("a", 2)

    with working(calls) as work:
        asyncio.run(callers(work))
    assert [number for _, numbers in calls.seen for number in numbers] == [0, 2]


def test_an_item_that_is_late_for_the_loop_is_told_so_and_not_computed() -> None:
    timed = Timed()

    async def callers(work: Work) -> list[Item | BaseException]:
        await ask(work, "a", -1)
        asked = [ask(work, "a", number, seconds=QUICK) for number in range(8)]
        return await asyncio.gather(*asked, return_exceptions=True)

    timed.costs["a"] = 3 * QUICK  # There is time for one in a turn; and after that, it is too late for the others.
    with working(timed) as work:
        found = asyncio.run(callers(work))
    assert found[0] == ("a", 0)
    assert [type(one) for one in found[1:]] == [PredictionLate] * 7
    assert timed.seen[1:] == [("a", [0], True)]


@pytest.mark.parametrize("error", [ValueError("bad"), StopIteration(7)], ids=repr)
def test_what_a_call_in_the_loop_raises_is_the_answer_to_all_of_its_callers_and_to_no_others(error: Exception) -> None:
    timed = Timed()

    def answering(key: str, asked: Sequence[Asked]) -> Sequence[Item]:
        answers = timed(key, asked)
        if key == "bad" and len(asked) > 1:
            raise error
        return answers

    async def callers(work: Work) -> list[Item | BaseException]:
        await together(work, ("a", -1), ("bad", -2))
        return await together(work, ("a", 0), ("bad", 1), ("a", 2), ("bad", 3))

    with working(answering) as work:
        found = asyncio.run(callers(work))
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    assert found[::2] == [("a", 0), ("a", 2)]
    assert [type(one) for one in found[1::2]] == [expected] * 2


def test_closing_refuses_what_was_gathered_and_whatever_comes_later() -> None:
    timed = Timed()

    async def callers(work: Work) -> list[Item | BaseException]:
        await ask(work, "a", -1)
        gathered = asyncio.create_task(together(work, ("a", 0), ("a", 1)))
        while len(asyncio.all_tasks()) < 4:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        work.close()
        return [*await gathered, *await together(work, ("a", 2), ("b", 3))]

    with working(timed) as work:
        found = asyncio.run(callers(work))
    assert [type(one) for one in found] == [Unavailable] * 4
    assert len(timed.seen) == 1

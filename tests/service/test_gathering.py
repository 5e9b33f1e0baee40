"""Work that is gathered: each caller gets its own answer, and nobody waits for what it need not."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.gathering import SHARED_ITEMS_MAX
from tests.service.gathered import WAIT_SECONDS, Asked, Calls, Item, Work, put, waiting, working

LOOPS, CALLERS = 4, 60


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), keys=st.integers(1, 8), threads=st.integers(2, 5), is_patient=st.booleans())
def test_every_caller_gets_the_answer_to_its_own_item_and_no_key_is_mixed_with_another(
    seed: int, keys: int, threads: int, is_patient: bool
) -> None:
    """From several event loops, some keys shared and some not, with calls that end when later items have come."""
    calls, turns = Calls(), threading.Semaphore(threads)

    def answering(key: str, asked: Sequence[Asked]) -> Sequence[Item]:
        assert turns.acquire(timeout=WAIT_SECONDS)
        return calls(key, asked)

    def ask(loop: int) -> list[bool]:
        return asyncio.run(_callers(work, random.Random(f"{seed} {loop}"), loop, (keys, turns, is_patient)))

    with working(answering, threads=threads) as work, ThreadPoolExecutor(LOOPS) as loops:
        assert all(all(answers) for answers in loops.map(ask, range(LOOPS)))

    done = Counter(number for _, numbers in calls.seen for number in numbers)
    assert done == Counter(range(LOOPS * CALLERS))
    for key, numbers in calls.seen:
        assert len(numbers) <= (SHARED_ITEMS_MAX if key.startswith("shared") else 1)


async def _callers(
    work: Work, chance: random.Random, loop: int, how: tuple[int, threading.Semaphore, bool]
) -> list[bool]:
    keys, turns, is_patient = how

    async def caller(number: int) -> bool:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
        key = f"{chance.choice(['shared', 'lone'])} {chance.randrange(keys)}"
        asked = waiting((key, number))
        work.put(key, asked, is_shared=key.startswith("shared"))
        if not is_patient:
            turns.release()
        return await asked.answer == (key, number)

    callers = [asyncio.create_task(caller(loop * CALLERS + index)) for index in range(CALLERS)]
    for _ in range(8):
        await asyncio.sleep(0)
    turns.release(CALLERS)
    return await asyncio.gather(*callers)


def test_what_came_while_a_call_ran_makes_the_next_call() -> None:
    calls = Calls()
    calls.shut("a")

    async def callers(work: Work) -> list[Item]:
        first = put(work, "a", 0)
        calls.wait_for()
        later = put(work, "a", 1, 2, 3)
        calls.open("a")
        return await asyncio.gather(*first, *later)

    with working(calls) as work:
        assert asyncio.run(callers(work)) == [("a", number) for number in range(4)]
    assert calls.seen == [("a", [0]), ("a", [1, 2, 3])]


def test_one_call_takes_no_more_than_64_items_and_the_rest_stands_behind_the_keys_that_wait() -> None:
    calls = Calls()
    calls.shut("x", "y")

    async def callers(work: Work) -> None:
        held = [*put(work, "x", -1), *put(work, "y", -2)]
        calls.wait_for(2)
        waits = [*put(work, "a", *range(150)), *put(work, "b", 150)]
        calls.open("x")
        await asyncio.gather(held[0], *waits)

    with working(calls) as work:
        asyncio.run(callers(work))
    assert calls.seen[2:] == [
        ("a", [*range(64)]),
        ("b", [150]),
        ("a", [*range(64, 128)]),
        ("a", [*range(128, 150)]),
    ]


def test_one_key_has_one_call_at_a_time_while_other_keys_go_on() -> None:
    calls = Calls()
    calls.shut("a")

    async def callers(work: Work) -> None:
        held = put(work, "a", 0)
        calls.wait_for()
        held += put(work, "a", 1)
        for number, key in enumerate("bcd", 2):
            await put(work, key, number)[0]
        assert calls.seen == [("a", [0]), ("b", [2]), ("c", [3]), ("d", [4])]
        calls.open("a")
        await asyncio.gather(*held)

    with working(calls) as work:
        asyncio.run(callers(work))


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_items_that_are_not_shared_leave_one_thread_to_the_others(threads: int) -> None:
    calls = Calls()
    calls.shut("lone")

    async def callers(work: Work) -> None:
        held = put(work, "lone", *range(threads + 3), is_shared=False)
        calls.wait_for(threads - 1)
        for number in range(100, 110):
            await put(work, f"shared {number % 3}", number)[0]
        assert [key for key, _ in calls.seen].count("lone") == threads - 1
        calls.open("lone")
        await asyncio.gather(*held)

    with working(calls, threads=threads) as work:
        asyncio.run(callers(work))
    assert sorted(numbers for key, numbers in calls.seen if key == "lone") == [[n] for n in range(threads + 3)]


def test_a_blocked_shared_key_leaves_the_other_threads_to_other_keys_and_to_lone_items() -> None:
    calls = Calls()
    calls.shut("a", "b")

    async def callers(work: Work) -> None:
        held = [*put(work, "a", 0), *put(work, "b", 1)]
        calls.wait_for(2)
        held += [*put(work, "a", 2), *put(work, "b", 3)]
        assert await put(work, "c", 4)[0] == ("c", 4)
        assert await put(work, "c", 5, is_shared=False)[0] == ("c", 5)
        calls.open("b")
        assert await asyncio.gather(*held[1::2]) == [("b", 1), ("b", 3)]
        calls.open("a")
        assert await asyncio.gather(*held[::2]) == [("a", 0), ("a", 2)]

    with working(calls, threads=3) as work:
        asyncio.run(callers(work))

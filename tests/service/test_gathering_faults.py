"""Work that is gathered, where it is too much, too late, wrong, or nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from service.gathering import Gathering
from service.rejected import Overloaded, PredictionLate, Unavailable
from tests.conftest import FakeClock
from tests.service.gathered import WAIT_SECONDS, Asked, Calls, Item, Work, put, waiting, working


def test_more_items_than_may_wait_are_refused_and_those_begun_with_do_not_count() -> None:
    calls = Calls()
    calls.shut("a")

    async def callers(work: Work) -> None:
        held = put(work, "a", 0)
        calls.wait_for()
        held += put(work, "a", 1, 2)
        assert work.items == 2
        for key in "ab":
            with pytest.raises(Overloaded, match="2 wait already"):
                put(work, key, 3)
        calls.open("a")
        await asyncio.gather(*held)
        assert work.items == 0
        assert await put(work, "a", 4)[0] == ("a", 4)

    with working(calls, items_max=2) as work:
        asyncio.run(callers(work))


def test_more_bytes_than_may_wait_are_refused_unless_nothing_else_waits() -> None:
    calls = Calls()
    calls.shut("a")

    async def callers(work: Work) -> None:
        held = put(work, "a", 0)
        calls.wait_for()
        large, small = waiting(("a", 1), nbytes=1000), waiting(("a", 2), nbytes=1)
        work.put("a", large, is_shared=True)
        with pytest.raises(Overloaded, match="1 wait already"):
            work.put("a", small, is_shared=True)
        calls.open("a")
        await asyncio.gather(*held, large.answer)
        work.put("a", small, is_shared=True)
        assert await small.answer == ("a", 2)

    with working(calls, bytes_max=10) as work:
        asyncio.run(callers(work))


def test_as_many_bytes_as_may_wait_are_taken() -> None:
    calls = Calls()
    calls.shut("a")

    async def callers(work: Work) -> None:
        held = put(work, "a", 0)
        calls.wait_for()
        four, seven, six = (waiting(("a", nbytes), nbytes=nbytes) for nbytes in (4, 7, 6))
        work.put("a", four, is_shared=True)
        with pytest.raises(Overloaded):
            work.put("a", seven, is_shared=True)
        work.put("a", six, is_shared=True)
        calls.open("a")
        assert await asyncio.gather(*held, four.answer, six.answer) == [("a", 0), ("a", 4), ("a", 6)]

    with working(calls, bytes_max=10) as work:
        asyncio.run(callers(work))


def test_an_item_whose_time_is_over_is_told_so_and_not_computed(clock: FakeClock) -> None:
    calls = Calls()
    calls.shut("a")

    async def callers(work: Work) -> list[Item | BaseException]:
        held = put(work, "a", 0)
        calls.wait_for()
        asked = [waiting(("a", number), until=clock.seconds + number) for number in (1, 2, 3)]
        for one in asked:
            work.put("a", one, is_shared=True)
        clock.pass_by(2)
        calls.open("a")
        return await asyncio.gather(*held, *(one.answer for one in asked), return_exceptions=True)

    work: Work = Gathering(calls, threads=2, items_max=9, bytes_max=9, clock=lambda: clock.seconds)
    found = asyncio.run(callers(work))
    work.close()

    assert isinstance(found.pop(1), PredictionLate)
    assert found == [("a", 0), ("a", 2), ("a", 3)]
    assert calls.seen == [("a", [0]), ("a", [2, 3])]


def test_where_every_item_is_late_nothing_is_called(clock: FakeClock) -> None:
    calls = Calls()
    calls.shut("a")

    async def callers(work: Work) -> None:
        held = put(work, "a", 0)
        calls.wait_for()
        late = waiting(("a", 1), until=clock.seconds)
        work.put("a", late, is_shared=True)
        clock.pass_by(0.001)
        calls.open("a")
        with pytest.raises(PredictionLate):
            await late.answer
        await asyncio.gather(*held)

    work: Work = Gathering(calls, threads=2, items_max=9, bytes_max=9, clock=lambda: clock.seconds)
    asyncio.run(callers(work))
    work.close()
    assert calls.seen == [("a", [0])]


@pytest.mark.parametrize("error", [ValueError("bad"), StopIteration(7), MemoryError()], ids=repr)
def test_what_a_call_raises_is_the_answer_to_all_of_its_callers_and_to_no_others(error: Exception) -> None:
    calls = Calls()
    calls.shut("a", "bad")

    def answering(key: str, asked: Sequence[Asked]) -> Sequence[Item]:
        answers = calls(key, asked)
        if key == "bad" and len(asked) > 1:
            raise error
        return answers

    async def callers(work: Work) -> list[Item | BaseException]:
        held = [*put(work, "a", 0), *put(work, "bad", 1)]
        calls.wait_for(2)
        asked = [*put(work, "bad", 2, 3, 4), *put(work, "a", 5, 6)]
        calls.open()
        return await asyncio.wait_for(asyncio.gather(*held, *asked, return_exceptions=True), WAIT_SECONDS)

    with working(answering) as work:
        found = asyncio.run(callers(work))
        expected = RuntimeError if isinstance(error, StopIteration) else type(error)
        assert [type(one) for one in found[2:5]] == [expected] * 3
        assert [found[index] for index in (0, 1, 5, 6)] == [("a", 0), ("bad", 1), ("a", 5), ("a", 6)]
        for number in range(4):  # More than there are threads: none has ended.
            assert asyncio.run(one_more(work, number)) == ("bad", number)


async def one_more(work: Work, number: int) -> Item:
    return await asyncio.wait_for(put(work, "bad", number)[0], WAIT_SECONDS)


def test_an_exception_among_the_answers_is_the_answer_to_its_own_item_alone() -> None:
    def answering(key: str, asked: Sequence[Asked]) -> Sequence[Item | BaseException]:
        return [one.item if one.item[1] % 2 else KeyError(one.item[1]) for one in asked]

    async def callers(work: Work) -> list[Item | BaseException]:
        return await asyncio.gather(*put(work, "a", *range(6)), return_exceptions=True)

    with working(answering) as work:
        found = asyncio.run(callers(work))

    assert found[1::2] == [("a", 1), ("a", 3), ("a", 5)]
    assert [type(one) for one in found[::2]] == [KeyError] * 3


def test_an_answer_too_few_is_our_own_mistake_and_no_thread_ends_by_it() -> None:
    def answering(key: str, asked: Sequence[Asked]) -> Sequence[Item]:
        return [one.item for one in asked if one.item[1]]

    async def callers(work: Work) -> None:
        for _ in range(4):
            with pytest.raises(AssertionError):
                await asyncio.wait_for(put(work, "a", 0)[0], WAIT_SECONDS)
        assert await asyncio.wait_for(put(work, "a", 1)[0], WAIT_SECONDS) == ("a", 1)

    with working(answering) as work:
        asyncio.run(callers(work))


def test_closing_refuses_those_that_wait_lets_the_begun_finish_and_ends_the_threads() -> None:
    before, calls = set(threading.enumerate()), Calls()
    calls.shut("a", "b")

    async def callers(work: Work) -> list[Item | BaseException]:
        held = [*put(work, "a", 0), *put(work, "b", 1, is_shared=False)]
        calls.wait_for(2)
        waits = [*put(work, "a", 2), *put(work, "c", 3), *put(work, "b", 4, is_shared=False)]
        closing = asyncio.create_task(asyncio.to_thread(work.close))
        refused = await asyncio.gather(*waits, return_exceptions=True)
        with pytest.raises(Unavailable, match="stopping"):
            put(work, "c", 5)
        ended, _ = await asyncio.wait({closing}, timeout=0.05)
        assert not ended, "closed while a call was running"
        calls.open()
        await closing
        return [*refused, *await asyncio.gather(*held)]

    with working(calls) as work:
        found = asyncio.run(callers(work))
        work.close()

    assert [type(one) for one in found] == [Unavailable] * 3 + [tuple] * 2
    assert [key for key, _ in calls.seen] == ["a", "b"]
    assert set(threading.enumerate()) <= before


def test_callers_that_went_away_do_no_harm() -> None:
    calls, troubles = Calls(), list[object]()
    calls.shut("a")

    async def callers(work: Work) -> list[Item]:
        asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
        begun = put(work, "a", 0)
        calls.wait_for()
        waits = put(work, "a", *range(1, 9))
        for gone in (*begun, *waits[::2]):
            gone.cancel()
        calls.open("a")
        answers = await asyncio.gather(*waits[1::2])
        return [*answers, *await asyncio.gather(*put(work, "a", 9))]

    with working(calls) as work:
        assert asyncio.run(callers(work)) == [("a", number) for number in (2, 4, 6, 8, 9)]
    assert troubles == []


def test_an_event_loop_that_has_ended_does_no_harm_to_the_others() -> None:
    calls = Calls()
    calls.shut("a")

    async def gone(work: Work) -> None:
        put(work, "a", 0)
        calls.wait_for()
        put(work, "a", 1)

    async def callers(work: Work) -> list[Item]:
        waits = put(work, "a", 2, 3)
        calls.open("a")
        return await asyncio.wait_for(asyncio.gather(*waits), WAIT_SECONDS)

    with working(calls) as work:
        asyncio.run(gone(work))
        assert asyncio.run(callers(work)) == [("a", 2), ("a", 3)]
        assert work.items == 0
    assert calls.seen == [("a", [0]), ("a", [1, 2, 3])]

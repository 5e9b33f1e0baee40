"""Callers at the same time are written together, in order, and each has its own answer."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from store.group import GroupCommit, _Waiting

NAME = "digits"


class RefusedError(Exception):
    """The answer to one item."""


class GoneError(Exception):
    """What keeps a whole group from being written."""


class Writes:
    """Writes that note what they are given; the first one ends when it is let go, and those of `ends` so."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = threading.Event()
        self.ends: dict[int, BaseException] = {}

    def __call__(self, name: str, items: Sequence[int]) -> list[str | Exception]:
        turn = len(self.groups)
        self.groups.append(list(items))
        if turn == 0:
            assert self.go.wait(60)
        if turn in self.ends:
            raise self.ends[turn]
        return [RefusedError(item) if item < 0 else f"{name} {item}" for item in items]


class Observed(GroupCommit[int, str]):
    """Says when a caller stands in line."""

    def __init__(self, writes: Writes, *, items_max: int = 64) -> None:
        super().__init__(writes, items_max=items_max)
        self.stood = threading.Semaphore(0)

    def _enter(self, name: str, mine: _Waiting[int, str]) -> None:
        super()._enter(name, mine)
        self.stood.release()


@pytest.fixture
def writes() -> Iterator[Writes]:
    writes = Writes()
    yield writes
    writes.go.set()


@pytest.fixture
def callers(writes: Writes) -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as callers:
        yield callers
        writes.go.set()


def lined_up(group: Observed, callers: ThreadPoolExecutor, items: Sequence[int]) -> list[Future[str]]:
    """One caller for each item, who came after the one before."""
    added = []
    for item in items:
        added.append(callers.submit(group.add, NAME, item))
        assert group.stood.acquire(timeout=60)
    return added


def test_who_comes_while_another_writes_is_written_with_the_next_in_order(
    writes: Writes, callers: ThreadPoolExecutor
) -> None:
    added = lined_up(Observed(writes), callers, range(6))

    writes.go.set()

    assert [one.result(60) for one in added] == [f"{NAME} {item}" for item in range(6)]
    assert writes.groups == [[0], [1, 2, 3, 4, 5]]


def test_no_group_is_larger_than_its_bound(writes: Writes, callers: ThreadPoolExecutor) -> None:
    added = lined_up(Observed(writes, items_max=2), callers, range(6))

    writes.go.set()

    assert [one.result(60) for one in added] == [f"{NAME} {item}" for item in range(6)]
    assert writes.groups == [[0], [1, 2], [3, 4], [5]]


def test_another_name_is_not_waited_for(writes: Writes, callers: ThreadPoolExecutor) -> None:
    group = Observed(writes)
    lined_up(group, callers, [0, 1])

    assert group.add("other", 7) == "other 7"


def test_what_is_refused_to_one_is_raised_to_that_one_alone(writes: Writes, callers: ThreadPoolExecutor) -> None:
    added = lined_up(Observed(writes), callers, [0, 1, -2, 3])

    writes.go.set()

    assert isinstance(added[2].exception(60), RefusedError)
    assert [added[place].result(60) for place in (0, 1, 3)] == [f"{NAME} {item}" for item in (0, 1, 3)]


def test_what_stops_a_group_is_raised_to_all_of_it_and_to_none_behind_it(
    writes: Writes, callers: ThreadPoolExecutor
) -> None:
    writes.ends = {1: GoneError("the disk is gone")}
    added = lined_up(Observed(writes, items_max=2), callers, range(4))

    writes.go.set()

    assert [one.exception(60) for one in added[1:3]] == [writes.ends[1]] * 2
    assert [added[place].result(60) for place in (0, 3)] == [f"{NAME} {item}" for item in (0, 3)]


def test_a_writer_that_is_interrupted_leaves_nobody_waiting(writes: Writes, callers: ThreadPoolExecutor) -> None:
    writes.ends = {0: KeyboardInterrupt()}
    added = lined_up(Observed(writes), callers, range(3))

    writes.go.set()

    assert isinstance(added[0].exception(60), KeyboardInterrupt)
    assert [one.result(60) for one in added[1:]] == [f"{NAME} {item}" for item in (1, 2)]


def test_a_waiter_that_is_interrupted_is_not_written_and_leaves_nobody_waiting(
    writes: Writes, callers: ThreadPoolExecutor
) -> None:
    group = Observed(writes)
    before = lined_up(group, callers, [0])
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> Future[str]:
        assert group.stood.acquire(timeout=60), "the main thread stands in line"
        (behind,) = lined_up(group, callers, [2])
        signal.pthread_kill(main, signal.SIGINT)
        return behind

    interrupted = callers.submit(interrupt)
    with pytest.raises(KeyboardInterrupt):
        group.add(NAME, 1)
    writes.go.set()

    assert before[0].result(60) == f"{NAME} 0"
    assert interrupted.result(60).result(60) == f"{NAME} 2"
    assert writes.groups == [[0], [2]]

"""The hub gives listeners turns: however they come and go, one task looks who is due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from service import hub
from service.hub import Hub
from service.known_keys import KnownKeys
from store.events import Events, Standing
from store.key_ring import KeyRing
from store.keys import Keys
from tests.service.live import Live

STANDING = Standing(model_id=1, newest=0, running=None)


class Listening:
    """Somebody who is always due."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self) -> None:
        self.calls += 1

    def is_due(self, _now: float) -> bool:
        return True


@contextmanager
def opened(live: Live) -> Iterator[Hub]:
    house = live.house
    made = Hub(house.engine, Events(house.engine), KnownKeys(KeyRing(Keys(house.engine))), listeners_max=10)
    try:
        yield made
    finally:
        made.close()


def tasks(of: Callable[..., object]) -> int:
    return sum(getattr(task.get_coro(), "cr_code", None) is of.__code__ for task in asyncio.all_tasks())


def test_who_reconnects_often_leaves_one_task_behind_and_is_still_called(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TICK_SECONDS", 0.05)

    async def come_and_go() -> tuple[int, int]:
        with opened(live) as made:
            for _ in range(100):
                with made.joined("digits", STANDING, lambda _: Listening()):
                    await asyncio.sleep(0)
            with made.joined("digits", STANDING, lambda _: Listening()) as last:
                async with asyncio.timeout(10):
                    while last.calls < 3:
                        await asyncio.sleep(0.01)
                return tasks(Hub._tick), last.calls

    ticking, calls = asyncio.run(come_and_go())

    assert ticking == 1
    assert calls >= 3


def test_listeners_are_called_again_after_a_time_when_nobody_listened(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TICK_SECONDS", 0.01)

    async def come_back() -> tuple[int, int]:
        with opened(live) as made:
            with made.joined("digits", STANDING, lambda _: Listening()):
                pass
            async with asyncio.timeout(10):
                while tasks(Hub._tick):
                    await asyncio.sleep(0.01)
                with made.joined("digits", STANDING, lambda _: Listening()) as last:
                    while not last.calls:
                        await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        return tasks(Hub._tick), last.calls

    ticking, calls = asyncio.run(come_back())

    assert ticking == 0  # The hub is closed, and waits for no tick.
    assert calls >= 1


def test_a_crowd_has_its_turns_slowly_and_few_do_not(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(hub, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(hub, "CROWD_SECONDS", 60.0)
    monkeypatch.setattr(hub, "CROWD", 3)
    monkeypatch.setattr(hub, "TOGETHER", 5)

    async def turns(listeners: int) -> list[int]:
        with opened(live) as made, ExitStack() as joined:
            listening = [
                joined.enter_context(made.joined("digits", STANDING, lambda _: Listening())) for _ in range(listeners)
            ]
            await asyncio.sleep(0.5)
            return sorted(one.calls for one in listening)

    # The fourth and the fifth turn without an end come together, and then the long pause; two at a time come to an end.
    assert asyncio.run(turns(7)) == [0, 0, 1, 1, 1, 1, 1]
    assert min(asyncio.run(turns(2))) > 3

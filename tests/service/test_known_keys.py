"""What the door knows of keys: asked once for many who wait, and never waited for long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from unittest.mock import patch

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from service import known_keys
from service.known_keys import KnownKeys
from store.engine import connect
from store.key_ring import KeyRing
from store.keys import InForce, Keys
from store.kinds import Scope


@pytest.fixture
def known(engine: Engine) -> Iterator[KnownKeys]:
    keys = KnownKeys(KeyRing(Keys(engine)))
    yield keys
    keys.close()


def make(engine: Engine, name: str) -> None:
    Keys(engine).create(name, scopes=[Scope.ADMIN], created_by="test")


def names(in_force: InForce | None) -> set[str]:
    assert in_force is not None
    return {row.name for row in in_force.by_hash.values()}


class Slow:
    """A database that holds up its answers, before it reads or, `is_read`, after."""

    def __init__(self, keys: KnownKeys, *, is_read: bool) -> None:
        self.is_read = is_read
        self.read, self.count = keys.ring.read, 0
        self.began, self.go_on = threading.Event(), threading.Event()

    def __call__(self) -> InForce:
        self.count += 1
        found = self.read() if self.is_read else None
        self.began.set()
        assert self.go_on.wait(30.0)
        return found or self.read()


def test_many_who_wait_at_once_are_one_query(known: KnownKeys, engine: Engine) -> None:
    make(engine, "ada")

    async def all_ask() -> list[tuple[InForce | None, bool]]:
        return await asyncio.gather(*(known.now() for _ in range(50)))

    with patch.object(known.ring, "read", wraps=known.ring.read) as read:
        answers = asyncio.run(all_ask())

    assert [(names(in_force), is_current) for in_force, is_current in answers] == [({"ada"}, True)] * 50
    assert read.call_count == 1


def test_whoever_comes_while_an_older_answer_is_on_its_way_gets_a_newer_one(
    known: KnownKeys, engine: Engine, database_url: str
) -> None:
    slow = Slow(known, is_read=True)

    async def ask_and_revoke() -> tuple[set[str], set[str]]:
        with patch.object(known.ring, "read", slow):
            first = asyncio.create_task(known.now())
            await asyncio.to_thread(slow.began.wait, 30.0)
            make(elsewhere, "ada")
            known.ring.forget()  # On PostgreSQL that is a second's time.
            second = asyncio.create_task(known.now())
            await asyncio.sleep(0)
            slow.go_on.set()
            return names((await first)[0]), names((await second)[0])

    elsewhere = connect(database_url)
    before, after = asyncio.run(ask_and_revoke())
    elsewhere.dispose()

    assert after == {"ada"}
    assert before in (set(), {"ada"})  # It came before, and may know either.


def test_a_database_that_hangs_is_waited_for_once_and_not_by_everybody(
    known: KnownKeys, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_keys, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(known_keys, "AGAIN_SECONDS", 0.0)
    make(engine, "ada")
    slow = Slow(known, is_read=False)

    async def ask_often() -> list[tuple[InForce | None, bool]]:
        await known.now()
        known.ring.forget()
        with patch.object(known.ring, "read", slow):
            answers = [await known.now() for _ in range(100)]
            slow.go_on.set()
            await asyncio.to_thread(slow.began.wait, 30.0)
            return answers

    answers = asyncio.run(ask_often())

    assert [(names(in_force), is_current) for in_force, is_current in answers] == [({"ada"}, False)] * 100
    assert slow.count == 1


def test_a_database_that_fails_is_asked_again_after_a_while_and_then_known_again(
    known: KnownKeys, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(engine, "ada")
    down = OperationalError("SELECT", {}, Exception("down"))

    async def ask() -> list[tuple[InForce | None, bool]]:
        with patch.object(known.ring, "read", side_effect=down) as read:
            failed = [await known.now() for _ in range(3)]
            assert read.call_count == 1
        monkeypatch.setattr(known, "_silent_until", 0.0)  # The while is over.
        return [*failed, await known.now()]

    *failed, last = asyncio.run(ask())

    assert failed == [(None, False)] * 3
    assert (names(last[0]), last[1]) == ({"ada"}, True)


def test_a_fault_of_ours_is_not_taken_for_a_database_that_is_down(known: KnownKeys) -> None:
    async def ask() -> None:
        with patch.object(known.ring, "read", side_effect=ZeroDivisionError), pytest.raises(ZeroDivisionError):
            await known.now()

    asyncio.run(ask())

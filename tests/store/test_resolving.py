"""Which version answers now: as fresh as a query, and on SQLite mostly without one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, QueuePool, event

from store import resolving
from store.aliases import Aliases
from store.engine import connect
from store.errors import AliasNotFound, ModelNotFound, VersionNotFound
from store.history import History
from store.kinds import HEAD
from store.leases import Leases
from store.ledger import Ledger
from store.resolving import Resolver
from store.values import Resolved
from tests.store.given import a_model, a_published_version

MOVE = """
import sys
from store.aliases import Aliases
from store.engine import connect
url, alias, version = sys.argv[1:]
Aliases(connect(url)).move("digits", alias, int(version), actor="another process")
"""


@pytest.fixture
def resolver(engine: Engine) -> Iterator[Resolver]:
    resolver = Resolver(engine)
    yield resolver
    resolver.close()


@pytest.fixture
def elsewhere(database_url: str) -> Iterator[Aliases]:
    """Moves of another service: by connections that are not the resolver's."""
    engine = connect(database_url)
    yield Aliases(engine)
    engine.dispose()


@pytest.fixture
def is_watched(engine: Engine) -> bool:
    return engine.dialect.name == "sqlite"


@pytest.fixture
def three_versions(ledger: Ledger, leases: Leases) -> None:
    a_model(ledger)
    for key in "ab":
        a_published_version(ledger, leases, key)


@contextmanager
def queries_of(engine: Engine) -> Iterator[list[str]]:
    """What is asked of the database meanwhile, but for what the watching connection asks."""
    seen: list[str] = []

    def executed(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", executed)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", executed)


@pytest.mark.usefixtures("three_versions")
def test_what_is_resolved_is_what_the_history_resolves(resolver: Resolver, history: History, aliases: Aliases) -> None:
    aliases.move("digits", "review", 1, actor="a")

    for _ in range(2):
        for alias, version in (("head", 2), ("review", 1)):
            assert resolver.resolve("digits", alias=alias) == history.resolve("digits", alias=alias)
            assert resolver.resolve("digits", alias=alias).version == version
        for version in range(3):
            assert resolver.resolve("digits", version=version) == history.resolve("digits", version=version)


@pytest.mark.usefixtures("three_versions")
def test_a_move_by_another_connection_is_seen_at_once(resolver: Resolver, elsewhere: Aliases) -> None:
    for version in (1, 0, 2, 1, 1, 2):
        elsewhere.move("digits", HEAD, version, actor="a")
        assert resolver.resolve("digits").version == version
        assert resolver.resolve("digits").version == version

    elsewhere.rollback("digits", steps=1, actor="a")
    assert resolver.resolve("digits").version == 1


@pytest.mark.usefixtures("three_versions")
def test_a_move_by_another_process_is_seen_at_once(resolver: Resolver, database_url: str) -> None:
    assert resolver.resolve("digits").version == 2

    for alias, version in ((HEAD, 1), ("review", 0)):
        subprocess.run([sys.executable, "-c", MOVE, database_url, alias, str(version)], check=True)
        assert resolver.resolve("digits", alias=alias).version == version


def test_a_published_version_is_seen_at_once(resolver: Resolver, ledger: Ledger, leases: Leases) -> None:
    a_model(ledger)

    for number in range(1, 4):
        assert resolver.resolve("digits").version == number - 1
        version = a_published_version(ledger, leases, f"key {number}")
        assert resolver.resolve("digits") == Resolved("digits", number, version.digest)


@pytest.mark.usefixtures("three_versions")
def test_where_nothing_was_committed_sqlite_is_not_queried_and_postgresql_is(
    resolver: Resolver, engine: Engine, elsewhere: Aliases, is_watched: bool
) -> None:
    def ask() -> None:
        resolver.resolve("digits")
        resolver.resolve("digits", version=1)

    def count(steps: Callable[[], None]) -> int:
        with queries_of(engine) as seen:
            steps()
        return len(seen)

    ask()
    assert count(ask) == (0 if is_watched else 2)
    elsewhere.move("digits", HEAD, 0, actor="a")
    assert count(ask) == 2
    assert count(ask) == (0 if is_watched else 2)


@pytest.mark.usefixtures("three_versions")
def test_what_was_resolved_is_at_hand_on_sqlite_until_anything_is_committed(
    resolver: Resolver, elsewhere: Aliases, is_watched: bool
) -> None:
    assert resolver.at_hand("digits") is None

    found = resolver.resolve("digits")
    assert resolver.at_hand("digits") == (found if is_watched else None)
    assert resolver.at_hand("digits", version=2) is None
    assert resolver.at_hand("digits", alias="review") is None

    elsewhere.move("digits", "review", 0, actor="a")
    assert resolver.at_hand("digits") is None


def test_what_is_not_there_is_looked_for_again(resolver: Resolver, ledger: Ledger, leases: Leases) -> None:
    for _ in range(2):
        with pytest.raises(ModelNotFound):
            resolver.resolve("digits")
    a_model(ledger)
    assert resolver.resolve("digits").version == 0

    for _ in range(2):
        with pytest.raises(VersionNotFound):
            resolver.resolve("digits", version=1)
        assert resolver.at_hand("digits", version=1) is None
    a_published_version(ledger, leases, "a")
    assert resolver.resolve("digits", version=1).version == 1


def test_an_alias_that_is_removed_is_not_found(resolver: Resolver, ledger: Ledger, elsewhere: Aliases) -> None:
    a_model(ledger)
    for _ in range(2):
        with pytest.raises(AliasNotFound):
            resolver.resolve("digits", alias="review")
        elsewhere.move("digits", "review", 0, actor="a")
        assert resolver.resolve("digits", alias="review").version == 0
        elsewhere.remove("digits", "review", actor="a")


@pytest.mark.usefixtures("three_versions")
@pytest.mark.parametrize("is_known", [True, False])
def test_an_answer_that_a_commit_has_overtaken_is_not_kept(
    resolver: Resolver, elsewhere: Aliases, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    resolve = resolver.history.resolve
    if is_known:
        resolver.resolve("digits", version=0)

    def overtaken(name: str, *, version: int | None = None, alias: str = HEAD) -> Resolved:
        found = resolve(name, version=version, alias=alias)
        elsewhere.move("digits", HEAD, 0, actor="a")
        return found

    monkeypatch.setattr(resolver.history, "resolve", overtaken)
    assert resolver.resolve("digits").version == 2  # As of its own moment, when the move was not there yet.
    assert resolver.at_hand("digits") is None
    monkeypatch.setattr(resolver.history, "resolve", resolve)

    assert resolver.resolve("digits").version == 0


@pytest.mark.usefixtures("three_versions")
def test_an_answer_that_another_thread_has_overtaken_is_not_kept(
    resolver: Resolver, elsewhere: Aliases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other thread has seen the commit already, so that nothing is new any more."""
    resolve = resolver.history.resolve

    def overtaken(name: str, *, version: int | None = None, alias: str = HEAD) -> Resolved:
        found = resolve(name, version=version, alias=alias)
        elsewhere.move("digits", HEAD, 0, actor="a")
        monkeypatch.setattr(resolver.history, "resolve", resolve)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(resolver.resolve, "digits", version=1).result().version == 1
        return found

    monkeypatch.setattr(resolver.history, "resolve", overtaken)
    assert resolver.resolve("digits").version == 2

    assert resolver.resolve("digits").version == 0


@pytest.mark.usefixtures("three_versions")
def test_no_more_is_kept_than_may_be_and_the_answers_used_last_stay(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch, is_watched: bool
) -> None:
    monkeypatch.setattr(resolving, "KEPT_MAX", 2)

    for version in (0, 1, 0, 2):
        assert resolver.resolve("digits", version=version).version == version

    kept = [version for version in range(3) if resolver.at_hand("digits", version=version) is not None]
    assert kept == ([0, 2] if is_watched else [])


def test_whoever_asks_after_a_commit_is_answered_by_it_however_many_ask_at_once(
    resolver: Resolver, ledger: Ledger, leases: Leases
) -> None:
    a_model(ledger)
    committed, is_over = [0], threading.Event()

    def ask() -> int:
        asked = 0
        while not is_over.is_set():
            least = committed[0]
            assert resolver.resolve("digits").version >= least
            asked += 1
        return asked

    with ThreadPoolExecutor(4) as readers:
        asking = [readers.submit(ask) for _ in range(4)]
        try:
            for number in range(1, 26):
                committed[0] = a_published_version(ledger, leases, f"key {number}").number
        finally:
            is_over.set()
        assert all(one.result() > 0 for one in asking)
    assert resolver.resolve("digits").version == 25


@pytest.mark.usefixtures("three_versions")
def test_a_closed_resolver_has_given_its_connection_back(engine: Engine, elsewhere: Aliases, is_watched: bool) -> None:
    resolver = Resolver(engine)
    resolver.resolve("digits")
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedout() == int(is_watched)

    resolver.close()
    resolver.close()

    assert engine.pool.checkedout() == 0

"""Fixtures of the whole suite: a migrated database on each engine, and a clock that only moves when told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from store.aliases import Aliases
from store.engine import close, connect
from store.events import Events
from store.forgetting import Forgetting
from store.history import History
from store.leases import Leases
from store.ledger import Ledger
from store.migrate import upgrade
from store.parking import Parking
from tests.object_server import ObjectServer, object_server
from tests.postgres import PostgresServer, start_postgres

ENGINES = ("sqlite", "postgresql")

# A shell's background processes are born deaf to it, and so would be those that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class FakeClock:
    """A clock for the ledger, in seconds."""

    seconds: float = 1_000_000.0

    def __call__(self, _connection: Connection) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = start_postgres()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def object_store_server() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


@pytest.fixture
def s3(object_store_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """A store that speaks S3; this process, and those it starts, reach it by the variables that users set."""
    for name, value in object_store_server.variables.items():
        monkeypatch.setenv(name, value)
    return object_store_server


@pytest.fixture(scope="session")
def migrated(postgres: PostgresServer) -> str:
    """The URL of a migrated, empty PostgreSQL database to copy from."""
    url = postgres.create_database()
    engine = connect(url)
    upgrade(engine)
    close(engine)
    return url


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated, empty database; the test runs once on each engine."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
        engine = connect(url)
        upgrade(engine)
        close(engine)
        yield url
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database(template=request.getfixturevalue("migrated"))
    yield url
    server.drop_database(url)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = connect(database_url)
    yield engine
    close(engine)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(engine: Engine, clock: FakeClock) -> Ledger:
    return Ledger(engine, clock=clock)


@pytest.fixture
def aliases(engine: Engine, clock: FakeClock) -> Aliases:
    return Aliases(engine, clock=clock)


@pytest.fixture
def leases(engine: Engine, clock: FakeClock) -> Leases:
    return Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0, clock=clock)


@pytest.fixture
def history(engine: Engine) -> History:
    return History(engine)


@pytest.fixture
def parking(engine: Engine, clock: FakeClock) -> Parking:
    return Parking(engine, clock=clock)


@pytest.fixture
def forgetting(engine: Engine, clock: FakeClock) -> Forgetting:
    return Forgetting(engine, clock=clock)


@pytest.fixture
def events(engine: Engine) -> Events:
    return Events(engine)

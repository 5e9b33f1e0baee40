"""A sleeping worker hears of new work, and sleeps its time out where there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, text

from store.engine import DATABASE_DOWN, close, connect
from store.ledger import Ledger
from store.waker import SqliteWaker, waker_for
from tests.postgres import PostgresServer
from tests.store.given import a_model, accept

LONG_SECONDS = 60.0


def test_a_closed_chunk_wakes_a_worker_long_before_its_time_is_out(engine: Engine, ledger: Ledger) -> None:
    a_model(ledger)
    accept(ledger, "a")
    awake = threading.Event()

    with waker_for(engine) as waker:
        waker.wait(0.0)

        def sleep() -> None:
            waker.wait(LONG_SECONDS)
            awake.set()

        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        ledger.close("digits")

        assert awake.wait(LONG_SECONDS / 2)
        sleeper.join()


def test_a_change_before_the_sleep_is_not_missed(engine: Engine, ledger: Ledger) -> None:
    a_model(ledger)
    accept(ledger, "a")

    with waker_for(engine) as waker:
        waker.wait(0.0)
        ledger.close("digits")
        began = time.monotonic()
        waker.wait(LONG_SECONDS)

        assert time.monotonic() - began < LONG_SECONDS / 2


def test_where_nothing_happens_a_worker_sleeps_its_time_out(engine: Engine) -> None:
    with waker_for(engine) as waker:
        waker.wait(0.0)
        began = time.monotonic()
        waker.wait(0.1)

        assert time.monotonic() - began >= 0.1


@pytest.fixture
def on_postgres(postgres: PostgresServer, migrated: str) -> Iterator[Engine]:
    engine = connect(postgres.create_database(template=migrated))
    yield engine
    close(engine)


def cut_off(engine: Engine) -> None:
    """The server ends every connection to the database but the one that asks for it."""
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def test_a_postgresql_that_is_away_is_an_outage_like_any_other(postgres: PostgresServer, on_postgres: Engine) -> None:
    with postgres.away(), pytest.raises(DATABASE_DOWN):
        waker_for(on_postgres)


def test_so_is_one_that_goes_away_between_connecting_and_listening(on_postgres: Engine) -> None:
    other = connect(on_postgres.url.render_as_string(hide_password=False))
    event.listen(on_postgres, "checkout", lambda *_: cut_off(other))

    with pytest.raises(DATABASE_DOWN):
        waker_for(on_postgres)
    close(other)


def test_so_is_one_that_goes_away_while_somebody_sleeps_and_a_new_waker_hears_again(on_postgres: Engine) -> None:
    with waker_for(on_postgres) as waker:
        cut_off(on_postgres)
        with pytest.raises(DATABASE_DOWN):
            waker.wait(LONG_SECONDS)
    with waker_for(on_postgres) as waker, on_postgres.begin() as connection:
        connection.execute(text("NOTIFY posterity"))
        connection.commit()
        assert waker.wait(LONG_SECONDS)


def remove(file: Path) -> None:
    file.parent.rename(file.parent.with_name("elsewhere"))


def replace(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)


def hold_wrongly(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("spoil", [remove, replace, hold_wrongly])
def test_a_sqlite_file_that_cannot_be_used_is_an_outage_too(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "data" / "ledger.sqlite"
    engine = connect(f"sqlite:///{file}")
    file.touch()
    spoil(file)

    with pytest.raises(DATABASE_DOWN):
        waker_for(engine)


def test_a_sqlite_connection_that_breaks_while_somebody_sleeps_is_an_outage_too(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with waker_for(engine) as waker:
        waker._connection.driver_connection.close()  # type: ignore[attr-defined]
        with pytest.raises(DATABASE_DOWN):
            waker.wait(0.1)


def test_who_need_not_know_at_once_has_sqlite_looked_at_less_often(tmp_path: Path) -> None:
    engine, slept = connect(f"sqlite:///{tmp_path / 'ledger.sqlite'}"), list[float]()

    with SqliteWaker(engine, 0.25, clock=lambda: sum(slept), sleep=slept.append) as waker:
        assert not waker.wait(1.1)
    close(engine)

    assert slept == pytest.approx([0.25, 0.25, 0.25, 0.25, 0.1])

"""The check-up sees late workers, clocks that are apart and older tables; the rest is broken in tests/client."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from store.checkup import PATIENCE_SECONDS, check_up
from store.leases import Leases
from store.ledger import Ledger
from store.settings import Settings
from tests.conftest import FakeClock
from tests.store.given import a_model, a_queued_update


@pytest.fixture
def settings(engine: Engine, tmp_path: Path) -> Settings:
    url = SecretStr(engine.url.render_as_string(hide_password=False))
    return Settings(data_dir=tmp_path, database_url=url)


def found(settings: Settings, check: str) -> list[tuple[str, str]]:
    return [(one.state, one.detail) for one in check_up(settings) if one.check == check]


def queued(engine: Engine, *, seconds_ago: float) -> FakeClock:
    """An update of one model that was queued so long ago."""
    clock = FakeClock(time.time() - seconds_ago)
    ledger = Ledger(engine, clock=clock)
    a_model(ledger)
    a_queued_update(ledger)
    return clock


def test_an_update_that_nobody_takes_up_wants_a_worker(engine: Engine, settings: Settings) -> None:
    queued(engine, seconds_ago=PATIENCE_SECONDS + 60)

    ((state, detail),) = found(settings, "worker")

    assert state == "fail"
    assert "updates of 1 models wait (digits)" in detail
    assert "no worker takes them" in detail


def test_an_update_that_was_queued_a_moment_ago_is_waited_for(engine: Engine, settings: Settings) -> None:
    queued(engine, seconds_ago=1)

    assert [state for state, _ in found(settings, "worker")] == ["ok"]


@pytest.mark.parametrize(("seconds_ago", "state"), [(0, "ok"), (300, "warn")])
def test_the_worker_of_a_running_update_is_named_and_how_long_it_was_silent(
    engine: Engine, settings: Settings, seconds_ago: float, state: str
) -> None:
    clock = queued(engine, seconds_ago=seconds_ago)
    leases = Leases(engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0, clock=clock)
    assert leases.claim("host:1") is not None

    first = found(settings, "worker")[0]

    assert first[0] == state
    assert "update 1 of digits is worked on by host:1" in first[1]


@pytest.mark.parametrize(("ahead_seconds", "state"), [(0, "ok"), (30, "warn"), (-30, "warn"), (3600, "fail")])
def test_clocks_that_are_apart_are_told(settings: Settings, ahead_seconds: float, state: str) -> None:
    checks = list(check_up(settings, clock=lambda: time.time() - ahead_seconds))

    assert [one.state for one in checks if one.check == "clock"] == [state]


def test_tables_of_another_release_are_told(engine: Engine, settings: Settings) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    ((state, detail),) = found(settings, "database")

    assert state == "fail"
    assert "this release needs" in detail


def test_blobs_that_are_not_there_are_looked_at_and_not_made(tmp_path: Path) -> None:
    missing = Settings(data_dir=tmp_path / "a" / "b")

    found = {one.check: one for one in check_up(missing)}

    assert (found["blobs"].state, found["blobs"].detail.endswith("can be made")) == ("ok", True)
    assert list(tmp_path.iterdir()) == []

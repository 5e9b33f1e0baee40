"""Installations in processes of their own: on each engine, or on the embedded one where the engine changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from store.engine import close, connect
from tests.promises.house import House, house

LEASE_SECONDS = 2.0


@pytest.fixture
def installation(tmp_path: Path, database_url: str) -> Iterator[House]:
    with house(tmp_path / "house", database_url, lease_seconds=LEASE_SECONDS) as running:
        yield running


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[House]:
    """An installation on SQLite; its database is made by the service itself."""
    with house(tmp_path / "house", f"sqlite:///{tmp_path / 'ledger.sqlite'}", lease_seconds=LEASE_SECONDS) as running:
        yield running


@pytest.fixture
def embedded_engine(embedded: House) -> Iterator[Engine]:
    engine = connect(embedded.database_url)
    yield engine
    close(engine)

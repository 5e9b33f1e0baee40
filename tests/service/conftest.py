"""Two running services for all tests, and a model of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.live import Live, running


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with running(tmp_path_factory.mktemp("service")) as live:
        yield live


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service that accepts little."""
    limits = {"body_bytes_max": 4000, "rows_max": 5, "rows_predict_max": 4, "samples_max": 8}
    limits |= {"queue_max": 1, "header_seconds": 1, "kept_bytes_max": 1500}
    with running(tmp_path_factory.mktemp("narrow"), **limits) as live:
        yield live


@pytest.fixture
def model(live: Live) -> str:
    """The path of a new model with two inputs and three classes."""
    return live.create()

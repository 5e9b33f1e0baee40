"""One real service with one worker for all tests of the client, and a client that speaks to it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest

from client import Client
from client.demo.process import running_service
from tests.client.given import description, empty_config

NUMBERS = count(1)


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("service")
    own = {"POSTERITY_DATA_DIR": str(directory), "POSTERITY_CONFIG": str(empty_config(directory))}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    with running_service(kept | own | {"POSTERITY_THREADS": "1"}, log=directory / "service.log") as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


@pytest.fixture
def model(client: Client) -> str:
    """A fresh model of two classes whose chunks close at ten rows, or when they are told to."""
    return client.create_model(description(f"model-{next(NUMBERS)}")).name

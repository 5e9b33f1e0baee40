"""A browser for the tests of a file, and a service of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.console.browsing import chromium
from tests.service.live import Live, running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed after each file: as long as it is open, no other event loop can run in this thread."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with running(tmp_path_factory.mktemp("console")) as live:
        yield live

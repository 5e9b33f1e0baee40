"""Probes and the documents that a running service serves."""

from __future__ import annotations

import pytest

from tests.service.live import Live


@pytest.mark.parametrize("probe", ["/livez", "/readyz"])
def test_a_running_service_is_alive_and_ready(live: Live, probe: str) -> None:
    answer = live.client.get(probe)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_documents_are_served(live: Live, path: str) -> None:
    assert live.client.get(path).status_code == 200

"""Probes and the documents that a running service serves."""

from __future__ import annotations

import tempfile
from io import FileIO

import pytest

from tests.service.expected import expect_problem
from tests.service.live import Live


@pytest.mark.parametrize("probe", ["/livez", "/readyz"])
def test_a_running_service_is_alive_and_ready(live: Live, probe: str) -> None:
    answer = live.client.get(probe)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_a_service_whose_disk_is_full_is_alive_and_not_ready(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_stated: FileIO("/dev/full", "w"))

    body = expect_problem(live.client.get("/readyz"), "unavailable")

    assert "cannot be written to" in body["detail"]
    assert live.client.get("/livez").status_code == 200


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_the_documents_are_served(live: Live, path: str) -> None:
    assert live.client.get(path).status_code == 200

"""A store of the blobs that cannot be read: whoever asks is told to ask again, not that the service failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.service.expected import expect_problem
from tests.service.live import INPUTS, Live, running

ASKED: dict[str, Callable[[Live, str], httpx.Response]] = {
    "a prediction": lambda live, model: live.client.post(f"{model}/predictions", json=INPUTS),
    "a prediction of draws": lambda live, model: live.client.post(f"{model}/predictions", json=INPUTS | {"samples": 2}),
    "a download": lambda live, model: live.client.get(f"{model}/versions/0/posterior"),
    "a comparison": lambda live, model: live.client.get(f"{model}/versions/0/compare/0"),
    "a blob": lambda live, model: live.client.get(f"/v1/blobs/{digest(live, model)}"),
}


def digest(live: Live, model: str) -> str:
    return str(live.client.get(f"{model}/versions/0").json()["digest"])


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED.keys())
def test_what_cannot_be_read_now_is_unavailable_and_later_it_is_there(
    tmp_path: Path, ask: Callable[[Live, str], httpx.Response]
) -> None:
    with running(tmp_path) as own:
        model = own.create()
        path = own.folder.path(digest(own, model))
        path.rename(beside := path.with_suffix(".beside"))
        path.symlink_to(path)  # Whoever opens it is told of too many levels: an error that is not its absence.

        body = expect_problem(ask(own, model), "unavailable")

        assert "store of the blobs" in body["detail"]
        assert str(tmp_path) not in json.dumps(body)
        beside.replace(path)
        assert ask(own, model).status_code == 200

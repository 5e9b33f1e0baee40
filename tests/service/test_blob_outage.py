"""A store of the blobs that is down: whoever asks is told to ask again, not that the service failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.faulty_proxy import FaultyProxy, To
from tests.object_server import ObjectServer
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, ROWS, TINY, Live, running

BLOB_SECONDS = 0.5

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


@pytest.fixture
def proxy(s3: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with FaultyProxy(*s3.address) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        yield proxy


@pytest.fixture
def remote(tmp_path: Path, proxy: FaultyProxy, s3: ObjectServer) -> Iterator[Live]:
    """A service whose blobs are in an object store behind the proxy."""
    with running(tmp_path, blob_url=s3.url(), blob_seconds=BLOB_SECONDS) as remote:
        yield remote


@pytest.mark.parametrize("fault", [FaultyProxy.hold, FaultyProxy.refuse], ids=["silent", "refused"])
def test_an_object_store_that_is_down_is_unavailable_and_nothing_is_half_done(
    remote: Live, proxy: FaultyProxy, fault: Callable[[FaultyProxy], None]
) -> None:
    model = remote.create()
    header = {"Idempotency-Key": "monday"}
    fault(proxy)

    for ask in ASKED.values():
        body = expect_problem(ask(remote, model), "unavailable")
        assert "127.0.0.1" not in json.dumps(body)
    expect_problem(remote.client.post(f"{model}/batches", json=ROWS, headers=header), "unavailable")
    expect_problem(remote.client.post("/v1/models", json=TINY | {"name": "another"}), "unavailable")
    expect_problem(remote.client.get("/readyz"), "unavailable")
    assert remote.client.get("/livez").status_code == 200
    assert remote.client.get(model).json()["rows"] == 0

    proxy.heal()
    assert remote.client.get("/readyz").status_code == 200
    assert remote.client.post(f"{model}/batches", json=ROWS, headers=header).status_code == 202
    assert all(ask(remote, model).status_code == 200 for ask in ASKED.values())
    assert remote.client.get(model).json()["rows"] == len(ROWS["labels"])


def test_a_batch_whose_answer_from_the_store_was_lost_is_accepted_once(remote: Live, proxy: FaultyProxy) -> None:
    model = remote.create()
    proxy.swallow(To.CLIENT)

    posted = remote.post_rows(model, key="monday")

    assert proxy.faults_done == 1
    assert remote.post_rows(model, key="monday")["batch"] == posted["batch"]
    assert remote.client.get(model).json()["rows"] == len(ROWS["labels"])

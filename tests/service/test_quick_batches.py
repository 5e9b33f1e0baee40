"""The shortcut for batches: whatever is posted, it answers what FastAPI answers, or leaves it to it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import save
from sqlalchemy.exc import OperationalError
from starlette.types import Receive

from service import quick_batches
from service.app import create_app
from service.batches import accept
from service.shortcut import body_of
from store.settings import Settings
from tests.service.expected import expect_problem
from tests.service.live import ROWS, TINY, Json, Live, running, serving

BODY = json.dumps(ROWS).encode()
PLAIN = "/v1/models/posted/batches"
JSON = (("Content-Type", "application/json"),)
SAFETENSORS = (("Content-Type", "application/x-safetensors"),)
BYTES_MAX = 30_000
ANY = "any"
"""A key that no other request has."""

_numbers = count(1)


def tensors(labels: list[int]) -> bytes:
    return save({"x": np.ones((len(labels), 2), np.float32), "y": np.array(labels)})


@dataclass(frozen=True)
class Posted:
    """A request, and whether the shortcut stores its rows."""

    body: bytes = BODY
    path: str = PLAIN
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = JSON
    key: str | None = ANY
    is_chunked: bool = False
    is_quick: bool = True

    def send(self, live: Live, unlike: str) -> httpx.Response:
        content = iter([self.body[:5], self.body[5:]]) if self.is_chunked else self.body
        key = f"key-{unlike}" if self.key is ANY else self.key
        headers = [*self.headers, *([] if key is None else [("Idempotency-Key", key)])]
        return live.client.request(self.method, self.path, content=content, headers=headers)


def slow(**change: Any) -> Posted:  # noqa: ANN401 - any part of a request
    return Posted(**change, is_quick=False)


POSTED: dict[str, Posted] = {
    "JSON": Posted(),
    "tensors": Posted(tensors([0, 2]), headers=SAFETENSORS),
    "a quoted key": Posted(key='"a key, quoted"'),
    "a bare key with blanks": Posted(key="a key"),
    "a key with an escape": Posted(key='"a \\"key\\""'),
    "no key": slow(key=None),
    "an empty key": slow(key=""),
    "half a quote": slow(key='"key'),
    "a long key": slow(key="k" * 256),
    "a key twice": slow(headers=(*JSON, ("Idempotency-Key", "other"))),
    "a query": slow(path=f"{PLAIN}?limit=1"),
    "an empty query": Posted(path=f"{PLAIN}?"),
    "a header of its own": slow(headers=(*JSON, ("X-Priority", "7"))),
    "compressed": slow(headers=(*JSON, ("Content-Encoding", "gzip"))),
    "with its charset": slow(headers=(("Content-Type", "application/json; charset=utf-8"),)),
    "text": slow(headers=(("Content-Type", "text/plain"),)),
    "no type": slow(headers=()),
    "chunked": slow(is_chunked=True),
    "of the limit": Posted(BODY.ljust(BYTES_MAX)),
    "over the limit": slow(body=BODY.ljust(BYTES_MAX + 1)),
    "of no model": slow(path="/v1/models/nobody/batches"),
    "of a model in other letters": Posted(path="/v1/models/%70osted/batches"),
    "of a model with a slash": slow(path="/v1/models/pos%2Fted/batches"),
    "with a slash at the end": slow(path=f"{PLAIN}/"),
    "without a body": Posted(b""),
    "cut off": Posted(BODY[:-1]),
    "tensors cut off": Posted(tensors([0, 2])[:-1], headers=SAFETENSORS),
    "JSON said to be tensors": Posted(headers=SAFETENSORS),
    "no rows": Posted(json.dumps({"inputs": [], "labels": []}).encode()),
    "too many rows": Posted(tensors([0] * 21), headers=SAFETENSORS),
    "a label that is none": Posted(tensors([0, 3]), headers=SAFETENSORS),
    "NaN": Posted(b'{"inputs": [[NaN, 1]], "labels": [0]}'),
    "a list of them": slow(method="GET", path=f"{PLAIN}?limit=1"),
    "PUT": slow(method="PUT"),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Live]]:
    """A service, and one on the same data without the shortcut; both know the model."""
    folder = tmp_path_factory.mktemp("quick")
    plain = create_app(Settings(data_dir=folder, body_bytes_max=BYTES_MAX, rows_max=20))
    plain.user_middleware.clear()
    with running(folder, body_bytes_max=BYTES_MAX, rows_max=20) as with_it, serving(plain) as without:
        with_it.client.post("/v1/models", json=TINY | {"name": "posted"}).raise_for_status()
        for live in (with_it, without):
            Posted().send(live, "first").raise_for_status()
        yield with_it, without


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose batches the shortcut tried to store."""
    found: list[str] = []

    def accepting(house: Any, known: Any, name: str, **more: Any) -> Any:  # noqa: ANN401
        found.append(name)
        return accept(house, known, name, **more)

    monkeypatch.setattr(quick_batches, "accept", accepting)
    return found


@pytest.mark.parametrize("posted", POSTED.values(), ids=POSTED.keys())
def test_the_answer_is_the_same_with_the_shortcut_and_without(
    both: tuple[Live, Live], taken: list[str], posted: Posted
) -> None:
    quick, slow = both
    unlike = str(next(_numbers))

    new, again, still = (seen(posted.send(live, unlike)) for live in (quick, slow, quick))

    assert still == again
    if new["status"] == 202:
        assert new["headers"] | {"idempotent-replayed": "true"} == again["headers"]
        assert new["body"] == again["body"]
    else:
        assert new == again
    assert len(taken) == 2 * posted.is_quick


def seen(answer: httpx.Response) -> Json:
    """All that a client sees of it."""
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    return {"status": answer.status_code, "headers": headers, "body": answer.content}


def test_a_new_batch_is_answered_alike(both: tuple[Live, Live], taken: list[str]) -> None:
    with_it, without = (seen(Posted().send(live, f"alike-{next(_numbers)}")) for live in both)

    assert with_it["headers"].keys() == without["headers"].keys()
    assert json.loads(with_it["body"]).keys() == json.loads(without["body"]).keys()
    assert len(taken) == 1


def test_other_rows_under_a_used_key_are_refused(both: tuple[Live, Live], taken: list[str]) -> None:
    Posted(key="used").send(both[0], "").raise_for_status()

    refused = [Posted(tensors([1]), headers=SAFETENSORS, key="used").send(live, "") for live in both]

    assert seen(refused[0]) == seen(refused[1])
    expect_problem(refused[0], "idempotency-key-reused")
    assert len(taken) == 2


def test_a_model_that_was_never_asked_is_left_to_fastapi_once(both: tuple[Live, Live], taken: list[str]) -> None:
    model = both[0].create()
    posted = Posted(path=f"{model}/batches")

    answers = [posted.send(both[0], "unasked").content for _ in range(3)]

    assert taken == [model.removeprefix("/v1/models/")] * 2
    assert answers == [answers[0]] * 3


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OperationalError("INSERT secret", {}, Exception("password")), "unavailable"),
        (RuntimeError("the secret of the house"), "internal"),
    ],
)
def test_what_goes_wrong_inside_is_answered_without_its_words(
    both: tuple[Live, Live], taken: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    for live in both:
        monkeypatch.setattr(live.house.ledger, "accept_all", fail)

    with_it, without = (Posted().send(live, "fails") for live in both)

    assert seen(with_it) == seen(without)
    assert not {"secret", "password"} & set(json.dumps(expect_problem(with_it, code)).split())
    assert taken == ["posted"]


def test_a_client_that_goes_away_in_the_middle_of_its_body_stores_nothing(
    both: tuple[Live, Live], taken: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found, is_over = list[bytes | None](), threading.Event()

    async def reading(receive: Receive) -> bytes | None:
        found.append(await body_of(receive))
        is_over.set()
        return found[-1]

    monkeypatch.setattr(quick_batches, "body_of", reading)
    url = both[0].client.base_url
    with socket.create_connection((url.host, url.port or 0)) as line:
        said = ("Host: localhost", *map(": ".join, JSON), "Idempotency-Key: gone", f"Content-Length: {len(BODY)}")
        line.sendall("\r\n".join((f"POST {PLAIN} HTTP/1.1", *said)).encode() + b"\r\n\r\n" + BODY[:9])
    assert is_over.wait(30.0)

    assert (found, taken) == ([None], [])
    assert "without starting response" not in caplog.text

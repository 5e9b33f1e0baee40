"""The shortcut for the commonest request: whatever is asked, it answers what FastAPI answers, or leaves it to it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic_core import to_json
from sqlalchemy.exc import OperationalError
from starlette.types import Receive

from service import quick
from service.app import create_app
from service.predictions import read
from service.shortcut import body_of
from store.settings import Settings
from tests.postgres import PostgresServer
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, REAL, TINY, Json, Live, running, serving

BODY = json.dumps(INPUTS).encode()
AS_JSON = (("Content-Type", "application/json"),)
BYTES_MAX = 30_000


@dataclass(frozen=True)
class Asked:
    """A request, and whether the shortcut takes it."""

    body: bytes = BODY
    path: str = "/v1/models/asked/predictions"
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = AS_JSON
    is_chunked: bool = False
    is_quick: bool = True

    def send(self, live: Live) -> httpx.Response:
        content = iter([self.body[:5], self.body[5:]]) if self.is_chunked else self.body
        return live.client.request(self.method, self.path, content=content, headers=list(self.headers))


def body(**change: object) -> Asked:
    return Asked(json.dumps(INPUTS | change).encode())


def slow(**change: Any) -> Asked:  # noqa: ANN401 - any part of a request
    return Asked(**change, is_quick=False)


def typed(*types: str) -> Asked:
    return slow(headers=tuple(("Content-Type", one) for one in types))


def also(name: str, value: str) -> Asked:
    return slow(headers=(*AS_JSON, (name, value)))


PLAIN = "/v1/models/asked"
ASKED: dict[str, Asked] = {
    "plain": Asked(),
    "with its charset": Asked(headers=(("Content-Type", "application/json; charset=utf-8"),)),
    "in capitals": typed("Application/JSON"),
    "one row": body(inputs=[[1, 2]]),
    "five rows": body(inputs=[[1, 2]] * 5),
    "base64": body(inputs={"b64": "AACAPwAAAEA=", "dtype": "float32", "shape": [1, 2]}),
    **{f"by {way}": Asked(path=f"{PLAIN}/predictions?method={way}") for way in ("moments", "ensemble", "mean")},
    "by no method": slow(path=f"{PLAIN}/predictions?method=median"),
    "by two methods": slow(path=f"{PLAIN}/predictions?method=mean&method=mean"),
    "with samples in the query": slow(path=f"{PLAIN}/predictions?samples=4"),
    "with a query that is none": slow(path=f"{PLAIN}/predictions?sample=4"),
    "with an empty query": Asked(path=f"{PLAIN}/predictions?"),
    "of a version in the query": slow(path=f"{PLAIN}/predictions?version=0"),
    "with a way in the body": body(samples=3, seed=7, method="ensemble"),
    "with a way in both": replace(body(method="mean"), path=f"{PLAIN}/predictions?method=moments"),
    "with a level": Asked(path="/v1/models/numbers/predictions", body=json.dumps(INPUTS | {"interval": 0.5}).encode()),
    "of numbers": Asked(path="/v1/models/numbers/predictions"),
    "of a model without moments": Asked(path="/v1/models/without/predictions"),
    "a level of classes": body(interval=0.5),
    "too many samples": body(samples=10**6),
    "a method that is none": body(method="median"),
    "a seed that is none": body(seed=-1),
    "with a preference": also("Prefer", "wait=20"),
    "with a preference that is past": also("Prefer", "wait=0"),
    "with a header of its own": also("X-Priority", "7"),
    "through a proxy": Asked(headers=(*AS_JSON, ("X-Request-Id", "7"), ("X-Forwarded-For", "10.0.0.1"))),
    "through two proxies": slow(headers=(*AS_JSON, ("Via", "1.1 a"), ("Via", "1.1 b"))),
    "with what traces it": replace(also("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"), is_quick=True),
    "compressed": also("Content-Encoding", "gzip"),
    "with a cookie": also("Cookie", "a=b"),
    "that takes text": Asked(headers=(*AS_JSON, ("Accept", "text/html"))),
    "chunked": slow(is_chunked=True),
    "large": slow(body=json.dumps({"inputs": [[1, 2.5]] * 2000}).encode()),
    "of the limit": slow(body=BODY.ljust(BYTES_MAX)),
    "over the limit": slow(body=BODY.ljust(BYTES_MAX + 1)),
    "as text": typed("text/plain"),
    "as nothing": typed(),
    "as text and as JSON": typed("text/plain", "application/json"),
    "as JSON and as text": typed("application/json", "text/plain"),
    "of no model": slow(path="/v1/models/nobody/predictions"),
    "of a model with a slash": slow(path="/v1/models/as%2Fked/predictions"),
    "of a model in other letters": Asked(path="/v1/models/%61sked/predictions"),
    "of a version": Asked(path=f"{PLAIN}/versions/0/predictions"),
    "of a version by a method": Asked(path=f"{PLAIN}/versions/0/predictions?method=mean"),
    "of no version": Asked(path=f"{PLAIN}/versions/9/predictions"),
    "of a version with zeros": slow(path=f"{PLAIN}/versions/00/predictions"),
    "of a version below 0": slow(path=f"{PLAIN}/versions/-1/predictions"),
    "of a version too large": slow(path=f"{PLAIN}/versions/99999999999/predictions"),
    "of a version that is none": slow(path=f"{PLAIN}/versions/head/predictions"),
    "of a version and another": slow(path=f"{PLAIN}/versions/0/predictions?version=0"),
    "with a slash at the end": slow(path=f"{PLAIN}/predictions/"),
    "without a body": Asked(b""),
    "cut off": Asked(BODY[:-1]),
    "not UTF-8": Asked(b"\xff"),
    "a list": Asked(b"[[1, 2]]"),
    "without inputs": Asked(b"{}"),
    "with more": body(label=[1]),
    "no rows": body(inputs=[]),
    "too many rows": body(inputs=[[1, 2]] * 2001),
    "rows too short": body(inputs=[[1], [2]]),
    "ragged rows": body(inputs=[[1, 2], [3]]),
    "strings": body(inputs=[["1", "2"]]),
    "NaN": Asked(b'{"inputs": [[NaN, 1]]}'),
    "infinity": Asked(b'{"inputs": [[1e999, 1]]}'),
    "too large for the net": body(inputs=[[3e38, 3e38]]),
    "one row too large for the net": body(inputs=[[1, 2], [3e38, 3e38]]),
    "GET": slow(method="GET"),
    "HEAD": slow(method="HEAD"),
    "PUT": slow(method="PUT"),
    "OPTIONS": slow(method="OPTIONS"),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, Live]]:
    """A service, and one on the same data without the shortcut; both know the models."""
    folder = tmp_path_factory.mktemp("quick")
    settings = Settings(data_dir=folder, body_bytes_max=BYTES_MAX, rows_predict_max=2000)
    plain = create_app(settings)
    plain.user_middleware.clear()
    with running(folder, body_bytes_max=BYTES_MAX, rows_predict_max=2000) as with_it, serving(plain) as without:
        for name, described in (("asked", TINY), ("numbers", REAL), ("without", TINY | {"family": "mnf"})):
            with_it.client.post("/v1/models", json=described | {"name": name}).raise_for_status()
            for live in (with_it, without):
                replace(Asked(), path=f"/v1/models/{name}/predictions").send(live).raise_for_status()
        yield with_it, without


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models whose requests the shortcut took."""
    found: list[str] = []

    def reading(house: Any, known: Any, asked_of: Any, way: Any, **more: Any) -> Any:  # noqa: ANN401
        found.append(asked_of[0])
        return read(house, known, asked_of, way, **more)

    monkeypatch.setattr(quick, "read", reading)
    return found


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_the_answer_is_the_same_with_the_shortcut_and_without(
    both: tuple[Live, Live], taken: list[str], asked: Asked
) -> None:
    for turn in range(3):  # The first may be answered by a thread, the others by the event loop.
        with_it, without = (seen(asked.send(live)) for live in both)

        assert with_it == without
        assert len(taken) == (turn + 1) * asked.is_quick


EACH_ITS_OWN = {"date", "x-request-id"}


def seen(answer: httpx.Response) -> Json:
    """All that a client sees of it."""
    headers = {name: value for name, value in answer.headers.items() if name not in EACH_ITS_OWN}
    return {"status": answer.status_code, "headers": headers, "body": answer.content}


@pytest.mark.parametrize("asked", [body(keep=True), replace(Asked(), path=f"{PLAIN}/predictions?keep=true")])
def test_a_prediction_that_is_kept_is_the_same_but_for_its_ids(
    both: tuple[Live, Live], taken: list[str], asked: Asked
) -> None:
    plain = Asked().send(both[0]).json()
    taken.clear()

    for live in both:
        answer = asked.send(live)
        found = answer.json()
        assert live.client.get(f"{PLAIN}/predictions/{found['prediction']}").json()["inputs"] == INPUTS["inputs"]
        assert answer.content == to_json(found), "FastAPI and the shortcut write JSON alike"
        for row in found["outputs"]:
            del row["prediction"]
        del found["prediction"], found["kept_until"]
        assert found == plain
    assert taken == ["asked"]


def test_a_model_that_was_never_asked_is_left_to_fastapi_once(both: tuple[Live, Live], taken: list[str]) -> None:
    model = both[0].create()
    asked = Asked(path=f"{model}/predictions")

    answers = [asked.send(live).content for live in (both[0], both[0], both[1])]

    assert taken == [model.removeprefix("/v1/models/")]
    assert answers == [answers[0]] * 3


def test_a_body_over_a_limit_below_the_shortcuts_own_is_refused(narrow: Live, taken: list[str]) -> None:
    asked = Asked(path=f"{narrow.create()}/predictions")
    asked.send(narrow).raise_for_status()

    for length, is_fine in ((4000, True), (4001, False)):
        answer = replace(asked, body=BODY.ljust(length)).send(narrow)
        assert answer.is_success == is_fine
    assert "more than 4000 bytes" in expect_problem(answer, "body-too-large")["detail"]
    assert len(taken) == 1


def test_a_database_that_is_gone_is_unavailable_and_its_words_stay_inside(
    both: tuple[Live, Live], taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("password of the database"))

    for live in both:
        monkeypatch.setattr(live.house.resolver, "resolve", fail)
        monkeypatch.setattr(live.house.resolver, "at_hand", fail)

    with_it, without = (Asked().send(live) for live in both)

    assert seen(with_it) == seen(without)
    assert "The database does not answer" in expect_problem(with_it, "unavailable")["detail"]
    assert not {b"secret", b"password"} & set(with_it.content.split())
    assert taken == ["asked"]


def test_a_postgresql_database_that_went_away_is_unavailable(
    tmp_path: Path, postgres: PostgresServer, migrated: str, taken: list[str]
) -> None:
    url = postgres.create_database(template=migrated)
    with running(tmp_path, database_url=url) as live:
        live.client.post("/v1/models", json=TINY | {"name": "asked"}).raise_for_status()
        for _ in range(2):
            Asked().send(live).raise_for_status()

        postgres.drop_database(url)

        answer = Asked().send(live)
    assert "The database does not answer" in expect_problem(answer, "unavailable")["detail"]
    assert answer.headers["Retry-After"] == "1"
    assert len(taken) == 2


def test_an_unexpected_error_is_answered_without_its_words(
    both: tuple[Live, Live], taken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the house")

    for live in both:
        monkeypatch.setattr(live.house.loaded, "ready", fail)

    for _ in range(3):
        with_it, without = (Asked().send(live) for live in both)
        assert seen(with_it) == seen(without)
        assert "secret" not in json.dumps(expect_problem(with_it, "internal"))
    assert taken == ["asked"] * 3


def test_a_client_that_goes_away_in_the_middle_of_its_body_does_no_harm(
    both: tuple[Live, Live], taken: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found, is_over, read_body = list[bytes | None](), threading.Event(), body_of

    async def reading(receive: Receive) -> bytes | None:
        raw = await read_body(receive)
        found.append(raw)
        is_over.set()
        return raw

    monkeypatch.setattr(quick, "body_of", reading)
    url = both[0].client.base_url
    with socket.create_connection((url.host, url.port or 0)) as line:
        head = (
            f"POST {PLAIN}/predictions HTTP/1.1",
            "Host: localhost",
            *map(": ".join, AS_JSON),
            f"Content-Length: {len(BODY)}",
        )
        line.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + BODY[:9])
    assert is_over.wait(30.0)

    with_it, without = (seen(Asked().send(live)) for live in both)

    assert found == [None, BODY]
    assert with_it == without
    assert "without starting response" not in caplog.text

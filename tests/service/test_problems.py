"""Every request that cannot be answered gets a problem (RFC 9457) with a stable code; each code is provoked once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import httpx
import pytest

from bayes import Ready
from service import json_bounds
from service.loaded import Chosen
from store import webhooks
from store.dividing import Division
from tests.service.expected import all_problems, expect_problem
from tests.service.keyed import make_key
from tests.service.live import IMAGES, INPUTS, REAL, ROWS, TINY, Json, Live, running
from tests.service.wire import answer_in, line_to, rest_of

OF_WORKERS = {"lease-lost", "head-moved", "forget-overtaken"}

Call = Callable[[Live, str], httpx.Response]


def post(path: str, body: Json | bytes, *, key: str = "k", kind: str = "application/json") -> Call:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": kind, "Idempotency-Key": key}
    return lambda live, model: live.client.post(f"{model}{path}", content=content, headers=headers)


def get(path: str) -> Call:
    return lambda live, model: live.client.get(f"{model}{path}")


def on(description: Json, call: Call) -> Call:
    return lambda live, _model: call(live, live.create(description))


def after(prepare: Call, call: Call) -> Call:
    def both(live: Live, model: str) -> httpx.Response:
        prepare(live, model)
        return call(live, model)

    return both


def learned(live: Live, model: str) -> httpx.Response:
    live.learn(model)
    return live.client.get(model)


def same_name(live: Live, model: str) -> httpx.Response:
    return live.client.post("/v1/models", json=REAL | {"name": model.removeprefix("/v1/models/")})


def around_nothing(live: Live, _model: str) -> httpx.Response:
    prior = {"kind": "weights", "blob": f"sha256:{'0' * 64}", "sigma": 0.1}
    return live.client.post("/v1/models", json=TINY | {"name": "never", "prior": prior})


def delete(path: str, **headers: str) -> Call:
    return lambda live, model: live.client.delete(f"{model}{path}", headers=headers)


def put_head(version: int, **headers: str) -> Call:
    return lambda live, model: live.client.put(f"{model}/aliases/head", json={"version": version}, headers=headers)


def rows(**change: object) -> Call:
    return post("/batches", ROWS | change)


def asked_at_once(live: Live, model: str) -> httpx.Response:
    """The first answer to four predictions, of which one is held up and one may wait."""
    kept, go_on = live.house.loaded, threading.Event()
    make = kept.ready

    def held_up(digest: str, chosen: Chosen) -> Ready:
        assert go_on.wait(30.0)
        return make(digest, chosen)

    with patch.object(kept, "ready", held_up), ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(post("/predictions", INPUTS), live, model) for _ in range(4)]
        first = next(as_completed(answers)).result()
        go_on.set()
        assert sorted(answer.result().status_code for answer in answers)[:1] == [200]
        return first


def at_once_or_never(live: Live, model: str) -> httpx.Response:
    return live.client.post(f"{model}/predictions", json=INPUTS, headers={"Prefer": "wait=0.000001"})


def named_as_a_key_before(_live: Live, _model: str) -> httpx.Response:
    """Of a second key of one name, in a service of its own: the first closes the door for good."""
    with TemporaryDirectory() as folder, running(Path(folder)) as own:
        headers = make_key(own, "twice", "admin")
        return own.client.post("/v1/keys", json={"name": "twice", "scopes": ["admin"]}, headers=headers)


def deleted_and_rolled_back(live: Live, model: str) -> httpx.Response:
    live.learn(model)
    live.client.post(f"{model}/rollback", json={"to": 0}).raise_for_status()
    return live.client.delete(f"{model}/batches/1")


def rows_whose_bytes_go(live: Live, model: str) -> httpx.Response:
    """The very rows of a batch that was deleted a moment ago, while the store may still carry the removal out."""
    only_here = ROWS | {"inputs": [[8.25, 7], [6, 5]]}
    live.learn(model, only_here)
    assert live.client.delete(f"{model}/batches/1").json()["bytes_removed"]
    with patch.object(type(live.house.blobs), "settle_seconds", 3600.0):
        return post("/batches", only_here)(live, model)


def as_sent(sent: bytes) -> Call:
    """The answer to these bytes, after which the service hangs up."""

    def send(live: Live, _model: str) -> httpx.Response:
        with line_to(live) as line:
            line.sendall(sent)
            return answer_in(rest_of(line))

    return send


def many_values(live: Live, model: str) -> httpx.Response:
    with patch.object(json_bounds, "VALUES_MAX", 100):
        return post("/batches", b'{"inputs": [' + b"[]," * 100)(live, model)


def as_many_webhooks_as_it_may(live: Live, model: str) -> httpx.Response:
    one_more = post("/webhooks", {"url": "https://hooks.example/"})
    with patch.object(webhooks, "WEBHOOKS_MAX", 2):
        return after(after(one_more, one_more), one_more)(live, model)


def wide(inputs: int) -> Json:
    return TINY | {"input": {"shape": [inputs]}}


def labels_of_much(live: Live, model: str) -> httpx.Response:
    kept = [live.client.post(f"{model}/predictions", json={"inputs": [[0] * 300], "keep": True}) for _ in range(4)]
    return post("/labels", {"labels": [{"prediction": one.json()["prediction"], "label": 0} for one in kept]})(
        live, model
    )


SQUEEZED: Json = {
    "net": {"kind": "torchvision", "name": "squeezenet1_1"},
    "input": {"shape": [3, 32, 32]},
    "output": {"kind": "gaussian", "dims": 1},
    "family": "point",
}

closed = after(rows(), post("/updates", b""))


def learned_twice_and_deleted(live: Live, model: str) -> httpx.Response:
    live.learn(model)
    live.learn(model)
    return live.client.delete(f"{model}/batches/2")


def overtaken(live: Live, model: str) -> httpx.Response:
    """The answer to a division of a head that moves each time."""
    for _ in range(3):
        live.learn(model)
    plan = live.house.dividing.plan

    def then_moved(name: str, numbers: list[int]) -> Division:
        found = plan(name, numbers)
        put_head(5 - found.head)(live, model).raise_for_status()
        return found

    with patch.object(live.house.dividing, "plan", then_moved):
        return post("/forget", {"batches": [1], "method": "approximate"})(live, model)


def forgetting(live: Live, model: str) -> httpx.Response:
    """The answer to a forget whose steps nobody has taken yet."""
    live.learn(model)
    live.learn(model)
    return live.client.post(f"{model}/forget", json={"batches": [1]})


def by_hand(live: Live, _model: str) -> httpx.Response:
    """The answer to a forget while a version waits for a move of head."""
    model = live.create(TINY | {"publish": "manual"})
    live.learn(model)
    return live.client.post(f"{model}/forget", json={"batches": [1]})


def back_to_what_was_discarded(live: Live, model: str) -> httpx.Response:
    live.learn(model)
    live.client.post(f"{model}/rollback", json={"to": 0}).raise_for_status()
    live.client.post(f"{model}/batches/1/discard", json={}).raise_for_status()
    return put_head(1)(live, model)


def forth_to_what_is_parked(live: Live, model: str) -> httpx.Response:
    live.learn(model)
    live.client.post(f"{model}/rollback", json={"to": 0}).raise_for_status()
    live.client.post(f"{model}/batches/1/park", json={}).raise_for_status()
    return put_head(1)(live, model)


PROVOKED: dict[str, Call] = {
    "alias-invalid": lambda live, model: live.client.put(f"{model}/aliases/1st", json={"version": 0}),
    "alias-moved": put_head(0, **{"If-Match": '"9"'}),
    "alias-not-found": get("/aliases/champion"),
    "approximation-impossible": after(learned, post("/forget", {"batches": [1], "method": "approximate"})),
    "approximation-overtaken": overtaken,
    "already-absorbed": after(learned, post("/replays", {"chunks": [1]})),
    "batch-absorbed": after(learned, post("/batches/1/park", {})),
    "batch-forgotten": after(rows(), after(post("/forget", {"batches": [1]}), post("/batches/1/park", {}))),
    "batch-not-parked": after(rows(), post("/batches/1/release", {})),
    "batch-empty": rows(inputs=[], labels=[]),
    "batch-waiting": after(rows(), delete("/batches/1")),
    "blob-buried": rows_whose_bytes_go,
    "batch-not-found": get("/batches/1"),
    "batch-too-large": rows(inputs=[[0, 0]] * 6, labels=[0] * 6),
    "body-invalid": post("/rollback", {}),
    "body-too-large": post("/batches", b" " * 4001),
    "chunk-busy": after(closed, post("/replays", {"chunks": [1]})),
    "chunk-not-found": post("/replays", {"chunks": [1]}),
    "description-invalid": lambda live, _model: live.client.post("/v1/models", json={"name": "x"}),
    "export-invalid": lambda live, _model: live.client.post(
        "/v1/imports", content=b"no archive", headers={"Content-Type": "application/zip"}
    ),
    "forget-busy": after(forgetting, post("/forget", {"batches": [2]})),
    "forget-not-found": get("/forgets/1"),
    "head-required": delete("/aliases/head"),
    "head-undecided": by_hand,
    "head-too-large": as_sent(b"GET /livez HTTP/1.1\r\nX-Long: " + b"x" * 70_000),
    "host-unknown": lambda live, model: live.client.get(model, headers={"Host": "rebound.example"}),
    "idempotency-key-invalid": post("/batches", ROWS, key='"'),
    "idempotency-key-missing": lambda live, model: live.client.post(f"{model}/batches", json=ROWS),
    "idempotency-key-reused": after(rows(), rows(labels=[1, 1])),
    "input-dtype": on(IMAGES, post("/batches", {"inputs": [[[[1, 2], [3, 300]]]], "labels": [0]})),
    "input-not-finite": post("/batches", b'{"inputs": [[NaN, 1]], "labels": [0]}'),
    "input-shape": rows(inputs=[[1], [2]]),
    "input-too-large": post("/predictions", {"inputs": [[3e38, 3e38]], "samples": 2}),
    "interval-of-classes": post("/predictions", INPUTS | {"interval": 0.5}),
    "json-invalid": post("/batches", b'{"inputs": '),
    "json-too-large": many_values,
    "key-exists": named_as_a_key_before,
    "key-given": lambda live, _model: live.client.delete(f"/v1/keys/posterity_{'A' * 43}"),
    "key-not-found": lambda live, _model: live.client.delete("/v1/keys/nobody"),
    "key-unusable": lambda live, _model: live.client.post("/v1/keys", json={"name": "client", "scopes": ["admin"]}),
    "kept-too-large": on(wide(400), post("/predictions", {"inputs": [[0] * 400], "keep": True})),
    "labels-too-large": on(wide(300), labels_of_much),
    "label-dtype": rows(labels=[0.5, 1]),
    "label-out-of-range": rows(labels=[0, 3]),
    "label-shape": rows(labels=[0]),
    "media-type-unsupported": post("/batches", ROWS, kind="application/x-www-form-urlencoded"),
    "method-not-allowed": lambda live, model: live.client.patch(model),
    "model-exists": same_name,
    "blob-not-found": lambda live, _model: live.client.get(f"/v1/blobs/sha256:{'0' * 64}"),
    "blob-unknown": around_nothing,
    "model-not-found": lambda live, _model: live.client.get("/v1/models/nobody"),
    "not-found": get("/nothing"),
    "not-on-line": after(learned, after(put_head(0), post("/rollback", {"to": 1}))),
    "nothing-pending": post("/updates", b""),
    "origin-foreign": lambda live, model: live.client.get(model, headers={"Origin": "https://page.example"}),
    "overloaded": asked_at_once,
    "prediction-expired": get(f"/predictions/p{0:011x}{'A' * 22}"),
    "prediction-late": at_once_or_never,
    "prediction-not-found": get("/predictions/7"),
    "query-invalid": get("/versions?limit=0"),
    "request-invalid": as_sent(b"\x16\x03\x01 this is TLS, or something else\r\n\r\n"),
    "request-late": as_sent(b"GET / HTTP/1.1\r\n"),
    "rollback-too-far": post("/rollback", {"steps": 1}),
    "rows-deleted": after(deleted_and_rolled_back, post("/replays", {"chunks": [1]})),
    "plain-weights-impossible": on(SQUEEZED, get("/versions/0/export?format=state_dict")),
    "rows-missing": after(learned_twice_and_deleted, post("/forget", {"batches": [1]})),
    "samples-too-many": post("/predictions", INPUTS | {"samples": 9}),
    "update-finished": after(learned, delete("/updates/1")),
    "update-not-found": get("/updates/1"),
    "version-forgotten": back_to_what_was_discarded,
    "version-not-found": get("/versions/7"),
    "version-parked": forth_to_what_is_parked,
    "webhook-not-found": get("/webhooks/1"),
    "webhook-unusable": post("/webhooks", {"url": "https://user:word@hooks.example/"}),
    "webhooks-too-many": as_many_webhooks_as_it_may,
    "weights-invalid": rows(weights=[1, -1]),
}
"""Faults of the request; those of the service itself are provoked in test_faults.py."""

AT_THE_DOOR = {"key-missing", "key-invalid", "key-not-allowed", "rate-limited"}
"""Provoked in test_access.py."""
OF_THE_SERVICE = {"unavailable", "internal", "blob-missing", "blob-corrupt", "database-not-current"}


def test_every_code_is_provoked_in_this_file() -> None:
    codes = [kind.code for kind in all_problems()]

    assert len(codes) == len(set(codes))
    assert set(codes) == PROVOKED.keys() | OF_THE_SERVICE | AT_THE_DOOR | OF_WORKERS


@pytest.mark.parametrize("code", PROVOKED)
def test_a_request_that_cannot_be_answered_gets_a_problem_with_its_code(narrow: Live, code: str) -> None:
    expect_problem(PROVOKED[code](narrow, narrow.create()), code)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/a%00b",
        "/v1/models/" + "x" * 200,
        "/v1/models/m/versions/99999999999999999999",
        "/v1/models/",
        "/v20",
    ],
)
def test_a_path_that_cannot_name_anything_is_not_found(live: Live, path: str) -> None:
    expect_problem(live.client.get(path), "not-found")


def test_a_method_that_is_not_allowed_comes_with_those_that_are(live: Live, model: str) -> None:
    assert live.client.delete(model).headers["Allow"] == "GET, HEAD"
    assert live.client.patch("/v1/models").headers["Allow"] == "GET, HEAD, POST"
    assert live.client.options(f"{model}/aliases/head").headers["Allow"] == "DELETE, GET, HEAD, PUT"
    assert live.client.request("TRACE", "/docs").headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("cursor", ["!", "bm8=", "LTE=", "AA=="])
def test_a_cursor_that_no_page_gave_is_refused(live: Live, model: str, cursor: str) -> None:
    expect_problem(live.client.get(f"{model}/versions", params={"cursor": cursor}), "query-invalid")


@pytest.mark.parametrize("cursor", ["!", "AA==", "gA=="])
def test_a_cursor_that_is_no_name_is_refused(live: Live, cursor: str) -> None:
    expect_problem(live.client.get("/v1/models", params={"cursor": cursor}), "query-invalid")


def test_naming_a_version_and_an_alias_at_once_is_refused(live: Live, model: str) -> None:
    answer = live.client.post(f"{model}/predictions?version=0&alias=review", json=INPUTS)

    expect_problem(answer, "query-invalid")


def test_a_problem_with_many_faults_lists_each_with_its_place(live: Live) -> None:
    answer = live.client.post("/v1/models", json={"name": "x", "net": {"kind": "mlp", "hidden": "64"}, "extra": 1})

    places = {fault["where"] for fault in expect_problem(answer, "description-invalid")["errors"]}
    assert places == {"net.hidden", "input", "output", "extra"}


def test_a_refused_batch_leaves_nothing_behind(live: Live, model: str) -> None:
    refused: list[Json] = [{"inputs": [[1, 2]], "labels": [9]}, {"inputs": [[1]], "labels": [0]}, {"inputs": []}]
    for body in refused:
        answer = live.client.post(f"{model}/batches", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 422

    live.post_rows(model, key="k")
    assert live.client.get(model).json()["rows"] == 2

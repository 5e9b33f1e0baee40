"""The links of the OpenAPI document lead where they say: each, filled in from a real answer, is a call that answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from safetensors.numpy import save

from service.app import create_app
from store.settings import Settings
from tests.service.keyed import make_key, shown
from tests.service.live import Json, Live, running

DOCUMENT: Json = create_app(Settings()).openapi()
CALLS: dict[str, tuple[str, str, Json]] = {
    call["operationId"]: (method.upper(), path, call)
    for path, calls in DOCUMENT["paths"].items()
    for method, call in calls.items()
}
LINKS = sorted(
    (source, status, link["operationId"])
    for source, (_, _, call) in CALLS.items()
    for status, response in call["responses"].items()
    for link in response.get("links", {}).values()
)
ROWS: Json = {"inputs": [[1, 2]], "labels": [0]}
BODIES: dict[str, Json] = {
    "post_batch": ROWS,
    "predict": {"inputs": [[1, 2]], "keep": True},
    "predict_with_version": {"inputs": [[1, 2]]},
    "compare_predictions": {"inputs": [[1, 2]], "labels": [0]},
    "calibrate": {"inputs": [[1, 2]], "labels": [0]},
    "post_labels": {"labels": [{"prediction": "never", "label": 0}]},
    "move_alias": {"version": 0},
    "roll_back": {"to": 0},
    "replay_chunks": {"chunks": [1]},
    "create_webhook": {"url": "http://127.0.0.1:9/"},
    "forget_batches": {"batches": [1]},
    **{call: {"reason": "linked"} for call in ("park_batch", "discard_batch", "release_batch")},
}
BY_STATE = {
    ("create_model", "close_chunk"): "nothing-pending",
    ("create_model", "replay_chunks"): "chunk-not-found",
    ("create_model", "roll_back"): "not-on-line",
    ("create_model", "forget_batches"): "batch-not-found",
    ("get_batch", "park_batch"): "batch-absorbed",
    ("get_batch", "discard_batch"): "batch-absorbed",
    ("forget_batches", "cancel_forget"): "update-finished",
    ("list_updates", "cancel_update"): "update-finished",
    ("get_alias", "remove_alias"): "head-required",
}
"""Links whose call is refused right after this answer, because of what has happened before."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service of these tests' own, as links lead to keys, whose client shows a key for everything."""
    with running(tmp_path_factory.mktemp("links")) as live, shown(live, make_key(live, "operator", "admin")):
        yield live


@pytest.fixture
def learned(live: Live, model: str) -> str:
    live.learn(model, ROWS)
    return model


def ask(live: Live, call: str, values: Json, body: Json | None = None) -> httpx.Response:
    """The call with these values at their places; whatever else it needs is ordinary."""
    method, path, _ = CALLS[call]
    url = re.sub(r"{(\w+)}", lambda name: str(values[f"path.{name[1]}"]), path)
    query = {name.removeprefix("query."): value for name, value in values.items() if name.startswith("query.")}
    headers = {name.removeprefix("header."): value for name, value in values.items() if name.startswith("header.")}
    if call == "post_batch":
        headers["Idempotency-Key"] = "linked"
    if call == "predict_small":
        query["inputs"] = "[[1, 2]]"
    body = BODIES.get(call) if body is None else body
    return live.client.request(method, url, params=query, headers=headers, json=body)


def source(live: Live, model: str, call: str) -> tuple[httpx.Response, Json]:
    """A success of the call that the link starts from, and the values that it was asked with."""
    if call == "create_model":
        named = {"name": f"{model.rpartition('/')[2]}-linked", "net": {"kind": "mlp", "hidden": [3]}}
        described = {**named, "input": {"shape": [2]}, "output": {"kind": "categorical", "classes": 3}}
        return live.client.post("/v1/models", json=described), {}
    if call == "create_key":
        named = {"name": f"{model.rpartition('/')[2]}-linked", "scopes": ["admin"]}
        return live.client.post("/v1/keys", json=named), {}
    if call == "put_blob":
        content = save({}, {"of": model})
        return live.client.post("/v1/blobs", content=content, headers={"Content-Type": "application/x-safetensors"}), {}
    values: Json = {
        "path.model": model.rpartition("/")[2],
        "path.batch": 1,
        "path.update": 1,
        "path.version": 1,
        "path.alias": "head",
    }
    if call == "get_prediction":
        values["path.prediction"] = ask(live, "predict", values).json()["prediction"]
    if call in {"close_chunk", "cancel_update"}:
        live.post_rows(model, ROWS)
    if call == "cancel_update":
        values["path.update"] = live.close(model)
    if call in {"park_batch", "list_parked"}:
        values["path.batch"] = live.post_rows(model, ROWS)["batch"]
    if call == "list_parked":
        ask(live, "park_batch", values)
    if call == "list_forgets":
        ask(live, "forget_batches", values)
    if call == "move_alias":
        values["path.alias"] = "review"
    if call == "replay_chunks":
        assert live.client.post(f"{model}/rollback", json={"to": 0}).status_code == 200
    return ask(live, call, values), values


def filled(expression: str, answer: httpx.Response, asked: Json) -> object:
    """The value of a runtime expression of OpenAPI."""
    kind, _, place = expression.partition("#/")
    if kind == "$response.body":
        found: Any = answer.json()
        for step in place.split("/"):
            found = found[int(step)] if isinstance(found, list) else found[step]
        return found
    if expression.startswith("$response.header."):
        return answer.headers[expression.removeprefix("$response.header.")]
    if expression.startswith("$request."):
        return asked[expression.removeprefix("$request.")]
    return expression


@pytest.mark.parametrize(("call", "status", "target"), LINKS)
def test_a_link_is_a_call_that_answers(live: Live, learned: str, call: str, status: str, target: str) -> None:
    links = CALLS[call][2]["responses"][status]["links"]
    assert len({link["operationId"] for link in links.values()}) == len(links)

    if status == "200" and "201" in CALLS[call][2]["responses"]:
        source(live, learned, call)  # It is there already.
    answer, asked = source(live, learned, call)
    assert str(answer.status_code) == status, answer.text
    values = {name: filled(value, answer, asked) for name, value in links[target]["parameters"].items()}
    body = {"chunks": [answer.json()["chunk"]]} if call == "cancel_update" else None
    followed = ask(live, target, values, body)

    if expected := BY_STATE.get((call, target)):
        assert followed.json()["code"] == expected
    else:
        assert followed.is_success, followed.text


def test_every_call_can_be_reached_from_another_one_or_needs_nothing() -> None:
    reached = {target for _, _, target in LINKS}

    alone = {call for call, (_, path, _) in CALLS.items() if "{" not in path}
    endless = {"listen"}
    assert reached | alone | endless == CALLS.keys()
    assert not reached & endless

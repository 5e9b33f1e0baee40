"""A refusal is short and cheap however much of a request is wrong: few faults are looked for, told and quoted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from service import faults
from service.description import MEMBERS_MAX as OF_DESCRIPTION
from service.faults import FAULTS_MAX
from service.json_bounds import MEMBERS_MAX
from tests.service.expected import expect_problem
from tests.service.live import NAMED, TINY, Json, Live

MANY = 30_000
ANSWER_BYTES_MAX = 20_000
LONG = "x" * 300_000
WRONG = ["x"] * MANY

Body = dict[str, Any]
Headers = dict[str, str]


def members(count: int, value: object = 1) -> Body:
    return {f"unknown-{number}": value for number in range(count)}


def sent(
    method: str, path: str, body: object, *, of: Json = TINY, headers: Headers | None = None
) -> Callable[[Live], httpx.Response]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    shown = {"Content-Type": "application/json", "Idempotency-Key": "many"} | (headers or {})

    def send(live: Live) -> httpx.Response:
        url = path.format(model=live.create(of)) if "{" in path else path
        return live.client.request(method, url, content=content, headers=shown)

    return send


def batch(of: Json = TINY, **fields: object) -> Callable[[Live], httpx.Response]:
    return sent("POST", "{model}/batches", {"inputs": [[1, 2]], "labels": [0]} | fields, of=of)


def model(**fields: object) -> Callable[[Live], httpx.Response]:
    return sent("POST", "/v1/models", TINY | {"name": "many"} | fields)


def raw(**fields: object) -> Callable[[Live], httpx.Response]:
    head = json.dumps({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32"}]} | fields).encode()
    named = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return sent("POST", "{model}/predictions", head, headers=named)


def form(labels: object) -> Callable[[Live], httpx.Response]:
    part = b'--b\r\nContent-Disposition: form-data; name="labels"\r\n\r\n%b\r\n--b--\r\n'
    body = part % json.dumps(labels).encode()
    return sent("POST", "{model}/batches", body, headers={"Content-Type": "multipart/form-data; boundary=b"})


def blob(name: str, dtype: str = "F32", shape: int = 1) -> Callable[[Live], httpx.Response]:
    head = json.dumps({name: {"dtype": dtype, "shape": [shape], "data_offsets": [0, 4]}}).encode()
    body = len(head).to_bytes(8, "little") + head + bytes(4)
    return sent("POST", "/v1/blobs", body, headers={"Content-Type": "application/x-safetensors"})


def asked(query: str) -> Callable[[Live], httpx.Response]:
    return sent("POST", "{model}/predictions?" + query, {"inputs": [[1, 2]]})


TOO_MANY: dict[str, Callable[[Live], httpx.Response]] = {
    "of a prediction": sent("POST", "{model}/predictions", members(MANY)),
    "of a batch": sent("POST", "{model}/batches", members(MANY)),
    "with the name that was expected": batch(**members(MANY)),
    "of base64": batch(inputs=members(MANY)),
    "of labels": batch(labels=members(MANY)),
    "of many labels": batch(labels=[{"a": 1}] * MANY),
    "of a header of raw tensors": raw(**members(MANY)),
    "of a form": form([{"a": 1}] * MANY),
    "of a model": model(**members(MANY)),
    "of its parts": model(net=members(MANY)),
    "of its layers": model(net={"kind": "layers", "layers": [{"kind": "relu", "a": 1, "b": 1}] * MANY}),
    "of a key": sent("POST", "/v1/keys", members(MANY)),
    "of an alias": sent("PUT", "{model}/aliases/review", members(MANY)),
    "of a rollback": sent("POST", "{model}/rollback", members(MANY)),
    "of a replay": sent("POST", "{model}/replays", members(MANY)),
}

WRONG_THROUGHOUT: dict[str, tuple[str, Callable[[Live], httpx.Response]]] = {
    "inputs": ("input-dtype", batch(inputs=[WRONG])),
    "rows": ("input-dtype", batch(inputs=[["x", "y"]] * 10_000)),
    "flat inputs": ("input-dtype", batch(inputs=WRONG)),
    "labels": ("label-dtype", batch(labels=WRONG)),
    "labels by name": ("label-out-of-range", batch(NAMED, labels=WRONG)),
    "weights": ("weights-invalid", batch(weights=WRONG)),
    "the shape of base64": ("body-invalid", batch(inputs={"b64": "", "dtype": "uint8", "shape": WRONG})),
    "raw tensors": ("body-invalid", raw(inputs=WRONG)),
    "members that no call takes": ("body-invalid", sent("POST", "{model}/predictions", members(MEMBERS_MAX - 1))),
    "members of a model": ("description-invalid", model(**members(OF_DESCRIPTION // 2))),
    "means": ("description-invalid", model(input={"shape": [2], "mean": WRONG})),
    "deviations": ("description-invalid", model(input={"shape": [2], "std": WRONG})),
    "classes": ("description-invalid", model(output={"kind": "categorical", "classes": [1] * MANY})),
    "names of classes": ("description-invalid", model(output={"kind": "categorical", "classes": [""] * MANY})),
    "sigmas": ("description-invalid", model(prior={"kind": "weights", "blob": "", "sigmas": WRONG})),
    "hidden layers": ("description-invalid", model(net={"kind": "mlp", "hidden": WRONG})),
    "layers": ("description-invalid", model(net={"kind": "layers", "layers": [{"kind": "relu", "a": 1}] * 256})),
    "chunks": ("body-invalid", sent("POST", "{model}/replays", {"chunks": WRONG})),
    "scopes": ("body-invalid", sent("POST", "/v1/keys", {"name": "many", "scopes": WRONG})),
    "parameters": ("query-invalid", asked("&".join(f"p{number}=1" for number in range(7000)))),
    "one parameter": ("query-invalid", asked("&".join(["seed=1"] * 7000))),
}

LONG_WORDS: dict[str, tuple[str, Callable[[Live], httpx.Response]]] = {
    "the name of a member": ("body-invalid", sent("POST", "{model}/batches", {LONG: 1})),
    "the name of a model": ("description-invalid", model(name=LONG)),
    "the kind of a net": ("description-invalid", model(net={"kind": LONG})),
    "the kind of a prior": ("description-invalid", model(prior={"kind": LONG})),
    "the name of a net": ("description-invalid", model(net={"kind": "torchvision", "name": LONG})),
    "the name of a class": ("description-invalid", model(output={"kind": "categorical", "classes": [LONG, "y"]})),
    "the name of a key": ("key-unusable", sent("POST", "/v1/keys", {"name": LONG, "scopes": ["admin"]})),
    "a tensor": ("body-invalid", blob(LONG, shape=2)),
    "the type of a tensor": ("body-invalid", blob("x", dtype=LONG)),
    "a label": ("label-out-of-range", batch(NAMED, labels=[LONG])),
    "a parameter": ("query-invalid", asked(f"{LONG[:50_000]}=1")),
    "the value of a parameter": ("query-invalid", asked(f"method={LONG[:50_000]}")),
}


@pytest.fixture
def looked_for(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many faults each reading of a body found."""
    found: list[int] = []
    read = BaseModel.model_validate_json.__func__  # type: ignore[attr-defined]

    def counted(schema: type[BaseModel], /, *posted: object, **how: object) -> BaseModel:
        try:
            return read(schema, *posted, **how)  # type: ignore[no-any-return]
        except ValidationError as error:
            found.append(error.error_count())
            raise

    monkeypatch.setattr(BaseModel, "model_validate_json", classmethod(counted))
    return found


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The places of faults that were put into words."""
    found: list[object] = []
    where = faults._where

    def counted(loc: tuple[int | str, ...]) -> str:
        found.append(loc)
        return where(loc)

    monkeypatch.setattr(faults, "_where", counted)
    return found


@pytest.mark.parametrize("body", TOO_MANY)
def test_json_of_more_members_than_any_call_takes_is_refused_before_it_is_read(
    live: Live, looked_for: list[int], body: str
) -> None:
    answer = TOO_MANY[body](live)

    expect_problem(answer, "json-too-large")
    assert len(answer.content) < ANSWER_BYTES_MAX
    assert not looked_for


@pytest.mark.parametrize("body", WRONG_THROUGHOUT)
def test_of_many_faults_few_are_looked_for_and_told(
    live: Live, looked_for: list[int], told: list[object], body: str
) -> None:
    code, send = WRONG_THROUGHOUT[body]

    answer = send(live)

    problem = expect_problem(answer, code)
    assert len(answer.content) < ANSWER_BYTES_MAX
    assert sum(looked_for) <= 2 * OF_DESCRIPTION
    assert len(told) <= FAULTS_MAX
    assert len(problem.get("errors", ())) <= FAULTS_MAX


def test_faults_that_are_not_told_are_counted(live: Live) -> None:
    answer = sent("POST", "{model}/predictions", members(100))(live)

    problem = expect_problem(answer, "body-invalid")
    assert "(and 100 more)" in problem["detail"]
    assert len(problem["errors"]) == FAULTS_MAX


@pytest.mark.parametrize("word", LONG_WORDS)
def test_what_a_client_sent_is_quoted_in_part(live: Live, word: str) -> None:
    code, send = LONG_WORDS[word]

    answer = send(live)

    assert answer.json()["code"] == code
    assert len(answer.content) < ANSWER_BYTES_MAX


@pytest.mark.parametrize("name", ["a: b", '":', '\\":', '":":"', ":", "\\\\", "}{"])
def test_what_is_in_strings_is_no_member(live: Live, name: str) -> None:
    path = live.create(TINY | {"output": {"kind": "categorical", "classes": [name, "other"]}})

    assert live.post_rows(path, {"inputs": [[1, 2]] * 3000, "labels": [name] * 3000})["rows"] == 3000


def test_the_longest_net_is_described_in_bounds(live: Live) -> None:
    layer = {"kind": "conv", "filters": 1, "kernel": 1, "padding": 0, "stride": 1}
    net = {"kind": "layers", "layers": [*[layer] * 255, {"kind": "flatten"}]}

    path = live.create(TINY | {"net": net, "input": {"shape": [1, 2, 2]}})

    assert len(live.client.get(path).json()["net"]["layers"]) == 256


def test_a_long_path_that_leads_nowhere_is_not_told_again(live: Live) -> None:
    body = expect_problem(live.client.get(f"/v1/{'a' * 5000}"), "not-found")

    assert len(body["detail"]) < 300

"""JSON in which one name stands twice is refused: readers of JSON do not agree which of the two counts."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from service.bodies import parse_rows
from service.description import read_description
from service.rejected import JsonInvalid
from service.schemas import BatchBody
from tests.service.expected import expect_problem
from tests.service.live import NAMED, TINY, Live
from tests.service.test_malformed import PAIR

KEYED = {"Content-Type": "application/json", "Idempotency-Key": "twice"}
WITH_TINY = json.dumps(TINY)[1:-1].encode()
ENCODED = b'{"b64": "AACAPwAAgD8=", "dtype": "float32", "shape": [1, 2]}'
HEAD = (
    b'{"inputs": [{"name": "x", "name": "x", "shape": [1, 2], "datatype": "FP32", '
    b'"parameters": {"binary_data_size": 8}}]}'
)

TWICE: dict[str, tuple[str, str, bytes]] = {
    "rows": ("POST", "{model}/batches", b'{"inputs": [[1, 2]], "inputs": [[3, 4]], "labels": [0]}'),
    "labels": ("POST", "{model}/batches", b'{"labels": [0], "inputs": [[1, 2]], "labels": [1]}'),
    "base64": ("POST", "{model}/predictions", b'{"inputs": %b, "inputs"  : %b}' % (ENCODED, ENCODED)),
    "escaped": ("POST", "{model}/predictions", b'{"inputs": [[1, 2]], "\\u0069nputs": [[3, 4]]}'),
    "within base64": (
        "POST",
        "{model}/predictions",
        b'{"inputs": %b}' % ENCODED.replace(b'"b64"', b'"b64": "", "b64"'),
    ),
    "samples": ("POST", "{model}/predictions", b'{"samples": 2, "inputs": [[1, 2]], "samples": 3}'),
    "models": ("POST", "/v1/models", b'{"name": "a", %b, "name": "b"}' % WITH_TINY),
    "parts": ("POST", "/v1/models", b'{"name": "a", %b}' % WITH_TINY.replace(b'"shape"', b'"shape": [3], "shape"')),
    "rollbacks": ("POST", "{model}/rollback", b'{"to": 0, "to": 0}'),
    "aliases": ("PUT", "{model}/aliases/review", b'{"version": 0, "reason": "a", "version": 0}'),
    "replays": ("POST", "{model}/replays", b'{"chunks": [1], "chunks": [2]}'),
    "keys": ("POST", "/v1/keys", b'{"name": "a", "scopes": ["admin"], "scopes": ["predict"]}'),
}


@pytest.mark.parametrize("body", TWICE)
def test_a_name_twice_is_refused(live: Live, model: str, body: str) -> None:
    method, path, content = TWICE[body]

    answer = live.client.request(method, path.format(model=model), content=content, headers=KEYED)

    assert "in one object twice" in expect_problem(answer, "json-invalid")["detail"]


def test_a_name_twice_in_the_header_of_raw_tensors_is_refused(live: Live, model: str) -> None:
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(HEAD))}

    answer = live.client.post(f"{model}/predictions", content=HEAD + bytes(8), headers=headers)

    expect_problem(answer, "json-invalid")


@pytest.mark.parametrize("name", ['"inputs":', 'inputs":', '\\"inputs\\":', "inputs", ":", "\\", "\\\\"])
def test_what_looks_like_a_name_in_a_string_is_none(live: Live, name: str) -> None:
    path = live.create(NAMED | {"output": {"kind": "categorical", "classes": [name, "other"]}})

    posted = live.post_rows(path, {"inputs": [[1, 2]] * 3, "labels": [name] * 3})

    assert posted["rows"] == 3


def test_the_same_name_in_objects_beside_each_other_is_no_name_twice(live: Live, model: str) -> None:
    both = b'{"inputs": %b, "labels": {"b64": "AAAAAAAAAAA=", "dtype": "int64", "shape": [1]}}' % ENCODED

    answer: httpx.Response = live.client.post(f"{model}/batches", content=both, headers=KEYED)

    assert answer.status_code == 202


@pytest.mark.parametrize(
    "read",
    [
        lambda: parse_rows(BatchBody, b'{"inputs": [[1, 2]], "labels": [0], "labels":\n[1]}', of=PAIR),
        lambda: read_description(b'{"name": "a", "n\\u0061me": "b", %b}' % WITH_TINY),
    ],
    ids=["with a line between", "written in two ways"],
)
def test_a_name_twice_is_seen_however_it_is_written(read: Callable[[], object]) -> None:
    with pytest.raises(JsonInvalid):
        read()

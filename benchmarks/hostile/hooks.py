"""What Schemathesis is told of this service: bodies in binary encodings, and which refusals no schema can foresee.

Loaded by Schemathesis in its own process, through the variable SCHEMATHESIS_HOOKS.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.parameters import ParameterLocation

from benchmarks.fuzzing.seeds import seeds
from benchmarks.hostile.models import ROWS
from benchmarks.hostile.reasons import REASONS

CODE = "Posterity-Code"
OF_MLFLOW = frozenset({"/invocations", "/ping", "/health", "/version"})

HEADER_LENGTH = "inference-header-content-length"
MICROSECONDS_LEAST = 60_000_000
HEADER_BYTES = 256
"""What the document's example of Inference-Header-Content-Length says; JSON may end in blanks."""


def _raw_tensors() -> list[bytes]:
    made = []
    for body in seeds("raw"):
        length = int.from_bytes(body[:2], "little")
        if length <= HEADER_BYTES:
            made.append(body[2 : 2 + length].ljust(HEADER_BYTES) + body[2 + length :])
    return made


def _of(bodies: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of these, or now and then any bytes."""
    return st.one_of(st.sampled_from(bodies), st.sampled_from(bodies), st.binary(max_size=200))


IMAGES = seeds("images")
ARCHIVES = [body for body in seeds("npy") if body.startswith(b"PK")]
ARRAYS = [body for body in seeds("npy") if not body.startswith(b"PK")]

schemathesis.openapi.media_type("application/x-safetensors", _of(seeds("safetensors")))
schemathesis.openapi.media_type("application/x-npz", _of(ARCHIVES))
schemathesis.openapi.media_type("application/x-npy", _of(ARRAYS))
schemathesis.openapi.media_type("application/zip", _of(ARCHIVES))
schemathesis.openapi.media_type("application/octet-stream", _of(_raw_tensors() + seeds("safetensors")))
schemathesis.openapi.media_type("text/csv", _of([b"a,b\n0.5,-1\n", b"a,b\r\n1,2\r\n3,4\r\n", b'"a","b"\n"1","2"']))
schemathesis.openapi.media_type("image/png", _of(IMAGES), aliases=["image/jpeg"])


@schemathesis.check
def refused_for_a_reason(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """What is valid by the schemas is refused only for what schemas cannot say."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or not 400 <= response.status_code < 500:
        return
    if response.status_code in {401, 403, 404, 409, 429}:
        return
    code = _code(response)
    assert code in REASONS, f"refused as {code}: {response.content.decode()}"


def _code(response: Response) -> str:
    """The code of a refusal: of other protocols it is in a header."""
    stated = response.headers.get(CODE.lower())
    return stated[0] if stated else str(json.loads(response.content)["code"])


@schemathesis.check
def is_a_problem(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """Every refusal is a problem with a code, of the status that it has; its text has no lone surrogate."""
    if response.status_code < 400:
        return
    problem = json.loads(response.content.decode())
    if response.status_code == 405:
        assert response.headers["allow"]
    if (fields := _fields_of_others(case.operation.path)) is not None:
        assert response.headers["content-type"] == ["application/json"]
        assert problem.keys() == fields
        assert all(isinstance(text, str) and text for text in problem.values())
        assert response.headers[CODE.lower()]
        return
    assert response.headers["content-type"] == ["application/problem+json"]
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:posterity:problem:{problem['code']}"


def _fields_of_others(path: str) -> set[str] | None:
    """What refusals of the protocols of others have; None: it is a call of our own."""
    if path.split("/")[1] == "v2":
        return {"error"}
    return {"error_code", "message"} if path in OF_MLFLOW else None


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Every other valid request about a model that was prepared has rows that fit it: no schema could say which."""
    _judge_headers(case)
    _give_time(case)
    fitting = ROWS.get(str(((case.path_parameters or {}) | (case.query or {})).get("model")))
    if fitting is None or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    chance = zlib.crc32(repr((case.query, case.body)).encode("utf-8", "surrogatepass"))
    if chance % 2:
        _fit(case, fitting[chance // 2 % len(fitting)])


def _give_time(case: Case[Any]) -> None:
    """Who wants an answer within microseconds is rightly told 503 that it is late; here everybody waits for a while."""
    parameters = case.body.get("parameters") if isinstance(case.body, dict) else None
    timeout = parameters.get("timeout") if isinstance(parameters, dict) else None
    if isinstance(parameters, dict) and isinstance(timeout, int) and 0 < timeout < MICROSECONDS_LEAST:
        parameters["timeout"] = MICROSECONDS_LEAST


def _judge_headers(case: Case[Any]) -> None:
    """A request whose only fault is that it has headers that the document does not know counts as a valid one.

    Such headers are to be ignored (RFC 9110, section 5.1). Schemathesis finds no fault in them either, except that
    where the document knows another header, of a number, it takes the text of the number for one. Headers that a hook
    has set it judges anew, by the known ones, as they are sent; what else is wrong with a request stays wrong.
    """
    if case.meta is None or not case.meta.is_negative_at(ParameterLocation.HEADER):
        return
    known = {header.name.lower() for header in case.operation.headers}
    if any(name.lower() not in known for name in case.headers):
        case.headers = case.headers


def _fit(case: Case[Any], rows: dict[str, Any]) -> None:
    if case.operation.path.endswith("/infer"):
        _fit_tensor(case, rows)
        return
    if case.operation.path == "/invocations" and isinstance(case.body, dict):
        case.body = {name: value for name, value in case.body.items() if name == "params"} | {"inputs": rows["inputs"]}
        return
    if "inputs" in (query := case.query or {}):
        is_text = isinstance(query["inputs"], str)
        case.query = query | {"inputs": json.dumps(rows["inputs"]) if is_text else rows["inputs"]}
    if case.media_type == "application/json" and isinstance(case.body, dict) and "inputs" in case.body:
        fields = ("inputs", "labels", "weights") if case.operation.path.endswith("/batches") else ("inputs",)
        others = {name: value for name, value in case.body.items() if name not in fields}
        case.body = others | {name: rows[name] for name in fields if name in rows}


def _fit_tensor(case: Case[Any], rows: dict[str, Any]) -> None:
    if case.media_type == "application/json" and isinstance(case.body, dict) and isinstance(rows["inputs"], list):
        array = np.array(rows["inputs"])
        datatype = "INT64" if array.dtype.kind == "i" else "FP64"
        x = {"name": "x", "datatype": datatype, "shape": list(array.shape), "data": array.tolist()}
        case.body = {name: value for name, value in case.body.items() if name != "model_name"} | {"inputs": [x]}
        case.headers.pop(HEADER_LENGTH, None)

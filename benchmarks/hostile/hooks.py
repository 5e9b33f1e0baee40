"""What Schemathesis is told of this service: bodies in binary encodings, and which refusals no schema can foresee.

Loaded by Schemathesis in its own process, through the variable SCHEMATHESIS_HOOKS.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.parameters import ParameterLocation

from benchmarks.fuzzing.seeds import seeds
from benchmarks.hostile.models import ROWS
from benchmarks.hostile.reasons import REASONS

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
schemathesis.openapi.media_type("image/png", _of(IMAGES), aliases=["image/jpeg"])


@schemathesis.check
def refused_for_a_reason(_context: CheckContext, response: Response, case: Case[Any]) -> None:
    """What is valid by the schemas is refused only for what schemas cannot say."""
    meta = case.meta
    if meta is None or not meta.generation.mode.is_positive or not 400 <= response.status_code < 500:
        return
    if response.status_code in {401, 403, 404, 409, 429}:
        return
    problem = json.loads(response.content)
    assert problem["code"] in REASONS, f"refused as {problem['code']}: {problem['detail']}"


@schemathesis.check
def is_a_problem(_context: CheckContext, response: Response, _case: Case[Any]) -> None:
    """Every refusal is a problem with a code, of the status that it has; its text has no lone surrogate."""
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == ["application/problem+json"]
    problem = json.loads(response.content.decode())
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:posterity:problem:{problem['code']}"
    if response.status_code == 405:
        assert response.headers["allow"]


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """Every other valid request about a model that was prepared has rows that fit it: no schema could say which."""
    _judge_headers(case)
    fitting = ROWS.get(str((case.path_parameters or {}).get("model")))
    if fitting is None or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    chance = zlib.crc32(repr((case.query, case.body)).encode("utf-8", "surrogatepass"))
    if chance % 2:
        _fit(case, fitting[chance // 2 % len(fitting)])


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
    if "inputs" in (query := case.query or {}):
        is_text = isinstance(query["inputs"], str)
        case.query = query | {"inputs": json.dumps(rows["inputs"]) if is_text else rows["inputs"]}
    if case.media_type == "application/json" and isinstance(case.body, dict) and "inputs" in case.body:
        fields = ("inputs", "labels", "weights") if case.operation.path.endswith("/batches") else ("inputs",)
        others = {name: value for name, value in case.body.items() if name not in fields}
        case.body = others | {name: rows[name] for name in fields if name in rows}

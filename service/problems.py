"""Every error leaves the service as RFC 9457 `application/problem+json` with a stable `code`."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import compile_path

from service.faults import DETAIL_MAX, FAULTS_MAX, faults_of, in_words, shortened
from service.rejected import (
    BodyTooLarge,
    Internal,
    KeyInvalid,
    KeyMissing,
    KeyNotAllowed,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    PredictionLate,
    QueryInvalid,
    RateLimited,
    Rejected,
    RequestInvalid,
    Unavailable,
)
from store.engine import DATABASE_DOWN, sign_of
from store.errors import BlobBuried, BlobStoreError, Problem

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:posterity:problem:"
REQUEST_ID = "X-Request-Id"
OF_LOAD = (Overloaded, PredictionLate)
GONE = 499
"""nginx's status for a client that hung up; nobody is left to read it."""

logger = logging.getLogger("posterity.service")


class FaultBody(BaseModel):
    where: str = Field(examples=["labels[7]"])
    message: str = Field(examples=["is 12, the model has classes 0 to 9"])


class ProblemBody(BaseModel):
    """What went wrong (RFC 9457). Programs branch on `code`, people read `detail`."""

    type: str = Field(description="`code` as a URI.", examples=[f"{TYPE_PREFIX}model-not-found"])
    title: str = Field(description="The kind of problem, the same text every time.", examples=["No such model"])
    status: int = Field(examples=[404])
    detail: str = Field(description="What happened, to which thing, and what to do next.")
    instance: str = Field(description="The path that was asked.", examples=["/v1/models/digits"])
    code: str = Field(description="Stable name of the kind of problem.", examples=["model-not-found"])
    errors: list[FaultBody] | None = Field(
        None, description=f"What is wrong where, of at most {FAULTS_MAX} things; `detail` counts the others."
    )


def respond(problem: Problem, instance: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The problem as an answer; a 5xx is also in the log, as an error unless there was only too much to do."""
    if problem.status >= 500:
        level = logging.WARNING if isinstance(problem, OF_LOAD) else logging.ERROR
        logger.log(level, "%s at %s: %s", problem.code, instance, problem)
    said = dict(headers or {}) | headers_of(problem)
    return JSONResponse(body_of(problem, instance), problem.status, said, MEDIA_TYPE)


def body_of(problem: Problem, instance: str) -> dict[str, object]:
    """The problem as RFC 9457 has it."""
    body: dict[str, object] = {
        "type": f"{TYPE_PREFIX}{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": shortened(str(problem), DETAIL_MAX),
        "instance": instance,
        "code": problem.code,
    }
    if isinstance(problem, Rejected) and problem.faults:
        body["errors"] = [{"where": fault.where, "message": fault.message} for fault in problem.faults]
    return body


def headers_of(problem: Problem) -> dict[str, str]:
    """What the client is to do next, in headers."""
    if problem.status == 503:
        return {"Retry-After": str(problem.seconds if isinstance(problem, BlobBuried) else 1)}
    # The rest of the body stays unread.
    return {"Connection": "close"} if isinstance(problem, BodyTooLarge | RequestInvalid) else {}


def as_bytes(problem: Problem, instance: str, *, request_id: str) -> bytes:
    """The problem as the last answer on a connection, for where no application is there to send it."""
    body = json.dumps(body_of(problem, instance)).encode()
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        REQUEST_ID: request_id,
        "X-Content-Type-Options": "nosniff",
        **headers_of(problem),
        "Connection": "close",
    }
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def problem_of(error: Exception) -> Problem | None:
    """What the error tells a client; None: nothing, it is a fault of ours."""
    if isinstance(error, DATABASE_DOWN):
        logger.warning("the database does not answer: %s", sign_of(error))
        return Unavailable(reason="The database does not answer")
    if isinstance(error, BlobStoreError):
        logger.error("the store of the blobs does not answer: %s", error)
        return Unavailable(reason="The store of the blobs does not answer")
    return error if isinstance(error, Problem) else None


def install(app: FastAPI) -> None:
    """Whatever an endpoint, FastAPI, the database or the blobs raise is answered as a problem."""

    async def on_problem(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return respond(error, request.url.path)

    async def on_http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_methods_at(request) or headers["Allow"].split(", ")))
        return respond(_from_http(error, request), request.url.path, headers)

    async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return respond(_from_validation(error, request), request.url.path)

    async def on_outage(request: Request, error: Exception) -> JSONResponse:
        problem = problem_of(error)
        assert problem is not None
        return respond(problem, request.url.path)

    async def on_disconnect(request: Request, _error: Exception) -> Response:
        logger.info("the client went away before its request to %s was complete", request.url.path)
        return Response(status_code=GONE)

    async def on_anything_else(request: Request, _error: Exception) -> JSONResponse:
        return respond(Internal(), request.url.path)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    for kind in (*DATABASE_DOWN, BlobStoreError):
        app.add_exception_handler(kind, on_outage)
    app.add_exception_handler(Exception, on_anything_else)


def declared(
    *problems: type[Problem], also: dict[int | str, dict[str, Any]] | None = None, is_open: bool = False
) -> dict[int | str, dict[str, Any]]:
    """These problems as OpenAPI responses, one per status, each code with its example; and the other responses.

    `is_open` says that nobody is asked for a key.
    """
    by_status: dict[int, list[type[Problem]]] = {}
    always: tuple[type[Problem], ...] = (QueryInvalid, Unavailable, Internal)
    at_the_door = () if is_open else (KeyMissing, KeyInvalid, KeyNotAllowed, RateLimited)
    for problem in dict.fromkeys(problems + at_the_door + always):
        by_status.setdefault(problem.status, []).append(problem)
    responses: dict[int | str, dict[str, Any]] = also or {}
    return responses | {status: _declared(kinds) for status, kinds in sorted(by_status.items())}


def _methods_at(request: Request) -> set[str]:
    """Those that any call at this path has; Starlette names only those of the first."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    calls = (calls for path, calls in paths.items() if compile_path(path)[0].match(request.url.path))
    methods = {method.upper() for at_path in calls for method in at_path}
    return methods | {"HEAD"} if "GET" in methods else methods


def _from_http(error: HTTPException, request: Request) -> Problem:
    if error.status_code == 405:
        return MethodNotAllowed(method=request.method, path=request.url.path)
    return NotFound(path=request.url.path)


def _from_validation(error: RequestValidationError, request: Request) -> Problem:
    errors = error.errors()
    # A path that cannot name anything names nothing.
    if any(found["loc"][0] == "path" for found in errors):
        return NotFound(path=request.url.path)
    faults = faults_of(errors)
    return QueryInvalid(faults=faults, reason=in_words(faults, found=len(errors)))


def _declared(kinds: list[type[Problem]]) -> dict[str, Any]:
    examples = {
        kind.code: {
            "summary": kind.title,
            "value": {
                "type": f"{TYPE_PREFIX}{kind.code}",
                "title": kind.title,
                "status": kind.status,
                "detail": kind.message,
                "instance": "/v1/…",
                "code": kind.code,
            },
        }
        for kind in kinds
    }
    return {
        "description": " or ".join(f"`{kind.code}`" for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}, "examples": examples}},
    }

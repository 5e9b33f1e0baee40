"""Every error leaves the service as a problem with a stable code, in the form that belongs to its path."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import compile_path

from service.faults import faults_of, in_words, shortened
from service.problem_forms import AS_PROBLEM, Form, form_at
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
    RequestInvalid,
    Unavailable,
)
from store.engine import DATABASE_DOWN, sign_of
from store.errors import BlobBuried, BlobStoreError, Problem

REQUEST_ID = "X-Request-Id"
PATH_MAX = 200
"""So much of a path that leads nowhere is told to who asked for it."""
OF_LOAD = (Overloaded, PredictionLate)
GONE = 499
"""nginx's status for a client that hung up; nobody is left to read it."""

logger = logging.getLogger("posterity.service")


def respond(problem: Problem, instance: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The problem as an answer; a 5xx is also in the log, as an error unless there was only too much to do."""
    if problem.status >= 500:
        level = logging.WARNING if isinstance(problem, OF_LOAD) else logging.ERROR
        logger.log(level, "%s at %s: %s", problem.code, instance, problem)
    form = form_at(instance)
    said = dict(headers or {}) | headers_of(problem) | form.headers(problem.code)
    return JSONResponse(form.body(problem, instance), problem.status, said, form.media_type)


def headers_of(problem: Problem) -> dict[str, str]:
    """What the client is to do next, in headers."""
    if problem.status == 503:
        return {"Retry-After": str(problem.seconds if isinstance(problem, BlobBuried) else 1)}
    # The rest of the body stays unread.
    return {"Connection": "close"} if isinstance(problem, BodyTooLarge | RequestInvalid) else {}


def as_bytes(problem: Problem, instance: str, *, request_id: str) -> bytes:
    """The problem as the last answer on a connection, for where no application is there to send it."""
    form = form_at(instance)
    body = json.dumps(form.body(problem, instance)).encode()
    headers = {
        "Content-Type": form.media_type,
        "Content-Length": str(len(body)),
        REQUEST_ID: request_id,
        "X-Content-Type-Options": "nosniff",
        **headers_of(problem),
        **form.headers(problem.code),
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
    *problems: type[Problem],
    also: dict[int | str, dict[str, Any]] | None = None,
    is_open: bool = False,
    form: Form = AS_PROBLEM,
) -> dict[int | str, dict[str, Any]]:
    """These problems as OpenAPI responses, one per status, each code with its example; and the other responses.

    `is_open` says that nobody is asked for a key, `form` in which form the call tells of problems.
    """
    by_status: dict[int, list[type[Problem]]] = {}
    always: tuple[type[Problem], ...] = (QueryInvalid, Unavailable, Internal)
    at_the_door = () if is_open else (KeyMissing, KeyInvalid, KeyNotAllowed, RateLimited)
    for problem in dict.fromkeys(problems + at_the_door + always):
        by_status.setdefault(problem.status, []).append(problem)
    responses: dict[int | str, dict[str, Any]] = also or {}
    return responses | {status: _declared(kinds, form) for status, kinds in sorted(by_status.items())}


def _methods_at(request: Request) -> set[str]:
    """Those that any call at this path has; Starlette names only those of the first."""
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    calls = (calls for path, calls in paths.items() if compile_path(path)[0].match(request.url.path))
    methods = {method.upper() for at_path in calls for method in at_path}
    return methods | {"HEAD"} if "GET" in methods else methods


def _from_http(error: HTTPException, request: Request) -> Problem:
    if error.status_code == 405:
        return MethodNotAllowed(method=request.method, path=shortened(request.url.path, PATH_MAX))
    return NotFound(path=shortened(request.url.path, PATH_MAX))


def _from_validation(error: RequestValidationError, request: Request) -> Problem:
    errors = error.errors()
    # A path that cannot name anything names nothing.
    if any(found["loc"][0] == "path" for found in errors):
        return NotFound(path=shortened(request.url.path, PATH_MAX))
    faults = faults_of(errors)
    return QueryInvalid(faults=faults, reason=in_words(faults, found=len(errors)))


def _declared(kinds: list[type[Problem]], form: Form) -> dict[str, Any]:
    examples = {kind.code: {"summary": kind.title, "value": form.example(kind)} for kind in kinds}
    schema = {"$ref": f"#/components/schemas/{form.schema.__name__}"}
    response = {
        "description": " or ".join(f"`{kind.code}`" for kind in kinds),
        "content": {form.media_type: {"schema": schema, "examples": examples}},
    }
    codes = {"type": "string", "examples": [kind.code for kind in kinds]}
    headers = {name: {"schema": codes, "description": "Which problem it is."} for name in form.headers("")}
    return response | ({"headers": headers} if headers else {})

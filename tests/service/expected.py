"""All the problems there are, and what an answer with one looks like."""

from __future__ import annotations

import httpx

from service import rejected
from store import errors
from store.errors import Problem
from tests.service.live import Json

ROOTS = {Problem, rejected.Rejected}


def all_problems() -> list[type[Problem]]:
    found = [*vars(errors).values(), *vars(rejected).values()]
    kinds = {kind for kind in found if isinstance(kind, type) and issubclass(kind, Problem)} - ROOTS
    return sorted(kinds, key=lambda kind: kind.code)


def code_of(answer: httpx.Response) -> str:
    """The code of the refusal, in whichever form the call tells of it."""
    return str(answer.headers["Posterity-Code"] if "Posterity-Code" in answer.headers else answer.json()["code"])


def expect_error(answer: httpx.Response, code: str) -> str:
    """The answer is the problem with this code, as the Open Inference Protocol has it; its text."""
    kind = next(kind for kind in all_problems() if kind.code == code)
    body = dict(answer.json())
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.status_code, answer.headers["Posterity-Code"]) == (kind.status, code), body
    assert body.keys() == {"error"}
    assert body["error"].strip()
    assert "{reason}" not in body["error"]
    return str(body["error"])


def expect_problem(answer: httpx.Response, code: str) -> Json:
    """The answer is the problem with this code, as its class declares it."""
    kind = next(kind for kind in all_problems() if kind.code == code)
    body = dict(answer.json())
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (body["code"], body["status"], body["title"]) == (code, kind.status, kind.title)
    assert body["type"] == f"urn:posterity:problem:{code}"
    assert body["instance"] == answer.request.url.path
    assert answer.status_code == kind.status
    assert body["detail"].strip()
    assert "{" not in body["detail"]
    return body

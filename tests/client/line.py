"""A network that answers from a script, and the service's answers to put into one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import numpy as np

from client import Client

URL = "http://posterity.test"
X = np.zeros((2, 3), np.float32)
Y = np.array([0, 1])
MOMENT = "2026-11-23T12:00:00Z"

Handler = Callable[[httpx.Request], httpx.Response]
Json = dict[str, object]


def batch(key: str, **more: object) -> Json:
    named = {"model": "m", "batch": 1, "rows": 2, "state": "accepted", "key": key}
    return {**named, "digest": "sha256:0", "accepted_at": MOMENT, **more}


def update(state: str, **more: object) -> Json:
    named = {"model": "m", "update": 3, "chunk": 2, "rows": 2, "batches": [1], "state": state}
    return {**named, "attempt": 1, "created_at": MOMENT, **more}


def model(**more: object) -> Json:
    described: Json = {name: {} for name in ("net", "input", "output", "prior", "recipe", "updates")}
    counted = {"head": 0, "aliases": {"head": 0}, "versions": 1, "batches": 1, "rows": 2}
    chunk = {"rows": 10, "seconds": None}
    stated = {"name": "m", "family": "ffg", "chunk": chunk, "created_at": MOMENT, "pending": {"batches": 1, "rows": 2}}
    return {**described, **counted, **stated, **more}


def accepted(request: httpx.Request, **headers: str) -> httpx.Response:
    return httpx.Response(202, json=batch(request.headers["Idempotency-Key"].strip('"')), headers=headers)


def answered(*bodies: Json) -> list[Handler]:
    """One success per body, in their order."""

    def handler(body: Json) -> Handler:
        return lambda _: httpx.Response(200, json=body)

    return [handler(body) for body in bodies]


def problem(status: int, code: str, detail: str, **more: object) -> httpx.Response:
    return httpx.Response(status, json={"code": code, "status": status, "detail": detail, **more})


class Line:
    """A network that answers from a script, and writes down what was asked and how long was slept."""

    def __init__(self, *script: Handler) -> None:
        self.script: Iterator[Handler] = iter(script)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return next(self.script)(request)

    def client(self, *, attempts_max: int = 6) -> Client:
        transport = httpx.MockTransport(self.answer)
        return Client(URL, transport=transport, attempts_max=attempts_max, sleep=self.slept.append)

    def keys(self) -> list[str]:
        return [request.headers["Idempotency-Key"] for request in self.asked]


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused", request=request)


def drop(request: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError("server disconnected", request=request)

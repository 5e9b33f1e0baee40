"""The commonest request, small JSON to predict, answered without FastAPI's machinery, which takes longer than the rest.

Whatever else it is, FastAPI answers it. Both call the same functions, so no answer differs (test_quick.py).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Set

from starlette.types import ASGIApp, Receive, Scope, Send

from service.asked import Target, Way
from service.encodings import AS_JSON
from service.house import House
from service.known import Known
from service.predictions import READ_AT_ONCE_BYTES, answer_bytes, read
from service.problems import problem_of, respond
from service.requests import JSON
from service.schemas import METHOD_NAMES
from store.values import HEAD

PATH = re.compile(r"/v1/models/([^/]+)/(?:versions/(0|[1-9][0-9]{0,8})/)?predictions")
WAYS: dict[bytes, Way] = {b"": Way()}
WAYS |= {b"method=" + name.encode(): Way(method=name) for name in METHOD_NAMES}
"""What the query says, where this knows it."""
HEADERS = {b"host", b"user-agent", b"accept", b"accept-encoding", b"connection", b"content-length", b"content-type"}
"""Others may say more than this knows."""
JSON_TYPES = (b"application/json", b"application/json; charset=utf-8")
TYPE = (b"content-type", JSON.encode())


class Quick:
    """Middleware that answers predictions of models that were asked before, and passes on everything else."""

    def __init__(self, app: ASGIApp, *, house: House) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found(scope) if scope["type"] == "http" and scope["method"] == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        known, name, target, way = found
        try:
            raw = await body_of(receive)
            if raw is None:
                return
            question, asked = read(self._house, known, (name, target), way, kind=AS_JSON, raw=raw)
            body = await answer_bytes(self._house, question, asked, self._house.settings.predict_seconds)
        except Exception as error:
            if (problem := problem_of(error)) is None:
                raise
            await respond(problem, scope["path"])(scope, receive, send)
            return
        headers = [(b"content-length", b"%d" % len(body)), TYPE]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _found(self, scope: Scope) -> tuple[Known, str, Target, Way] | None:
        path, way = PATH.fullmatch(scope["path"]), WAYS.get(scope["query_string"])
        bytes_max = min(READ_AT_ONCE_BYTES, self._house.settings.body_bytes_max)
        if path is None or way is None or not is_plain(scope["headers"], HEADERS, JSON_TYPES, bytes_max=bytes_max):
            return None
        name, version = path.groups()
        known = self._house.known.at_hand(name)
        return None if known is None else (known, name, Target(None if version is None else int(version), HEAD), way)


async def body_of(receive: Receive) -> bytes | None:
    """The whole body; None: the client went away."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def is_plain(
    headers: list[tuple[bytes, bytes]], names: Set[bytes], types: Collection[bytes], *, bytes_max: int
) -> bool:
    """True when a request says no more than these headers can, each once: a short enough body of one of these types."""
    said = dict(headers)
    length = said.get(b"content-length", b"")
    is_small = length.isdigit() and len(length) < 9 and int(length) <= bytes_max
    is_known = said.keys() <= names and len(said) == len(headers)
    return is_small and is_known and said.get(b"content-type") in types

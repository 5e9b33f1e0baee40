"""The commonest request, small JSON to predict, answered without FastAPI's machinery, which takes longer than the rest.

Whatever else it is, FastAPI answers it. Both call the same functions, so no answer differs (test_quick.py).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from service.asked import Target, Way
from service.callers import ANYBODY, caller_of
from service.encodings import AS_JSON, READ_AT_ONCE_BYTES
from service.known import Known
from service.predictions import answer_bytes, kept_answer, read
from service.requests import JSON
from service.schemas import METHOD_NAMES
from service.shortcut import HEADERS, Shortcut, body_of, is_plain
from store.kinds import HEAD

PATH = re.compile(r"/v1/models/([^/]+)/(?:versions/(0|[1-9][0-9]{0,8})/)?predictions")
WAYS: dict[bytes, Way] = {b"": Way()}
WAYS |= {b"method=" + name.encode(): Way(method=name) for name in METHOD_NAMES}
WAYS |= {b"keep=true": Way(keep=True)}
"""What the query says, where this knows it."""
JSON_TYPES = (b"application/json", b"application/json; charset=utf-8")
TYPE = (b"content-type", JSON.encode())


class Found(NamedTuple):
    known: Known
    name: str
    target: Target
    way: Way
    scope: Scope


class Quick(Shortcut[Found]):
    """Answers predictions of models that were asked before."""

    def found(self, scope: Scope) -> Found | None:
        path, way = PATH.fullmatch(scope["path"]), WAYS.get(scope["query_string"])
        bytes_max = min(READ_AT_ONCE_BYTES, self._house.settings.body_bytes_max)
        if path is None or way is None or not is_plain(scope["headers"], HEADERS, JSON_TYPES, bytes_max=bytes_max):
            return None
        name, version = path.groups()
        known = self._house.known.at_hand(name)
        if known is None:
            return None
        return Found(known, name, Target(None if version is None else int(version), HEAD), way, scope)

    async def answer(self, found: Found, receive: Receive) -> ASGIApp | None:
        if (raw := await body_of(receive)) is None:
            return None
        known, name, target, way, scope = found
        question, asked = read(self._house, known, (name, target), way, kind=AS_JSON, raw=raw)
        patience = self._house.settings.predict_seconds
        if asked.is_kept:
            caller = caller_of(scope).name(ANYBODY)
            return _sending(await kept_answer(self._house, question, asked, patience, predicted_by=caller))
        return _sending(await answer_bytes(self._house, question, asked, patience))


def _sending(body: bytes) -> ASGIApp:
    """As a Response of starlette would, without what that does beside."""

    async def send_all(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"%d" % len(body)), TYPE]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return send_all

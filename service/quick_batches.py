"""Batches accepted without FastAPI's machinery, which takes longer than the rest; as service/quick.py predicts.

Whatever else it is, FastAPI answers it. Both call the same functions, so no answer differs (test_quick_batches.py).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope

from service.batches import REPLAYED, accept, location
from service.encodings import AS_JSON, BodyKind, Encoding
from service.known import Known
from service.requests import JSON, SAFETENSORS, key_of
from service.shortcut import HEADERS as OF_ALL
from service.shortcut import Shortcut, body_of, is_plain

PATH = re.compile(r"/v1/models/([^/]+)/batches")
KEY = b"idempotency-key"
HEADERS = OF_ALL | {KEY}
KINDS = {JSON.encode(): AS_JSON, SAFETENSORS.encode(): BodyKind(Encoding.SAFETENSORS, SAFETENSORS)}


class Found(NamedTuple):
    name: str
    known: Known
    kind: BodyKind
    key: str | None


class QuickBatches(Shortcut[Found]):
    """Accepts batches of models that were asked before."""

    def found(self, scope: Scope) -> Found | None:
        path, headers = PATH.fullmatch(scope["path"]), scope["headers"]
        bytes_max = self._house.settings.body_bytes_max
        if path is None or scope["query_string"] or not is_plain(headers, HEADERS, KINDS, bytes_max=bytes_max):
            return None
        known = self._house.known.at_hand(path[1])
        if known is None:
            return None
        said = dict(headers)
        key = said.get(KEY)
        return Found(path[1], known, KINDS[said[b"content-type"]], None if key is None else key.decode("latin-1"))

    async def answer(self, found: Found, receive: Receive) -> ASGIApp | None:
        key = key_of(found.key)
        if (raw := await body_of(receive)) is None:
            return None
        accepted = accept(self._house, found.known, found.name, key=key, kind=found.kind, raw=raw)
        batch, is_replay = await accepted
        headers = {"Location": location(batch)} | ({REPLAYED: "true"} if is_replay else {})
        return Response(batch.model_dump_json(), 202, headers, JSON)

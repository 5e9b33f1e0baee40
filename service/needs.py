"""Which scope a call needs, by its method and path. Whatever is not in the table needs a key for everything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from starlette.routing import compile_path

from store.kinds import Scope

ADMIN = frozenset({Scope.ADMIN})
PREDICT = ADMIN | {Scope.PREDICT}
INGEST = ADMIN | {Scope.INGEST}
ANY = PREDICT | INGEST
OPEN: frozenset[Scope] = frozenset()
"""For probes, and for the pages of the console, which know nothing yet: nobody is asked for a key."""

MODEL = "/v1/models/{model}"
INFERENCE = "/v2/models/{model}"
NEEDS: dict[str, frozenset[Scope]] = {
    "GET /livez": OPEN,
    "GET /readyz": OPEN,
    "GET /": OPEN,
    "GET /console": OPEN,
    "GET /console/{path:path}": OPEN,
    "GET /openapi.json": ANY,
    "GET /docs": OPEN,
    "POST /v1/models": ADMIN,
    "GET /v1/models": ANY,
    f"GET {MODEL}": ANY,
    "POST /v1/imports": ADMIN,
    "POST /v1/blobs": ADMIN,
    "GET /v1/blobs/{blob}": ADMIN,
    f"POST {MODEL}/batches": INGEST,
    f"GET {MODEL}/batches": INGEST,
    f"GET {MODEL}/batches/{{batch}}": INGEST,
    f"DELETE {MODEL}/batches/{{batch}}": ADMIN,
    f"GET {MODEL}/batches/{{batch}}/decisions": INGEST,
    f"POST {MODEL}/batches/{{batch}}/park": ADMIN,
    f"POST {MODEL}/batches/{{batch}}/release": ADMIN,
    f"POST {MODEL}/batches/{{batch}}/discard": ADMIN,
    f"GET {MODEL}/parked": INGEST,
    f"POST {MODEL}/forget": ADMIN,
    f"GET {MODEL}/forgets": ANY,
    f"GET {MODEL}/forgets/{{forget}}": ANY,
    f"DELETE {MODEL}/forgets/{{forget}}": ADMIN,
    f"GET {MODEL}/metrics": ANY,
    f"POST {MODEL}/updates": INGEST,
    f"GET {MODEL}/updates": INGEST,
    f"GET {MODEL}/updates/{{update}}": INGEST,
    f"DELETE {MODEL}/updates/{{update}}": ADMIN,
    f"POST {MODEL}/replays": ADMIN,
    f"POST {MODEL}/predictions": PREDICT,
    f"GET {MODEL}/predictions": PREDICT,
    f"GET {MODEL}/predictions/{{prediction}}": PREDICT,
    f"POST {MODEL}/labels": INGEST,
    f"POST {MODEL}/versions/{{version}}/predictions": PREDICT,
    f"GET {MODEL}/branches": PREDICT,
    f"GET {MODEL}/versions": PREDICT,
    f"GET {MODEL}/versions/{{version}}": PREDICT,
    f"GET {MODEL}/versions/{{version}}/posterior": ADMIN,
    f"GET {MODEL}/versions/{{version}}/export": ADMIN,
    f"GET {MODEL}/versions/{{version}}/compare/{{other}}": PREDICT,
    f"POST {MODEL}/versions/{{version}}/compare/{{other}}": PREDICT,
    f"GET {MODEL}/versions/{{version}}/calibration": PREDICT,
    f"POST {MODEL}/versions/{{version}}/calibration": PREDICT,
    f"GET {MODEL}/aliases": PREDICT,
    f"GET {MODEL}/aliases/{{alias}}": PREDICT,
    f"PUT {MODEL}/aliases/{{alias}}": ADMIN,
    f"DELETE {MODEL}/aliases/{{alias}}": ADMIN,
    f"GET {MODEL}/aliases/{{alias}}/history": PREDICT,
    f"POST {MODEL}/rollback": ADMIN,
    f"GET {MODEL}/events": ANY,
    f"GET {MODEL}/events/history": ANY,
    f"POST {MODEL}/webhooks": ADMIN,
    f"GET {MODEL}/webhooks": ADMIN,
    f"GET {MODEL}/webhooks/{{webhook}}": ADMIN,
    f"DELETE {MODEL}/webhooks/{{webhook}}": ADMIN,
    "GET /v2": ANY,
    "GET /v2/health/live": OPEN,
    "GET /v2/health/ready": OPEN,
    "POST /v2/repository/index": ANY,
    f"GET {INFERENCE}": ANY,
    f"GET {INFERENCE}/ready": ANY,
    f"GET {INFERENCE}/versions/{{version}}": ANY,
    f"GET {INFERENCE}/versions/{{version}}/ready": ANY,
    f"POST {INFERENCE}/infer": PREDICT,
    f"POST {INFERENCE}/versions/{{version}}/infer": PREDICT,
    "POST /invocations": PREDICT,
    "GET /ping": OPEN,
    "GET /health": OPEN,
    "GET /version": ANY,
    "POST /v1/keys": ADMIN,
    "GET /v1/keys": ADMIN,
    "DELETE /v1/keys/{name}": ADMIN,
}
OF_ALL_MODELS = "/v1/keys"
"""Who may make keys could make one for any model."""

PATH_LENGTH_MAX = 300


@dataclass(frozen=True)
class Need:
    """What a request asks for: one of these scopes (none: no key), for this model or, `is_of_all`, for every model."""

    scopes: frozenset[Scope]
    model: str | None
    is_of_all: bool


UNKNOWN = Need(ADMIN, None, is_of_all=True)


def need_of(method: str, path: str) -> Need:
    """What a request needs; its path is compared as the router compares it, decoded and letter by letter."""
    return _kept(method, path) if len(path) <= PATH_LENGTH_MAX else _looked_up(method, path)


def methods_at(path: str) -> tuple[frozenset[str], str | None]:
    """The methods that the table has at this path, without those that are of all models; and the model it names."""
    methods, model = set[str](), None
    for method, template, pattern, _ in _TABLE:
        if not template.startswith(OF_ALL_MODELS) and (found := pattern.match(path)):
            methods |= {method, "HEAD"} if method == "GET" else {method}
            model = found.groupdict().get("model")
    return frozenset(methods), model


def _looked_up(method: str, path: str) -> Need:
    for of_method, template, pattern, scopes in _TABLE:
        if of_method == method and (found := pattern.match(path)):
            return Need(scopes, found.groupdict().get("model"), is_of_all=template.startswith(OF_ALL_MODELS))
    return UNKNOWN


def _entry(call: str, scopes: frozenset[Scope]) -> tuple[str, str, re.Pattern[str], frozenset[Scope]]:
    method, _, template = call.partition(" ")
    return method, template, compile_path(template)[0], scopes


_TABLE = [_entry(call, scopes) for call, scopes in NEEDS.items()]
_kept = lru_cache(maxsize=4096)(_looked_up)

"""The door: whoever comes through has a key that allows what is asked, before anything else looks at the request.

As long as no key was ever made the door of a service that nobody but this machine can reach is open. It closes with the
first key, and revoking the last one does not open it again.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from service.callers import KEY, lacking, outside
from service.house import House
from service.names import is_local
from service.needs import METRICS, Need, methods_at, need_of
from service.problems import respond
from service.rates import Rates
from service.rejected import KeyInvalid, KeyMissing, KeyNotAllowed, MethodNotAllowed, RateLimited, Unavailable
from store.errors import Problem
from store.keys import KeyRow

AUTHORIZATION = b"authorization"
BEARER = "bearer "
CHALLENGE = {"WWW-Authenticate": "Bearer"}
POLICY_VIOLATION = 1008
UNSURE = "unsure"
"""Where the state has that nobody can tell whether there are keys: metrics then tell nothing of models."""


class Access:
    """Middleware that lets requests in, names their caller, and takes the key out of their headers."""

    def __init__(self, app: ASGIApp, *, house: House) -> None:
        self._app = app
        self._known = house.known_keys
        self._rates = Rates(requests_per_minute=house.settings.requests_per_minute)
        self._is_local = is_local(house.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # There are none here.
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        if scope["type"] == "http" and (need := need_of(scope["method"], scope["path"])).scopes:
            state = scope.setdefault("state", {})
            try:
                state[KEY] = key = await self._caller(scope, need)
                state["caller"] = None if key is None else key.name
                if key is not None:
                    await self._rates.count(key)
                    _require(key, need, scope)
            except Problem as problem:
                await respond(problem, scope["path"], _headers(problem))(scope, receive, send)
                return
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != AUTHORIZATION]}
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope, need: Need) -> KeyRow | None:
        """The key of whoever asks; None: this is open to everyone on this machine.

        Raises:
            KeyMissing, KeyInvalid: it is not.
            Unavailable: that cannot be told at the moment.
        """
        in_force, is_current = await self._known.now()
        if in_force is None:
            raise _unsure()
        if in_force.is_unclaimed and self._is_local:
            if not is_current:
                if need.template != METRICS:
                    raise _unsure()
                scope["state"][UNSURE] = True
            return None
        key = self._known.ring.find(in_force, _presented(scope["headers"]))
        if key is None:
            raise KeyInvalid if is_current else _unsure()
        return key


def _presented(headers: list[tuple[bytes, bytes]]) -> str:
    """The key that the request shows.

    Raises:
        KeyMissing, KeyInvalid: it shows none, or something else, or more than one.
    """
    said = [value for name, value in headers if name == AUTHORIZATION]
    if not said:
        raise KeyMissing
    word = said[0].decode("latin-1")
    if len(said) > 1 or word[: len(BEARER)].lower() != BEARER:
        raise KeyInvalid
    return word[len(BEARER) :].strip(" ")


def _require(key: KeyRow, need: Need, scope: Scope) -> None:
    """Nothing happens when the key allows it.

    Raises:
        KeyNotAllowed: it does not, and there is not a word about whether what is asked for exists.
        MethodNotAllowed: nobody can do this at the path, which the key may call by other methods.
    """
    method, path = scope["method"], scope["path"]
    if not key.scopes & need.scopes:
        raise KeyNotAllowed(reason=lacking(key, need.scopes, f"{method} {path[:200]}"))
    if not (key.is_for_all or (key.is_for(need.model) if need.model is not None else not need.is_of_all)):
        raise _outside(key, need, method, path)


def _outside(key: KeyRow, need: Need, method: str, path: str) -> Problem:
    """Why a key for some models does not allow this; it goes no further, whatever the router would say."""
    methods, model = methods_at(path) if need.is_of_all else (frozenset[str](), need.model)
    if model is not None and not key.is_for(model):
        return outside(key)
    if methods:
        return MethodNotAllowed(method=method, path=path, allowed=", ".join(sorted(methods)))
    reason = f"The key '{key.name}' is for the models '{key.models}'; {method} {path[:200]} needs a key for all"
    return KeyNotAllowed(reason=reason)


def _unsure() -> Unavailable:
    return Unavailable(reason="The database does not answer, so it cannot be told who may call")


def _headers(problem: Problem) -> dict[str, str]:
    match problem:
        case KeyMissing() | KeyInvalid():
            return CHALLENGE
        case RateLimited():
            return {"Retry-After": str(problem.facts["seconds"])}
        case MethodNotAllowed():
            return {"Allow": str(problem.facts["allowed"])}
        case _:
            return {}

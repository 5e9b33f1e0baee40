"""Aliases: where they point, how they are moved, and every move they made."""

from dataclasses import dataclass
from datetime import datetime

from client.calls import Call, ask, every
from client.values import Json, Resource
from client.wire import Request, get, post, url_path


@dataclass(frozen=True, kw_only=True)
class Alias(Resource):
    """Where an alias points; `seq` counts its moves and is what `if_match` wants."""

    model: str
    alias: str
    version: int
    seq: int
    moved_by: str | None = None
    reason: str | None = None
    moved_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Move(Resource):
    """One entry of an alias's history; `version` is None where the alias was removed."""

    seq: int
    version: int | None
    previous: int | None
    kind: str
    moved_by: str | None
    reason: str | None
    moved_at: datetime


@dataclass(frozen=True, kw_only=True)
class Rollback(Resource):
    model: str
    head: int
    previous: int
    seq: int
    reason: str | None = None


def aliases(model: str) -> Call[tuple[Alias, ...]]:
    """Every alias of the model that points at a version.

    Raises:
        ServiceProblem: `model-not-found`.
    """
    return (yield from every(Alias, "models", model, "aliases"))


def alias(model: str, alias: str = "head") -> Call[Alias]:
    """Where the alias points now, since when and why.

    Raises:
        ServiceProblem: `alias-not-found`.
    """
    return (yield from ask(get("models", model, "aliases", alias), Alias))


def set_alias(
    model: str, alias: str, version: int, *, reason: str | None = None, if_match: int | None = None
) -> Call[Alias]:
    """The alias points at the version; with `if_match`, only if its `seq` is still that one.

    Raises:
        ServiceProblem: `alias-moved`, when someone else moved it meanwhile; `version-parked` and
            `version-forgotten`, when head would come to know a batch that is set aside.
    """
    body = post("models", body={"version": version, "reason": reason}).body
    headers = {"Content-Type": "application/json", **_if_match(if_match)}
    request = Request("PUT", url_path("models", model, "aliases", alias), headers=headers, body=body)
    return (yield from ask(request, Alias))


def remove_alias(model: str, alias: str, *, if_match: int | None = None) -> Call[None]:
    """The alias points nowhere any more; its history stays. With `if_match`, only if its `seq` is still that one.

    Raises:
        ServiceProblem: `head-required` for head; `alias-not-found`; `alias-moved`, when it moved meanwhile.
    """
    yield Request("DELETE", url_path("models", model, "aliases", alias), headers=_if_match(if_match))


def history(model: str, alias: str = "head") -> Call[tuple[Move, ...]]:
    """Every move of the alias: what was live when, moved by whom, and why.

    Raises:
        ServiceProblem: `alias-not-found`.
    """
    return (yield from every(Move, "models", model, "aliases", alias, "history"))


def rollback(
    model: str, *, to: int | None = None, steps: int | None = None, reason: str | None = None
) -> Call[Rollback]:
    """Head points at version `to`, or `steps` back on its line; the next request sees it.

    Raises:
        ServiceProblem: `not-on-line`, `rollback-too-far` or `version-not-found`; head is where it was.
    """
    body: Json = {"to": to, "steps": steps, "reason": reason}
    return (yield from ask(post("models", model, "rollback", body=body), Rollback))


def _if_match(seq: int | None) -> dict[str, str]:
    return {} if seq is None else {"If-Match": f'"{seq}"'}

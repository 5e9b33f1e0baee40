"""Aliases: where they point, moved with If-Match, rolled back, and what was live when."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime, BaseModel, Field

from service.bodies import invalid_body, parse
from service.callers import ANYBODY, TheCaller
from service.etags import ExpectedSeq, ExpectedSeqOrNew
from service.openapi import takes
from service.problems import declared
from service.rejected import BodyInvalid, BodyTooLarge, JsonInvalid, JsonTooLarge, MediaTypeUnsupported, QueryInvalid
from service.requests import AliasName, AliasToMake, JsonOnly, ModelName, NumberedPageAsked, RawBody, TheHouse
from service.resources import NextCursor, moment
from service.schemas import AliasBody, RollbackBody
from store.errors import (
    AliasInvalid,
    AliasMoved,
    AliasNotFound,
    HeadRequired,
    ModelNotFound,
    NotOnLine,
    RollbackTooFar,
    VersionForgotten,
    VersionNotFound,
    VersionParked,
)
from store.kinds import MoveKind
from store.values import MoveRow

router = APIRouter(prefix="/v1/models/{model}", tags=["aliases"])

BODY_REFUSALS = (JsonInvalid, JsonTooLarge, BodyInvalid, BodyTooLarge, MediaTypeUnsupported)


At = Annotated[
    AwareDatetime | None,
    Query(
        description="A moment, with its zone, or in seconds since 1970 (UTC): where the alias pointed then.",
        examples=["2026-11-28T12:00:00Z"],
    ),
]


class AliasResource(BaseModel):
    model: str
    alias: str = Field(examples=["head"])
    version: int
    seq: int = Field(description="Counts the alias' moves; the ETag.")
    moved_by: str
    reason: str
    moved_at: datetime


class AliasList(BaseModel):
    aliases: list[AliasResource]


class MoveResource(BaseModel):
    seq: int
    version: int | None = Field(description="null: the alias was removed.")
    previous: int | None
    kind: MoveKind
    moved_by: str
    reason: str
    moved_at: datetime


class MoveList(BaseModel):
    moves: list[MoveResource]
    next_cursor: NextCursor


class RollbackResource(BaseModel):
    """Where head points now; the next request is answered by it."""

    model: str
    head: int
    previous: int | None
    seq: int
    reason: str
    moved_by: str
    moved_at: datetime


@router.get("/aliases", operation_id="list_aliases", responses=declared(ModelNotFound))
def list_aliases(model: ModelName, house: TheHouse) -> AliasList:
    """Every alias of a model that points at a version."""
    return AliasList(aliases=[_resource(model, move) for move in house.history.newest_moves(model)])


@router.get(
    "/aliases/{alias}", operation_id="get_alias", responses=declared(ModelNotFound, AliasNotFound, QueryInvalid)
)
def get_alias(
    *, model: ModelName, alias: AliasName, house: TheHouse, response: Response, at: At = None
) -> AliasResource:
    """Where an alias points, since when and why; the ETag is for If-Match of the next move.

    With `at`, where it pointed then: what was live at that time.
    """
    if at is not None:
        return _resource(model, house.history.alias(model, alias, at=at.timestamp()))
    return _with_etag(model, house.history.alias(model, alias), response)


@router.put(
    "/aliases/{alias}",
    operation_id="move_alias",
    dependencies=[JsonOnly],
    openapi_extra=takes(AliasBody),
    responses=declared(
        *(ModelNotFound, VersionNotFound, VersionForgotten, VersionParked, AliasMoved, AliasInvalid, QueryInvalid),
        *BODY_REFUSALS,
    ),
)
def move_alias(
    *,
    model: ModelName,
    alias: AliasToMake,
    expected: ExpectedSeqOrNew,
    raw: RawBody,
    caller: TheCaller,
    house: TheHouse,
    response: Response,
) -> AliasResource:
    """Points an alias at any version; with If-Match, only if it has not moved since you read it.

    Head goes to no version that would bring it a batch that is set aside.
    """
    body = parse(AliasBody, raw)
    actor = caller.name(ANYBODY)
    move = house.aliases.move(model, alias, body.version, actor=actor, reason=body.reason, expected_seq=expected)
    return _with_etag(model, move, response)


@router.delete(
    "/aliases/{alias}",
    operation_id="remove_alias",
    status_code=204,
    responses=declared(ModelNotFound, AliasNotFound, HeadRequired, AliasMoved, QueryInvalid),
)
def remove_alias(
    *, model: ModelName, alias: AliasName, expected: ExpectedSeq, caller: TheCaller, house: TheHouse
) -> None:
    """Removes an alias; its history stays. head cannot be removed."""
    house.aliases.remove(model, alias, actor=caller.name(ANYBODY), expected_seq=expected)


@router.get(
    "/aliases/{alias}/history",
    operation_id="get_alias_history",
    responses=declared(ModelNotFound, AliasNotFound, QueryInvalid),
)
def get_alias_history(model: ModelName, alias: AliasName, page: NumberedPageAsked, house: TheHouse) -> MoveList:
    """What was live when, moved by whom and why: every move of the alias, oldest first."""
    rows = house.history.moves(model, alias, after=page.after_number(0), limit=page.limit + 1)
    shown, next_cursor = page.cut(rows, lambda row: row.seq)
    return MoveList(moves=[_move(row) for row in shown], next_cursor=next_cursor)


@router.post(
    "/rollback",
    operation_id="roll_back",
    dependencies=[JsonOnly],
    openapi_extra=takes(RollbackBody),
    responses=declared(ModelNotFound, VersionNotFound, NotOnLine, RollbackTooFar, AliasMoved, *BODY_REFUSALS),
)
def roll_back(
    *, model: ModelName, expected: ExpectedSeq, raw: RawBody, caller: TheCaller, house: TheHouse
) -> RollbackResource:
    """Moves head to an earlier version of its line, which answers the next request.

    With If-Match, only if head has not moved since you read it.
    """
    body = parse(RollbackBody, raw)
    if (body.to is None) == (body.steps is None):
        raise invalid_body("body", "must have one of `to` and `steps`")
    move = house.aliases.rollback(
        model,
        to=body.to,
        steps=body.steps or 1,
        actor=caller.name(ANYBODY),
        reason=body.reason,
        expected_seq=expected,
    )
    assert move.version is not None
    return RollbackResource(
        model=model,
        head=move.version,
        previous=move.previous,
        seq=move.seq,
        reason=move.reason,
        moved_by=move.moved_by,
        moved_at=moment(move.moved_at),
    )


def _with_etag(model: str, move: MoveRow, response: Response) -> AliasResource:
    response.headers["ETag"] = f'"{move.seq}"'
    return _resource(model, move)


def _resource(model: str, move: MoveRow) -> AliasResource:
    assert move.version is not None
    return AliasResource(
        model=model,
        alias=move.alias,
        version=move.version,
        seq=move.seq,
        moved_by=move.moved_by,
        reason=move.reason,
        moved_at=moment(move.moved_at),
    )


def _move(row: MoveRow) -> MoveResource:
    return MoveResource(
        seq=row.seq,
        version=row.version,
        previous=row.previous,
        kind=row.kind,
        moved_by=row.moved_by,
        reason=row.reason,
        moved_at=moment(row.moved_at),
    )

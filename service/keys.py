"""Keys: made and shown once, listed without their hashes, revoked."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from service.bodies import parse
from service.callers import ANYBODY, TheCaller
from service.openapi import takes
from service.problems import declared
from service.rejected import BodyInvalid, BodyTooLarge, JsonInvalid, JsonTooLarge, MediaTypeUnsupported, QueryInvalid
from service.requests import JsonOnly, PageAsked, RawBody, TheHouse
from service.resources import NextCursor, moment
from service.schemas import KeyBody
from store.errors import KeyExists, KeyGiven, KeyNotFound, KeyUnusable
from store.keys import KeyRow
from store.kinds import Scope

router = APIRouter(prefix="/v1/keys", tags=["keys"])


class KeyResource(BaseModel):
    """A key without the key: that was shown once."""

    name: str = Field(examples=["dashboard"])
    scopes: list[Scope] = Field(examples=[["predict"]])
    models: str = Field(description="Pattern of the models that it is for.", examples=["team-*"])
    requests_per_minute: int | None = Field(description="null: as many as the service's setting says.")
    created_by: str
    created_at: datetime
    expires_at: datetime | None = Field(description="null: it counts until it is revoked.")
    revoked_at: datetime | None


class NewKeyResource(KeyResource):
    key: str = Field(description="Shown this once.", examples=[f"posterity_{'A' * 43}"])


class KeyList(BaseModel):
    keys: list[KeyResource]
    next_cursor: NextCursor


KeyName = Annotated[str, Path(alias="name", pattern=r"^[^\x00-\x1f\x7f]{1,128}$", examples=["dashboard"])]


@router.post(
    "",
    operation_id="create_key",
    status_code=201,
    dependencies=[JsonOnly],
    openapi_extra=takes(KeyBody),
    responses=declared(
        *(JsonInvalid, JsonTooLarge, BodyInvalid, BodyTooLarge, MediaTypeUnsupported, KeyExists, KeyUnusable)
    ),
)
def create_key(raw: RawBody, caller: TheCaller, house: TheHouse, response: Response) -> NewKeyResource:
    """Makes a key and shows it, this once: only its hash is stored. From the first key on, every request needs one."""
    body = parse(KeyBody, raw)
    made = house.keys.create(
        body.name,
        scopes=frozenset(body.scopes),
        models=body.models,
        requests_per_minute=body.requests_per_minute,
        expires_at=None if body.expires_at is None else body.expires_at.timestamp(),
        created_by=caller.name(ANYBODY),
    )
    house.known_keys.ring.forget()
    response.headers["Cache-Control"] = "no-store"
    return NewKeyResource(**_resource(made.row).model_dump(), key=made.key)


@router.get("", operation_id="list_keys", responses=declared(QueryInvalid))
def list_keys(page: PageAsked, house: TheHouse) -> KeyList:
    """Every key that was made, also the revoked ones, in the order of their names."""
    rows = house.keys.list(after=page.after or "", limit=page.limit + 1)
    shown, next_cursor = page.cut(rows, lambda row: row.name)
    return KeyList(keys=[_resource(row) for row in shown], next_cursor=next_cursor)


@router.delete("/{name}", operation_id="revoke_key", responses=declared(KeyNotFound, KeyGiven))
def revoke_key(name: KeyName, house: TheHouse) -> KeyResource:
    """The key opens nothing any more; its name stays in the history, and is not used again."""
    row = house.keys.revoke(name)
    house.known_keys.ring.forget()
    return _resource(row)


def _resource(row: KeyRow) -> KeyResource:
    return KeyResource(
        name=row.name,
        scopes=sorted(row.scopes),
        models=row.models,
        requests_per_minute=row.requests_per_minute,
        created_by=row.created_by,
        created_at=moment(row.created_at),
        expires_at=None if row.expires_at is None else moment(row.expires_at),
        revoked_at=None if row.revoked_at is None else moment(row.revoked_at),
    )

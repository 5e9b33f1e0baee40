"""Probes: is the process alive, and can it answer."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from service.problems import declared
from service.rejected import Unavailable
from service.requests import TheHouse
from store.errors import DatabaseNotCurrent
from store.migrate import require_current

router = APIRouter(tags=["health"])


class Health(BaseModel):
    status: Literal["ok"]


@router.get("/livez", operation_id="livez", responses=declared(is_open=True))
async def livez() -> Health:
    """The process answers; nothing else is looked at, and no thread is waited for."""
    return Health(status="ok")


@router.get("/readyz", operation_id="readyz", responses=declared(DatabaseNotCurrent, is_open=True))
def readyz(house: TheHouse) -> Health:
    """The database answers and has the tables of this release, and blobs can be written."""
    require_current(house.engine)
    if not house.blobs.is_writable():
        raise Unavailable(reason="The store of the blobs cannot be written to")
    return Health(status="ok")

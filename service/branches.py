"""Branches: the runs of versions that a model's tree is made of."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import BaseModel, Field

from service.problems import declared
from service.rejected import QueryInvalid
from service.requests import ModelName, NumberedPageAsked, TheHouse
from service.resources import NextCursor
from store.errors import ModelNotFound

router = APIRouter(prefix="/v1/models/{model}/branches", tags=["versions"])


class BranchResource(BaseModel):
    """A run of versions, each learned from the one before it."""

    branch: int = Field(description="Branches are numbered as they begin; the root prior is on branch 0.")
    fork: int | None = Field(description="The version that it starts from; null: it starts with the root prior.")
    parent_branch: int | None = Field(description="The branch that `fork` is on.")
    first: int = Field(description="Its first version.")
    tip: int = Field(description="Its newest version.")
    versions: int = Field(description="How many versions it has.")
    is_on_head: bool = Field(description="Whether head was learned from versions of it, or is one.")
    aliases: dict[str, int] = Field(description="The aliases that point at its versions.", examples=[{"head": 3}])


class BranchList(BaseModel):
    branches: list[BranchResource]
    next_cursor: NextCursor


@router.get("", operation_id="list_branches", responses=declared(ModelNotFound, QueryInvalid))
def list_branches(model: ModelName, page: NumberedPageAsked, house: TheHouse) -> BranchList:
    """The branches of a model's tree of versions, in the order in which they began."""
    rows = house.history.branches(model, after=page.after_number(-1), limit=page.limit + 1)
    shown, next_cursor = page.cut(rows, lambda row: row.branch)
    return BranchList(branches=[BranchResource(**asdict(row)) for row in shown], next_cursor=next_cursor)

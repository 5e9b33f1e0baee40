"""Batches, and rows that were deleted, as the calls answer with them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from service.resources import NextCursor
from store.kinds import DeletionKind, ParkingKind


class AcceptedBatch(BaseModel):
    """The rows are stored, once, under this key."""

    model: str = Field(examples=["digits"])
    batch: int = Field(examples=[12])
    rows: int = Field(examples=[100])
    state: Literal["accepted"]
    key: str = Field(examples=["2026-11-23T10:00/17"])
    digest: str = Field(description="sha256 of the rows in their stored form, the same for every encoding.")
    accepted_at: datetime


BatchState = Literal["accepted", "in-chunk", "absorbed", "parked", "discarded", "forgotten"]
SET_ASIDE: dict[ParkingKind, BatchState] = {
    ParkingKind.PARK: "parked",
    ParkingKind.DISCARD: "discarded",
    ParkingKind.FORGET: "forgotten",
}


class BatchResource(BaseModel):
    """A batch and how far it has come."""

    model: str
    batch: int
    rows: int
    state: BatchState
    key: str
    digest: str
    accepted_at: datetime
    chunk: int | None
    absorbed_in: list[int] = Field(description="Versions that absorbed its chunk; several after a replay.")
    on_head: bool = Field(description="Whether head has learned from it.")
    deleted_at: datetime | None = Field(None, description="When its rows were deleted; null: they are kept.")


class DeletionResource(BaseModel):
    """The rows of a batch are deleted; that they were there, and what has learned from them, stays known."""

    model: str
    batch: int
    digest: str
    kind: DeletionKind = Field(description="By the model's retention, or because somebody asked.")
    deleted_by: str
    reason: str
    deleted_at: datetime
    bytes_removed: bool = Field(
        description="false: a batch, version or prior has the same bytes, or a worker is about to remove them. "
        "A key for some models is told of these alone: true also where only others have the same bytes."
    )
    learned_by: list[int] = Field(description="The versions that have the batch in their evidence. They stay.")


class BatchList(BaseModel):
    batches: list[BatchResource]
    next_cursor: NextCursor

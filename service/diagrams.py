"""What is answered of how far a version's stated probabilities can be believed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from service.metrics import Metrics, StandardErrors
from service.schemas import Method

Source = Literal["kept", "batches", "rows"]
Low = Annotated[float | None, Field(description="Where its interval of 95 % begins (Wilson).")]
High = Annotated[float | None, Field(description="Where that ends.")]


class CalibrationBin(BaseModel):
    """The rows whose top probability is above `lower` and at most `upper`; a bin without rows says nothing of them."""

    lower: float
    upper: float
    rows: int
    confidence: float | None = Field(description="The mean top probability; null: no rows.")
    accuracy: float | None = Field(description="The part of the rows whose most probable class is the label.")
    low: Low
    high: High


class CalibrationLevel(BaseModel):
    """The central intervals that are said to hold a label with the probability `level`."""

    level: float
    share: float = Field(description="The part of the labels that lie inside.")
    low: Low
    high: High


class CalibrationBatch(BaseModel):
    batch: int
    rows: int
    learned: bool = Field(description="Whether the version has learned from it; then its rows are no test.")


class CalibrationResource(BaseModel):
    """How well a version's confidence agrees with labels."""

    model: str
    version: int
    digest: str
    source: Source = Field(
        description="kept: scores of the batches that the version predicted as head, before anything learned from "
        "them. batches: rows of stored batches, predicted now. rows: those of the request."
    )
    batches: list[CalibrationBatch] | None = Field(description="Those that were asked about; null: of another source.")
    rows: int
    method: Method | None = Field(description="null: the scores were kept, as updates predicted the batches.")
    samples: int | None
    seed: int | None
    metrics: Metrics | None = Field(description="null: no row was predicted.")
    standard_errors: StandardErrors | None
    bins: list[CalibrationBin] | None = Field(
        description="Of classes: 15 equal bins of the top probability, whose gaps weighted by rows are the ece; empty "
        "where no row was predicted. null: the model predicts numbers."
    )
    levels: list[CalibrationLevel] | None = Field(
        description="Of numbers: 0.1 to 0.9, 0.95 and 0.99, of kept scores 0.9 alone; empty where no row was "
        "predicted. null: the model predicts classes."
    )

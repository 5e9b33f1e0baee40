"""What is answered of two versions that were asked about the same rows."""

from __future__ import annotations

from pydantic import BaseModel, Field

from service.schemas import Method

CLASSES_UNIT, NUMBERS_UNIT = "nats", "standard deviations"


class MetricDifference(BaseModel):
    """By how much the version's mean score is above the other's, over the same rows."""

    difference: float | None = Field(description="version less other; null: beyond the numbers of JSON.")
    standard_error: float | None = Field(description="Of the difference; null: one row alone has none.")


class Said(BaseModel):
    """What a version says of one row."""

    probabilities: list[float] | None = Field(description="Of classes; null for numbers.")
    mean: list[float] | None = Field(description="Of numbers; null for classes.")
    std: list[float] | None = Field(description="As `mean`.")


class RowDifference(BaseModel):
    row: int = Field(description="Its index among the rows, from 0.")
    distance: float
    version: Said
    other: Said


class PredictionDifference(BaseModel):
    """How the predictions of two versions differ on the same rows."""

    rows: int
    batch: int | None = Field(description="The batch that the rows are; null: they came with the request.")
    learned_by_version: bool | None = Field(description="Whether it has learned from the batch.")
    learned_by_other: bool | None
    method: Method
    samples: int | None
    seed: int | None
    metrics: dict[str, MetricDifference] | None = Field(
        description="Of classes accuracy, nll and brier, of numbers nll and mse; null: the rows have no labels."
    )
    mean_distance: float
    unit: str = Field(
        description="Of distances: nats of Jensen-Shannon divergence for classes, standard deviations for numbers.",
        examples=[CLASSES_UNIT],
    )
    most: list[RowDifference] = Field(description="The rows that differ most, the most different first.")

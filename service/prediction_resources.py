"""Predictions as the calls answer with them. Entropies are in nats."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from service.schemas import Method

Nats = Annotated[float, Field(description="In nats.")]
RowId = Annotated[
    str | None, Field(None, description="The name that a label of this row is posted under; absent: it is not kept.")
]


class CategoricalAnswer(BaseModel):
    """One row's prediction: entropy = aleatoric + mutual_information, in nats."""

    label: int = Field(description="The most probable class.", examples=[3])
    name: str | None = Field(None, description="Its name, when the model names its classes.")
    probabilities: list[float]
    entropy: Nats
    aleatoric: Nats = Field(description="The part that more data would not take away, in nats.")
    mutual_information: Nats = Field(description="The part that more data could take away, in nats.")
    prediction: RowId


class GaussianAnswer(BaseModel):
    """One row's prediction, in label units: std^2 = epistemic_std^2 + noise_std^2."""

    mean: list[float]
    std: list[float]
    epistemic_std: list[float]
    noise_std: list[float]
    lower: list[float] = Field(description="Lower end of the central interval.")
    upper: list[float] = Field(description="Its upper end.")
    prediction: RowId


class PredictionResource(BaseModel):
    """One answer per row of the inputs, in their order, and all it takes to get the same bytes again."""

    model: str = Field(examples=["digits"])
    version: int = Field(examples=[3])
    digest: str
    method: Method = Field(description="The one that answered.")
    samples: int | None = Field(description="Draws of the ensemble; null for other methods.", examples=[None])
    seed: int | None = Field(description="Which draws; null for other methods.", examples=[None])
    instead_of: Literal["moments"] | None = Field(
        None, description="What was asked for, where this model cannot answer so; else absent."
    )
    because: str | None = Field(None, description="Why it cannot; else absent.")
    interval: float | None = Field(
        None, description="Probability of the intervals; absent for classes.", examples=[0.9]
    )
    outputs: list[CategoricalAnswer] | list[GaussianAnswer]
    prediction: str | None = Field(None, description="Its id, where it is kept for later labels; else absent.")
    kept_until: datetime | None = Field(None, description="Until when; else absent.")

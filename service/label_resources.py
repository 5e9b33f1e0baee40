"""What the calls about later labels answer with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from service.prediction_resources import PredictionResource
from service.schemas import Encoded

PredictionIds = Annotated[list[str], Field(description="As they were posted.")]


class RefusedLabel(BaseModel):
    """A label that is none of the model's."""

    where: str = Field(description="Which of the request's labels.", examples=["labels[7]"])
    prediction: str
    code: str = Field(description="That of the problem that a batch with it would be.", examples=["label-out-of-range"])
    message: str


class AcceptedLabels(BaseModel):
    """What became of each label. Those that are new are the rows of one batch, in their order."""

    model: str = Field(examples=["digits"])
    batch: int | None = Field(description="The batch of the new rows; null: there are none.", examples=[12])
    rows: int = Field(description="How many are new.", examples=[1])
    key: str | None = Field(description="The batch's idempotency key.")
    labeled: PredictionIds = Field(description="New: each is a row of the batch.")
    already: PredictionIds = Field(description="They had this label before, or earlier in this request.")
    conflicting: PredictionIds = Field(description="They had another label before; the first one stands.")
    expired: PredictionIds = Field(description="The time for which they were kept is over.")
    unknown: PredictionIds = Field(description="This model never kept a prediction of this id, or no such row of it.")
    refused: list[RefusedLabel] = Field(description="Their label or weight is none of the model's.")


class LabelResource(BaseModel):
    """A label that came for a row, and the row of a batch that it made."""

    row: int
    label: Any = Field(description="The index of its class, or its numbers.")
    batch: int
    batch_row: int
    labeled_at: datetime


class KeptPredictionResource(PredictionResource):
    """A prediction as it was answered, with its inputs and the labels that came for it."""

    predicted_by: str
    predicted_at: datetime
    inputs: list[Any] | Encoded = Field(description="Lists; of more than 10,000 numbers, base64.")
    labels: list[LabelResource]

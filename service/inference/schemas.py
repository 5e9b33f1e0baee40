"""Requests and answers of the Open Inference Protocol v2.

Source: https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from service.asked import Way
from service.bodies import invalid_body
from service.schemas import TENSORS_MAX, Body, Datatype, DrawsBody, Shape, Side

OUTPUTS_MAX = 32
ID_LENGTH_MAX = 1000

Parameter = str | bool | int | float
Data = Annotated[list[Any], Field(description="Row-major: flat, or nested lists, one list per axis.")]


class SamplesBody(DrawsBody):
    """How to predict, with another name for the draws."""

    num_samples: int | None = Field(None, ge=1, description="Another name of `samples`.")

    def way(self) -> Way:
        """The same, as the service has it.

        Raises:
            BodyInvalid: the draws are counted under both names.
        """
        if self.samples is not None and self.num_samples is not None:
            raise invalid_body("num_samples", "is another name of samples: send one of both")
        samples = self.num_samples if self.samples is None else self.samples
        return Way(self.method, samples, self.seed, self.interval)


class InferParameters(SamplesBody):
    """How to predict, and how to answer."""

    binary_data_output: bool | None = Field(None, description="Whether all outputs come as binary data.")
    timeout: int | None = Field(None, ge=1, description="After so many microseconds no answer is of use.")


class InputParameters(Body):
    binary_data_size: Side | None = Field(None, description="How many of the bytes after the JSON are the tensor's.")


class RequestInput(Body):
    """A tensor of rows."""

    name: str
    shape: Shape
    datatype: Datatype
    parameters: InputParameters | None = None
    data: Data | None = None

    @property
    def binary_bytes(self) -> int | None:
        return None if self.parameters is None else self.parameters.binary_data_size


class OutputParameters(Body):
    binary_data: bool | None = Field(None, description="Whether it comes as binary data.")


class RequestOutput(Body):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters | None = None


class InferenceRequest(Body):
    """Rows to predict, and what to answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, -1.0]}]},
                {
                    "id": "42",
                    "parameters": {"samples": 16, "seed": 7},
                    "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [[0.5, -1.0], [2.0, 0.25]]}],
                    "outputs": [{"name": "probabilities"}, {"name": "samples"}],
                },
            ]
        }
    )

    id: str | None = Field(None, max_length=ID_LENGTH_MAX, description="Comes back with the answer.")
    model_name: str | None = Field(None, description="As in the path.")
    parameters: InferParameters | None = None
    inputs: list[RequestInput] = Field(min_length=1, max_length=TENSORS_MAX)
    outputs: list[RequestOutput] | None = Field(
        None, max_length=OUTPUTS_MAX, description="Absent or empty: all but `samples`."
    )


class BinaryDataSize(BaseModel):
    binary_data_size: int


class ResponseOutput(BaseModel):
    """An output: its data, or how many of the bytes after the JSON are its."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: BinaryDataSize | None = None
    data: list[float] | None = Field(None, description="Flat, row-major.")


class InferenceResponse(BaseModel):
    """The outputs for all rows; the parameters say all it takes to get the same bytes again."""

    model_name: str = Field(examples=["digits"])
    model_version: str = Field(examples=["3"])
    id: str | None = Field(None, description="That of the request, if it has one.")
    parameters: dict[str, Parameter] = Field(examples=[{"method": "moments", "digest": "sha256:…"}])
    outputs: list[ResponseOutput]


class ServerMetadata(BaseModel):
    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    name: str
    datatype: Datatype
    shape: list[int] = Field(description="-1 where it depends on the request.")


class ModelMetadata(BaseModel):
    name: str
    versions: list[str] = Field(description="All that may be asked by number.")
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ServerLive(BaseModel):
    live: bool


class ServerReady(BaseModel):
    live: bool
    ready: bool


class ModelReady(BaseModel):
    name: str
    ready: bool


class IndexRequest(Body):
    """Which models to list."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ready": True}, {}]})

    ready: bool | None = Field(None, description="Whether only models that are ready; all are.")


class IndexedModel(BaseModel):
    name: str
    version: str = Field(description="That of head.")
    state: str = Field(examples=["READY"])
    reason: str = ""

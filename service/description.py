"""The description of a model, as a client posts it and as it is stored: data, never code.

Types and names are checked here, so that they are in the OpenAPI document; whether the parts fit each other is asked of
`bayes.Model`, which also fills in what the client left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from bayes import FamilyName, InvalidDescription, Model
from service.bodies import parse
from service.description_parts import (
    Categorical,
    ChunkLimits,
    GatePart,
    Input,
    KeptPredictions,
    Net,
    Output,
    Part,
    Prior,
    PublishName,
    Recipe,
    Retention,
    SurprisePart,
)
from service.faults import FAULTS_MAX, MODEL_NAME, Fault, in_words
from service.rejected import DescriptionInvalid

MEMBERS_MAX = 2_000
"""In the objects of a description: the layers of the longest net have 1,280."""
PLAIN_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,200}")
DIGITS: dict[str, JsonValue] = {
    "name": "digits",
    "net": {"kind": "mlp", "hidden": [64]},
    "input": {"shape": [1, 8, 8], "dtype": "uint8", "std": 16.0},
    "output": {"kind": "categorical", "classes": 10},
    "chunk": {"rows": 200, "seconds": 60.0},
}
"""scikit-learn's 8 by 8 digits, whose pixels go from 0 to 16."""
PAIRS: dict[str, JsonValue] = {
    "name": "pairs",
    "net": {"kind": "mlp", "hidden": [8]},
    "input": {"shape": [2]},
    "output": {"kind": "categorical", "classes": ["low", "high"]},
}
"""The model that the examples of rows are for: two numbers, small enough to type."""


class ModelBody(Part):
    """A model to create. All but name, net, input and output may be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [PAIRS, DIGITS]})

    name: str = Field(pattern=MODEL_NAME, description="1 to 128 letters, digits, '.', '_' and '-'.")
    net: Net
    input: Input
    output: Output
    family: FamilyName = Field("ffg", description="The shape of the posterior; point: plain weights.")
    prior: Prior = Field({"kind": "gaussian"}, validate_default=True)
    recipe: Literal["auto"] | Recipe = "auto"
    chunk: ChunkLimits = Field({}, validate_default=True)
    retention: Retention = Field({"kind": "keep"}, validate_default=True)
    publish: PublishName = Field(
        "always",
        description="When head moves to a fresh version: always; if it is no worse than its parent; if you move it. "
        "gated tells wrong labels by rows of earlier chunks, which a retention that deletes them leaves it without.",
    )
    gate: GatePart = Field({}, validate_default=True)
    surprise: SurprisePart = Field({}, validate_default=True)
    predictions: KeptPredictions = Field({}, validate_default=True)


def read_description(raw: bytes) -> tuple[Model, dict[str, Any], dict[str, Any]]:
    """The model that the JSON describes, its description with every default resolved, and what the client wrote of it.

    Raises:
        JsonInvalid: the body is not JSON.
        DescriptionInvalid: it describes no model; the problem says where.
    """
    body = parse(ModelBody, raw, DescriptionInvalid, members_max=MEMBERS_MAX)
    if isinstance(body.output, Categorical) and isinstance(body.output.classes, list):
        _check_names("output.classes", body.output.classes)
    _check_names("input.names", body.input.names or ())
    stated = body.model_dump(exclude_unset=True, exclude_none=True)
    with refused_as_a_problem():
        model = Model.from_description(stated | {"chunk": body.chunk.model_dump()})
    resolved = {
        "name": body.name,
        "chunk": body.chunk.model_dump(),
        "retention": body.retention.model_dump(),
        "publish": body.publish,
        "gate": body.gate.model_dump(),
        "surprise": body.surprise.model_dump(),
        "predictions": body.predictions.model_dump(),
    }
    # With its nulls: `chunk.seconds` says another thing by null than by being absent.
    return model, resolved | model.to_description(), body.model_dump(exclude_unset=True)


@contextmanager
def refused_as_a_problem() -> Iterator[None]:
    """What `bayes` refuses of a description inside is answered with its place.

    Raises:
        DescriptionInvalid: it refused something.
    """
    try:
        yield
    except InvalidDescription as error:
        faults = [Fault(error.where or "body", error.message)]
        raise DescriptionInvalid(faults=faults, reason=in_words(faults)) from None


def _check_names(where: str, names: Sequence[str]) -> None:
    # Not in the schema, which answers too: a model that exists is shown whatever its classes are called.
    bad = [index for index, name in enumerate(names) if not PLAIN_NAME.fullmatch(name)]
    if bad:
        said = "must be 1 to 200 characters, none of them a control character"
        faults = [Fault(f"{where}.{index}", said) for index in bad[:FAULTS_MAX]]
        raise DescriptionInvalid(faults=faults, reason=in_words(faults, found=len(bad)))

"""Predictions as answers of the protocol: the JSON, and behind it the bytes of the outputs that are binary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic_core import to_json

from bayes import Drawn, Prediction
from service.answers import Written
from service.computing import Question
from service.inference.outputs import output_tensors, values_of
from service.inference.schemas import Parameter
from service.raw_tensors import DTYPES
from store.values import Resolved

EACH = "the output samples is what each drawn net says"


@dataclass(frozen=True)
class Wanted:
    """What an answer has: outputs in their order, and whether each is binary; intervals of this level; an id."""

    outputs: Mapping[str, bool]
    level: float | None
    is_instead: bool
    """True where the ensemble stands for moments that were meant."""
    id: str | None


def written(resolved: Resolved, said: Prediction | Drawn, *, question: Question, wanted: Wanted) -> Written:
    """The bytes of an `InferenceResponse`."""
    tensors, values = output_tensors(question.known.model.output), values_of(said, level=wanted.level)
    outputs: list[dict[str, object]] = []
    parts: list[bytes] = []
    for name, is_binary in wanted.outputs.items():
        datatype, array = tensors[name].datatype, values[name]
        output: dict[str, object] = {"name": name, "datatype": datatype, "shape": array.shape}
        if is_binary:
            parts.append(array.astype(DTYPES[datatype], copy=False).tobytes())
            output["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            output["data"] = array.ravel().tolist()
        outputs.append(output)
    head = to_json(
        {
            "model_name": resolved.model,
            "model_version": str(resolved.version),
            **({} if wanted.id is None else {"id": wanted.id}),
            "parameters": _parameters(resolved, question, wanted),
            "outputs": outputs,
        }
    )
    return Written(b"".join([head, *parts]), len(head)) if parts else Written(head)


def _parameters(resolved: Resolved, question: Question, wanted: Wanted) -> dict[str, Parameter]:
    """As /v1 says them; there is no null among the parameters of the protocol."""
    chosen = question.chosen
    said: dict[str, Parameter | None] = {
        "digest": resolved.digest,
        "method": chosen.method,
        "samples": chosen.samples,
        "seed": chosen.seed,
        "interval": wanted.level,
    }
    if wanted.is_instead:
        said |= {"instead_of": "moments", "because": question.known.obstacle or EACH}
    return {name: value for name, value in said.items() if value is not None}

"""Predictions as the bytes of answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, assert_never

import torch
from pydantic_core import to_json

from bayes import Categorical, CategoricalPrediction, Drawn, GaussianPrediction, Prediction
from service.known import Known
from service.loaded import Chosen
from store.values import Resolved


class Written(NamedTuple):
    """An answer of another form than the JSON of /v1; `json_length`: of the JSON that begins it, if more follows."""

    body: bytes
    json_length: int | None = None


Answered = bytes | Written
Write = Callable[[Resolved, Prediction | Drawn], Written]


def answer_of(
    resolved: Resolved,
    known: Known,
    chosen: Chosen,
    prediction: Prediction,
    *,
    level: float | None,
    is_instead: bool,
    rows: str = "outputs",
) -> bytes:
    """The JSON of a `PredictionResource`; `is_instead`: moments were asked for, and could not be had.

    `rows` is the name of the list that has an answer for each row.
    """
    output = known.model.output
    names = output.names if isinstance(output, Categorical) else None
    return to_json(
        {
            "model": resolved.model,
            "version": resolved.version,
            "digest": resolved.digest,
            "method": chosen.method,
            "samples": chosen.samples,
            "seed": chosen.seed,
            **({"instead_of": "moments", "because": known.obstacle} if is_instead else {}),
            **({} if level is None else {"interval": level}),
            rows: _outputs(prediction, names, level),
        }
    )


def _outputs(prediction: Prediction, names: tuple[str, ...] | None, level: float | None) -> list[dict[str, object]]:
    match prediction:
        case CategoricalPrediction():
            rows = _by_row(_columns(prediction, "probabilities", "entropy", "aleatoric", "mutual_information"))
            labels = prediction.probabilities.argmax(1).tolist()
            return [_label(label, names) | row for label, row in zip(labels, rows, strict=True)]
        case GaussianPrediction():
            assert level is not None
            lower, upper = prediction.interval(level)
            columns = _columns(prediction, "mean", "std", "epistemic_std", "noise_std")
            return _by_row(columns | {"lower": lower, "upper": upper})
        case _:
            assert_never(prediction)


def _columns(prediction: Prediction, *names: str) -> dict[str, torch.Tensor]:
    return {name: getattr(prediction, name) for name in names}


def _by_row(columns: dict[str, torch.Tensor]) -> list[dict[str, object]]:
    lists = (column.tolist() for column in columns.values())
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _label(label: int, names: tuple[str, ...] | None) -> dict[str, object]:
    return {"label": label} if names is None else {"label": label, "name": names[label]}

"""Labels as they were given: which are the model's, and what becomes of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from service.bodies import Array
from service.faults import shortened
from service.known import Known
from service.rejected import LabelShape, Rejected, WeightsInvalid
from service.rows import WEIGHT_MAX, label_values
from store.kept_predictions import Named, is_past, named
from store.labeling import Place, Standing
from store.tracing import traceparent

FOUND_CHARACTERS = 100
"""So much is told of what stands in the place of a weight."""


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of one request, in their order, with what is wrong with those that are none of the model's."""

    known: Known
    key: str | None
    texts: Sequence[str]
    names: Sequence[Named | None]
    values: Array  # int64 [labels] or float32 [labels, dims]
    weights: Array  # float32 [labels]
    wrong: dict[int, Rejected]
    traceparent: str | None = None


@dataclass(eq=False)
class Sorted:
    """What becomes of each label; predictions are named as the request names them."""

    new: dict[Place, int] = field(default_factory=dict)
    """The rows that have no label yet, and the index of the one that came for each."""
    values: list[object] = field(default_factory=list)
    """Their labels, as the ledger keeps them."""
    labeled: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    conflicting: list[str] = field(default_factory=list)
    expired: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    refused: list[tuple[int, Rejected]] = field(default_factory=list)


def labels_of(known: Known, given: Sequence[tuple[str, Any, object]], *, key: str | None) -> Labels:
    """Predictions, labels and weights as they were given, checked as those of a batch are, each by itself.

    A weight is None where none was given.
    """
    texts = [text for text, _, _ in given]
    values, wrong = _values(known, [label for _, label, _ in given])
    weights = np.ones(len(given), np.float32)
    for index, (_, _, weight) in enumerate(given):
        if weight is None:
            continue
        # What float32 makes 0 of would leave a batch of such rows without any.
        weights[index] = min(max(_number(weight), -1), 2 * WEIGHT_MAX)
        if not 0 < weights[index] <= WEIGHT_MAX:
            found = f"{weight:g}" if isinstance(weight, float) else shortened(repr(weight), FOUND_CHARACTERS)
            wrong.setdefault(index, WeightsInvalid(found=f"{found} for one row"))
    return Labels(known, key, texts, list(map(named, texts)), values, weights, wrong, traceparent())


def sort(labels: Labels, standing: Standing, taken: dict[Place, object]) -> Sorted:
    """What becomes of each; `taken` are the labels that rows have, and has those that are new as well afterwards."""
    answer = Sorted()
    for index, (text, name) in enumerate(zip(labels.texts, labels.names, strict=True)):
        if name is None:
            answer.unknown.append(text)
            continue
        row = name.row or 0
        place = (name.prediction, row)
        kept = standing.kept.get(name.prediction)
        if place not in taken and kept is None:
            (answer.expired if is_past(name.prediction, standing.now) else answer.unknown).append(text)
        elif kept is not None and row >= kept.rows:
            answer.unknown.append(text)
        elif index in labels.wrong:
            answer.refused.append((index, labels.wrong[index]))
        elif kept is not None and name.row is None and kept.rows > 1:
            answer.refused.append((index, _of_many(text, kept.rows)))
        elif place in taken:
            is_same = taken[place] == labels.values[index].tolist()
            (answer.already if is_same else answer.conflicting).append(text)
        else:
            answer.new[place] = index
            answer.values.append(labels.values[index].tolist())
            taken[place] = answer.values[-1]
            answer.labeled.append(text)
    return answer


def _values(known: Known, posted: list[Any]) -> tuple[Array, dict[int, Rejected]]:
    """All labels as they are stored, and what is wrong with those that cannot be; in their places is anything."""
    output, wrong = known.model.output, dict[int, Rejected]()
    try:
        return label_values(posted, output), wrong
    except Rejected:
        values: list[Array | None] = []
    for index, label in enumerate(posted):
        try:
            values.append(label_values([label], output))
        except Rejected as refused:
            values.append(None)
            facts: dict[str, Any] = refused.facts | {"row": index}
            wrong[index] = type(refused)(**facts)
    stand_in = next((value for value in values if value is not None), np.zeros((1, 1), np.float32))
    return np.concatenate([stand_in if value is None else value for value in values]), wrong


def _number(weight: object) -> float:
    """The weight as a number, NaN where it is none."""
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        return math.nan
    try:
        return float(weight)
    except OverflowError:
        return math.inf if weight > 0 else -math.inf


def _of_many(text: str, rows: int) -> LabelShape:
    return LabelShape(expected=f"[1] of one row, such as {text}.0", found=f"one label for the {rows} rows of {text}")

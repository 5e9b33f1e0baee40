"""More rows than a service takes at once: posted, and predicted, in parts."""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.arrays import Given
from client.bars import Told, bytes_bar
from client.calls import Call, post_batch, predict
from client.errors import ClientProblem, ServiceProblem, UnusableArray, UnusableKey
from client.fitting import inputs_for, labels_for
from client.prediction import Prediction
from client.tensors import inputs_array
from client.values import Batch
from client.wire import Watch

ROWS_MAX, ROWS_PREDICTED_MAX = 100_000, 10_000
"""What a service takes by default; one that takes less is asked with half as many, and half of that."""
BODY_BYTES_MAX = 32 << 20
KEY_LENGTH_MAX = 245
"""So that a number can stand behind it: a key has 255 characters."""


@dataclasses.dataclass(frozen=True)
class Labeled:
    """Rows as they travel."""

    x: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def arrays(self) -> list[NDArray[Any]]:
        return [self.x, self.y] if self.weights is None else [self.x, self.y, self.weights]

    def part(self, start: int, size: int) -> "Labeled":
        rows = slice(start, start + size)
        return Labeled(self.x[rows], self.y[rows], None if self.weights is None else self.weights[rows])


def ingest_all(
    model: str,
    x: Given,
    y: Given,
    weights: Given | None = None,
    *,
    key: str | None = None,
    rows_per_batch: int | None = None,
    progress: Told[tuple[int, int | None]] = None,
) -> Call[tuple[Batch, ...]]:
    """All labeled rows are accepted, as several batches where they are many, each exactly once.

    The first batch has the key `key`, the second `key/2`, and so on; when none is given, it is made of the rows. So the
    same again, also after it was cut short, counts nothing twice; and the same rows under the same key in parts of
    another size are refused (`idempotency-key-reused`) before any is stored. Without `rows_per_batch` there are as many
    rows in a batch as the service takes. Rows and `progress` are as for `ingest`.

    Raises:
        UnusableArray: what was given is no rows of this model.
        UnusableKey: the key leaves no room for the number of a part.
        ServiceProblem: a batch was refused; those before it are accepted, and the same again goes on behind them. A
            note of the exception says how many there are.
    """
    inputs, labels = (yield from inputs_for(model, x)), (yield from labels_for(model, y))
    rows = Labeled(inputs, labels, None if weights is None else inputs_array(weights))
    _check_lengths(rows)
    key = key or _key_of(rows)
    size = rows_per_batch or _rows_that_fit(rows)
    if len(rows) > size and len(key) > KEY_LENGTH_MAX:
        raise UnusableKey(
            f"The key has {len(key)} characters, and each part puts a number behind it",
            f"choose a key of at most {KEY_LENGTH_MAX} characters",
        )
    with bytes_bar(f"{model}: posting", progress) as watch:
        first, size = yield from _first(model, rows, key, size, watch=watch, is_fixed=rows_per_batch is not None)
        batches = [first]
        for start in range(size, len(rows), size):
            part, of_part = rows.part(start, size), f"{key}/{len(batches) + 1}"
            told = _of_all(rows, start, size, watch)
            try:
                batches.append((yield from post_batch(model, part.x, part.y, part.weights, key=of_part, watch=told)))
            except (ClientProblem, KeyboardInterrupt) as cut:
                cut.add_note(_left(cut, stored=len(batches), size=size, rows=len(rows)))
                raise
    return tuple(batches)


def predict_all(  # noqa: PLR0913 - each is a parameter of the call.
    model: str,
    x: Given,
    *,
    version: int | None = None,
    alias: str | None = None,
    method: str | None = None,
    samples: int | None = None,
    seed: int | None = None,
    interval: float | None = None,
    keep: bool | None = None,
    rows_per_request: int | None = None,
) -> Call[Prediction]:
    """What one version answers for all these inputs, as `predict`, asked in parts where they are many.

    The version that answers the first part answers all, also when head moves meanwhile. Where the prediction is kept,
    `row_ids` name the rows; `prediction` is the id of the first part.

    Raises:
        UnusableArray: what was given is no rows of this model.
        ServiceProblem: there is no such model or version, or it takes no such rows.
    """
    inputs = yield from inputs_for(model, x)
    size = rows_per_request or max(1, min(ROWS_PREDICTED_MAX, BODY_BYTES_MAX // max(1, _row_bytes([inputs]))))
    how: dict[str, Any] = {"method": method, "samples": samples, "seed": seed, "interval": interval, "keep": keep}
    answers: list[Prediction] = []
    start = 0
    while start < len(inputs) or not answers:
        chosen = {"version": answers[0].version} if answers else {"version": version, "alias": alias}
        try:
            answers.append((yield from predict(model, inputs[start : start + size], **chosen, **how)))
        except ServiceProblem as problem:
            if problem.status != 413 or size == 1 or rows_per_request is not None:
                raise
            size = max(1, min(size, len(inputs)) // 2)
            continue
        start += size
    return answers[0] if len(answers) == 1 else _joined(answers)


def _first(
    model: str, rows: Labeled, key: str, size: int, *, watch: Watch | None, is_fixed: bool
) -> Call[tuple[Batch, int]]:
    """The first part is accepted; how many rows it has, which is what the service takes.

    A refusal for size stores nothing and takes no key, so what the same service takes is found the same way again.
    """
    while True:
        part = rows.part(0, size)
        try:
            told = _of_all(rows, 0, size, watch)
            batch = yield from post_batch(model, part.x, part.y, part.weights, key=key, watch=told)
        except ServiceProblem as problem:
            if problem.status != 413 or is_fixed or size == 1:
                raise
            size = max(1, min(size, len(rows)) // 2)
        else:
            return batch, size


def _left(cut: BaseException, *, stored: int, size: int, rows: int) -> str:
    """What is stored already, and how to go on: rows that are refused have to change, and so would their key."""
    said = f"{stored:,} of {-(-rows // size):,} parts are stored"
    if isinstance(cut, ServiceProblem) and 400 <= cut.status < 500 and cut.status not in (408, 429):
        return f"{said}, with the first {stored * size:,} rows: correct the rows behind them, and post these alone."
    return f"{said}; run this again: nothing is counted twice."


def _of_all(rows: Labeled, start: int, size: int, watch: Watch | None) -> Watch | None:
    """Who watches all parts is told of one of them."""
    if watch is None:
        return None
    each = _row_bytes(rows.arrays)
    before, until, whole = start * each, min(start + size, len(rows)) * each, len(rows) * each
    return lambda done, _: watch(min(before + done, until), whole)


def _rows_that_fit(rows: Labeled) -> int:
    return max(1, min(ROWS_MAX, BODY_BYTES_MAX // max(1, _row_bytes(rows.arrays))))


def _row_bytes(arrays: Sequence[NDArray[Any]]) -> int:
    return sum(array.nbytes // max(1, len(array)) for array in arrays if array.ndim)


def _check_lengths(rows: Labeled) -> None:
    lengths = {"inputs": rows.x, "labels": rows.y, "weights": rows.weights}
    found = {name: array.shape[0] if array.ndim else 0 for name, array in lengths.items() if array is not None}
    if len(set(found.values())) > 1 or not all(found.values()):
        said = ", ".join(f"{count} {name}" for name, count in found.items())
        raise UnusableArray(
            f"There are {said}", "give one label, and one weight if any, for each row, and at least one row"
        )


def _key_of(rows: Labeled) -> str:
    """The idempotency key of these rows: the same rows have the same key."""
    digest = hashlib.sha256()
    for array in rows.arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data.cast("B"))
    return f"rows-sha256:{digest.hexdigest()}"


def _joined(answers: Sequence[Prediction]) -> Prediction:
    arrays = {name: np.concatenate([one.arrays[name] for one in answers]) for name in answers[0].arrays}
    raw = {**answers[0].raw, "outputs": [row for one in answers for row in one.raw["outputs"]]}
    return dataclasses.replace(answers[0], arrays=arrays, raw=raw)

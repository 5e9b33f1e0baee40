"""Labels that arrive later become rows: the kept inputs with their label are one batch per request, each row once."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from service.gathering import Gathering, Waiting
from service.given_labels import Labels, Sorted, sort
from service.keeping import discard, keep_and_name
from service.known import Known
from service.rejected import LabelsTooLarge
from service.rows import Rows
from store.accepting import Posted
from store.blobs import Blobs, digest_of
from store.collecting import Collecting
from store.errors import BlobBuried, IdempotencyKeyReused
from store.labeling import KeptRows, LabeledBatch, LabelsTaken, Place, Standing
from store.labeling import Labeling as Recording
from store.ledger import REFUSED, Ledger
from store.values import BatchRow

WRITERS = 2
"""Of different models."""

Answer = tuple[Sorted, BatchRow | None]
"""What became of each label, and the batch that holds those that are new; None: none is."""


class Labeling:
    """Labels rows: one writer for each model at a time, with up to 64 of the requests that wait."""

    def __init__(
        self,
        blobs: Blobs,
        ledger: Ledger,
        collecting: Collecting,
        *,
        body_bytes_max: int,
        items_max: int,
        bytes_max: int,
    ) -> None:
        self._blobs = blobs
        self._ledger = ledger
        self._recording = Recording(ledger)
        self._collecting = collecting
        self._bytes_max = body_bytes_max
        self._gathering: Gathering[str, Labels, Answer] = Gathering(
            self._label, threads=WRITERS, items_max=items_max, bytes_max=bytes_max, name="label"
        )

    async def add(self, model: str, labels: Labels, *, nbytes: int) -> Answer:
        """Those that are new are rows of a batch, durably; what became of each.

        Raises:
            Overloaded: too many wait already.
            Unavailable: the service is stopping, or the store cannot be written to.
            LabelsTooLarge: their inputs are too large for a batch; none is a row.
            IdempotencyKeyReused: the key names a batch; none is a row.
            BlobBuried, ModelNotFound, SQLAlchemyError: as from the ledger.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._gathering.put(model, Waiting(labels, nbytes, math.inf, answer), is_shared=True)
        return await answer

    @property
    def items(self) -> int:
        """How many wait that nobody has begun with."""
        return self._gathering.items

    def close(self) -> None:
        """Those who wait are refused, and no thread is left."""
        self._gathering.close()

    def _label(self, model: str, waiting: Sequence[Waiting[Labels, Answer]]) -> Sequence[Answer | BaseException]:
        requests = [one.item for one in waiting]
        try:
            return self._all(model, requests)
        except (LabelsTooLarge, IdempotencyKeyReused, BlobBuried, *REFUSED):
            if len(requests) == 1:
                raise
        # One of them is refused, and so the transaction of all: each has its own then.
        return [self._alone(model, one) for one in requests]

    def _alone(self, model: str, labels: Labels) -> Answer | BaseException:
        try:
            return self._all(model, [labels])[0]
        except Exception as error:  # noqa: BLE001 - It is the answer to this one, and not to the others.
            return error

    def _all(self, model: str, requests: Sequence[Labels]) -> list[Answer]:
        """The answers, as if the requests had come one after the other."""
        asked = list({name.prediction for one in requests for name in one.names if name is not None})
        while True:
            standing = self._recording.look(model, asked)
            try:
                return self._write(model, requests, standing)
            except LabelsTaken:
                # Another process was first, or their time is over: what it took is known at the next look.
                continue

    def _write(self, model: str, requests: Sequence[Labels], standing: Standing) -> list[Answer]:
        taken: dict[Place, object] = {place: row.label for place, row in standing.labels.items()}
        answers = [sort(one, standing, taken) for one in requests]
        new = [index for index, one in enumerate(answers) if one.new]
        if not new:
            return [(one, None) for one in answers]
        inputs = self._inputs(requests[0].known, standing, {place for one in answers for place in one.new})
        batches = [_batch(requests[index], answers[index], inputs) for index in new]
        named = [answers[index] for index in new]
        keys = [requests[index].key or _key(answers[index]) for index in new]
        spans = [requests[index].traceparent for index in new]
        stored = dict(zip(new, self._store(model, batches, named, keys=keys, spans=spans), strict=True))
        return [(one, stored.get(index)) for index, one in enumerate(answers)]

    def _store(
        self,
        model: str,
        batches: Sequence[Rows],
        named: Sequence[Sorted],
        *,
        keys: Sequence[str],
        spans: Sequence[str | None],
    ) -> list[BatchRow]:
        data = [rows.to_bytes() for rows in batches]

        def write(digests: list[str]) -> list[BatchRow]:
            posted = [
                Posted(key, digest, len(one.new), rows.label_counts(), span)
                for key, digest, rows, one, span in zip(keys, digests, batches, named, spans, strict=True)
            ]
            labeled = [
                LabeledBatch(batch, list(one.new), list(one.values)) for batch, one in zip(posted, named, strict=True)
            ]
            return self._recording.record(model, labeled)

        try:
            return keep_and_name(self._blobs, self._ledger, data, write)
        except (LabelsTaken, IdempotencyKeyReused, *REFUSED):
            discard(self._collecting, {digest_of(one) for one in data})
            raise

    def _inputs(self, known: Known, standing: Standing, places: set[Place]) -> Mapping[Place, bytes]:
        """The bytes of these rows.

        Raises:
            LabelsTooLarge: they are more than a batch has.
            LabelsTaken: some are gone, as their time is over.
        """
        row_bytes = math.prod(known.model.input.shape) * np.dtype(known.model.input.dtype).itemsize
        if (nbytes := len(places) * row_bytes) > self._bytes_max:
            raise LabelsTooLarge(nbytes=nbytes, bytes_max=self._bytes_max)
        wanted: dict[str, list[int]] = {}
        for prediction, row in places:
            wanted.setdefault(prediction, []).append(row)
        kept: dict[str, KeptRows] = {prediction: standing.kept[prediction] for prediction in wanted}
        found = {
            (prediction, row): data[row * row_bytes : (row + 1) * row_bytes]
            for prediction, data in self._recording.inputs(kept)
            for row in wanted[prediction]
        }
        if len(found) < len(places):
            raise LabelsTaken
        return found


def _batch(labels: Labels, answer: Sorted, inputs: Mapping[Place, bytes]) -> Rows:
    """The rows in the order in which their labels came."""
    of = labels.known.model.input
    joined = b"".join(inputs[place] for place in answer.new)
    weights = np.array([labels.weights[index] for index in answer.new.values()], np.float32)
    return Rows(
        inputs=np.frombuffer(joined, of.dtype).reshape(len(answer.new), *of.shape),
        labels=labels.values[list(answer.new.values())],
        weights=None if (weights == 1).all() else weights,
    )


def _key(answer: Sorted) -> str:
    """No two batches have the same rows of predictions, so the rows name theirs."""
    said = "\n".join(f"{prediction}.{row}" for prediction, row in sorted(answer.new))
    return f"labels-sha256:{hashlib.sha256(said.encode()).hexdigest()}"

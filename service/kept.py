"""Predictions that are kept for later labels: answered as all others, and written before the answer leaves."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from pydantic_core import from_json, to_json

from service.computing import Asked, Question
from service.gathering import Gathering, Waiting
from service.rejected import KeptTooLarge
from service.resources import moment
from store.kept_predictions import KeptPredictions, ToKeep

WRITERS = 2
ALL = ""
"""Predictions of every model are written together: nothing of one waits for another."""

AT_ONCE_BYTES = 16 * 2**10
"""Answers that are short are read by the event loop: handing them to a thread takes longer."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """The id of a prediction that is kept, and until when."""

    id: str
    until: float


class Keeping:
    """Writes predictions: those that come while others are written are written next, in one transaction."""

    def __init__(self, predictions: KeptPredictions, *, items_max: int, bytes_max: int) -> None:
        self._predictions = predictions
        self._gathering: Gathering[str, ToKeep, Kept] = Gathering(
            self._keep, threads=WRITERS, items_max=items_max, bytes_max=bytes_max, name="keep"
        )

    async def add(self, answered: ToKeep) -> Kept:
        """The prediction is kept, durably.

        Raises:
            Overloaded: too many wait already.
            Unavailable: the service is stopping.
            SQLAlchemyError: the database cannot be written to.
        """
        kept: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        nbytes = len(answered.inputs) + len(answered.answer)
        self._gathering.put(ALL, Waiting(answered, nbytes, math.inf, kept), is_shared=True)
        return await kept

    @property
    def items(self) -> int:
        """How many wait that nobody has begun with."""
        return self._gathering.items

    def close(self) -> None:
        """Those who wait are refused, and no thread is left."""
        self._gathering.close()

    def _keep(self, _all: str, waiting: Sequence[Waiting[ToKeep, Kept]]) -> Sequence[Kept]:
        return [Kept(*one) for one in self._predictions.keep([one.item for one in waiting])]


def must_be_keepable(what: str, nbytes: int, *, bytes_max: int) -> None:
    """Nothing happens where this can be kept.

    Raises:
        KeptTooLarge: it is too much.
    """
    if nbytes > bytes_max:
        raise KeptTooLarge(what=what, nbytes=nbytes, bytes_max=bytes_max)


async def keep(keeping: Keeping, question: Question, asked: Asked, answer: bytes, *, predicted_by: str) -> bytes:
    """The answer with the id that it is kept under.

    Raises:
        Overloaded, Unavailable, SQLAlchemyError: as from `Keeping.add`; the prediction is not answered.
    """
    is_short = len(answer) <= AT_ONCE_BYTES
    said: Json = from_json(answer) if is_short else await run_sync(from_json, answer)
    entry = ToKeep(
        model=question.name,
        version=said["version"],
        digest=said["digest"],
        rows=len(asked.rows),
        inputs=asked.rows.tobytes(),
        answer=answer,
        predicted_by=predicted_by,
        seconds=question.known.keep_seconds,
    )
    stored = await keeping.add(entry)
    named = partial(_named, said, stored)
    return named() if is_short else await run_sync(named)


def with_ids(said: Json, kept_as: Kept) -> Json:
    """The answer, whose rows have the ids that their labels are posted under."""
    outputs = [row | {"prediction": f"{kept_as.id}.{number}"} for number, row in enumerate(said["outputs"])]
    return said | {"outputs": outputs, "prediction": kept_as.id, "kept_until": moment(kept_as.until)}


def _named(said: Json, stored: Kept) -> bytes:
    return to_json(with_ids(said, stored))

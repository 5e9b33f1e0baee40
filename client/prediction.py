"""A prediction as arrays, one row per input; uncertainty in nats for classes, in label units for numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.errors import UnexpectedAnswer
from client.values import Json

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What one version answers for a block of inputs.

    A model of classes fills `labels`, `probabilities`, `entropy`, `aleatoric` and `mutual_information`; a
    model of numbers fills `mean`, `std`, `epistemic_std`, `noise_std`, `lower` and `upper`, and `interval`, the
    probability that a number lies from lower to upper. Asking for the other kind's arrays raises AttributeError.

    `method` is the one that answered; `samples` and `seed` are those of an ensemble, None with others. Where the model
    has no moments and an ensemble stands for them, `instead_of` is "moments" and `because` says why.
    """

    model: str
    version: int
    digest: str
    method: str
    samples: int | None
    seed: int | None
    instead_of: str | None
    because: str | None
    interval: float | None
    prediction: str | None
    """Its id, where it is kept for labels that arrive later."""
    kept_until: datetime | None
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)
    raw: Json = field(repr=False)

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def labels(self) -> NDArray[np.int64]:
        """The most probable class of each row, as its number; [rows]."""
        return self._array("label")

    @property
    def names(self) -> list[str]:
        """The most probable class of each row by name, or by number where the model has no names."""
        return [str(row.get("name", row.get("label"))) for row in self.raw["outputs"]]

    @property
    def row_ids(self) -> list[str]:
        """The name of each row that a label for it is posted under.

        Raises:
            AttributeError: the prediction is not kept.
        """
        if self.prediction is None:
            raise AttributeError("This prediction is not kept: ask for it with keep=True.")
        return [str(row["prediction"]) for row in self.raw["outputs"]]

    @property
    def probabilities(self) -> Floats:
        """[rows, classes]."""
        return self._array("probabilities")

    @property
    def entropy(self) -> Floats:
        """Total uncertainty of each row in nats: `aleatoric` plus `mutual_information`."""
        return self._array("entropy")

    @property
    def aleatoric(self) -> Floats:
        """The part of `entropy` that more evidence would not remove, in nats."""
        return self._array("aleatoric")

    @property
    def mutual_information(self) -> Floats:
        """The part of `entropy` that is doubt about the weights, in nats."""
        return self._array("mutual_information")

    @property
    def mean(self) -> Floats:
        """[rows, dims], in label units."""
        return self._array("mean")

    @property
    def std(self) -> Floats:
        """Total standard deviation, [rows, dims], in label units."""
        return self._array("std")

    @property
    def epistemic_std(self) -> Floats:
        return self._array("epistemic_std")

    @property
    def noise_std(self) -> Floats:
        return self._array("noise_std")

    @property
    def lower(self) -> Floats:
        """Lower ends of the central intervals, [rows, dims], in label units."""
        return self._array("lower")

    @property
    def upper(self) -> Floats:
        """Upper ends of the central intervals, [rows, dims], in label units."""
        return self._array("upper")

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self.arrays:
            raise AttributeError(f"This prediction has {', '.join(self.arrays)}, and no {name}.")
        return self.arrays[name]


def parse_prediction(answer: Json, *, asked: str) -> Prediction:
    """The service's answer as arrays.

    Raises:
        UnexpectedAnswer: it is not a prediction.
    """
    try:
        rows: list[Json] = answer["outputs"]
        columns = [name for name in rows[0] if name not in {"name", "prediction"}]
        return Prediction(
            model=answer["model"],
            version=answer["version"],
            digest=answer["digest"],
            method=answer["method"],
            samples=answer.get("samples"),
            seed=answer.get("seed"),
            instead_of=answer.get("instead_of"),
            because=answer.get("because"),
            interval=answer.get("interval"),
            prediction=answer.get("prediction"),
            kept_until=datetime.fromisoformat(answer["kept_until"]) if "kept_until" in answer else None,
            arrays={name: np.array([row[name] for row in rows]) for name in columns},
            raw=answer,
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UnexpectedAnswer(asked, f"{type(error).__name__} {error}") from error

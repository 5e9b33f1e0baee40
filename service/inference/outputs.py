"""The tensors that a model takes and gives, by the names that the protocol calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np

from bayes import Categorical, CategoricalPrediction, Drawn, Gaussian, GaussianPrediction, Input, Output, Prediction
from service.bodies import Array
from service.schemas import Datatype

INPUT = "x"
SAMPLES = "samples"
"""What each drawn net says; only where it is asked for by its name."""
VARIES = -1


@dataclass(frozen=True)
class Tensor:
    """One of a model's tensors; `axes` are those of one row."""

    name: str
    datatype: Datatype
    axes: tuple[int, ...]

    @property
    def shape(self) -> list[int]:
        """With the axis of the rows."""
        return [VARIES, *self.axes]


def input_tensor(of: Input) -> Tensor:
    """The one tensor that the model takes."""
    return Tensor(INPUT, "UINT8" if of.dtype == "uint8" else "FP32", of.shape)


def output_tensors(output: Output) -> dict[str, Tensor]:
    """The tensors that the model gives, by name. They are FP64, as nothing is then lost."""
    match output:
        case Categorical(classes):
            tensors = [
                Tensor("probabilities", "FP64", (classes,)),
                Tensor("label", "INT64", ()),
                *(Tensor(name, "FP64", ()) for name in ("entropy", "aleatoric", "mutual_information")),
                Tensor(SAMPLES, "FP64", (VARIES, classes)),
            ]
        case Gaussian(dims):
            names = ("mean", "std", "epistemic_std", "noise_std", "lower", "upper")
            tensors = [*(Tensor(name, "FP64", (dims,)) for name in names), Tensor(SAMPLES, "FP64", (VARIES, dims))]
        case _:
            assert_never(output)
    return {tensor.name: tensor for tensor in tensors}


def values_of(said: Prediction | Drawn, *, level: float | None) -> dict[str, Array]:
    """The numbers of each tensor that there is of this prediction, float64 and int64."""
    prediction = said.prediction if isinstance(said, Drawn) else said
    match prediction:
        case CategoricalPrediction():
            tensors = {"label": prediction.probabilities.argmax(1)}
            names = ("probabilities", "entropy", "aleatoric", "mutual_information")
        case GaussianPrediction():
            assert level is not None
            lower, upper = prediction.interval(level)
            tensors = {"lower": lower, "upper": upper}
            names = ("mean", "std", "epistemic_std", "noise_std")
        case _:
            assert_never(prediction)
    tensors |= {name: getattr(prediction, name) for name in names}
    if isinstance(said, Drawn):
        tensors[SAMPLES] = said.draws
    return {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in tensors.items()}

"""What a row's input is: its shape and type as it arrives, and how it is scaled before the net."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bayes.errors import InvalidDescription, InvalidInputs
from bayes.fields import Fields, kind_of, names, number, sequence, whole
from bayes.layers import Shape

Dtype = Literal["uint8", "float32"]
TORCH_DTYPE: dict[Dtype, torch.dtype] = {"uint8": torch.uint8, "float32": torch.float32}

SCALE_LEAST, SCALE_MOST = 1e-6, 1e9
"""Bounds of std, and the upper one of |mean|: (1e9 / 1e-6)^2, times the variance of the widest prior, is a float32."""


@dataclass(frozen=True)
class Input:
    """One row is a tensor of this shape and type; the net sees (x - mean) / std.

    `mean` and `std`, in raw units, hold one number for all or one for each index of the first axis
    (an image's channel, a flat row's feature). `names`, where given, has one for each number of a flat row; they do not
    reach the net.
    """

    shape: Shape
    dtype: Dtype
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    names: tuple[str, ...] | None = None

    def check(self, inputs: Tensor) -> None:
        """The tensor holds finite rows of this input, [rows, *shape].

        Raises:
            InvalidInputs: it does not.
        """
        if not isinstance(inputs, Tensor):
            raise InvalidInputs(f"inputs are {type(inputs).__name__}; the model takes a torch tensor")
        if inputs.dtype != TORCH_DTYPE[self.dtype]:
            raise InvalidInputs(f"inputs are {inputs.dtype}; the model takes {self.dtype}")
        if inputs.dim() == 0 or tuple(inputs.shape[1:]) != self.shape:
            raise InvalidInputs(f"inputs have shape {list(inputs.shape)}; the model takes [rows, {self.shape}]")
        if inputs.is_floating_point() and not bool(torch.isfinite(inputs).all()):
            raise InvalidInputs("inputs contain NaN or infinity")

    def scale(self, inputs: Tensor) -> Tensor:
        """The rows as the net sees them, float32 [rows, *shape]."""
        x = inputs.to(torch.float32)
        if self.mean != (0.0,):
            x = x - self._axis(self.mean, x.device)
        if self.std != (1.0,):
            x = x / self._axis(self.std, x.device)
        return x

    def _axis(self, values: tuple[float, ...], device: torch.device) -> Tensor | float:
        if len(values) == 1:
            return values[0]
        return torch.tensor(values, dtype=torch.float32, device=device).view(-1, *(1,) * (len(self.shape) - 1))


def read_input(value: object, where: str = "input") -> Input:
    """The input that the JSON describes; the scale defaults to 255 for uint8 and 1 for float32.

    For both types std lies between 1e-6 and 1e9, and mean between -1e9 and 1e9.

    Raises:
        InvalidDescription: it describes none.
    """
    fields = Fields(value, where)
    sides = sequence(fields.take("shape"), fields.at("shape"))
    shape = tuple(whole(side, f"{where}.shape.{i}", least=1) for i, side in enumerate(sides))
    if not shape:
        raise InvalidDescription(f"{where}.shape", "must name at least one side")
    dtype: Dtype = fields.choice("dtype", ("uint8", "float32"), "float32")
    mean = _scales(fields.take("mean", 0.0), fields.at("mean"), shape[0], least=-SCALE_MOST)
    std = _scales(fields.take("std", 255.0 if dtype == "uint8" else 1.0), fields.at("std"), shape[0], least=SCALE_LEAST)
    named = _names(fields.take("names", None), fields.at("names"), shape)
    fields.close()
    return Input(shape, dtype, mean, std, named)


def write_input(rows: Input) -> dict[str, object]:
    """The JSON that `read_input` reads back as this input."""
    named = {} if rows.names is None else {"names": list(rows.names)}
    return named | {
        "shape": list(rows.shape),
        "dtype": rows.dtype,
        "mean": rows.mean[0] if len(rows.mean) == 1 else list(rows.mean),
        "std": rows.std[0] if len(rows.std) == 1 else list(rows.std),
    }


def _names(value: object, where: str, shape: Shape) -> tuple[str, ...] | None:
    if value is None:
        return None
    if len(shape) != 1:
        raise InvalidDescription(where, f"name the numbers of a flat row; the input has {len(shape)} axes")
    named = names(value, where)
    if len(named) != shape[0]:
        raise InvalidDescription(where, f"has {len(named)} names; a row has {shape[0]} numbers")
    return named


def _scales(value: object, where: str, length: int, *, least: float) -> tuple[float, ...]:
    if isinstance(value, int | float):
        return (number(value, where, least=least, most=SCALE_MOST),)
    if not isinstance(value, list | tuple):
        raise InvalidDescription(where, f"must be a number or a list of {length}, not {kind_of(value)}")
    if len(value) != length:
        raise InvalidDescription(where, f"has {len(value)} numbers; the first axis of the input has {length}")
    return tuple(number(item, f"{where}.{i}", least=least, most=SCALE_MOST) for i, item in enumerate(value))

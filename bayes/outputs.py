"""What a model's label is: one of some classes, or a real vector with Gaussian noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, assert_never

from bayes.fields import Fields, names, number, whole

CLASSES_MAX = 100_000
NOISE_LEAST, NOISE_MOST = 1e-6, 1e9
"""Bounds of a known noise: its square, and that of a label of 1e9 in units of it, are numbers of float32."""


@dataclass(frozen=True)
class Categorical:
    """A label is a class index in [0, classes); `names`, where given, has one name for each."""

    classes: int
    names: tuple[str, ...] | None = None
    kind: Literal["categorical"] = "categorical"

    @property
    def units(self) -> int:
        """The number of outputs of the net: one logit for each class."""
        return self.classes

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The index of each class that has a name, by that."""
        return {name: number for number, name in enumerate(self.names or ())}


@dataclass(frozen=True)
class Gaussian:
    """A label is a vector of `dims` numbers; `noise` is its standard deviation in label units, None: learned."""

    dims: int
    noise: float | None = None
    kind: Literal["gaussian"] = "gaussian"

    @property
    def units(self) -> int:
        """The number of outputs of the net: one mean for each dimension."""
        return self.dims


Output = Categorical | Gaussian


def read_output(value: object, where: str = "output") -> Output:
    """The output that the JSON describes.

    Raises:
        InvalidDescription: it describes none.
    """
    fields = Fields(value, where)
    kind: Literal["categorical", "gaussian"] = fields.choice("kind", ("categorical", "gaussian"))
    output: Output
    match kind:
        case "categorical":
            output = _classes(fields.take("classes"), fields.at("classes"))
        case "gaussian":
            dims = fields.whole("dims", least=1, most=CLASSES_MAX, default=1)
            noise = fields.take("noise", None)
            output = Gaussian(dims, None if noise is None else _noise(noise, fields.at("noise")))
        case _:
            assert_never(kind)
    fields.close()
    return output


def write_output(output: Output) -> dict[str, object]:
    """The JSON that `read_output` reads back as this output."""
    match output:
        case Categorical(classes, named):
            return {"kind": output.kind, "classes": classes if named is None else list(named)}
        case Gaussian(dims, noise):
            return {"kind": output.kind, "dims": dims, "noise": noise}
        case _:
            assert_never(output)


def _noise(value: object, where: str) -> float:
    return number(value, where, least=NOISE_LEAST, most=NOISE_MOST)


def _classes(value: object, where: str) -> Categorical:
    if isinstance(value, int):
        return Categorical(whole(value, where, least=2, most=CLASSES_MAX))
    named = names(value, where)
    return Categorical(whole(len(named), where, least=2, most=CLASSES_MAX), named)

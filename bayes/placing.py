"""A net put in place: every shape known, every weighted layer named."""

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import assert_never

from bayes.errors import InvalidDescription
from bayes.layers import (
    Conv,
    Dense,
    Flatten,
    Layer,
    LinearOf,
    MaxPool,
    Network,
    Other,
    Relu,
    ScalingOf,
    Shape,
    Softplus,
    Value,
    Weighted,
    plain,
)
from bayes.work import WORK_MAX, check_work, counted

WIDTH_MAX = 20_000_000
"""The most numbers that one row has between two layers: 80 MB in float32."""

Unweighted = MaxPool | Relu | Softplus | Flatten
Step = Weighted | Unweighted


def place(layers: Sequence[Layer], input_shape: Shape, where: str = "net.layers") -> Network:
    """The network that the layers make of rows of this shape.

    Raises:
        InvalidDescription: a layer cannot take what the one before it gives, gives too many numbers itself, or makes
            the work of a row too much.
    """
    steps: list[Step] = []
    shape, width = input_shape, prod(input_shape)
    dense = conv = work = 0
    for index, layer in enumerate(layers):
        after = shape_after(layer, shape, f"{where}.{index}")
        check_width(prod(after), f"{where}.{index}")
        step: Step
        match layer:
            case Dense():
                dense += 1
                step = Weighted(f"dense{dense}", layer, shape[0])
            case Conv():
                conv += 1
                step = Weighted(f"conv{conv}", layer, shape[0])
            case _:
                step = layer
        steps.append(step)
        work += counted(step, shape, after)
        check_work(work, f"{where}.{index}", most=WORK_MAX)
        shape, width = after, max(width, prod(after))
    weighted = tuple(step for step in steps if isinstance(step, Weighted))
    return Network(weighted, partial(_chain, tuple(steps)), width)


def check_width(numbers: int, where: str) -> None:
    """One row has no more than so many numbers at a time.

    Raises:
        InvalidDescription: it has more.
    """
    if numbers > WIDTH_MAX:
        raise InvalidDescription(where, f"makes {numbers} numbers of one row; at most {WIDTH_MAX} are accepted")


def shape_after(layer: Layer, shape: Shape, where: str) -> Shape:
    """The shape of one row behind the layer.

    Raises:
        InvalidDescription: the layer cannot take rows of `shape`.
    """
    match layer:
        case Dense(units):
            if len(shape) != 1:
                raise InvalidDescription(where, f"a dense layer takes flat rows, not {shape}; put flatten before it")
            return (units,)
        case Conv(filters, kernel, padding, stride):
            return filters, *_windows(shape, kernel, padding, (stride, where))
        case MaxPool(size, stride):
            return shape[0], *_windows(shape, size, 0, (stride, where))
        case Relu() | Softplus():
            return shape
        case Flatten():
            return (prod(shape),)
        case _:
            assert_never(layer)


def _windows(shape: Shape, size: int, padding: int, stride_where: tuple[int, str]) -> Shape:
    stride, where = stride_where
    if len(shape) != 3:
        raise InvalidDescription(where, f"takes images [channels, height, width], not rows of shape {shape}")
    if min(shape[1:]) + 2 * padding < size:
        raise InvalidDescription(where, f"its window of {size} is larger than the image {shape[1]} x {shape[2]}")
    return tuple((side + 2 * padding - size) // stride + 1 for side in shape[1:])


def _chain(  # noqa: PLR0917 - As `Run` is called.
    steps: Sequence[Step],
    x: Value,
    linear: LinearOf[Value],
    scaling: ScalingOf[Value],  # noqa: ARG001
    other: Other = plain,
) -> Value:
    for step in steps:
        x = linear(step, x) if isinstance(step, Weighted) else other(step, x)
    return x

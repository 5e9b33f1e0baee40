"""The layers a net is made of, and a net put in place: every shape known, every weighted layer named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import assert_never

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.errors import InvalidDescription

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Dense:
    units: int


@dataclass(frozen=True)
class Conv:
    filters: int
    kernel: int
    padding: int = 0
    stride: int = 1


@dataclass(frozen=True)
class MaxPool:
    size: int
    stride: int


@dataclass(frozen=True)
class Relu:
    pass


@dataclass(frozen=True)
class Softplus:
    pass


@dataclass(frozen=True)
class Flatten:
    pass


Layer = Dense | Conv | MaxPool | Relu | Softplus | Flatten


@dataclass(frozen=True)
class Weighted:
    """A dense or convolution layer in its place: `inputs` units or channels go in, under a name of its own."""

    name: str
    layer: Dense | Conv
    inputs: int

    @property
    def weight_shape(self) -> Shape:
        match self.layer:
            case Dense(units):
                return units, self.inputs
            case Conv(filters, kernel):
                return filters, self.inputs, kernel, kernel

    @property
    def bias_shape(self) -> Shape:
        return (self.weight_shape[0],)

    @property
    def fan_in(self) -> int:
        return prod(self.weight_shape[1:])


Step = Weighted | MaxPool | Relu | Softplus | Flatten


@dataclass(frozen=True)
class Network:
    """Layers in their places. `width` is the size of the largest activation of one row, in numbers."""

    steps: tuple[Step, ...]
    width: int

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        return tuple(step for step in self.steps if isinstance(step, Weighted))

    @property
    def weights(self) -> int:
        """The number of weights, biases among them."""
        return sum(prod(layer.weight_shape) + prod(layer.bias_shape) for layer in self.weighted)


def place(layers: Sequence[Layer], input_shape: Shape, where: str = "net.layers") -> Network:
    """The network that the layers make of rows of this shape.

    Raises:
        InvalidDescription: a layer cannot take what the one before it gives.
    """
    steps: list[Step] = []
    shape, width = input_shape, prod(input_shape)
    dense = conv = 0
    for index, layer in enumerate(layers):
        after = shape_after(layer, shape, f"{where}.{index}")
        match layer:
            case Dense():
                dense += 1
                steps.append(Weighted(f"dense{dense}", layer, shape[0]))
            case Conv():
                conv += 1
                steps.append(Weighted(f"conv{conv}", layer, shape[0]))
            case _:
                steps.append(layer)
        shape, width = after, max(width, prod(after))
    return Network(tuple(steps), width)


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


def forward(network: Network, x: Tensor, linear: Callable[[Weighted, Tensor], Tensor]) -> Tensor:
    """What the network makes of rows x [rows, *shape], where `linear` does the part of each weighted layer."""
    for step in network.steps:
        match step:
            case Weighted():
                x = linear(step, x)
            case MaxPool(size, stride):
                x = F.max_pool2d(x, size, stride)
            case Relu():
                x = F.relu(x)
            case Softplus():
                x = F.softplus(x)
            case Flatten():
                x = x.flatten(1)
            case _:
                assert_never(step)
    return x


def apply(layer: Weighted, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The layer's linear map with these weights."""
    match layer.layer:
        case Dense():
            return F.linear(x, weight, bias)
        case Conv(_, _, padding, stride):
            return F.conv2d(x, weight, bias, stride=stride, padding=padding)

"""The layers a net is made of, a net in its place, and what it computes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.packed import conv2d, dense

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
    """A dense or convolution layer in its place: `inputs` units or channels go in, under a name of its own.

    A convolution sees its channels in `groups` parts, each by filters of its own. One without biases has a bias of
    shape (0,).
    """

    name: str
    layer: Dense | Conv
    inputs: int
    groups: int = 1
    is_biased: bool = True

    @property
    def weight_shape(self) -> Shape:
        match self.layer:
            case Dense(units):
                return units, self.inputs
            case Conv(filters, kernel):
                return filters, self.inputs // self.groups, kernel, kernel

    @property
    def bias_shape(self) -> Shape:
        return (self.weight_shape[0] if self.is_biased else 0,)

    @property
    def fan_in(self) -> int:
        return prod(self.weight_shape[1:])


@dataclass(frozen=True)
class Affine:
    """A scale and a shift of each channel that no update moves, as a BatchNorm with this epsilon has them."""

    name: str
    channels: int
    epsilon: float


Value = TypeVar("Value")
LinearOf = Callable[[Weighted, Value], Value]
ScalingOf = Callable[[Affine, Value], Value]
Other = Callable[..., Any]
Linear = LinearOf[Tensor]
Scaling = ScalingOf[Tensor]
NO_FIXED: Mapping[str, Tensor] = MappingProxyType({})


def plain(step: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - What a traced function takes and gives.
    """What a step without weights makes of tensors; the steps of a graph are functions of torch's."""
    match step:
        case MaxPool(size, stride):
            return F.max_pool2d(args[0], size, stride)
        case Relu():
            return F.relu(args[0])
        case Softplus():
            return F.softplus(args[0])
        case Flatten():
            return args[0].flatten(1)
        case function:
            return function(*args, **kwargs)


class Run(Protocol):
    """Computes a network with whatever values it is given: tensors, or anything that all three functions take."""

    def __call__(self, x: Value, linear: LinearOf[Value], scaling: ScalingOf[Value], other: Other = plain) -> Value:
        """The outputs for rows x.

        `linear` and `scaling` do the parts of their layers; `other` does a step that has no weights, which it is
        given before the step's own arguments.
        """


@dataclass(frozen=True)
class Network:
    """A net in place behind inputs of one shape; `run` computes it, as `forward` says.

    `weighted` and `affine` are in the order in which a row passes them. `width` is the size of the largest activation
    of one row, in numbers. In a chain each step takes what the one before it gives.
    """

    weighted: tuple[Weighted, ...]
    run: Run
    width: int
    affine: tuple[Affine, ...] = ()
    is_chain: bool = True

    @property
    def weights(self) -> int:
        """The number of weights, biases among them."""
        return sum(prod(layer.weight_shape) + prod(layer.bias_shape) for layer in self.weighted)


def forward(
    network: Network,
    x: Tensor,
    linear: Linear,
    fixed: Mapping[str, Tensor] = NO_FIXED,
    *,
    other: Other = plain,
) -> Tensor:
    """What the network makes of rows x [rows, *shape], where `linear` does the part of each weighted layer.

    `fixed` holds `<name>.scale` and `<name>.shift` [channels] of each affine layer; `other` does the steps without
    weights.
    """

    def scaling(layer: Affine, x: Tensor) -> Tensor:
        return scaled(x, fixed[f"{layer.name}.scale"], fixed[f"{layer.name}.shift"])

    return network.run(x, linear, scaling, other)


def apply(  # noqa: PLR0917 - As `Linear` is called, with what computes the products.
    layer: Weighted,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    dense: Callable[..., Tensor] = dense,
    conv: Callable[..., Tensor] = conv2d,
) -> Tensor:
    """The layer's linear map with these weights; a bias of no numbers is none."""
    bias = bias if layer.is_biased else None
    match layer.layer:
        case Dense():
            return dense(x, weight, bias)
        case Conv(_, _, padding, stride):
            return conv(x, weight, bias, stride=stride, padding=padding, groups=layer.groups)


def channels_last(x: Tensor) -> Tensor:
    """The numbers of x [_, channels, height, width], laid out channels last.

    A single channel, or a single position, lies so in any layout; its strides say it, or torch would compute the same
    numbers by other code, and lay the outputs of a convolution out channels first.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    _, channels, height, width = x.shape
    return x.as_strided(x.shape, (channels * height * width, 1, channels * width, channels), x.storage_offset())


def scaled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Each channel of x [rows, channels, height, width] times its scale, plus its shift."""
    return x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)

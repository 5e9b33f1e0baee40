"""The nets a model can name, each one tuple of layers; data, never code."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal, assert_never, get_args

from bayes.errors import InvalidDescription
from bayes.fields import Fields, kind_of, sequence, whole
from bayes.layers import Conv, Dense, Flatten, Layer, MaxPool, Network, Relu, Shape, Softplus
from bayes.placing import check_width, place

NetKind = Literal["mlp", "lenet5", "3conv3fc", "layers", "torchvision"]
LayerKind = Literal["dense", "conv", "maxpool", "relu", "softplus", "flatten"]

WEIGHTS_MAX = 100_000_000


@dataclass(frozen=True)
class Mlp:
    hidden: tuple[int, ...]
    kind: Literal["mlp"] = "mlp"


@dataclass(frozen=True)
class LeNet5:
    kind: Literal["lenet5"] = "lenet5"


@dataclass(frozen=True)
class Conv3Fc3:
    kind: Literal["3conv3fc"] = "3conv3fc"


@dataclass(frozen=True)
class Layers:
    layers: tuple[Layer, ...]
    kind: Literal["layers"] = "layers"


@dataclass(frozen=True)
class Torchvision:
    """A classification model of torchvision; its last layer is the output layer."""

    name: str
    kind: Literal["torchvision"] = "torchvision"


Layered = Mlp | LeNet5 | Conv3Fc3 | Layers
Net = Layered | Torchvision

# Pooling commutes with the monotone activations behind it and leaves them a quarter of the work.
LENET5: tuple[Layer, ...] = (
    *(Conv(20, 5), MaxPool(2, 2), Relu()),
    *(Conv(50, 5), MaxPool(2, 2), Relu()),
    *(Flatten(), Dense(500), Relu()),
)
CONV3FC3: tuple[Layer, ...] = (
    *(Conv(32, 5, padding=2), MaxPool(3, 2), Softplus()),
    *(Conv(64, 5, padding=2), MaxPool(3, 2), Softplus()),
    *(Conv(128, 5, padding=1), MaxPool(3, 2), Softplus()),
    *(Flatten(), Dense(1000), Softplus(), Dense(1000), Softplus()),
)


def expand(net: Layered, outputs: int) -> tuple[Layer, ...]:
    """The net's layers, with the dense layer of `outputs` units that ends them.

    LeNet-5-caffe as the Bayesian literature uses it, with an activation behind each convolution (Caffe's own
    has the last one only); 3Conv3FC as in kumar-shridhar/PyTorch-BayesianCNN.
    """
    match net:
        case Mlp(hidden):
            body = [layer for units in hidden for layer in (Dense(units), Relu())]
            return Flatten(), *body, Dense(outputs)
        case LeNet5():
            return *LENET5, Dense(outputs)
        case Conv3Fc3():
            return *CONV3FC3, Dense(outputs)
        case Layers(layers):
            return *layers, Dense(outputs)
        case _:
            assert_never(net)


@lru_cache(maxsize=256)
def network(net: Net, input_shape: Shape, outputs: int) -> Network:
    """The net in place behind inputs of this shape.

    Raises:
        InvalidDescription: the layers do not fit the input or each other, or cannot be learned, or there are too many
            weights, too many numbers of one row between two layers, or too many multiply-adds for it.
    """
    check_width(prod(input_shape), "input.shape")
    placed = _traced(net, input_shape, outputs) if isinstance(net, Torchvision) else _placed(net, input_shape, outputs)
    if placed.weights > WEIGHTS_MAX:
        raise InvalidDescription("net", f"has {placed.weights} weights; at most {WEIGHTS_MAX} are accepted")
    return placed


def _placed(net: Layered, input_shape: Shape, outputs: int) -> Network:
    try:
        return place(expand(net, outputs), input_shape)
    except InvalidDescription as fault:
        if isinstance(net, Layers):
            raise
        raise InvalidDescription("net", f"{net.kind} does not fit inputs {input_shape}: {fault.message}") from fault


def _traced(net: Torchvision, input_shape: Shape, outputs: int) -> Network:
    from bayes import torchvision_nets  # noqa: PLC0415 - Seconds and memory that only such a net is worth.

    placed = torchvision_nets.trace(net.name, input_shape, outputs)
    check_width(placed.width, "net")
    return placed


def read_net(value: object, where: str = "net") -> Net:
    """The net that the JSON describes.

    Raises:
        InvalidDescription: it describes none.
    """
    fields = Fields(value, where)
    kind: NetKind = fields.choice("kind", get_args(NetKind))
    net: Net
    match kind:
        case "mlp":
            hidden = sequence(fields.take("hidden"), fields.at("hidden"))
            net = Mlp(tuple(whole(u, f"{where}.hidden.{i}", least=1) for i, u in enumerate(hidden)))
        case "lenet5":
            net = LeNet5()
        case "3conv3fc":
            net = Conv3Fc3()
        case "layers":
            listed = sequence(fields.take("layers"), fields.at("layers"))
            net = Layers(tuple(_read_layer(layer, f"{where}.layers.{i}") for i, layer in enumerate(listed)))
        case "torchvision":
            net = Torchvision(_read_name(fields.take("name"), fields.at("name")))
        case _:
            assert_never(kind)
    fields.close()
    return net


def write_net(net: Net) -> dict[str, object]:
    """The JSON that `read_net` reads back as this net."""
    match net:
        case Mlp(hidden):
            return {"kind": net.kind, "hidden": list(hidden)}
        case LeNet5() | Conv3Fc3():
            return {"kind": net.kind}
        case Layers(layers):
            return {"kind": net.kind, "layers": [_write_layer(layer) for layer in layers]}
        case Torchvision(name):
            return {"kind": net.kind, "name": name}
        case _:
            assert_never(net)


def _read_name(value: object, where: str) -> str:
    from bayes import torchvision_nets  # noqa: PLC0415 - As in `_traced`.

    if not isinstance(value, str):
        raise InvalidDescription(where, f"must be a string, not {kind_of(value)}")
    torchvision_nets.check_name(value, where)
    return value


def _read_layer(value: object, where: str) -> Layer:
    fields = Fields(value, where)
    kind: LayerKind = fields.choice("kind", ("dense", "conv", "maxpool", "relu", "softplus", "flatten"))
    layer: Layer
    match kind:
        case "dense":
            layer = Dense(fields.whole("units", least=1))
        case "conv":
            layer = Conv(
                filters=fields.whole("filters", least=1),
                kernel=fields.whole("kernel", least=1),
                padding=fields.whole("padding", least=0, default=0),
                stride=fields.whole("stride", least=1, default=1),
            )
        case "maxpool":
            size = fields.whole("size", least=1)
            layer = MaxPool(size, fields.whole("stride", least=1, default=size))
        case "relu":
            layer = Relu()
        case "softplus":
            layer = Softplus()
        case "flatten":
            layer = Flatten()
        case _:
            assert_never(kind)
    fields.close()
    return layer


def _write_layer(layer: Layer) -> dict[str, object]:
    return {"kind": type(layer).__name__.lower(), **vars(layer)}

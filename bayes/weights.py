"""Weights learned elsewhere, w*: the bytes they come in, fitted to the net of a model."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import safetensors
import safetensors.torch
from torch import Tensor

from bayes import fixed
from bayes.errors import InvalidDescription, UnreadablePosterior
from bayes.fixed import FIXED
from bayes.layers import Network, Shape, Weighted
from bayes.likelihoods import OWN, ROOT
from bayes.model import Model
from bayes.nets import network
from bayes.outputs import Categorical
from bayes.posterior import METADATA_KEY, Posterior, digest_of, join

COUNTER = ".num_batches_tracked"  # A BatchNorm's, which only training reads.
BLOB, BATCH = "prior.blob", "prior.batch"


@dataclass(frozen=True, eq=False)
class Pretrained:
    """The bytes that a model's prior names: weights w*, and for a Laplace prior a batch of old rows.

    `weights` is safetensors with a weight and a bias for each layer, `conv1.weight`, `conv1.bias`, …, or the bytes of
    a posterior, whose means are taken. `batch` is safetensors with the tensor x, and weights where rows count
    differently; other tensors in it, as labels, are not read.
    """

    weights: bytes
    batch: bytes | None = None

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], inputs: Tensor | None = None) -> "Pretrained":
        """These weights by name, and inputs [rows, *shape] in the type of the model."""
        batch = None if inputs is None else safetensors.torch.save({"x": inputs.contiguous()})
        return cls(safetensors.torch.save({name: tensor.contiguous() for name, tensor in weights.items()}), batch)

    @cached_property
    def digests(self) -> dict[str, str]:
        """What a prior calls them: `blob`, and `batch` where there is one."""
        parts = {"blob": self.weights, "batch": self.batch}
        return {key: digest_of(data) for key, data in parts.items() if data is not None}


@dataclass(frozen=True, eq=False)
class Star:
    """Weights w* that fit a net whose output layer may have other units than the model's.

    Attributes:
        network: the net that they belong to.
        layers: weight and bias of each of its layers but a head that was not asked for; None: w* has no such bias.
        fixed: scale and shift of each affine layer.
        own: the likelihood's own tensors that w* was learned with, those that it has.
    """

    network: Network
    layers: dict[str, tuple[Tensor, Tensor | None]]
    fixed: dict[str, Tensor]
    own: dict[str, Tensor]


def head_of(network: Network) -> Weighted:
    """The layer that puts out the predictions."""
    return network.weighted[-1]


def weights_of(posterior: Posterior) -> dict[str, Tensor]:
    """The posterior's mean weights by name, as the priors of other models read them."""
    found: dict[str, Tensor] = {}
    for layer in posterior.network.weighted:
        weight, bias = posterior.rules.mean(posterior.layer(layer.name))
        found[f"{layer.name}.weight"] = weight[0]
        if layer.is_biased:
            found[f"{layer.name}.bias"] = bias[0]
    return found | join({part: posterior.layer(part) for part in (FIXED, OWN)})


def read_star(model: Model, data: bytes, *, with_head: bool) -> Star:
    """The weights of these bytes, fitted to the model; a head that is not asked for may be anything, or missing.

    Raises:
        InvalidDescription: a tensor is missing, unknown, of another shape, or not finite.
    """
    tensors = fixed.folded(model.network, read_tensors(data))
    name = head_of(model.network).name
    units = _units(tensors.get(f"{name}.weight"), model.output.units) if with_head else model.output.units
    placed = network(model.net, model.input.shape, units)
    layers = {}
    for layer in placed.weighted:
        weight, bias = tensors.pop(f"{layer.name}.weight", None), tensors.pop(f"{layer.name}.bias", None)
        if with_head or layer.name != name:
            layers[layer.name] = _fitted(layer, weight, bias)
    scales = {key: tensors.pop(f"{FIXED}.{key}", None) for key in fixed.shapes(placed)}
    own = {key: tensors.pop(f"{OWN}.{key}") for key in ROOT if f"{OWN}.{key}" in tensors}
    if own and with_head and isinstance(model.output, Categorical):
        raise InvalidDescription(BLOB, "has a head for numbers; the model has classes, and a fresh head leaves it out")
    for key, tensor in own.items() if with_head else ():
        _check_shape(f"{OWN}.{key}", tensor, (units,))
        if key == "scale" and not bool((tensor > 0).all()):
            raise InvalidDescription(BLOB, f"has a tensor '{OWN}.scale' that is not above 0 everywhere")
    for unknown in sorted(tensors):
        known = ", ".join(f"{layer.name}.weight" for layer in placed.weighted)
        raise InvalidDescription(BLOB, f"has a tensor {unknown!r}; the net has {known}, and a bias for each")
    return Star(placed, layers, _scales(placed, scales), own if with_head else {})


def read_tensors(data: bytes) -> dict[str, Tensor]:
    """The float32 weights by name in these bytes: safetensors of weights, or a posterior, whose means they are.

    Raises:
        InvalidDescription: they are neither, or hold something that is no finite number.
    """
    try:
        tensors = safetensors.torch.load(data)
        is_posterior = METADATA_KEY in _metadata(data)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as fault:
        raise InvalidDescription(BLOB, f"is not safetensors: {fault}") from fault
    if is_posterior:
        try:
            return weights_of(Posterior.from_bytes(data))
        except UnreadablePosterior as fault:
            raise InvalidDescription(BLOB, f"is no posterior that can be read: {fault}") from fault
    return {name: _as_float32(name, tensor) for name, tensor in tensors.items() if not name.endswith(COUNTER)}


def _as_float32(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        raise InvalidDescription(BLOB, f"has a tensor {name!r} of {tensor.dtype}, which is no kind of float")
    converted = tensor.float()
    if not bool(converted.isfinite().all()):
        raise InvalidDescription(BLOB, f"has a tensor {name!r} that is not finite in float32")
    return converted


def _units(head: Tensor | None, wanted: int) -> int:
    """How many units the head has; as many as wanted where it can be none, so that its shape is refused."""
    return wanted if head is None or head.dim() == 0 or len(head) == 0 else len(head)


def _fitted(layer: Weighted, weight: Tensor | None, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
    if weight is None:
        raise InvalidDescription(BLOB, f"has no tensor '{layer.name}.weight'")
    _check_shape(f"{layer.name}.weight", weight, layer.weight_shape)
    if bias is not None:
        _check_shape(f"{layer.name}.bias", bias, layer.bias_shape)
    return weight, bias


def _scales(network: Network, found: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
    scales = {}
    for key, shape in fixed.shapes(network).items():
        tensor = found[key]
        if tensor is None:
            layer = key.rpartition(".")[0]
            raise InvalidDescription(BLOB, f"lacks '{layer}.running_mean' or another tensor of that BatchNorm")
        _check_shape(f"{FIXED}.{key}", tensor, shape)
        scales[key] = tensor
    return scales


def _check_shape(name: str, tensor: Tensor, shape: Shape) -> None:
    if tuple(tensor.shape) != shape:
        raise InvalidDescription(
            BLOB, f"has a tensor {name!r} of shape {list(tensor.shape)}; the net has {list(shape)}"
        )


def _metadata(data: bytes) -> dict[str, str]:
    (length,) = struct.unpack("<Q", data[:8])
    return dict(json.loads(data[8 : 8 + length]).get("__metadata__") or {})

"""The scales and shifts of a net's affine layers: part of a posterior, never learned."""

from collections.abc import Mapping

import torch
from torch import Tensor

from bayes.errors import InvalidDescription
from bayes.layers import Affine, Network, Shape, Weighted, apply, scaled

FIXED = "fixed"  # Among the layers of a posterior, the name of these tensors.
ROWS_MAX = 512
NUMBERS_MAX = 2**26
VARIANCE_SHARE_LEAST = 0.01
OF_BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def shapes(network: Network) -> dict[str, Shape]:
    """Scale and shift [channels] of each affine layer."""
    return {f"{layer.name}.{key}": (layer.channels,) for layer in network.affine for key in ("scale", "shift")}


def root(network: Network) -> dict[str, Tensor]:
    """Scales 1/2 and shifts 0, whatever the rows.

    Weights as wide as the vague prior, 2 / sqrt(fan-in), make the square of an output 4 times the mean square of the
    inputs; halved, no number grows without bounds over a hundred layers.
    """
    return {key: torch.full(shape, _at_root(key), dtype=torch.float32) for key, shape in shapes(network).items()}


def is_blank(fixed: Mapping[str, Tensor]) -> bool:
    """There are scales and shifts, and all are as at the root."""
    return bool(fixed) and all(bool((tensor == _at_root(key)).all()) for key, tensor in fixed.items())


def sample(network: Network, inputs: Tensor) -> Tensor:
    """Rows of the inputs [rows, *shape], evenly spaced, as many as `calibrated` may see at once."""
    rows = min(ROWS_MAX, len(inputs), max(1, NUMBERS_MAX // network.width))
    return inputs[torch.arange(rows) * len(inputs) // rows]


@torch.no_grad()
def calibrated(network: Network, weights: Mapping[str, tuple[Tensor, Tensor]], x: Tensor) -> dict[str, Tensor]:
    """The scales and shifts by which each affine layer gives these rows mean 0 and variance 1, channel by channel.

    The rows are x [rows, *shape] as the net sees them, and its layers have these weights and biases. A channel with
    less than a hundredth of its layer's mean square for variance, which too few rows may leave it, is scaled by that
    hundredth instead.

    Source: what BatchNorm does in training (Ioffe and Szegedy 2015, alg. 1), held still from the first batch on; as a
    start, Mishkin and Matas 2016, "All you need is a good init".
    """
    found: dict[str, Tensor] = {}

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        return apply(layer, x, *weights[layer.name])

    def scaling(layer: Affine, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        least = VARIANCE_SHARE_LEAST * (variance + mean.square()).mean()
        scale = torch.where(least > 0, torch.maximum(variance, least), 1.0).rsqrt()
        found[f"{layer.name}.scale"], found[f"{layer.name}.shift"] = scale, -mean * scale
        return scaled(x, scale, -mean * scale)

    network.run(x, linear, scaling)
    return found


def folded(network: Network, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    r"""The tensors of a torchvision model by the names of a posterior's: each BatchNorm as its scale and shift.

    .. math:: a = \gamma / \sqrt{v + \epsilon}, \quad b = \beta - a m

    so that a x + b is what the BatchNorm makes of x in evaluation. All other tensors keep their names, those of the
    weighted layers `<layer>.weight` and `<layer>.bias`; so do those of a BatchNorm that is not there whole.

    Raises:
        InvalidDescription: the parts of a BatchNorm differ in shape, or a variance is negative.
    """
    left = dict(tensors)
    for layer in network.affine:
        gamma, beta, mean, variance, _ = (left.get(f"{layer.name}.{part}") for part in OF_BATCH_NORM)
        if gamma is None or beta is None or mean is None or variance is None:
            continue
        for part in OF_BATCH_NORM:
            left.pop(f"{layer.name}.{part}", None)
        if not gamma.shape == beta.shape == mean.shape == variance.shape or bool((variance < 0).any()):
            raise InvalidDescription("prior.blob", f"has a BatchNorm {layer.name!r} of several shapes or no variance")
        scale = gamma.double() / (variance.double() + layer.epsilon).sqrt()
        shift = beta.double() - scale * mean.double()
        left |= {f"{FIXED}.{layer.name}.scale": scale.to(gamma), f"{FIXED}.{layer.name}.shift": shift.to(gamma)}
    return left


def _at_root(key: str) -> float:
    return 0.5 if key.endswith("scale") else 0.0

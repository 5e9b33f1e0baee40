"""A posterior's mean weights as a plain `state_dict` of torch, for use where this package is not."""

from collections import OrderedDict
from collections.abc import Mapping
from io import BytesIO

import torch
from torch import Tensor

from bayes.errors import NoStateDict
from bayes.fixed import FIXED
from bayes.layers import Affine, Network, Weighted
from bayes.likelihoods import OWN
from bayes.outputs import Gaussian
from bayes.posterior import Posterior
from bayes.weights import head_of, weights_of


def state_dict(posterior: Posterior) -> "OrderedDict[str, Tensor]":
    """The mean weights under the names of the net's layers, `conv1.weight`, `conv1.bias`, …; float32, on the CPU.

    A net of torchvision has the names of its own modules, its BatchNorms among them, each of which makes of a row what
    the posterior's scale and shift make of it in evaluation. Other nets fit an `nn.Sequential` of their layers under
    these names. Inputs are to be scaled first, (x - mean) / std of the model's input; a Gaussian output is in the units
    of the labels. The mean of family mnf is E[z] mu, as that of the prediction "mean".

    Raises:
        NoStateDict: labels are numbers, and the net ends in something else than a layer with biases, so that no
            weights give their units.
    """
    means, network = weights_of(posterior), posterior.network
    if isinstance(posterior.output, Gaussian):
        means |= _in_label_units(network, means)
    found: OrderedDict[str, Tensor] = OrderedDict()
    for layer in network.weighted:
        for name in (f"{layer.name}.weight", f"{layer.name}.bias"):
            if name in means:
                found[name] = means[name].clone(memory_format=torch.contiguous_format)
    for affine in network.affine:
        found.update(_batch_norm(affine, means[f"{FIXED}.{affine.name}.scale"], means[f"{FIXED}.{affine.name}.shift"]))
    return found


def state_dict_bytes(posterior: Posterior) -> bytes:
    """The file that `torch.load(…, weights_only=True)` reads as the `state_dict`.

    Raises:
        NoStateDict: as from `state_dict`.
    """
    stream = BytesIO()
    torch.save(state_dict(posterior), stream)
    return stream.getvalue()


def _in_label_units(network: Network, means: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the last layer that give location + scale f instead of the standardized f."""
    head = head_of(network)
    if not head.is_biased or not _ends_in(network, head.name):
        raise NoStateDict(f"the net does not end in a layer with biases, as {head.name!r} would have to be")
    location, scale = means[f"{OWN}.location"], means[f"{OWN}.scale"]
    weight, bias = means[f"{head.name}.weight"], means[f"{head.name}.bias"]
    widened = weight * scale.view(-1, *(1,) * (weight.dim() - 1))
    return {f"{head.name}.weight": widened, f"{head.name}.bias": bias * scale + location}


def _ends_in(network: Network, layer: str) -> bool:
    """True where what the layer gives is what the network gives."""

    def linear(step: Weighted, _: str) -> str:
        return step.name

    def scaling(step: Affine, _: str) -> str:
        return step.name

    def other(*_args: object, **_kwargs: object) -> str:
        return ""

    return network.run("", linear, scaling, other) == layer


def _batch_norm(layer: Affine, scale: Tensor, shift: Tensor) -> dict[str, Tensor]:
    """The tensors of a BatchNorm that has seen mean 0 and, with its epsilon, variance 1."""
    return {
        f"{layer.name}.weight": scale.clone(),
        f"{layer.name}.bias": shift.clone(),
        f"{layer.name}.running_mean": torch.zeros_like(scale),
        f"{layer.name}.running_var": torch.full_like(scale, 1 - layer.epsilon),
        f"{layer.name}.num_batches_tracked": torch.zeros((), dtype=torch.int64),
    }

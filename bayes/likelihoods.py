"""How probable a label is, given what the net puts out."""

import math
from typing import assert_never

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.chunk import Chunk
from bayes.families.parts import Rate, Tensors
from bayes.layers import Shape
from bayes.outputs import Categorical, Gaussian, Output

OWN = "output"  # Among the layers of a posterior, the name of the likelihood's own tensors.


def shapes(output: Output) -> dict[str, Shape]:
    """The likelihood's own tensors.

    A Gaussian output keeps the location and scale of its labels, so that the net works on standardized ones, and,
    where its noise is learned, `log_sigma`: the log of the noise in units of the scale.
    """
    match output:
        case Categorical():
            return {}
        case Gaussian(dims, noise):
            learned = {"log_sigma": (dims,)} if noise is None else {}
            return {"location": (dims,), "scale": (dims,), **learned}
        case _:
            assert_never(output)


def root(output: Output) -> dict[str, Tensor]:
    """The own tensors before any rows: location 0, scale 1, log sigma 0."""
    return {key: torch.full(shape, float(key == "scale")) for key, shape in shapes(output).items()}


def start(output: Output, own: Tensors, chunk: Chunk) -> dict[str, Tensor]:
    """The own tensors as the first update of a line starts: location and scale of its labels.

    They stay what the first chunk makes them. Labels that do not vary keep the scale 1.
    """
    if isinstance(output, Categorical):
        return {}
    labels = chunk.labels.double()
    weights = labels.new_ones(chunk.rows) if chunk.weights is None else chunk.weights.double()
    share = (weights / weights.sum()).unsqueeze(1)
    location = (share * labels).sum(0)
    scale = (share * (labels - location).square()).sum(0).sqrt()
    varies = scale > 1e-6 * location.abs()
    return {**own, "location": location.float(), "scale": torch.where(varies, scale, 1.0).float()}


def rate(key: str) -> Rate | None:
    """The learning rate of an own tensor; None: it never changes."""
    return "lr_log_sigma" if key == "log_sigma" else None


def nll(output: Output, own: Tensors, outputs: Tensor, labels: Tensor) -> Tensor:
    r"""The negative log likelihood of each row's label in nats, [rows], from the net's outputs [rows, units].

    Categorical: the cross entropy of the softmax. Gaussian, in label units and summed over the dimensions:

    .. math:: \tfrac12 \log 2\pi\sigma^2 + (y - a - b f)^2 / 2\sigma^2

    with location a and scale b.
    """
    match output:
        case Categorical():
            return F.cross_entropy(outputs, labels, reduction="none")
        case Gaussian():
            log_sigma = log_noise(output, own)
            off = (labels - location_of(own, outputs)) * (-log_sigma).exp()
            return (0.5 * (off.square() + math.log(2 * math.pi)) + log_sigma).sum(1)
        case _:
            assert_never(output)


def location_of(own: Tensors, outputs: Tensor) -> Tensor:
    """The means of a Gaussian label in label units, from standardized outputs [..., dims]."""
    return own["location"] + own["scale"] * outputs


def log_noise(output: Gaussian, own: Tensors) -> Tensor:
    """Log of the noise's standard deviation in label units, [dims]."""
    if output.noise is None:
        return own["log_sigma"] + own["scale"].log()
    return torch.full_like(own["scale"], math.log(output.noise))

"""How probable a label is, given what the net puts out."""

import math
from typing import assert_never

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.chunk import Chunk
from bayes.families.gaussian_kl import divergence, sigma_inverses
from bayes.families.natural import Terms, pooled
from bayes.families.parts import Rate, Tensors
from bayes.layers import Shape
from bayes.outputs import Categorical, Gaussian, Output

OWN = "output"  # Among the layers of a posterior, the name of the likelihood's own tensors.
LABEL_UNITS = ("location", "scale")
NOISE = "log_noise"
NOISE_MU, NOISE_LOG_SIGMA = f"{NOISE}.mu", f"{NOISE}.log_sigma"
ROOT = {"location": 0.0, "scale": 1.0, NOISE_MU: -1.0, NOISE_LOG_SIGMA: 0.0}
START = {NOISE_MU: 0.0, NOISE_LOG_SIGMA: -3.0}


def shapes(output: Output) -> dict[str, Shape]:
    """The likelihood's own tensors.

    A Gaussian output keeps the location and scale of its labels, so that the net works on standardized ones. Where its
    noise is learned, the log of the noise in units of the scale is Gaussian too, with a mean and a log sigma.
    """
    match output:
        case Categorical():
            return {}
        case Gaussian(dims, noise):
            learned = {NOISE_MU: (dims,), NOISE_LOG_SIGMA: (dims,)} if noise is None else {}
            return {"location": (dims,), "scale": (dims,), **learned}
        case _:
            assert_never(output)


def root(output: Output) -> dict[str, Tensor]:
    """The own tensors before any rows: location 0, scale 1, and N(-1, 1) for the log of a learned noise.

    So the mean of the noise's square is 1: that of standardized labels that nothing explains.
    """
    return {key: torch.full(shape, ROOT[key], dtype=torch.float32) for key, shape in shapes(output).items()}


def start(output: Output, own: Tensors, chunk: Chunk) -> dict[str, Tensor]:
    """The own tensors as the first update of a line starts: location and scale of its labels, a learned noise near 1.

    Location and scale stay what the first chunk makes them, unless they came with the weights of a pretrained prior.
    Labels that do not vary keep the scale 1.
    """
    if isinstance(output, Categorical):
        return {}
    learned = {key: torch.full_like(own[key], value) for key, value in START.items() if key in own}
    if any(bool((own[key] != ROOT[key]).any()) for key in LABEL_UNITS):
        return {**own, **learned}
    labels = chunk.labels.double()
    weights = labels.new_ones(chunk.rows) if chunk.weights is None else chunk.weights.double()
    share = (weights / weights.sum()).unsqueeze(1)
    location = (share * labels).sum(0)
    scale = (share * (labels - location).square()).sum(0).sqrt()
    varies = scale > 1e-6 * location.abs()
    return {**own, **learned, "location": location.float(), "scale": torch.where(varies, scale, 1.0).float()}


def rate(key: str) -> Rate | None:
    """The learning rate of an own tensor; None: it never changes."""
    return "lr_log_sigma" if key in START else None


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
            mean, variance = _log_noise(output, own)
            off = (labels - location_of(own, outputs)) * (variance - mean).exp()
            return (0.5 * (off.square() + math.log(2 * math.pi)) + mean).sum(1)
        case _:
            assert_never(output)


def location_of(own: Tensors, outputs: Tensor) -> Tensor:
    """The means of a Gaussian label in label units, from standardized outputs [..., dims]."""
    return own["location"] + own["scale"] * outputs


def log_noise(output: Gaussian, own: Tensors) -> Tensor:
    """Half the log of the mean of the noise's square, [dims]: log of what a prediction has to allow, in label units."""
    mean, variance = _log_noise(output, own)
    return mean + variance


def kl(q: Tensors, p: Tensors) -> Tensor | None:
    """KL(q || p) of the learned noise in nats, summed over the dimensions; None where none is learned."""
    if NOISE_MU not in q:
        return None
    return divergence(q, {**p, **sigma_inverses(p, (NOISE,))}, NOISE)


def pool(terms: Terms) -> dict[str, Tensor]:
    """The first own tensors, with a learned noise proportional to the product of the terms' to their powers."""
    own = terms[0][1]
    return {**own, **pooled(terms, (NOISE,))} if NOISE_MU in own else dict(own)


def _log_noise(output: Gaussian, own: Tensors) -> tuple[Tensor, Tensor]:
    """Mean and variance of the log of the noise's standard deviation in label units, [dims]."""
    if output.noise is None:
        return own[NOISE_MU] + own["scale"].log(), (2 * own[NOISE_LOG_SIGMA]).exp()
    return torch.full_like(own["scale"], math.log(output.noise)), torch.zeros_like(own["scale"])

r"""Multiplicative normalizing flows: Gaussian weights whose means are scaled by random z of any shape.

.. math:: q(w, z) = q(z) \prod N(w_i; z_{k(i)} \mu_i, \sigma_i^2), \quad z = f(z_0), \quad z_0 \sim N(m_0, s_0^2)

with f a coupling flow. Three variants say which weights of a convolution share a z: those of a kernel (`kernel`, as on
the poster of Kochurov et al. 2018), those of a filter (`filter`, as in the authors' code of Louizos and Welling), or
z = z_filter z_channel (`rank1`). In dense layers each input has its z, in every variant. Biases are those of ffg.

The prior is the stored joint density p(w, z), whose flow is inverted at the z of q. As

.. math:: KL(q(w, z) \| p(w, z)) = E_{q(z)} \left[ KL(q(w | z) \| p(w | z)) + \log q(z) - \log p(z) \right]

is no less than KL(q(w) || p(w)), the bound holds without an auxiliary r(z | w).

Source: Kochurov et al. 2018, the joint bound; Louizos and Welling 2017, "Multiplicative Normalizing Flows for
Variational Bayesian Neural Networks", eq. 3 and 7.
"""

import math
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from bayes import flows
from bayes.determinism import generator as stream_of
from bayes.families import ffg
from bayes.families.gaussian_kl import divergence, scaled_divergence
from bayes.families.natural import Terms
from bayes.families.parts import Check, Gaussians, LayerWeights, Noise, Rate, Tensors, WeightMoments
from bayes.families.reparameterization import output_variance, perturbed
from bayes.layers import Dense, Shape, Weighted, apply

Variant = Literal["kernel", "filter", "rank1"]

SIGMA_Z = 0.1
ROWS_PER_KERNEL_DRAW = 16
MEAN_PAIRS = 512
DRAWN_MAX, DRAWS_LEAST = 2**22, 32
"""The most numbers of z that are held at once for a KL without gradients, unless so few draws have more."""
MU_Z, LOG_SIGMA_Z = "z.mu", "z.log_sigma"
DRAWN, LOG_DENSITY = "z.drawn", "z.log_density"


@dataclass(frozen=True)
class Mnf:
    """The rules of one variant."""

    variant: Variant
    has_moments: ClassVar[bool] = False

    def shapes(self, layer: Weighted) -> dict[str, Shape]:
        """Those of ffg, mean and log sigma of z_0, and the flow's."""
        size = self._size(layer.weight_shape)
        return {**ffg.shapes(layer), MU_Z: (size,), LOG_SIGMA_Z: (size,), **flows.shapes(size)}

    def rate(self, key: str) -> Rate | None:
        """Log standard deviations move at `lr_log_sigma`, the flow and means at `lr`; masks never."""
        if key == flows.MASK:
            return None
        return "lr_log_sigma" if key.endswith("log_sigma") else "lr"

    def root(self, layer: Weighted, gaussians: Gaussians) -> dict[str, Tensor]:
        """These Gaussians as w given z = 1; z ~ N(1, 0.1^2), and the flow is the identity."""
        size = self._size(layer.weight_shape)
        return {
            **ffg.root(layer, gaussians),
            MU_Z: torch.ones(size, dtype=torch.float32),
            LOG_SIGMA_Z: torch.full((size,), math.log(SIGMA_Z), dtype=torch.float32),
            **flows.identity(size, SIGMA_Z, stream_of("cpu", "flow", layer.name, str(size))),
        }

    def start(self, prior: Tensors, weight: Tensor, log_sigma_start: float) -> dict[str, Tensor]:
        """As ffg, with the z of the prior."""
        return {**{key: tensor.clone() for key, tensor in prior.items()}, **ffg.start(prior, weight, log_sigma_start)}

    def ready(self, p: Tensors) -> Tensors:
        """As ffg."""
        return ffg.ready(p)

    def complete(self, q: Tensors, noise: Noise, rows: int) -> Tensors:
        """The posterior with one z for each row; in variant `kernel`, for convolutions, one for each 16 rows."""
        draws = math.ceil(rows / ROWS_PER_KERNEL_DRAW) if self._is_shared(q) else rows
        z, log_density = self._drawn(q, noise(q[MU_Z].expand(draws, -1)))
        return {**q, DRAWN: z, LOG_DENSITY: log_density}

    def linear(self, layer: Weighted, q: Tensors, x: Tensor, noise: Noise) -> Tensor:
        """One random output per row: given the row's z by local reparameterization, as in ffg.

        The z scale the means only, so the variance is that of ffg.
        """
        return perturbed(self._mean_output(layer, q, x), output_variance(layer, q, x), noise)

    def kl(self, q: Tensors, p: Tensors) -> Tensor:
        """KL(q(w, z) || p(w, z)) in nats, a scalar: the mean over the draws of z in q; exact over w."""
        return self._kl(q, p, *self._over_draws(q, p))

    def kl_in_turn(self, q: Tensors, p: Tensors, *, noise: Noise, rows: int, check: Check) -> Tensor:
        """As `kl` with the draws of so many rows, of which those of few are held at once."""
        at_once = max(DRAWS_LEAST, DRAWN_MAX // len(q[MU_Z])) * (ROWS_PER_KERNEL_DRAW if self._is_shared(q) else 1)
        if rows <= at_once:
            return self.kl(self.complete(q, noise, rows), p)
        squares, excess, draws = q[MU_Z].new_zeros(()), q[MU_Z].new_zeros(()), 0
        for first in range(0, rows, at_once):
            check()
            some = self.complete(q, noise, min(at_once, rows - first))
            part, (of_part, excess_of_part) = len(some[DRAWN]), self._over_draws(some, p)
            squares, excess, draws = squares + part * of_part, excess + part * excess_of_part, draws + part
        return self._kl(q, p, squares / draws, excess / draws)

    def mean(self, q: Tensors) -> LayerWeights:
        """The means, stacked as one draw: E[z] mu, where E[z] is the mean over 1,024 draws that are always the same."""
        return LayerWeights(
            (self._mean_factor(q, self._many(q)) * q["weight.mu"]).unsqueeze(0), q["bias.mu"].unsqueeze(0)
        )

    def moments(self, q: Tensors, out: Tensor | None = None) -> WeightMoments | None:  # noqa: ARG002
        """None: the weights that share a z depend on each other, and no covariance of theirs is in closed form."""
        return None

    def draw(self, q: Tensors, samples: int, generator: torch.Generator) -> LayerWeights:
        """Independent draws of z, and of the weights given them."""
        like = q[MU_Z].new_empty(samples, len(q[MU_Z]))
        z, _ = self._drawn(q, torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype))
        off = ffg.draw({**q, "weight.mu": torch.zeros_like(q["weight.mu"])}, samples, generator)
        return off._replace(weight=off.weight + self._factor(q, z) * q["weight.mu"])

    def pool(self, terms: Terms) -> dict[str, Tensor]:
        """Given z, as ffg: the means stay multiples of z. The density of z is that of the first term."""
        return {**terms[0][1], **ffg.pool(terms)}

    def describe(self, q: Tensors, p: Tensors, start: Tensors) -> dict[str, float]:
        """As ffg, with |E[w]| over the standard deviation of w, that of z included, in the first."""
        z = self._many(q)
        mean, square = self._mean_factor(q, z), self._mean_factor(q, z.square())
        variance = (2 * q["weight.log_sigma"]).exp() + (square - mean.square()) * q["weight.mu"].square()
        snr = (mean * q["weight.mu"]).abs() / variance.sqrt()
        return {**ffg.describe(q, p, start), "snr_median": float(snr.median())}

    def _is_shared(self, q: Tensors) -> bool:
        """True where several rows have one draw."""
        return self.variant == "kernel" and q["weight.mu"].dim() > 2

    def _kl(self, q: Tensors, p: Tensors, squares: Tensor, excess: Tensor) -> Tensor:
        """The KL from what `_over_draws` says."""
        return scaled_divergence(q, p, squares) + divergence(q, p, "bias") + excess

    def _over_draws(self, q: Tensors, p: Tensors) -> tuple[Tensor, Tensor]:
        """Means over the draws of z in q: of the squares of `_factor`, and of log q(z) - log p(z)."""
        squares = self._mean_factor(q, q[DRAWN].square())
        return squares, (q[LOG_DENSITY] - _log_density(p, q[DRAWN])).sum(1).mean()

    def _size(self, weight: Shape) -> int:
        """The number of z of a layer with weights of this shape."""
        if len(weight) == 2:
            return weight[1]
        match self.variant:
            case "kernel":
                return prod(weight[:2])
            case "filter":
                return weight[0]
            case "rank1":
                return sum(weight[:2])

    def _factor(self, q: Tensors, z: Tensor) -> Tensor:
        """What z [draws, size] multiplies the means by, [draws, ...] as the weights broadcast."""
        shape = q["weight.mu"].shape
        if len(shape) == 2:
            return z.unsqueeze(1)
        match self.variant:
            case "kernel":
                return z.view(-1, *shape[:2], 1, 1)
            case "filter":
                return z.view(-1, shape[0], 1, 1, 1)
            case "rank1":
                of_filters, of_channels = z[:, : shape[0]], z[:, shape[0] :]
                return (of_filters.unsqueeze(2) * of_channels.unsqueeze(1)).unsqueeze(3).unsqueeze(4)

    def _mean_factor(self, q: Tensors, z: Tensor) -> Tensor:
        """The mean of `_factor` over the draws."""
        shape = q["weight.mu"].shape
        if self.variant != "rank1" or len(shape) == 2:
            return self._factor(q, z.mean(0, keepdim=True))[0]
        of_filters, of_channels = z[:, : shape[0]], z[:, shape[0] :]
        return (of_filters.T @ of_channels / len(z)).unsqueeze(2).unsqueeze(3)

    def _mean_output(self, layer: Weighted, q: Tensors, x: Tensor) -> Tensor:
        """The mean of each row's output, given its z."""
        z, mu, bias = q[DRAWN], q["weight.mu"], q["bias.mu"]
        if isinstance(layer.layer, Dense):
            return apply(layer, x * z, mu, bias)
        match self.variant:
            case "kernel":
                parts = zip(x.tensor_split(len(z)), self._factor(q, z), strict=True)
                return torch.cat([apply(layer, part, mu * factor, bias) for part, factor in parts])
            case "filter":
                of_filters = z
            case "rank1":
                of_filters, of_channels = z[:, : len(mu)], z[:, len(mu) :]
                x = x * of_channels.repeat(1, layer.groups).unsqueeze(2).unsqueeze(3)
        output, of_filters = apply(layer, x, mu, None), of_filters.unsqueeze(2).unsqueeze(3)
        return torch.addcmul(bias.view(-1, 1, 1), output, of_filters) if layer.is_biased else output * of_filters

    def _drawn(self, q: Tensors, epsilon: Tensor) -> tuple[Tensor, Tensor]:
        """Z from noise [draws, size], and what each of its entries adds to log q(z), less a constant."""
        mapped = flows.forward(q, q[MU_Z] + q[LOG_SIGMA_Z].exp() * epsilon)
        return mapped.z, -0.5 * epsilon.square() - q[LOG_SIGMA_Z] - mapped.log_scale

    def _many(self, q: Tensors) -> Tensor:
        """1,024 draws of z in pairs that lie opposite each other, always the same for the same q."""
        like = q[MU_Z]
        stream = stream_of(like.device, "mean of z")
        epsilon = torch.randn((MEAN_PAIRS, len(like)), generator=stream, device=like.device, dtype=like.dtype)
        return self._drawn(q, torch.cat([epsilon, -epsilon]))[0]


def _log_density(p: Tensors, z: Tensor) -> Tensor:
    """What each entry of z [draws, size] adds to log p(z), less the same constant; by the inverse of the flow of p."""
    mapped = flows.inverse(p, z)
    epsilon = (mapped.z - p[MU_Z]) * (-p[LOG_SIGMA_Z]).exp()
    return -0.5 * epsilon.square() - p[LOG_SIGMA_Z] + mapped.log_scale

r"""Coupling flows: maps of vectors z that are inverted exactly, at the price of the map itself.

A coupling keeps the entries of z that its mask says, b, and scales and shifts the others by what those tell:

.. math:: h = \tanh(A (b \cdot (z - 1)) + a), \quad
    z' = z \, e^{(1-b) \cdot \tanh(c (V h + v))} + (1-b) \cdot c (T h + t), \quad c = 0.1

The log of a scale is between -1 and 1, so the inverse is as well-behaved as the map; masks come in complementary pairs
and never change, so a flow stays the same map after it was stored. Where V, v, T and t are 0 it is the identity. With
c a step of Adam on all of them moves z about as far as a step on the mean of z; without it the flow would run ahead.

Source: Dinh, Sohl-Dickstein, Bengio 2017, "Density Estimation using Real NVP", eq. 7 to 9.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.families.parts import Tensors
from bayes.layers import Shape

COUPLINGS = 4
HIDDEN = 16
SCALE = 0.1
MASK, INNER, INNER_BIAS, OUTER, OUTER_BIAS = (
    f"flow.{key}" for key in ("mask", "inner", "inner_bias", "outer", "outer_bias")
)


class Mapped(NamedTuple):
    """Vectors after a map, and what each entry adds to the log of its determinant; both [draws, size]."""

    z: Tensor
    log_scale: Tensor


def shapes(size: int) -> dict[str, Shape]:
    """The tensors of a flow of vectors of this size; `outer` has the rows of V and then those of T."""
    return {
        MASK: (COUPLINGS, size),
        INNER: (COUPLINGS, HIDDEN, size),
        INNER_BIAS: (COUPLINGS, HIDDEN),
        OUTER: (COUPLINGS, 2 * size, HIDDEN),
        OUTER_BIAS: (COUPLINGS, 2 * size),
    }


def identity(size: int, sigma: float, generator: torch.Generator) -> dict[str, Tensor]:
    """A flow that changes nothing yet, for vectors about 1 whose entries deviate by sigma."""
    masks = []
    for _ in range(COUPLINGS // 2):
        kept = torch.zeros(size, dtype=torch.float32)
        kept[torch.randperm(size, generator=generator)[: size // 2]] = 1
        masks += [kept, 1 - kept]
    inner = torch.randn((COUPLINGS, HIDDEN, size), generator=generator, dtype=torch.float32) / (
        sigma * math.sqrt(max(1, size / 2))
    )
    zeros = {key: torch.zeros(shape, dtype=torch.float32) for key, shape in shapes(size).items()}
    return {**zeros, MASK: torch.stack(masks), INNER: inner}


def forward(flow: Tensors, z: Tensor) -> Mapped:
    """The flow of z [draws, size]."""
    total = torch.zeros_like(z)
    for coupling in _couplings(flow):
        log_scale, shift = coupling(z)
        z, total = torch.addcmul(shift, z, log_scale.exp()), total + log_scale
    return Mapped(z, total)


def inverse(flow: Tensors, z: Tensor) -> Mapped:
    """What the flow maps to z [draws, size]."""
    total = torch.zeros_like(z)
    for coupling in reversed([*_couplings(flow)]):
        log_scale, shift = coupling(z)
        z, total = (z - shift) * (-log_scale).exp(), total - log_scale
    return Mapped(z, total)


class _Coupling(NamedTuple):
    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor

    def __call__(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The log of the scale and the shift of every entry; both are 0 for the kept ones, which they depend on."""
        hidden = F.linear(z - 1, self.inner, self.inner_bias).tanh()
        raw, shift = F.linear(hidden, self.outer, self.outer_bias).chunk(2, 1)
        return raw.tanh(), shift


def _couplings(flow: Tensors) -> Iterator[_Coupling]:
    """The couplings, with 0 for what their masks forbid."""
    moved = SCALE * (1 - flow[MASK]).repeat(1, 2)
    inner, outer = flow[INNER] * flow[MASK].unsqueeze(1), flow[OUTER] * moved.unsqueeze(2)
    for parts in zip(inner, flow[INNER_BIAS], outer, flow[OUTER_BIAS] * moved, strict=True):
        yield _Coupling(*parts)

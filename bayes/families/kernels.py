"""Of correlated weights in kernels: the variance of a convolution's outputs, and a norm of their KL."""

from math import prod
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.autograd.function import once_differentiable

from bayes.layers import Conv, Network, Shape, Weighted, apply


class Covariance(torch.autograd.Function):
    """L L^T of each factor [kernels, area, area]: its entries on and below the diagonal, [kernels, pairs], row by row.

    Those below count twice, as they stand for those above.
    """

    @staticmethod
    def forward(ctx: Any, factor: Tensor) -> Tensor:  # noqa: ANN401
        at, counts = _pairs(factor)
        ctx.save_for_backward(factor)
        return torch.bmm(factor, factor.mT).flatten(1).index_select(1, at).mul_(counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        (factor,) = ctx.saved_tensors
        at, counts = _pairs(factor)
        below = torch.zeros_like(factor).flatten(1).index_copy_(1, at, gradient * counts).view_as(factor)
        return torch.bmm(below, factor).add_(torch.bmm(below.mT, factor))


class SquaresBelow(torch.autograd.Function):
    """The sum of the squares below the diagonals of inverse @ factor, two stacks of triangles [kernels, area, area]."""

    @staticmethod
    def forward(ctx: Any, inverse: Tensor, factor: Tensor) -> Tensor:  # noqa: ANN401
        below = torch.bmm(inverse, factor).tril_(-1)
        ctx.save_for_backward(inverse, below)
        return below.flatten().dot(below.flatten())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:  # noqa: ANN401
        inverse, below = ctx.saved_tensors
        return None, torch.bmm(inverse.mT, below).mul_(2 * gradient)


def squares_below(inverse: Tensor, factor: Tensor) -> Tensor:
    """The sum of the squares below the diagonals of inverse @ factor, [kernels, area, area] each; a scalar."""
    return cast("Tensor", SquaresBelow.apply(inverse, factor))


def covariance(factor: Tensor) -> Tensor:
    """L L^T of every kernel as `Covariance` has it; gradients reach the factor."""
    return cast("Tensor", Covariance.apply(factor))


def variance(layer: Weighted, factor: Tensor, x: Tensor) -> Tensor:
    """The variance that kernels mu + L epsilon give to the outputs for x, [rows, filters, height, width].

    `factor` is the L of every kernel, [filters * channels, area, area]. Gradients reach it alone.
    """
    return variance_by(layer, covariance(factor), x.detach())


def variance_by(layer: Weighted, covariance: Tensor, x: Tensor) -> Tensor:
    r"""The same from the covariances of every kernel, packed.

    .. math:: \sum_c u_c^T L_c L_c^T u_c

    with u_c the patch of channel c under the kernel. The pairs of a patch's numbers are multiplied once for all
    filters.
    """
    assert isinstance(layer.layer, Conv)
    kernel, padding, stride = layer.layer.kernel, layer.layer.padding, layer.layer.stride
    (filters, channels), groups = layer.weight_shape[:2], layer.groups
    patches = F.unfold(x, kernel, padding=padding, stride=stride)
    patches = patches.view(len(x), groups, channels, kernel**2, -1).permute(1, 2, 3, 0, 4).flatten(3)
    outputs = torch.bmm(covariance.view(groups, filters // groups, -1), _products(patches).flatten(1, 2))
    return outputs.clamp(min=0.0).view(filters, len(x), *_sides(layer.layer, x)).transpose(0, 1)


def products_per_row(layer: Weighted, x: Tensor) -> int:
    """How many products of numbers in a patch `variance_by` makes of each row of x [rows, channels, height, width]."""
    assert isinstance(layer.layer, Conv)
    area = layer.layer.kernel**2
    return layer.inputs * area * (area + 1) // 2 * prod(_sides(layer.layer, x))


def most_products_per_row(network: Network, input_shape: Shape) -> int:
    """The most of them that a convolution of the network makes of a row, whose kernels are of more than one weight."""
    most = 0

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        nonlocal most
        if isinstance(layer.layer, Conv) and layer.layer.kernel > 1:
            most = max(most, products_per_row(layer, x))
        weight, bias = (torch.empty(shape, device="meta") for shape in (layer.weight_shape, layer.bias_shape))
        return apply(layer, x, weight, bias)

    network.run(torch.empty((1, *input_shape), device="meta"), linear, lambda _, x: x)
    return most


def _sides(layer: Conv, x: Tensor) -> list[int]:
    return [(side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in x.shape[2:]]


def _products(patches: Tensor) -> Tensor:
    """The product of every number with those up to it, [groups, channels, pairs, n], of [groups, channels, area, n]."""
    area = patches.shape[2]
    products = patches.new_empty(*patches.shape[:2], area * (area + 1) // 2, patches.shape[3])
    for one in range(area):
        row = products.narrow(2, one * (one + 1) // 2, one + 1)
        torch.mul(patches[:, :, one : one + 1], patches[:, :, : one + 1], out=row)
    return products


def _pairs(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Where the entries on and below the diagonal are in a flat square, and how often each counts."""
    one, other = torch.tril_indices(*factor.shape[1:], device=factor.device)
    return one * factor.shape[2] + other, 2 - (one == other).to(factor)

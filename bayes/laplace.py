"""How sharply old rows hold each weight of a net: the diagonal of their Fisher information."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import assert_never

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from bayes.errors import InvalidInputs
from bayes.layers import NO_FIXED, Conv, Dense, Network, Shape, Weighted, apply, forward
from bayes.outputs import Categorical, Gaussian, Output

NUMBERS_MAX = 2**24
"""The most numbers in a tensor made on the way, unless those of a single row are more: 64 MiB in float32."""
PATCHES_MAX = 2**26
"""The most numbers of the patches under a convolution's positions that are held at once: 256 MiB in float32."""


@dataclass(frozen=True)
class Likelihood:
    """Where labels come from: an output, and the noise of a Gaussian one, [dims], in units of the net's outputs."""

    output: Output
    noise: Tensor | None = None

    def slopes(self, outputs: Tensor, generator: torch.Generator) -> Tensor:
        """The gradient of -log p(y) by the outputs [rows, units], for one label y of each row drawn from the net.

        A Gaussian label is drawn one standard deviation off, up or down, so that its square is exact.
        """
        match self.output:
            case Categorical():
                probabilities = outputs.softmax(1)
                drawn = torch.multinomial(probabilities, 1, generator=generator)
                return probabilities.scatter_add(1, drawn, torch.full_like(probabilities[:, :1], -1.0))
            case Gaussian():
                assert self.noise is not None
                signs = torch.randint(0, 2, outputs.shape, generator=generator).to(outputs) * 2 - 1
                return signs / self.noise
            case _:
                assert_never(self.output)


Weights = Mapping[str, tuple[Tensor, Tensor]]
"""The weight and the bias of each layer, by its name."""


@dataclass(frozen=True)
class Seen:
    """What a weighted layer took and gave for some rows."""

    layer: Weighted
    inputs: Tensor
    outputs: Tensor


def fisher(
    network: Network,
    weights: Weights,
    x: Tensor,
    *,
    likelihood: Likelihood,
    importance: Tensor | None = None,
    fixed: Mapping[str, Tensor] = NO_FIXED,
    generator: torch.Generator,
    check: Callable[[], None] = lambda: None,
) -> dict[str, tuple[Tensor, Tensor]]:
    r"""The diagonal Fisher information of the rows x [rows, *shape] at these weights, summed over the rows; float64.

    .. math:: F_{ii} = \sum_n E_{y \sim p(y | x_n, w)} \Big( \frac{\partial \log p(y | x_n, w)}{\partial w_i} \Big)^2

    The expectation is that of one label for each row, drawn from the net itself: labels as they were observed give
    another matrix, which vanishes where the net fits them. For one Gaussian label it is exact. Every row is squared by
    itself, as squares of means over rows are something else. `importance` [rows] says how much each row counts.
    `check` is called before every slice of rows, and of positions where a row has many; what it raises ends the work.

    Raises:
        InvalidInputs: the net's outputs are not finite.

    Source: Martens 2020, "New Insights and Perspectives on the Natural Gradient Method", sections 5 and 11; this is
    the generalized Gauss-Newton matrix of softmax and Gaussian outputs.
    """
    sums = {layer.name: (_zeros(layer.weight_shape), _zeros(layer.bias_shape)) for layer in network.weighted}
    factors = torch.ones(len(x), dtype=torch.float32) if importance is None else importance.sqrt()
    slice_rows = _slice_rows(network)
    for part, factor in zip(torch.split(x, slice_rows), torch.split(factors, slice_rows), strict=True):
        check()
        outputs, seen = _passed(network, weights, part, fixed)
        if not bool(outputs.isfinite().all()):
            raise InvalidInputs("a row or a weight is so large that the net's outputs are not finite")
        slopes = likelihood.slopes(outputs.detach(), generator) * factor.to(outputs).unsqueeze(1)
        gradients = torch.autograd.grad(outputs, [one.outputs for one in seen], slopes)
        for one, gradient in zip(seen, gradients, strict=True):
            weight, bias = sums[one.layer.name]
            by_weight, by_bias = _squares(one.layer, one.inputs, gradient, check)
            weight.add_(by_weight)
            bias.add_(by_bias[: len(bias)])
    return sums


def log_sigma_after(information: Tensor, prior_log_sigma: Tensor, beta: float) -> Tensor:
    r"""The log of the width that the information leaves, tempered as rows of an update are: each counts 1 / beta times.

    .. math:: s_i^{-2} = F_{ii} / \beta + s_0^{-2}

    Source: the diagonal Laplace approximation (MacKay 1992), with the generalized Gauss-Newton matrix for the Hessian.
    """
    precision = information / beta + (-2 * prior_log_sigma.double()).exp()
    return (-0.5 * precision.log()).to(prior_log_sigma.dtype)


def _passed(network: Network, weights: Weights, x: Tensor, fixed: Mapping[str, Tensor]) -> tuple[Tensor, list[Seen]]:
    """The net's outputs for rows x, and what each layer did on the way."""
    seen: list[Seen] = []

    def linear(layer: Weighted, x: Tensor) -> Tensor:
        outputs = apply(layer, x, *weights[layer.name]).requires_grad_()
        seen.append(Seen(layer, x.detach(), outputs))
        return outputs

    return forward(network, x, linear, fixed), seen


def _squares(layer: Weighted, x: Tensor, gradient: Tensor, check: Callable[[], None]) -> tuple[Tensor, Tensor]:
    """The squares of every row's own gradient by weight and bias, summed over the rows.

    From the layer's inputs x and the gradient by its outputs.
    """
    match layer.layer:
        case Dense():
            return gradient.square().T @ x.square(), gradient.square().sum(0)
        case Conv():
            by_row = _by_row(layer, x, gradient, check)
            return by_row.square().sum(0).view(layer.weight_shape), gradient.sum((2, 3)).square().sum(0)


def _by_row(layer: Weighted, x: Tensor, gradient: Tensor, check: Callable[[], None]) -> Tensor:
    """Every row's own gradient by a convolution's weights, [rows, groups, filters of a group, weights of a filter].

    Of many positions it is summed over parts of them, whose patches are held one after the other.
    """
    assert isinstance(layer.layer, Conv)
    kernel, padding, stride = layer.layer.kernel, layer.layer.padding, layer.layer.stride
    rows, channels = x.shape[:2]
    height, width = gradient.shape[2:]
    at_once = max(1, PATCHES_MAX // (rows * channels * kernel**2))
    if height * width <= at_once:
        patches = _grouped(layer, F.unfold(x, kernel, padding=padding, stride=stride))
        return _grouped(layer, gradient.flatten(2)) @ patches.mT
    padded, sums = F.pad(x, (padding,) * 4), x.new_zeros(())
    across = min(width, at_once)
    down = max(1, at_once // across)
    for top, left in product(range(0, height, down), range(0, width, across)):
        check()
        part = gradient[:, :, top : top + down, left : left + across]
        below, beside = (stride * (side - 1) + kernel for side in part.shape[2:])
        under = padded[:, :, stride * top :, stride * left :][:, :, :below, :beside]
        sums = sums + _grouped(layer, part.flatten(2)) @ _grouped(layer, F.unfold(under, kernel, stride=stride)).mT
    return sums


def _grouped(layer: Weighted, x: Tensor) -> Tensor:
    """[rows, channels, positions] as [rows, groups, channels of the group, positions]."""
    return x.reshape(len(x), layer.groups, -1, x.shape[-1])


def _zeros(shape: Shape) -> Tensor:
    return torch.zeros(shape, dtype=torch.float64)


def _slice_rows(network: Network) -> int:
    """How many rows at once keep the tensors made on the way within bounds."""
    kernels = [layer.layer.kernel**2 for layer in network.weighted if isinstance(layer.layer, Conv)]
    largest = max(math.prod(layer.weight_shape) for layer in network.weighted)
    return max(1, NUMBERS_MAX // max(largest, network.width * max(kernels, default=1)))

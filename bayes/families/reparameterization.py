"""Local reparameterization: the outputs of a layer whose weights are independent Gaussians, drawn in their place.

Source: Kingma, Salimans, Welling 2015, "Variational Dropout and the Local Reparameterization Trick", eq. 6.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bayes.devices import CAPABILITIES
from bayes.families.parts import Noise, Tensors
from bayes.layers import Weighted, apply

VARIANCE_FLOOR = 1e-10
HALVED_WEIGHTS_MIN = 2**12
IS_HALF_FAST = bool(CAPABILITIES.get("amx_bf16"))


class Perturbed(torch.autograd.Function):
    r"""mean + sqrt(variance + 1e-10) * epsilon, where the floor keeps the gradient of the root finite.

    The second half of the rows has the noise of the first, negated. All arguments are used up: the mean becomes the
    sum, the variance and epsilon are written over.
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, variance: Tensor, epsilon: Tensor) -> Tensor:  # noqa: ANN401
        deviation, half = variance.detach().add_(VARIANCE_FLOOR).sqrt_(), len(epsilon)
        mean[:half].addcmul_(deviation[:half], epsilon)
        mean[half:].addcmul_(deviation[half:], epsilon[: len(mean) - half], value=-1)
        ctx.mark_dirty(mean)
        ctx.save_for_backward(deviation, epsilon.mul_(0.5))
        return mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        deviation, epsilon = ctx.saved_tensors
        slope, half = gradient / deviation, len(epsilon)
        slope[:half].mul_(epsilon)
        slope[half:].mul_(epsilon[: len(slope) - half]).neg_()
        return gradient, slope, None


class Squared(torch.autograd.Function):
    """The square of exp(log sigma), lying in memory as log sigma does.

    Torch's own arithmetic forgets the layout of kernels for one channel, and convolutions are slow without it.
    """

    @staticmethod
    def forward(ctx: Any, log_sigma: Tensor) -> Tensor:  # noqa: ANN401
        square = torch.mul(log_sigma, 2, out=torch.empty_like(log_sigma)).exp_()
        ctx.save_for_backward(square)
        return square

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        (square,) = ctx.saved_tensors
        return torch.mul(gradient, square).mul_(2)


def perturbed(mean: Tensor, variance: Tensor, noise: Noise) -> Tensor:
    """The sum mean + sqrt(variance + 1e-10) * epsilon; mean and variance are used up.

    The epsilon of the second half of the rows are those of the first, negated: the noise of each row is standard
    normal, at half the price. The middle one of an odd number of rows belongs to the first half.
    """
    return cast("Tensor", Perturbed.apply(mean, variance, noise(mean[: (len(mean) + 1) // 2])))


def output_variance(layer: Weighted, q: Tensors, x: Tensor) -> Tensor:
    """The variance of each output for rows x, from the log sigmas of the layer's weights and biases."""
    return variance_given(layer, x, _squared(q["weight.log_sigma"]), _squared(q["bias.log_sigma"]))


def variance_given(layer: Weighted, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The variance of each output for rows x, from those of the layer's weights and, if any, biases, all independent.

    A processor that multiplies bfloat16 many times as fast does so here, for layers large enough to gain by it: noise
    can do with three digits.
    """
    if IS_HALF_FAST and _is_worth_halving(x, weight):
        halved = None if bias is None else bias.bfloat16()
        return apply(layer, x.square().bfloat16(), weight.bfloat16(), halved).float()
    return apply(layer, x.square(), weight, bias)


def _squared(log_sigma: Tensor) -> Tensor:
    return cast("Tensor", Squared.apply(log_sigma))


def _is_worth_halving(x: Tensor, weight: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and weight.numel() >= HALVED_WEIGHTS_MIN

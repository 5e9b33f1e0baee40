"""Formulas of the factorized Gaussian with their gradients by hand: a third of the passes over memory."""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bayes.families.parts import Tensors

VARIANCE_FLOOR = 1e-10


class Perturbed(torch.autograd.Function):
    r"""mean + sqrt(variance + 1e-10) * epsilon, where the floor keeps the gradient of the root finite.

    The variance and epsilon are used up: their memory is written over.
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, variance: Tensor, epsilon: Tensor) -> Tensor:  # noqa: ANN401
        deviation = variance.detach().add_(VARIANCE_FLOOR).sqrt_()
        perturbed = torch.addcmul(mean, deviation, epsilon)
        ctx.save_for_backward(epsilon.div_(deviation))
        return perturbed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        (ratio,) = ctx.saved_tensors
        return gradient, torch.mul(gradient, ratio).mul_(0.5), None


class Divergence(torch.autograd.Function):
    r"""KL of N(mu, sigma^2) from N(m, s^2), summed: arguments mu, log sigma, m and log s.

    .. math:: \sum_i \log\frac{s_i}{\sigma_i} + \frac{\sigma_i^2 + (\mu_i - m_i)^2}{2 s_i^2} - \frac12
    """

    @staticmethod
    def forward(ctx: Any, mu: Tensor, log_sigma: Tensor, m: Tensor, log_s: Tensor) -> Tensor:  # noqa: ANN401, PLR0917
        inverse = log_s.neg().exp_()
        wider = log_sigma - log_s
        excess = torch.mul(wider, 2).expm1_()
        moved = torch.sub(mu, m).mul_(inverse)
        total = excess.sum().add_((moved * moved).sum()).mul_(0.5).sub_(wider.sum())
        ctx.save_for_backward(excess, moved.mul_(inverse))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:  # noqa: ANN401
        excess, pulled = ctx.saved_tensors
        return pulled * gradient, excess * gradient, None, None


class ScaledDivergence(torch.autograd.Function):
    """The mean of `Divergence` of N(z mu, sigma^2) from N(z m, s^2) over z with these mean squares, which broadcast."""

    @staticmethod
    def forward(ctx: Any, mu: Tensor, log_sigma: Tensor, m: Tensor, log_s: Tensor, squares: Tensor) -> Tensor:  # noqa: ANN401, PLR0917
        inverse = log_s.neg().exp_()
        wider = log_sigma - log_s
        excess = torch.mul(wider, 2).expm1_()
        moved = torch.sub(mu, m).mul_(inverse)
        by_square = (moved * moved).sum_to_size(squares.shape)
        total = excess.sum().add_((by_square * squares).sum()).mul_(0.5).sub_(wider.sum())
        ctx.save_for_backward(excess, moved.mul_(inverse).mul_(squares), by_square)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, Tensor]:  # noqa: ANN401
        excess, pulled, by_square = ctx.saved_tensors
        return pulled * gradient, excess * gradient, None, None, by_square * (0.5 * gradient)


def perturbed(mean: Tensor, variance: Tensor, epsilon: Tensor) -> Tensor:
    """The sum mean + sqrt(variance + 1e-10) * epsilon; variance and epsilon are used up."""
    return cast("Tensor", Perturbed.apply(mean, variance, epsilon))


def divergence(mu: Tensor, log_sigma: Tensor, m: Tensor, log_s: Tensor) -> Tensor:
    """KL(N(mu, sigma^2) || N(m, s^2)) in nats, summed; a scalar, exactly 0 for equal arguments."""
    return cast("Tensor", Divergence.apply(mu, log_sigma, m, log_s))


def scaled_divergence(q: Tensors, p: Tensors, squares: Tensor) -> Tensor:
    """The mean of KL(N(z mu, sigma^2) || N(z m, s^2)) of the weights in nats, summed, over z; a scalar.

    `squares` are the means of z^2, which broadcast to the weights.
    """
    at = ("weight.mu", "weight.log_sigma")
    return cast("Tensor", ScaledDivergence.apply(*(q[key] for key in at), *(p[key] for key in at), squares))

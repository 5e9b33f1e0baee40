"""KL between factorized Gaussians with its gradient by hand: a third of the passes over memory.

It goes block by block, so that what one pass leaves is still in the cache for the next.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bayes.families.parts import Tensors

BLOCK_NUMBERS = 2**17
SIGMA_INVERSE = "sigma_inverse"


class Divergence(torch.autograd.Function):
    r"""KL of N(mu, sigma^2) from N(m, s^2), summed: arguments mu, log sigma, m, log s and 1 / s.

    .. math:: \sum_i \log\frac{s_i}{\sigma_i} + \frac{\sigma_i^2 + (\mu_i - m_i)^2}{2 s_i^2} - \frac12
    """

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:  # noqa: ANN401
        mu, log_sigma = given[:2]
        pulled, excess, total = torch.empty_like(mu), torch.empty_like(log_sigma), mu.new_zeros(())
        for of in in_blocks(*given, pulled, excess):
            block_mu, block_log_sigma, m, log_s, inverse, moved, wider = of
            total -= torch.sub(block_log_sigma, log_s, out=wider).sum()
            torch.sub(block_mu, m, out=moved).mul_(inverse)
            total += 0.5 * (_excess(wider).sum() + torch.linalg.vector_norm(moved).square())
            moved.mul_(inverse)
        ctx.save_for_backward(pulled, excess)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # noqa: ANN401
        pulled, excess = ctx.saved_tensors
        return pulled.mul_(gradient), excess.mul_(gradient), None, None, None


class ScaledDivergence(torch.autograd.Function):
    """The mean of `Divergence` of N(z mu, sigma^2) from N(z m, s^2) over z with these mean squares, which broadcast."""

    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:  # noqa: ANN401
        mu, log_sigma, m, log_s, inverse, squares = given
        wider = log_sigma - log_s
        excess = _excess(wider.clone())
        moved = torch.sub(mu, m).mul_(inverse)
        by_square = (moved * moved).sum_to_size(squares.shape)
        total = excess.sum().add_((by_square * squares).sum()).mul_(0.5).sub_(wider.sum())
        ctx.save_for_backward(excess, moved.mul_(inverse).mul_(squares), by_square)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, Tensor]:  # noqa: ANN401
        excess, pulled, by_square = ctx.saved_tensors
        return pulled * gradient, excess * gradient, None, None, None, by_square * (0.5 * gradient)


def _excess(wider: Tensor) -> Tensor:
    """The ratio of the variances, less 1, from the difference of the log sigmas, in place; expm1 is slow."""
    return wider.mul_(2).exp_().sub_(1)


def sigma_inverses(p: Tensors, parts: Iterable[str] = ("weight", "bias")) -> dict[str, Tensor]:
    """1 / sigma of these parts, which a divergence from p asks for again and again."""
    return {f"{part}.{SIGMA_INVERSE}": p[f"{part}.log_sigma"].neg().exp_() for part in parts}


def divergence(q: Tensors, p: Tensors, part: str) -> Tensor:
    """KL(q || p) of this part's Gaussians in nats, summed; a scalar, exactly 0 where q is p.

    p has the part's `sigma_inverses`.
    """
    return cast("Tensor", Divergence.apply(*_arguments(q, p, part)))


def scaled_divergence(q: Tensors, p: Tensors, squares: Tensor) -> Tensor:
    """The mean of KL(N(z mu, sigma^2) || N(z m, s^2)) of the weights in nats, summed, over z; a scalar.

    `squares` are the means of z^2, which broadcast to the weights; p has `sigma_inverses`.
    """
    return cast("Tensor", ScaledDivergence.apply(*_arguments(q, p, "weight"), squares))


def _arguments(q: Tensors, p: Tensors, part: str) -> list[Tensor]:
    at = f"{part}.mu", f"{part}.log_sigma"
    return [*(q[key] for key in at), *(p[key] for key in at), p[f"{part}.{SIGMA_INVERSE}"]]


def in_blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors, which are all of one shape, in blocks of rows that a core's cache holds."""
    rows = max(1, BLOCK_NUMBERS // max(1, tensors[0][:1].numel()))
    return zip(*(torch.split(tensor, rows) for tensor in tensors), strict=True)

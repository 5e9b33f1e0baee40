"""Products of powers of Gaussians: sums of natural parameters, precision and precision times mean."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from bayes.families.parts import Tensors

Terms = Sequence[tuple[float, Tensors]]
"""Densities, each with the power it is taken to."""


def pooled(terms: Terms, parts: Iterable[str]) -> dict[str, Tensor]:
    r"""Mean and log sigma of these parts' Gaussians proportional to the product of q_k^w_k, computed in float64.

    .. math:: \frac{1}{s^2} = \sum_k \frac{w_k}{\sigma_k^2}, \quad m = s^2 \sum_k \frac{w_k \mu_k}{\sigma_k^2}

    Where powers below 0 leave a precision less than that of every term, the least precise term stands for all.
    """
    found: dict[str, Tensor] = {}
    for part in parts:
        mu, log_sigma = f"{part}.mu", f"{part}.log_sigma"
        precisions = torch.stack([(-2 * q[log_sigma].double()).exp() for _, q in terms])
        means = torch.stack([q[mu].double() for _, q in terms])
        powers = precisions.new_tensor([power for power, _ in terms]).view(-1, *[1] * (means.dim() - 1))
        precision, (least, at) = (powers * precisions).sum(0), precisions.min(0)
        mean = (powers * precisions * means).sum(0) / precision
        is_sure, like = precision >= least, terms[0][1][mu]
        found[mu] = torch.where(is_sure, mean, means.gather(0, at.unsqueeze(0))[0]).to(like)
        found[log_sigma] = (-0.5 * torch.where(is_sure, precision, least).log()).to(like)
    return found

"""Adam on everything that is learned, with a rate of its own for the log standard deviations.

Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization"; the gradients are those of local
reparameterization or of whatever noise the family has.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from bayes import likelihoods
from bayes.families import Family
from bayes.families.parts import Noise, Rate
from bayes.fixed import FIXED
from bayes.likelihoods import OWN
from bayes.objective import Batch, Objective, Parts
from bayes.recipe import Recipe

CORRELATION = 0.3


class Adam:
    """Changes the tensors of q in place; what has no rate stays."""

    def __init__(self, q: Parts, objective: Objective, recipe: Recipe, noise: Noise) -> None:
        self.q = q
        self.objective = objective
        self.noise = noise
        self._optimizer, self._rates = adam_over(learned(q, objective.rules), recipe)

    def step(self, batch: Batch, decay: float) -> Tensor:
        """One step on a minibatch, at this part of the learning rates; returns its loss, detached."""
        set_rates(self._optimizer, self._rates, decay)
        loss = self.objective.minibatch(self.q, batch, self.noise)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return loss.detach()

    def finish(self) -> None:
        """Nothing is left to do."""


def learned(q: Parts, rules: Family) -> list[tuple[Rate, Tensor]]:
    """The tensors that an update changes, each with its rate."""
    rated = [
        ((likelihoods.rate if name == OWN else rules.rate)(key), tensor)
        for name, tensors in q.items()
        if name != FIXED
        for key, tensor in tensors.items()
    ]
    return [(rate, tensor) for rate, tensor in rated if rate is not None]


def adam_over(rated: Iterable[tuple[Rate, Tensor]], recipe: Recipe) -> tuple[torch.optim.Optimizer, list[float]]:
    """Adam over these tensors, which now ask for gradients, and the rate of each of its groups."""
    groups: dict[Rate, list[Tensor]] = {}
    for rate, tensor in rated:
        groups.setdefault(rate, []).append(tensor.requires_grad_())
    rates: dict[Rate, float] = {
        "lr": recipe.lr,
        "lr_log_sigma": recipe.lr_log_sigma,
        "lr_correlation": CORRELATION * recipe.lr,
    }
    optimizer = torch.optim.Adam([{"params": group} for group in groups.values()], lr=recipe.lr, fused=True)
    return optimizer, [rates[rate] for rate in groups]


def set_rates(optimizer: torch.optim.Optimizer, rates: Iterable[float], decay: float) -> None:
    """Every group goes at this part of its rate."""
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate * decay

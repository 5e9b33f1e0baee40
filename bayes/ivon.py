r"""Variational online Newton with any diagonal Gaussian as the prior: about one deterministic step per step.

With lambda = N / beta, prior N(m_0, 1 / s_0), delta = s_0 / lambda, and q = N(m, 1 / (lambda (h + delta))):

.. math::
    \hat h = \hat g \, \varepsilon / \sigma, \quad
    h \leftarrow h + (1-\beta_2)(\hat h - h) + \tfrac12 (1-\beta_2)^2 (\hat h - h)^2 / (h + \delta), \quad
    m \leftarrow m - a \, \frac{\bar g + \delta (m - m_0)}{h + \delta}

with g the gradient of the minibatch's data term at one drawn net, and g-bar its momentum, bias-corrected.

Source: Shen et al. 2024, "Variational Learning is Effective for Large Deep Networks", alg. 1, whose prior is N(0,
1 / s_0) with one s_0 for all weights; here every weight has its own mean and precision, those of the stored posterior.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bayes.adam import adam_over, learned, set_rates
from bayes.families import FAMILIES
from bayes.families.parts import Noise, Tensors
from bayes.likelihoods import OWN
from bayes.objective import Batch, Objective, Parts
from bayes.recipe import Recipe

MOMENTUM = 0.9


@dataclass(eq=False)
class Weights:
    """One tensor of weights under descent; h and delta in units of a row's curvature."""

    mu: Tensor
    log_sigma: Tensor
    prior_mu: Tensor
    delta: Tensor
    h: Tensor
    momentum: Tensor
    drawn: Tensor
    epsilon: Tensor
    sigma: Tensor


class Ivon:
    """Changes the tensors of q, which are those of family ffg, in place; `finish` writes the log sigmas."""

    def __init__(self, q: Parts, objective: Objective, recipe: Recipe, noise: Noise) -> None:
        assert objective.rules is FAMILIES["ffg"]
        self.recipe = recipe
        self.noise = noise
        self.evidence = objective.weight / objective.beta
        self.batch_rows = objective.batch_rows
        self.steps = 0
        self.weights = {
            layer.name: {
                part: self._weights(q[layer.name], objective.prior[layer.name], part)
                for part in (("weight", "bias") if layer.is_biased else ("weight",))
            }
            for layer in objective.network.weighted
        }
        points = {
            name: {**q[name], **{f"{part}.mu": weights.drawn for part, weights in parts.items()}}
            for name, parts in self.weights.items()
        }
        self.drawn: Parts = {**q, **points}
        self.data = replace(objective, rules=FAMILIES["point"])
        own = learned({OWN: q[OWN]}, objective.rules)
        self._own = adam_over(own, recipe) if own else None

    def step(self, batch: Batch, decay: float) -> Tensor:
        """One step on a minibatch, at this part of the learning rates; returns the drawn net's loss, detached."""
        each = [weights for parts in self.weights.values() for weights in parts.values()]
        self.steps += 1
        with torch.no_grad():
            for weights in each:
                self._draw(weights)
        loss = self.data.minibatch(self.drawn, batch, self.noise)
        torch.autograd.backward(loss)
        if self._own is not None:
            optimizer, rates = self._own
            set_rates(optimizer, rates, decay)
            optimizer.step()
            optimizer.zero_grad()
        part = len(batch.labels) / self.batch_rows
        with torch.no_grad():
            for weights in each:
                self._learn(weights, part, decay)
        return loss.detach()

    @torch.no_grad()
    def finish(self) -> None:
        """The log standard deviations of q are those that the curvature gives."""
        for parts in self.weights.values():
            for weights in parts.values():
                weights.log_sigma.copy_((weights.h + weights.delta).mul_(self.evidence).log_().mul_(-0.5))

    def _weights(self, q: Tensors, p: Tensors, part: str) -> Weights:
        mu, log_sigma = q[f"{part}.mu"], q[f"{part}.log_sigma"]
        delta = (-2 * p[f"{part}.log_sigma"]).exp_().div_(self.evidence)
        return Weights(
            mu=mu,
            log_sigma=log_sigma,
            prior_mu=p[f"{part}.mu"],
            delta=delta,
            h=(-2 * log_sigma).exp_().div_(self.evidence).sub_(delta).clamp_(min=0.0),
            momentum=torch.zeros_like(mu),
            drawn=mu.clone().requires_grad_(),
            epsilon=torch.zeros_like(mu),
            sigma=torch.ones_like(mu),
        )

    def _draw(self, weights: Weights) -> None:
        weights.epsilon = self.noise(weights.mu)
        torch.add(weights.h, weights.delta, out=weights.sigma).mul_(self.evidence).rsqrt_()
        torch.addcmul(weights.mu, weights.sigma, weights.epsilon, out=weights.drawn)
        weights.drawn.grad = None

    def _learn(self, weights: Weights, part: float, decay: float) -> None:
        """`part`: how much of a whole minibatch the last one was."""
        gradient, decayed = weights.drawn.grad, 1 - self.recipe.curvature_decay
        assert gradient is not None
        curvature = weights.h + weights.delta
        weights.momentum.mul_(MOMENTUM).add_(gradient, alpha=1 - MOMENTUM)
        off = weights.epsilon.div_(weights.sigma).mul_(gradient).sub_(weights.h, alpha=part)
        weights.h.add_(off, alpha=decayed).addcdiv_(off.square_(), curvature, value=decayed**2 / 2)
        torch.add(weights.h, weights.delta, out=curvature)
        rate, corrected = self.recipe.lr * decay, 1 - MOMENTUM**self.steps
        pulled = (weights.mu - weights.prior_mu).mul_(weights.delta).mul_(part)
        weights.mu.addcdiv_(pulled.add_(weights.momentum, alpha=1 / corrected), curvature, value=-rate)

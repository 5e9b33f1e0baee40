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
from typing import NamedTuple

import torch
from torch import Tensor

from bayes.adam import adam_over, learned, set_rates
from bayes.families import FAMILIES
from bayes.families.gaussian_kl import in_blocks
from bayes.families.parts import Noise, Tensors
from bayes.likelihoods import OWN
from bayes.objective import Batch, Objective, Parts
from bayes.recipe import Recipe

MOMENTUM = 0.9
STEP_MAX = 0.1


@dataclass(frozen=True)
class Pace:
    """What a step asks of all weights.

    Attributes:
        evidence: lambda.
        kept: the part of the curvature estimate that stays.
        rate: the learning rate times lambda.
        corrected: what the momentum is divided by, being young.
        part: rows of the minibatch over those of a full one.
    """

    evidence: float
    kept: float
    rate: float
    corrected: float
    part: float


class Block(NamedTuple):
    """As many of a tensor's weights as a core's cache holds; h and delta in units of a row's curvature, sigma of q."""

    mu: Tensor
    prior_mu: Tensor
    delta: Tensor
    h: Tensor
    sigma: Tensor
    momentum: Tensor

    def learn(self, gradient: Tensor, epsilon: Tensor, pace: Pace) -> None:
        """The block has heard the gradient at mu + sigma epsilon; epsilon is used up."""
        off = epsilon.mul_(gradient).div_(self.sigma).sub_(self.h, alpha=pace.part)
        self.momentum.mul_(MOMENTUM).add_(gradient, alpha=1 - MOMENTUM)
        self._curve(off, pace)
        self._move(pace)

    def _curve(self, off: Tensor, pace: Pace) -> None:
        """The curvature, and sigma with it, has gone towards an estimate that is off by this much."""
        curvature, new = torch.add(self.h, self.delta, out=self.sigma), 1 - pace.kept
        self.h.add_(off, alpha=new).addcdiv_(off.square_(), curvature, value=new**2 / 2)
        torch.add(self.h, self.delta, out=self.sigma).mul_(pace.evidence).rsqrt_()

    def _move(self, pace: Pace) -> None:
        """The mean has gone against the momentum and towards the prior, at most STEP_MAX sigmas."""
        pull = (self.mu - self.prior_mu).mul_(self.delta).mul_(pace.part)
        step = pull.add_(self.momentum, alpha=1 / pace.corrected).mul_(self.sigma).mul_(pace.rate)
        self.mu.addcmul_(step.clamp_(-STEP_MAX, STEP_MAX), self.sigma, value=-1)


@dataclass(eq=False)
class Weights:
    """One tensor of weights under descent: in whole, and its blocks, which are views of the same numbers."""

    mu: Tensor
    log_sigma: Tensor
    sigma: Tensor
    drawn: Tensor
    epsilon: Tensor
    blocks: list[Block]

    @classmethod
    def of(cls, q: Tensors, p: Tensors, part: str, *, evidence: float) -> "Weights":
        mu, log_sigma, prior_mu = q[f"{part}.mu"], q[f"{part}.log_sigma"], p[f"{part}.mu"]
        delta = (-2 * p[f"{part}.log_sigma"]).exp_().div_(evidence)
        h = (-2 * log_sigma).exp_().div_(evidence).sub_(delta).clamp_(min=0.0)
        sigma = (h + delta).mul_(evidence).rsqrt_()
        blocks = in_blocks(mu, prior_mu, delta, h, sigma, torch.zeros_like(mu))
        return cls(mu, log_sigma, sigma, mu.clone().requires_grad_(), mu, [Block(*of) for of in blocks])

    def draw(self, noise: Noise) -> None:
        self.epsilon = noise(self.mu)
        torch.addcmul(self.mu, self.sigma, self.epsilon, out=self.drawn)
        self.drawn.grad = None

    def learn(self, pace: Pace) -> None:
        assert self.drawn.grad is not None
        for block, (gradient, epsilon) in zip(self.blocks, in_blocks(self.drawn.grad, self.epsilon), strict=True):
            block.learn(gradient, epsilon, pace)


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
                part: Weights.of(q[layer.name], objective.prior[layer.name], part, evidence=self.evidence)
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
                weights.draw(self.noise)
        loss = self.data.minibatch(self.drawn, batch, self.noise)
        torch.autograd.backward(loss)
        if self._own is not None:
            optimizer, rates = self._own
            set_rates(optimizer, rates, decay)
            optimizer.step()
            optimizer.zero_grad()
        pace = Pace(
            evidence=self.evidence,
            kept=self.recipe.curvature_decay,
            rate=self.recipe.lr * decay * self.evidence,
            corrected=1 - MOMENTUM**self.steps,
            part=len(batch.labels) / self.batch_rows,
        )
        with torch.no_grad():
            for weights in each:
                weights.learn(pace)
        return loss.detach()

    @torch.no_grad()
    def finish(self) -> None:
        """The log standard deviations of q are those that the curvature gives."""
        for parts in self.weights.values():
            for weights in parts.values():
                weights.log_sigma.copy_(weights.sigma.log_())

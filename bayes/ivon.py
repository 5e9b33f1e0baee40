r"""Variational online Newton with any diagonal Gaussian as the prior: about one deterministic step per step.

With lambda = N / beta, prior N(m_0, 1 / s_0), and q = N(m, 1 / s), of which the posterior is where u is 0 on average:

.. math::
    u = \lambda \sigma \varepsilon (g - \bar g') + \frac{s_0}{s} - 1, \quad
    s \leftarrow s \, (1 + b u + \tfrac12 b^2 u^2), \quad
    m \leftarrow m - a \, \frac{\lambda \bar g + s_0 (m - m_0)}{s}

with g the gradient of the minibatch's data term at the net drawn with the noise epsilon, g-bar its momentum,
bias-corrected, and g-bar' that of the step before. Both a and b fall with the learning rate.

Source: Shen et al. 2024, "Variational Learning is Effective for Large Deep Networks", alg. 1, in terms of the
precision s = lambda (h + delta). There the prior is N(0, 1 / s_0) with one s_0 for all weights; here every weight has
its own mean and precision, those of the stored posterior. There u has no g-bar', which changes nothing on average, as
it is known before epsilon; far from the optimum g-bar is most of g, and drowns the curvature. There b is constant, and
u^2 holds s too high for good. And there neither u nor the step is bounded.
"""

import math
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
NEWTON = 0.03
# The most that u is taken for: so many times its scatter at an optimum, and no less than so much.
SURPRISES, SURPRISE = 3.0, 10.0


@dataclass(frozen=True)
class Pace:
    """What a step asks of all weights.

    Attributes:
        evidence: lambda.
        rate: a, the part of a Newton step.
        step_most: the most that a mean moves.
        curving: b, what a step takes of the new curvature.
        curving_most: the most that b u is taken for.
        corrected: what the momentum is divided by, being young.
        expected: what the momentum before this step is divided by.
        part: rows of the minibatch over those of a full one.
    """

    evidence: float
    rate: float
    step_most: float
    curving: float
    curving_most: float
    corrected: float
    expected: float
    part: float

    @classmethod
    def at(cls, step: int, recipe: Recipe, objective: Objective, *, decay: float, rows: int) -> "Pace":
        """The pace of step 1, 2, ... on a minibatch of this many rows, at this part of the rates.

        The first step leaves the curvature alone: nothing is expected of its gradient yet. At an optimum the choice of
        the minibatch's rows scatters u by the root of lambda over their number.
        """
        evidence = objective.weight / objective.beta
        scatter = math.sqrt(evidence / objective.batch_rows)
        curving = (1 - recipe.curvature_decay) * decay if step > 1 else 0.0
        return cls(
            evidence=evidence,
            rate=NEWTON * decay,
            step_most=recipe.lr * decay,
            curving=curving,
            curving_most=curving * max(SURPRISE, SURPRISES * scatter),
            corrected=1 - MOMENTUM**step,
            expected=1 - MOMENTUM ** max(1, step - 1),
            part=rows / objective.batch_rows,
        )


class Block(NamedTuple):
    """As many of a tensor's weights as a core's cache holds; the prior's precision, and sigma of q."""

    mu: Tensor
    prior_mu: Tensor
    prior_precision: Tensor
    sigma: Tensor
    momentum: Tensor

    def learn(self, gradient: Tensor, epsilon: Tensor, pace: Pace) -> None:
        """The block has heard the gradient at mu + sigma epsilon; epsilon is used up."""
        surprise = torch.sub(gradient, self.momentum, alpha=pace.part / pace.expected)
        self.momentum.lerp_(gradient, 1 - MOMENTUM)
        self._curve(epsilon.mul_(surprise), pace)
        self._move(pace)

    def _curve(self, slope: Tensor, pace: Pace) -> None:
        """Sigma has gone where the slope, epsilon times what was not expected of the gradient, says; it is used up."""
        slope.addcmul_(self.prior_precision, self.sigma, value=pace.part / pace.evidence).mul_(self.sigma)
        grown = slope.mul_(pace.curving * pace.evidence).add_(1 - pace.curving * pace.part)
        grown.clamp_(1 - pace.curving_most, 1 + pace.curving_most)
        # 1 + x + x^2 / 2 = ((1 + x)^2 + 1) / 2.
        self.sigma.mul_(grown.square_().add_(1).mul_(0.5).rsqrt_())

    def _move(self, pace: Pace) -> None:
        """The mean has gone against the momentum and towards the prior, as far as a step may."""
        pull = torch.sub(self.mu, self.prior_mu).mul_(self.prior_precision)
        step = pull.add_(self.momentum, alpha=pace.evidence / pace.corrected / pace.part).mul_(self.sigma)
        self.mu.sub_(step.mul_(self.sigma).mul_(pace.rate * pace.part).clamp_(-pace.step_most, pace.step_most))


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
    def of(cls, q: Tensors, p: Tensors, part: str) -> "Weights":
        mu, log_sigma, prior_mu = q[f"{part}.mu"], q[f"{part}.log_sigma"], p[f"{part}.mu"]
        precision, sigma = (-2 * p[f"{part}.log_sigma"]).exp_(), log_sigma.exp()
        blocks = in_blocks(mu, prior_mu, precision, sigma, torch.zeros_like(mu))
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
        self.steps = 0
        self.weights = {
            layer.name: {
                part: Weights.of(q[layer.name], objective.prior[layer.name], part)
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
        pace = Pace.at(self.steps, self.recipe, self.data, decay=decay, rows=len(batch.labels))
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

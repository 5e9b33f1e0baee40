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
STEP_MAX = 0.3


@dataclass(eq=False)
class Weights:
    """One tensor of weights under descent; h and delta in units of a row's curvature, sigma that of q."""

    mu: Tensor
    log_sigma: Tensor
    prior_mu: Tensor
    delta: Tensor
    h: Tensor
    sigma: Tensor
    momentum: Tensor
    drawn: Tensor
    epsilon: Tensor

    @classmethod
    def of(cls, q: Tensors, p: Tensors, part: str, *, evidence: float) -> "Weights":
        mu, log_sigma = q[f"{part}.mu"], q[f"{part}.log_sigma"]
        delta = (-2 * p[f"{part}.log_sigma"]).exp_().div_(evidence)
        h = (-2 * log_sigma).exp_().div_(evidence).sub_(delta).clamp_(min=0.0)
        return cls(
            mu=mu,
            log_sigma=log_sigma,
            prior_mu=p[f"{part}.mu"],
            delta=delta,
            h=h,
            sigma=(h + delta).mul_(evidence).rsqrt_(),
            momentum=torch.zeros_like(mu),
            drawn=mu.clone().requires_grad_(),
            epsilon=torch.zeros_like(mu),
        )

    def draw(self, noise: Noise) -> None:
        self.epsilon = noise(self.mu)
        torch.addcmul(self.mu, self.sigma, self.epsilon, out=self.drawn)
        self.drawn.grad = None

    def curve(self, decay: float, part: float, *, evidence: float) -> None:
        """The estimate of the curvature, and sigma with it, have heard the gradient at the drawn weights."""
        assert self.drawn.grad is not None
        off = self.epsilon.div_(self.sigma).mul_(self.drawn.grad).sub_(self.h, alpha=part)
        curvature = torch.add(self.h, self.delta, out=self.sigma)
        self.h.add_(off, alpha=1 - decay).addcdiv_(off.square_(), curvature, value=(1 - decay) ** 2 / 2)
        torch.add(self.h, self.delta, out=self.sigma).mul_(evidence).rsqrt_()

    def move(self, rate: float, part: float, corrected: float) -> None:
        """The mean has gone against the gradient and towards the prior, at most STEP_MAX sigmas."""
        assert self.drawn.grad is not None
        self.momentum.mul_(MOMENTUM).add_(self.drawn.grad, alpha=1 - MOMENTUM)
        pull = (self.mu - self.prior_mu).mul_(self.delta)
        step = pull.mul_(part).add_(self.momentum, alpha=1 / corrected).mul_(self.sigma).mul_(rate)
        self.mu.addcmul_(step.clamp_(-STEP_MAX, STEP_MAX), self.sigma, value=-1)


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
        part = len(batch.labels) / self.batch_rows
        rate, corrected = self.recipe.lr * decay * self.evidence, 1 - MOMENTUM**self.steps
        with torch.no_grad():
            for weights in each:
                weights.curve(self.recipe.curvature_decay, part, evidence=self.evidence)
                weights.move(rate, part, corrected)
        return loss.detach()

    @torch.no_grad()
    def finish(self) -> None:
        """The log standard deviations of q are those that the curvature gives."""
        for parts in self.weights.values():
            for weights in parts.values():
                weights.log_sigma.copy_(weights.sigma.log_())

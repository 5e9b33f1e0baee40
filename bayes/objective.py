"""What an update minimizes, as a function of the parameters, a minibatch and the noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bayes import likelihoods
from bayes.families import Family
from bayes.families.parts import Check, Noise, Tensors
from bayes.fixed import FIXED
from bayes.layers import NO_FIXED, Network, Weighted, forward
from bayes.outputs import Output

Parts = Mapping[str, Tensors]

LONG_NUMBERS = 2**20
"""A layer that takes so many numbers from its rows may take long enough to be asked for, there and back."""


class Batch(NamedTuple):
    """Rows of a chunk as the net sees them: inputs [rows, *shape], labels, weights [rows]."""

    inputs: Tensor
    labels: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Objective:
    r"""The negative bound per unit of evidence of one chunk.

    .. math:: \frac{1}{N} \sum_i w_i \, E_q[-\log p(y_i | x_i)] + \frac{\beta}{N} KL(q || p), \quad N = \sum_i w_i

    N is the weight of this chunk: not of all evidence so far, not the number of minibatches. Parameters are the
    tensors of each layer by its name, the likelihood's own under "output", and what is never learned under "fixed".
    `check` is called before every layer that may take long, on the way to its outputs and to its gradients; what it
    raises ends the work.

    Source: Kochurov et al. 2018, the sequential bound, divided by N and tempered by beta.
    """

    network: Network
    rules: Family
    output: Output
    prior: Parts
    beta: float
    rows: int
    weight: float
    batch_rows: int
    check: Check = lambda: None

    def minibatch(self, q: Parts, batch: Batch, noise: Noise) -> Tensor:
        """The loss of one step: an unbiased estimate of `whole`, times this minibatch's part of `batch_rows`.

        Over a pass the gradients add up to rows / batch_rows times the gradient of `whole`, also when the last
        minibatch is short.
        """
        part = len(batch.labels) / self.batch_rows
        q = self.complete(q, noise, len(batch.labels))
        return self.misfit(q, batch, noise) + (part * self.beta / self.weight) * self.kl(q)

    def whole(self, q: Parts, batch: Batch, noise: Noise) -> Tensor:
        """The loss of the whole chunk, given as one batch."""
        q = self.complete(q, noise, len(batch.labels))
        misfit = (batch.weights * self.nll(q, batch, noise)).sum() / self.weight
        return misfit + (self.beta / self.weight) * self.kl(q)

    def misfit(self, q: Parts, batch: Batch, noise: Noise) -> Tensor:
        """The data's part of the loss of one step; q is complete."""
        return (batch.weights * self.nll(q, batch, noise)).sum() * (self.rows / (self.weight * self.batch_rows))

    def complete(self, q: Parts, noise: Noise, rows: int) -> Parts:
        """The parameters with one draw of their auxiliary variables for so many rows."""
        names = [layer.name for layer in self.network.weighted]
        return {**q, **{name: self.rules.complete(q[name], noise, rows) for name in names}}

    def nll(self, q: Parts, batch: Batch, noise: Noise) -> Tensor:
        """The negative log likelihood of each row in nats under one draw of the noise, [rows]; q is complete."""

        def linear(layer: Weighted, x: Tensor) -> Tensor:
            if x.numel() < LONG_NUMBERS:
                return self.rules.linear(layer, q[layer.name], x, noise)
            self.check()
            outputs = self.rules.linear(layer, q[layer.name], x, noise)
            if outputs.grad_fn is not None:
                outputs.grad_fn.register_prehook(lambda _: self.check())
            return outputs

        outputs = forward(self.network, batch.inputs, linear, q.get(FIXED, NO_FIXED))
        return likelihoods.nll(self.output, q[likelihoods.OWN], outputs, batch.labels)

    def kl(self, q: Parts) -> Tensor:
        """KL(q || prior) in nats of the layers and a learned noise; a scalar. q is complete, the prior ready."""
        layers = [self.rules.kl(q[layer.name], self.prior[layer.name]) for layer in self.network.weighted]
        noise = likelihoods.kl(q[likelihoods.OWN], self.prior[likelihoods.OWN])
        return torch.stack(layers if noise is None else [*layers, noise]).sum()

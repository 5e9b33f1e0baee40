"""Linear regression with known noise and an orthogonal design: the factorized family holds the exact posterior.

The optimum is that of the product's own objective. Its expectation over the noise is a quadratic one, which the two
points +1 and -1 integrate exactly.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from bayes import Gaussian
from bayes.families.parts import Noise
from bayes.likelihoods import OWN
from bayes.objective import Batch
from tests.bayes.objectives import Parameters, linear_regression, objective

NOISE = 0.7
FEATURES = 3
NETWORK = linear_regression(FEATURES)
OUTPUT = Gaussian(dims=1, noise=NOISE)
POINTS: tuple[Noise, Noise] = (torch.ones_like, lambda like: -torch.ones_like(like))


@dataclass(frozen=True)
class Belief:
    """Mean and standard deviation of the features' weights and then the bias, [features + 1]."""

    mu: Tensor
    sigma: Tensor


PRIOR = Belief(
    torch.tensor([0.3, -0.2, 0.0, 0.1], dtype=torch.float64),
    torch.tensor([1.0, 0.5, 2.0, 0.8], dtype=torch.float64),
)


def orthogonal_rows(seed: int) -> Batch:
    """Eight rows whose features and constant are orthogonal (columns of a Hadamard matrix, scaled)."""
    two = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    hadamard = torch.kron(two, torch.kron(two, two))
    stream = torch.Generator().manual_seed(seed)
    scales = torch.rand(FEATURES, generator=stream, dtype=torch.float64) + 0.5
    labels = torch.randn(8, 1, generator=stream, dtype=torch.float64)
    return Batch(hadamard[:, 1 : 1 + FEATURES] * scales, labels, torch.ones(8, dtype=torch.float64))


def joined(*batches: Batch) -> Batch:
    return Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def exact(prior: Belief, rows: Batch, beta: float, noise: float = NOISE) -> Belief:
    """The posterior by the textbook, for the likelihood to the power 1 / beta, from the full matrices."""
    design = torch.cat([rows.inputs, torch.ones(len(rows.inputs), 1, dtype=torch.float64)], 1)
    precision = torch.diag(prior.sigma**-2) + design.T @ design / (beta * noise**2)
    covariance = torch.linalg.inv(precision)
    mean = covariance @ (prior.mu / prior.sigma**2 + design.T @ rows.labels[:, 0] / (beta * noise**2))
    return Belief(mean, covariance.diagonal().sqrt())


def parameters(mu: Tensor, log_sigma: Tensor) -> Parameters:
    own = {"location": torch.zeros(1, dtype=torch.float64), "scale": torch.ones(1, dtype=torch.float64)}
    layer = {
        "weight.mu": mu[None, :FEATURES],
        "weight.log_sigma": log_sigma[None, :FEATURES],
        "bias.mu": mu[FEATURES:],
        "bias.log_sigma": log_sigma[FEATURES:],
    }
    return {"dense1": layer, OWN: own}


def optimum(prior: Belief, rows: Batch, beta: float) -> Belief:
    """Where the product's objective is least, by Newton's method from the prior, its Hessian from differences."""
    bound = objective(NETWORK, parameters(prior.mu, prior.sigma.log()), rows.weights, beta=beta, output=OUTPUT)

    def loss(theta: Tensor) -> Tensor:
        q = parameters(theta[: FEATURES + 1], theta[FEATURES + 1 :])
        return torch.stack([bound.whole(q, rows, noise) for noise in POINTS]).mean()

    def gradient(theta: Tensor) -> Tensor:
        theta = theta.clone().requires_grad_()
        return torch.autograd.grad(loss(theta), theta)[0]

    theta = torch.cat([prior.mu, prior.sigma.log()])
    steps = 1e-6 * torch.eye(len(theta), dtype=torch.float64)
    for _ in range(40):
        hessian = torch.stack([(gradient(theta + step) - gradient(theta - step)) / 2e-6 for step in steps])
        theta = theta - torch.linalg.solve(hessian, gradient(theta))
    return Belief(theta[: FEATURES + 1], theta[FEATURES + 1 :].exp())


def assert_same(one: Belief, other: Belief) -> None:
    torch.testing.assert_close(one.mu, other.mu, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(one.sigma, other.sigma, rtol=1e-10, atol=1e-10)

"""Where the factorized family holds the exact posterior, the product's objective leads there."""

import pytest
import torch

from tests.bayes.conjugate import (
    NETWORK,
    NOISE,
    OUTPUT,
    POINTS,
    PRIOR,
    assert_same,
    exact,
    joined,
    optimum,
    orthogonal_rows,
    parameters,
)
from tests.bayes.objectives import objective


@pytest.mark.parametrize("beta", [1.0, 0.1])
def test_the_optimum_is_the_exact_posterior(beta: float) -> None:
    rows = orthogonal_rows(0)

    assert_same(optimum(PRIOR, rows, beta), exact(PRIOR, rows, beta))


@pytest.mark.parametrize("beta", [1.0, 0.1])
def test_absorbing_chunks_one_after_another_is_absorbing_them_together(beta: float) -> None:
    chunks = [orthogonal_rows(seed) for seed in range(3)]

    belief = PRIOR
    for chunk in chunks:
        belief = optimum(belief, chunk, beta)

    assert_same(belief, optimum(PRIOR, joined(*chunks), beta))
    assert_same(belief, exact(PRIOR, joined(*chunks), beta))


def test_beta_counts_every_row_one_over_beta_times() -> None:
    rows = orthogonal_rows(0)

    assert_same(optimum(PRIOR, rows, 0.25), optimum(PRIOR, joined(rows, rows, rows, rows), 1.0))


def test_the_least_loss_is_the_negative_log_evidence_of_the_chunk() -> None:
    rows, prior = orthogonal_rows(0), PRIOR
    best = optimum(prior, rows, 1.0)
    bound = objective(NETWORK, parameters(prior.mu, prior.sigma.log()), rows.weights, output=OUTPUT)

    q = parameters(best.mu, best.sigma.log())
    least = 8 * torch.stack([bound.whole(q, rows, noise) for noise in POINTS]).mean()

    design = torch.cat([rows.inputs, torch.ones(8, 1, dtype=torch.float64)], 1)
    covariance = design @ torch.diag(prior.sigma**2) @ design.T + NOISE**2 * torch.eye(8, dtype=torch.float64)
    marginal = torch.distributions.MultivariateNormal(design @ prior.mu, covariance)
    evidence = marginal.log_prob(rows.labels[:, 0])  # type: ignore[no-untyped-call]
    floor = 8 * 1e-10 / (2 * NOISE**2)
    assert float(least) == pytest.approx(-float(evidence) + floor, abs=1e-10)

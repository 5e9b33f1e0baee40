"""The noise of numbers is learned as weights are: as a Gaussian over its log, whose prior is the one before."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

from bayes import Chunk, Gaussian, GaussianPrediction, Model, Posterior, absorb, kl_divergence, predict, root
from bayes.forgetting import forgotten
from bayes.likelihoods import NOISE_LOG_SIGMA, NOISE_MU, OWN, kl, nll, pool
from bayes.objective import Batch
from tests.bayes.objectives import Parameters, linear_regression, objective

OUTPUT = Gaussian(2)
NET = linear_regression(1)


def noise(mu: float, log_sigma: float, dims: int = 1) -> dict[str, Tensor]:
    """Own tensors of standardized labels with this learned noise."""
    numbers = {"location": 0.0, "scale": 1.0, NOISE_MU: mu, NOISE_LOG_SIGMA: log_sigma}
    return {key: torch.full((dims,), number, dtype=torch.float64) for key, number in numbers.items()}


def line(own: dict[str, Tensor]) -> Parameters:
    """A point that answers 0 for every row."""
    zero = torch.zeros(1, dtype=torch.float64)
    return {"dense1": {"weight.mu": zero[None], "bias.mu": zero}, OWN: own}


def normal(own: dict[str, Tensor]) -> Normal:
    return Normal(own[NOISE_MU], own[NOISE_LOG_SIGMA].exp())


def noisy_line(rows: int, sigma: float, seed: int) -> Chunk:
    stream = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 1, generator=stream)
    return Chunk(x, 40 * (x + sigma * torch.randn(rows, 1, generator=stream)))


@pytest.fixture
def linear() -> Model:
    return Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": []},
            "input": {"shape": [1]},
            "output": {"kind": "gaussian"},
            "recipe": {"epochs": 60, "batch_rows": 50, "beta": 1.0, "lr": 0.01},
        }
    )


def test_the_nll_is_its_expectation_over_the_noise() -> None:
    own = {**noise(-0.4, -1.2, dims=2), "location": torch.tensor([5.0, 0.0]).double()}
    own["scale"] = torch.tensor([3.0, 0.5]).double()
    outputs, labels = torch.tensor([[0.3, -1.0]]).double(), torch.tensor([[4.0, 1.0]]).double()

    found = nll(OUTPUT, own, outputs, labels)

    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    sigma = own["scale"] * (own[NOISE_MU] + own[NOISE_LOG_SIGMA].exp() * torch.tensor(nodes).unsqueeze(1)).exp()
    each = Normal(own["location"] + own["scale"] * outputs, sigma).log_prob(labels)  # type: ignore[no-untyped-call]
    expected = -(torch.tensor(weights / weights.sum()).unsqueeze(1) * each).sum()
    torch.testing.assert_close(found, expected.unsqueeze(0), rtol=1e-12, atol=0.0)


def test_the_kl_of_the_noise_is_that_of_torch_distributions_and_zero_at_the_prior() -> None:
    q, p = noise(0.3, -2.0, dims=2), noise(-1.0, 0.0, dims=2)

    found, at_the_prior = kl(q, p), kl(p, p)

    assert found is not None
    torch.testing.assert_close(found, torch_kl(normal(q), normal(p)).sum())
    assert at_the_prior == 0


@pytest.mark.parametrize("beta", [1.0, 0.1])
def test_without_a_prior_the_log_noise_has_its_mode_at_the_residuals_and_the_width_of_their_number(beta: float) -> None:
    labels = torch.tensor([[0.5], [-1.5], [2.0], [0.1], [-0.7]], dtype=torch.float64)
    weights = torch.tensor([1.0, 2.0, 0.5, 1.0, 1.5], dtype=torch.float64)
    variance = beta / (2 * weights.sum())
    square = (weights * labels[:, 0].square()).sum() / weights.sum()
    best = noise(float(square.log() / 2 + variance), float(variance.log() / 2))
    bound = objective(NET, line(noise(0.0, 15.0)), weights, beta=beta, family="point", output=Gaussian(1))
    for key in (NOISE_MU, NOISE_LOG_SIGMA):
        best[key].requires_grad_()

    loss = bound.whole(line(best), Batch(torch.zeros(5, 1, dtype=torch.float64), labels, weights), torch.zeros_like)

    for gradient in torch.autograd.grad(loss, (best[NOISE_MU], best[NOISE_LOG_SIGMA])):
        assert float(gradient.abs()) < 1e-12


def test_a_small_chunk_adds_its_word_on_the_noise_and_does_not_have_the_last_one(linear: Model) -> None:
    large, small = noisy_line(400, 0.5, seed=1), noisy_line(20, 0.05, seed=2)

    first, _ = absorb(root(linear), large, linear.recipe)
    second, _ = absorb(first, small, linear.recipe)

    before, after = (noise_of(version, small.inputs) for version in (first, second))
    assert before == pytest.approx(40 * 0.5, rel=0.05)
    pooled = 40 * np.sqrt((400 * 0.5**2 + 20 * 0.05**2) / 420)
    assert pooled * 0.95 < after < before


def noise_of(version: Posterior, inputs: Tensor) -> float:
    prediction = predict(version, inputs)
    assert isinstance(prediction, GaussianPrediction)
    return float(prediction.noise_std[0, 0])


def test_the_report_and_the_divergence_count_the_noise_as_the_layer_output(linear: Model) -> None:
    prior = root(linear)

    posterior, report = absorb(prior, noisy_line(50, 0.5, seed=1), linear.recipe)

    q, p = ({key: t.double() for key, t in version.layer(OWN).items()} for version in (posterior, prior))
    expected = float(torch_kl(normal(q), normal(p)))
    assert report.kl_nats[OWN] == pytest.approx(expected)
    assert kl_divergence(posterior, posterior) == {"dense1": 0.0, OWN: 0.0}
    assert report.elbo.kl_nats == sum(report.kl_nats.values())


def test_forgetting_takes_the_noise_the_same_part_of_the_way_back_to_the_root() -> None:
    q, base, power = noise(0.7, -2.0), noise(-1.0, 0.0), 0.3
    points = torch.linspace(-2, 2, 5, dtype=torch.float64)

    blended = normal(pool([(power, q), (1 - power, base)])).log_prob(points)  # type: ignore[no-untyped-call]

    parts = [normal(own).log_prob(points) for own in (q, base)]  # type: ignore[no-untyped-call]
    off = blended - power * parts[0] - (1 - power) * parts[1]
    torch.testing.assert_close(off, off[:1].expand(5))


def test_a_prior_that_forgets_keeps_the_location_of_the_labels_and_widens_the_noise(linear: Model) -> None:
    learned, _ = absorb(root(linear), noisy_line(50, 0.5, seed=1), replace(linear.recipe, epochs=5))

    held = forgotten(learned, root(linear), 0.5)

    assert torch.equal(held.tensors["output.location"], learned.tensors["output.location"])
    assert torch.equal(held.tensors["output.scale"], learned.tensors["output.scale"])
    assert float(held.tensors[f"output.{NOISE_LOG_SIGMA}"]) > float(learned.tensors[f"output.{NOISE_LOG_SIGMA}"])

"""Variational online Newton against exact posteriors.

Its noise at first is +1 or -1, of which the square is known, so that what is left to chance is little.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from bayes import Chunk, InvalidDescription, Model, Posterior, absorb, root
from bayes.families.parts import Noise
from bayes.ivon import Ivon
from bayes.objective import Batch
from bayes.recipe import Recipe, auto
from tests.bayes.conjugate import FEATURES, NETWORK, OUTPUT, PRIOR, Belief, exact, joined, orthogonal_rows, parameters
from tests.bayes.objectives import objective

PARTS = ("weight", "bias")
STEPS = 3000


@pytest.fixture
def recipe() -> Recipe:
    return replace(auto(8, 4), optimizer="ivon", lr=0.05, curvature_decay=0.99)


def signs(seed: int) -> Noise:
    stream = torch.Generator().manual_seed(seed)
    return lambda like: torch.randint(0, 2, like.shape, generator=stream).to(like).mul_(2).sub_(1)


def fitted(prior: Belief, batches: list[Batch], beta: float, recipe: Recipe) -> Belief:
    """Where the product's optimizer ends, from the prior, over these minibatches again and again."""
    rows = joined(*batches)
    p, q = (parameters(prior.mu.clone(), prior.sigma.log()) for _ in range(2))
    bound = objective(
        NETWORK, p, rows.weights, batch_rows=max(len(batch.labels) for batch in batches), beta=beta, output=OUTPUT
    )
    optimizer = Ivon(q, bound, recipe, signs(0))
    for step in range(STEPS):
        optimizer.step(batches[step % len(batches)], decay=0.01 ** (step / STEPS))
    optimizer.finish()
    mu, log_sigma = (
        torch.cat([q["dense1"][f"{part}.{key}"].flatten() for part in PARTS]) for key in ("mu", "log_sigma")
    )
    return Belief(mu, log_sigma.exp())


def assert_near(one: Belief, other: Belief, *, mean: float, sigma: float) -> None:
    """Means agree within so many standard deviations, standard deviations within so much of themselves."""
    assert float(((one.mu - other.mu) / other.sigma).abs().max()) < mean
    assert float((one.sigma / other.sigma - 1).abs().max()) < sigma


@pytest.mark.parametrize("beta", [1.0, 0.1])
def test_it_ends_at_the_exact_posterior_of_a_prior_with_a_mean_and_a_width_for_every_weight(
    beta: float, recipe: Recipe
) -> None:
    rows = orthogonal_rows(0)

    assert_near(fitted(PRIOR, [rows], beta, recipe), exact(PRIOR, rows, beta), mean=0.1, sigma=0.005)


def test_chunks_one_after_another_end_where_they_end_together(recipe: Recipe) -> None:
    chunks = [orthogonal_rows(seed) for seed in range(3)]

    belief = PRIOR
    for chunk in chunks:
        belief = fitted(belief, [chunk], 1.0, recipe)

    assert_near(belief, exact(PRIOR, joined(*chunks), 1.0), mean=0.1, sigma=0.01)


def test_a_prior_alone_is_not_left(recipe: Recipe) -> None:
    rows = orthogonal_rows(0)
    silent = rows._replace(inputs=torch.zeros_like(rows.inputs))

    belief = fitted(PRIOR, [silent], 1.0, recipe)

    torch.testing.assert_close(belief.mu[:FEATURES], PRIOR.mu[:FEATURES])
    torch.testing.assert_close(belief.sigma[:FEATURES], PRIOR.sigma[:FEATURES])


@pytest.mark.parametrize("noise", [0.5, 0.1, 0.02])
def test_updates_by_it_end_at_the_exact_posterior_from_far_away(noise: float) -> None:
    model = Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": []},
            "input": {"shape": [3]},
            "output": {"kind": "gaussian", "noise": noise},
            "chunk": {"rows": 500},
            "recipe": {"optimizer": "ivon"},
        }
    )
    stream = torch.Generator().manual_seed(3)

    posterior = root(model)
    for _ in range(3):
        inputs = torch.randn(500, 3, generator=stream)
        labels = inputs @ torch.tensor([[1.0], [2.0], [-1.0]]) + noise * torch.randn(500, 1, generator=stream)
        prior = posterior
        posterior, _ = absorb(prior, Chunk(inputs, labels), model.recipe)
        truth = exact_factorized(prior, posterior, inputs, labels, noise)
        assert_near(belief_of(posterior), truth, mean=0.3, sigma=0.3)


def test_weights_of_which_the_rows_say_nothing_go_most_of_the_way_back_to_the_prior() -> None:
    described: dict[str, object] = {
        "net": {"kind": "mlp", "hidden": []},
        "input": {"shape": [2]},
        "output": {"kind": "gaussian", "noise": 1.0},
        "recipe": {"optimizer": "ivon"},
    }
    model = Model.from_description(described)
    stream = torch.Generator().manual_seed(0)
    inputs = torch.randn(500, 2, generator=stream) * torch.tensor([1.0, 0.0])
    labels = inputs[:, :1] + torch.randn(500, 1, generator=stream)

    prior = root(model)
    posterior, _ = absorb(prior, Chunk(inputs, labels), model.recipe)

    assert_near(belief_of(posterior), exact_factorized(prior, posterior, inputs, labels, 1.0), mean=0.3, sigma=0.4)


def test_too_few_steps_for_its_sigma_are_warned_of(images: Model, image_chunk: Chunk) -> None:
    recipe = replace(images.recipe, optimizer="ivon", epochs=1, curvature_decay=0.99)

    _, report = absorb(root(images), image_chunk, recipe)

    assert any("Lower curvature_decay" in warning for warning in report.warnings)


def belief_of(posterior: Posterior) -> Belief:
    """Of weights and bias, on the scale on which the net works."""
    layer = {key: tensor.double() for key, tensor in posterior.layer("dense1").items()}
    mu, log_sigma = (torch.cat([layer[f"{part}.{key}"].flatten() for part in PARTS]) for key in ("mu", "log_sigma"))
    return Belief(mu, log_sigma.exp())


def exact_factorized(prior: Posterior, after: Posterior, inputs: Tensor, labels: Tensor, noise: float) -> Belief:
    """The factorized Gaussian nearest to the exact posterior: its mean, and the diagonal of its precision."""
    own, belief = after.layer("output"), belief_of(prior)
    design = torch.cat([inputs, torch.ones(len(inputs), 1)], 1).double()
    targets = ((labels - own["location"]) / own["scale"]).double()
    variance = float(noise / own["scale"]) ** 2
    precision = torch.diag(belief.sigma**-2) + design.T @ design / variance
    mean = torch.linalg.solve(precision, belief.mu / belief.sigma**2 + design.T @ targets[:, 0] / variance)
    return Belief(mean, precision.diagonal().rsqrt())


def test_updates_by_it_follow_each_other_and_repeat_to_the_byte(images: Model, image_chunk: Chunk) -> None:
    recipe = replace(images.recipe, optimizer="ivon", lr=0.05)

    first, report = absorb(root(images), image_chunk, recipe)
    second, _ = absorb(first, image_chunk, recipe)
    again, _ = absorb(first, image_chunk, recipe)

    assert report.elbo.kl_nats > 0
    assert first.digest != second.digest == again.digest


def test_a_learned_noise_is_learned_beside_it() -> None:
    described: dict[str, object] = {
        "net": {"kind": "mlp", "hidden": []},
        "input": {"shape": [2]},
        "output": {"kind": "gaussian", "dims": 1},
        "recipe": {"optimizer": "ivon", "epochs": 200, "lr": 0.1},
    }
    model = Model.from_description(described)
    stream = torch.Generator().manual_seed(5)
    inputs = torch.randn(200, 2, generator=stream)
    labels = inputs.sum(1, keepdim=True) + 0.1 * torch.randn(200, 1, generator=stream)

    posterior, _ = absorb(root(model), Chunk(inputs, labels), model.recipe)

    assert noise_of(posterior) == pytest.approx(0.1, rel=0.2)


def noise_of(posterior: Posterior) -> float:
    own: dict[str, Tensor] = posterior.layer("output")
    return float(own["scale"] * own["log_noise.mu"].exp())


@pytest.mark.parametrize("family", ["point"])
def test_it_is_refused_for_families_that_have_no_width_of_their_own(family: str, described: dict[str, object]) -> None:
    with pytest.raises(InvalidDescription, match=r"recipe\.optimizer: ivon is for the family ffg"):
        Model.from_description(described | {"family": family, "recipe": {"optimizer": "ivon"}})

"""Variational online Newton against exact posteriors.

Its noise here is +1 and -1 in turn, which integrates the quadratic expectations exactly, so nothing is left to chance.
"""

from collections.abc import Iterator
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


@pytest.fixture
def recipe() -> Recipe:
    return replace(auto(8, 4), optimizer="ivon", lr=0.05, curvature_decay=0.99)


def in_turn() -> Noise:
    """Noise +1 for all weights of one step, -1 for those of the next."""

    def signs() -> Iterator[float]:
        while True:
            yield from [1.0] * len(PARTS)
            yield from [-1.0] * len(PARTS)

    sign = signs()
    return lambda like: torch.full_like(like, next(sign))


def fitted(prior: Belief, batches: list[Batch], beta: float, recipe: Recipe) -> Belief:
    """Where the product's optimizer ends, from the prior, over these minibatches again and again."""
    rows = joined(*batches)
    p, q = (parameters(prior.mu.clone(), prior.sigma.log()) for _ in range(2))
    bound = objective(
        NETWORK, p, rows.weights, batch_rows=max(len(batch.labels) for batch in batches), beta=beta, output=OUTPUT
    )
    optimizer = Ivon(q, bound, recipe, in_turn())
    for step in range(1500):
        optimizer.step(batches[(step // 2) % len(batches)], decay=0.997**step)
    optimizer.finish()
    mu, log_sigma = (
        torch.cat([q["dense1"][f"{part}.{key}"].flatten() for part in PARTS]) for key in ("mu", "log_sigma")
    )
    return Belief(mu, log_sigma.exp())


def assert_near(one: Belief, other: Belief, tolerance: float) -> None:
    """Means agree in units of the standard deviation, standard deviations relatively."""
    assert float(((one.mu - other.mu) / other.sigma).abs().max()) < tolerance
    assert float((one.sigma / other.sigma - 1).abs().max()) < tolerance


@pytest.mark.parametrize("beta", [1.0, 0.1])
def test_it_ends_at_the_exact_posterior_of_a_prior_with_a_mean_and_a_width_for_every_weight(
    beta: float, recipe: Recipe
) -> None:
    rows = orthogonal_rows(0)

    assert_near(fitted(PRIOR, [rows], beta, recipe), exact(PRIOR, rows, beta), 2e-3)


def test_chunks_one_after_another_end_where_they_end_together(recipe: Recipe) -> None:
    chunks = [orthogonal_rows(seed) for seed in range(3)]

    belief = PRIOR
    for chunk in chunks:
        belief = fitted(belief, [chunk], 1.0, recipe)

    assert_near(belief, exact(PRIOR, joined(*chunks), 1.0), 5e-3)


def test_a_prior_alone_is_not_left(recipe: Recipe) -> None:
    rows = orthogonal_rows(0)
    silent = rows._replace(inputs=torch.zeros_like(rows.inputs))

    belief = fitted(PRIOR, [silent], 1.0, recipe)

    torch.testing.assert_close(belief.mu[:FEATURES], PRIOR.mu[:FEATURES])
    torch.testing.assert_close(belief.sigma[:FEATURES], PRIOR.sigma[:FEATURES])


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

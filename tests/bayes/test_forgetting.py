"""The power prior: what it is, exactly, and how an update uses it."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal

from bayes import Chunk, FamilyMismatch, Model, Posterior, absorb, kl_divergence, root
from bayes.families import ffg
from bayes.forgetting import forgotten
from bayes.likelihoods import OWN
from tests.bayes.conjugate import PRIOR, Belief, assert_same, joined, optimum, orthogonal_rows, parameters
from tests.bayes.objectives import SMALL, random_parameters


def test_its_density_is_that_of_the_prior_and_the_root_to_their_powers() -> None:
    q, base = (random_parameters(SMALL, seed)["conv1"] for seed in (0, 1))

    held = ffg.pool([(0.3, q), (0.7, base)])

    at = torch.linspace(-2, 2, 5, dtype=torch.float64).view(-1, 1, 1, 1, 1)
    logs = [Normal(t["weight.mu"], t["weight.log_sigma"].exp()).log_prob(at) for t in (held, q, base)]  # type: ignore[no-untyped-call]
    rest = logs[0] - 0.3 * logs[1] - 0.7 * logs[2]
    torch.testing.assert_close(rest, rest[:1].expand_as(rest))


def test_evidence_of_k_updates_ago_counts_power_to_the_k() -> None:
    chunks, power = [orthogonal_rows(seed) for seed in range(3)], 0.6

    belief = PRIOR
    for chunk in chunks:
        q, base = (parameters(b.mu, b.sigma.log())["dense1"] for b in (belief, PRIOR))
        held = ffg.pool([(power, q), (1 - power, base)])
        mu, log_sigma = (torch.cat([held[f"{part}.{key}"].flatten() for part in ("weight", "bias")]) for key in KEYS)
        belief = optimum(Belief(mu, log_sigma.exp()), chunk, 1.0)

    faded = [
        chunk._replace(inputs=chunk.inputs, weights=chunk.weights * power**age)
        for age, chunk in enumerate(reversed(chunks))
    ]
    assert_same(belief, optimum(PRIOR, joined(*faded), 1.0))


KEYS = ("mu", "log_sigma")


def test_power_one_and_a_root_are_themselves(images: Model, learned: Posterior) -> None:
    assert forgotten(learned, None, 1.0) is learned
    assert forgotten(root(images), None, 0.5).digest == root(images).digest


def test_an_update_measures_its_kl_from_what_it_has_kept(images: Model, image_chunk: Chunk, learned: Posterior) -> None:
    recipe = replace(images.recipe, prior_power=0.5)

    posterior, report = absorb(learned, image_chunk, recipe, root=root(images))

    held = forgotten(learned, root(images), 0.5)
    assert report.kl_nats == kl_divergence(posterior, held)
    assert posterior.chunks == 2
    assert {*posterior.layer(OWN)} == {*learned.layer(OWN)}


def test_forgetting_widens_every_weight_whose_posterior_is_narrower_than_its_root(
    images: Model, learned: Posterior
) -> None:
    held = forgotten(learned, root(images), 0.5)

    for name in (name for name in learned.tensors if name.endswith("log_sigma")):
        assert bool((held.tensors[name] > learned.tensors[name]).all()), name


def test_an_update_that_forgets_needs_its_root(images: Model, image_chunk: Chunk, learned: Posterior) -> None:
    recipe = replace(images.recipe, prior_power=0.5)
    other = root(Model.from_description(images.to_description() | {"family": "point", "recipe": "auto"}))

    with pytest.raises(FamilyMismatch, match="needs the root"):
        absorb(learned, image_chunk, recipe)
    with pytest.raises(FamilyMismatch, match="another family"):
        absorb(learned, image_chunk, recipe, root=other)

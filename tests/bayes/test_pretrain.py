"""Priors around weights learned elsewhere: what is kept of them, and what is vague."""

import pytest
import torch
from torch import Tensor

from bayes import Chunk, Model, Posterior, Pretrained, absorb, root, weights_of
from bayes.families import FamilyName, family_names
from tests.bayes.stars import CLASSES, HIDDEN, INPUTS, VAGUE, made, model, old_rows, sigma, star


@pytest.mark.parametrize("family", family_names())
def test_the_root_of_every_family_has_the_weights_as_its_means(family: FamilyName) -> None:
    weights = star()
    pretrained = Pretrained.of(weights)

    found = weights_of(root(model(pretrained, family=family), pretrained))

    assert found.keys() == weights.keys()
    for name, tensor in weights.items():
        torch.testing.assert_close(found[name], tensor)


def test_every_weight_and_bias_gets_the_sigma() -> None:
    prior = made(star(), sigma=0.25)

    for layer in ("dense1", "dense2"):
        for part in ("weight", "bias"):
            torch.testing.assert_close(
                sigma(prior.layer(layer), part), torch.full_like(prior.tensors[f"{layer}.{part}.mu"], 0.25)
            )


def test_of_several_sigmas_the_root_has_the_widest() -> None:
    assert made(star(), sigmas=[0.1, 0.3, 0.2]).digest == made(star(), sigma=0.3).digest


@pytest.mark.parametrize("weights", [star(), star(7), star(dense2_weight=None, dense2_bias=None)])
def test_a_fresh_head_is_vague_whatever_head_the_weights_have(weights: dict[str, Tensor]) -> None:
    prior = made(weights, head="fresh")

    head = prior.layer("dense2")
    assert not head["weight.mu"].any()
    assert not head["bias.mu"].any()
    torch.testing.assert_close(sigma(head, "weight"), torch.full((CLASSES, HIDDEN), VAGUE["dense2"]))
    torch.testing.assert_close(sigma(head, "bias"), torch.full((CLASSES,), 0.2))
    assert torch.equal(prior.tensors["dense1.weight.mu"], weights["dense1.weight"])


@pytest.mark.parametrize("inputs", [None, old_rows()], ids=["sigma", "laplace"])
def test_units_that_a_kept_head_does_not_have_are_vague(inputs: Tensor | None) -> None:
    weights = star(2)

    head = made(weights, inputs).layer("dense2")

    assert torch.equal(head["weight.mu"], torch.cat([weights["dense2.weight"], torch.zeros(1, HIDDEN)]))
    assert torch.equal(head["bias.mu"], torch.cat([weights["dense2.bias"], torch.zeros(1)]))
    torch.testing.assert_close(sigma(head, "weight")[2], torch.full((HIDDEN,), VAGUE["dense2"]))
    torch.testing.assert_close(sigma(head, "bias")[2], torch.tensor(0.2))
    assert bool((sigma(head, "weight")[:2] < VAGUE["dense2"]).all())


@pytest.mark.parametrize("inputs", [None, old_rows()], ids=["sigma", "laplace"])
def test_a_bias_that_the_weights_do_not_have_is_vague(inputs: Tensor | None) -> None:
    layer = made(star(dense1_bias=None), inputs).layer("dense1")

    assert torch.equal(layer["bias.mu"], torch.zeros(HIDDEN))
    torch.testing.assert_close(sigma(layer, "bias"), torch.full((HIDDEN,), 0.2))
    assert bool((sigma(layer, "weight") < VAGUE["dense1"]).all())


def test_the_means_of_a_posterior_are_weights_too(learned: Posterior, images: Model) -> None:
    pretrained = Pretrained(learned.to_bytes())
    described = {**images.to_description(), "prior": {"kind": "weights", **pretrained.digests, "sigma": 0.1}}

    prior = root(Model.from_description(described), pretrained)

    assert all(torch.equal(tensor, weights_of(prior)[name]) for name, tensor in weights_of(learned).items())


def test_the_same_model_has_the_same_root_to_the_bit() -> None:
    assert made(star(), old_rows()).to_bytes() == made(star(), old_rows()).to_bytes()


def test_the_first_update_starts_at_the_weights_and_is_as_narrow_as_the_recipe_says() -> None:
    pretrained = Pretrained.of(star())
    described = model(pretrained, sigma=0.5).to_description()
    still = Model.from_description(
        {**described, "recipe": {"epochs": 1, "lr": 1e-12, "lr_log_sigma": 1e-12, "log_sigma_start": -5.0}}
    )

    posterior, _ = absorb(root(still, pretrained), Chunk(old_rows(9), torch.arange(9) % CLASSES), still.recipe)

    torch.testing.assert_close(weights_of(posterior), star())
    torch.testing.assert_close(posterior.tensors["dense1.weight.log_sigma"], torch.full((HIDDEN, INPUTS), -5.0))

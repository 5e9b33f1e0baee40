"""Every family through whole updates: lines, bytes, gradients, and the way from one family to another."""

import math

import pytest
import torch

from bayes import Chunk, FamilyMismatch, Model, Posterior, absorb, draw, kl_divergence, predict, root
from bayes.convert import convert
from bayes.families import FamilyName, family_names
from bayes.posterior import join
from tests.bayes.family_layers import MNF

every = pytest.mark.parametrize("family", family_names())


def of_family(images: Model, family: FamilyName) -> Model:
    return Model.from_description(images.to_description() | {"family": family})


def line(model: Model, chunk: Chunk, versions: int) -> list[Posterior]:
    """The root and the versions after it, each from the one before."""
    found = [root(model)]
    for _ in range(versions):
        found.append(absorb(found[-1], chunk, model.recipe)[0])
    return found


@every
def test_an_update_changes_every_tensor_that_has_a_rate_and_no_other(
    images: Model, image_chunk: Chunk, family: FamilyName
) -> None:
    prior, posterior, after = line(of_family(images, family), image_chunk, 2)

    for layer in prior.network.weighted:
        for key, tensor in after.layer(layer.name).items():
            is_learned = prior.rules.rate(key) is not None
            assert torch.equal(tensor, posterior.layer(layer.name)[key]) != is_learned, (layer.name, key)


@every
def test_a_line_goes_on_from_any_of_its_versions_and_always_to_the_same_bytes(
    images: Model, image_chunk: Chunk, family: FamilyName
) -> None:
    model = of_family(images, family)
    versions = line(model, image_chunk, 3)

    assert [version.chunks for version in versions] == [0, 1, 2, 3]
    assert len({version.digest for version in versions}) == 4
    assert absorb(versions[1], image_chunk, model.recipe)[0].digest == versions[2].digest


@every
def test_a_posterior_reads_back_to_the_bit(images: Model, image_chunk: Chunk, family: FamilyName) -> None:
    _, posterior = line(of_family(images, family), image_chunk, 1)

    again = Posterior.from_bytes(posterior.to_bytes())

    assert again.family == family
    assert again.digest == posterior.digest
    assert all(torch.equal(tensor, posterior.tensors[name]) for name, tensor in again.tensors.items())
    assert all(tensor.dtype == torch.float32 for tensor in again.tensors.values())


@every
def test_the_kl_is_zero_to_itself_and_the_same_at_every_call(
    images: Model, image_chunk: Chunk, family: FamilyName
) -> None:
    prior, posterior = line(of_family(images, family), image_chunk, 1)

    assert list(kl_divergence(posterior, posterior).values()) == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)
    assert kl_divergence(posterior, prior) == kl_divergence(posterior, prior)
    assert all(nats > 0 for nats in kl_divergence(posterior, prior).values()) == (family != "point")


@every
def test_an_update_may_forget(images: Model, image_chunk: Chunk, family: FamilyName) -> None:
    model = Model.from_description(
        of_family(images, family).to_description() | {"recipe": images.recipe.to_description() | {"prior_power": 0.5}}
    )
    prior = root(model)
    first, _ = absorb(prior, image_chunk, model.recipe)

    second, report = absorb(first, image_chunk, model.recipe, root=prior)

    assert second.chunks == 2
    assert report.is_finite


@every
def test_the_net_learns_its_rows_better_than_by_guessing(images: Model, image_chunk: Chunk, family: FamilyName) -> None:
    model = Model.from_description(
        of_family(images, family).to_description() | {"recipe": {"epochs": 60, "batch_rows": 10, "beta": 0.01}}
    )

    posterior, report = absorb(root(model), image_chunk, model.recipe)

    prediction = predict(posterior, image_chunk.inputs)
    nll = -prediction.probabilities[torch.arange(20), image_chunk.labels].log().mean()  # type: ignore[union-attr]
    assert float(nll) < math.log(3)
    assert report.warnings == ()


def test_ffg_as_cfg_is_the_same_distribution(images: Model, image_chunk: Chunk) -> None:
    prior, posterior = line(images, image_chunk, 1)

    converted, of_prior = convert(posterior, "cfg"), convert(prior, "cfg")

    assert converted.chunks == 1
    assert kl_divergence(converted, of_prior) == pytest.approx(kl_divergence(posterior, prior), rel=1e-12)
    one, other = draw(posterior, samples=4000).weights["conv2"], draw(converted, samples=4000).weights["conv2"]
    torch.testing.assert_close(one.weight.mean(0), other.weight.mean(0), rtol=0.0, atol=0.005)
    torch.testing.assert_close(one.weight.std(0), other.weight.std(0), rtol=0.1, atol=0.0)
    assert of_prior.digest == root(of_family(images, "cfg")).digest


@pytest.mark.parametrize("family", MNF)
def test_ffg_as_mnf_keeps_the_means_and_is_wider_by_the_variance_of_z(
    images: Model, image_chunk: Chunk, family: FamilyName
) -> None:
    _, posterior = line(images, image_chunk, 1)

    converted = convert(posterior, family)

    assert absorb(converted, image_chunk, images.recipe)[0].chunks == 2
    assert convert(root(images), family).digest == root(of_family(images, family)).digest
    for layer in posterior.network.weighted:
        q, drawn = posterior.layer(layer.name), draw(converted, samples=8000).weights[layer.name].weight
        of_z = 0.0201 if family == "mnf-rank1" and len(layer.weight_shape) == 4 else 0.01
        variance = (2 * q["weight.log_sigma"]).exp() + of_z * q["weight.mu"].square()
        assert bool(((drawn.mean(0) - q["weight.mu"]).abs() <= 5 * (variance / 8000).sqrt()).all())
        torch.testing.assert_close(drawn.var(0), variance, rtol=0.1, atol=0.0)


@pytest.mark.parametrize(
    ("from_family", "to_family"), [("point", "cfg"), ("cfg", "ffg"), ("ffg", "point"), ("ffg", "zzz")]
)
def test_other_conversions_are_refused(images: Model, from_family: FamilyName, to_family: FamilyName) -> None:
    with pytest.raises(FamilyMismatch, match=f"'{from_family}' does not convert to '{to_family}'"):
        convert(root(of_family(images, from_family)), to_family)


def test_the_names_of_tensors_of_all_families_are_told_apart_by_their_layer(images: Model) -> None:
    for family in family_names():
        posterior = root(of_family(images, family))
        layers = {layer.name: posterior.layer(layer.name) for layer in posterior.network.weighted}

        assert join(layers) == dict(posterior.tensors)

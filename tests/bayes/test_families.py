"""What every family keeps to, on every kind of layer, with exact answers in float64."""

import pytest
import torch

from bayes.families import FAMILIES, FamilyName, family_names
from bayes.families.parts import Gaussians
from bayes.layers import Weighted, apply
from tests.bayes.family_layers import BAYESIAN, DENSE, LAYERS, inputs_of, kl, normal, random_tensors

DRAWS = 20_000

pytestmark = [
    pytest.mark.parametrize("layer", LAYERS, ids=["dense", "conv", "grouped", "pointwise"]),
]


@pytest.mark.parametrize("family", family_names())
def test_the_root_has_the_shapes_of_the_family_and_the_same_bytes_each_time(
    family: FamilyName, layer: Weighted
) -> None:
    rules = FAMILIES[family]
    gaussians = Gaussians(*(torch.ones(shape) for shape in 2 * [layer.weight_shape] + 2 * [layer.bias_shape]))

    root, again = rules.root(layer, gaussians), rules.root(layer, gaussians)

    assert {key: tuple(tensor.shape) for key, tensor in root.items()} == rules.shapes(layer)
    assert all(tensor.dtype == torch.float32 and torch.equal(tensor, again[key]) for key, tensor in root.items())


@pytest.mark.parametrize("family", family_names())
def test_the_kl_of_a_posterior_to_itself_is_zero(family: FamilyName, layer: Weighted) -> None:
    q = random_tensors(family, layer, 0)

    assert float(kl(family, q, q)) == pytest.approx(0.0, abs=1e-11)


@pytest.mark.parametrize("family", BAYESIAN)
def test_the_kl_to_another_is_above_zero(family: FamilyName, layer: Weighted) -> None:
    assert float(kl(family, random_tensors(family, layer, 0), random_tensors(family, layer, 1))) > 1.0


@pytest.mark.parametrize("family", family_names())
def test_a_root_with_its_own_means_and_no_narrower_start_starts_as_it_is(family: FamilyName, layer: Weighted) -> None:
    prior = random_tensors(family, layer, 0)

    start = FAMILIES[family].start(prior, prior["weight.mu"], log_sigma_start=99.0)

    assert start.keys() == prior.keys()
    assert all(torch.equal(tensor, prior[key]) for key, tensor in start.items())


@pytest.mark.parametrize("family", family_names())
def test_the_mean_and_the_variance_of_draws_of_a_row_are_those_of_outputs_in_an_update(
    family: FamilyName, layer: Weighted
) -> None:
    rules, q, x = FAMILIES[family], random_tensors(family, layer, 0), inputs_of(layer, rows=1)
    drawn = rules.draw(q, DRAWS if family != "point" else 1, torch.Generator().manual_seed(1))
    of_draws = torch.stack([apply(layer, x, weight, bias)[0] for weight, bias in zip(*drawn, strict=True)])

    noise = normal(2)
    rows = x.expand(20, *x.shape[1:])
    of_rows = torch.cat([rules.linear(layer, rules.complete(q, noise, 20), rows, noise) for _ in range(1000)])

    assert_same_moments(of_rows, of_draws)


@pytest.mark.parametrize("family", family_names())
def test_draws_have_the_mean_that_the_family_says(family: FamilyName, layer: Weighted) -> None:
    rules, q = FAMILIES[family], random_tensors(family, layer, 0)

    drawn, mean = rules.draw(q, DRAWS, torch.Generator().manual_seed(1)), rules.mean(q)

    for draws, expected in zip(drawn, mean, strict=True):
        sd = (draws - draws.mean(0)).square().mean(0).sqrt()
        # The mean of 1,024 draws stands in for the mean of z.
        assert bool(((draws.mean(0) - expected[0]).abs() <= 5 * sd / 32 + 1e-12).all())


@pytest.mark.parametrize("family", family_names())
def test_a_seed_gives_the_same_draws_and_another_others(family: FamilyName, layer: Weighted) -> None:
    rules, q = FAMILIES[family], random_tensors(family, layer, 0)

    one, same, other = (rules.draw(q, 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))

    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert torch.equal(one.weight, other.weight) == (family == "point")


@pytest.mark.parametrize("family", family_names())
def test_draws_inhave_the_shapes_of_the_layer(family: FamilyName, layer: Weighted) -> None:
    q = {key: tensor.float() for key, tensor in random_tensors(family, layer, 0).items()}

    drawn = FAMILIES[family].draw(q, 3, torch.Generator().manual_seed(1))

    assert drawn.weight.shape[1:] == layer.weight_shape
    assert drawn.bias.shape[1:] == layer.bias_shape
    assert drawn.weight.dtype == drawn.bias.dtype == torch.float32


@pytest.mark.parametrize("family", family_names())
def test_a_power_of_one_forgets_nothing_and_powers_multiply(family: FamilyName, layer: Weighted) -> None:
    rules, q, root = FAMILIES[family], random_tensors(family, layer, 0), random_tensors(family, layer, 1)

    kept, once = rules.pool([(1.0, q), (0.0, root)]), rules.pool([(0.12, q), (0.88, root)])
    twice = rules.pool([(0.4, rules.pool([(0.3, q), (0.7, root)])), (0.6, root)])

    for key in q:
        torch.testing.assert_close(kept[key], q[key], rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(twice[key], once[key], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("family", family_names())
def test_a_root_has_nothing_to_forget(family: FamilyName, layer: Weighted) -> None:
    root = random_tensors(family, layer, 1)

    forgotten = FAMILIES[family].pool([(0.3, root), (0.7, root)])

    for key in root:
        torch.testing.assert_close(forgotten[key], root[key], rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("family", family_names())
def test_a_description_has_the_same_facts_in_every_family_that_has_widths(family: FamilyName, layer: Weighted) -> None:
    q, p, ffg = random_tensors(family, layer, 0), random_tensors(family, layer, 1), random_tensors("ffg", DENSE, 0)

    facts = FAMILIES[family].describe(q, p, q)

    assert facts == {} if family == "point" else list(facts) == list(FAMILIES["ffg"].describe(ffg, ffg, ffg))


def assert_same_moments(one: torch.Tensor, other: torch.Tensor) -> None:
    """Mean and variance over the first axis agree, to five standard errors of heavy-tailed numbers."""
    deviation = other.std(0, correction=0)
    assert bool(((one.mean(0) - other.mean(0)).abs() <= 5 * deviation * (2 / len(one)) ** 0.5 + 1e-4).all())
    ratio = (one.std(0, correction=0) + 1e-5) / (deviation + 1e-5)
    assert bool(((ratio - 1).abs() < 0.1).all())

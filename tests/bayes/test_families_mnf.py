"""The multiplicative flows: densities both ways, the joint KL against plain sampling, and z where it belongs."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.func import jacrev, vmap

from bayes import flows
from bayes.families import FAMILIES, FamilyName, ffg, mnf
from bayes.families.mnf import DRAWN, LOG_DENSITY, LOG_SIGMA_Z, MU_Z
from bayes.layers import Weighted, apply
from tests.bayes.family_layers import CONV, DENSE, GROUPED, MNF, Parameters, inputs_of, kl, normal, random_tensors

DRAWS = 4000

variants = pytest.mark.parametrize("family", MNF)
layers = pytest.mark.parametrize("layer", [DENSE, CONV, GROUPED], ids=["dense", "conv", "grouped"])


def factor(family: FamilyName, layer: Weighted, z: Tensor) -> Tensor:
    """What one z [size] multiplies the means by, weight by weight."""
    shape = layer.weight_shape
    found = torch.empty(shape, dtype=z.dtype)
    for one in range(shape[0]):
        for other in range(shape[1]):
            if len(shape) == 2:
                found[one, other] = z[other]
            elif family == "mnf":
                found[one, other] = z[one * shape[1] + other]
            else:
                found[one, other] = z[one] * (z[shape[0] + other] if family == "mnf-rank1" else 1)
    return found


def log_prob(distribution: Normal, at: Tensor) -> Tensor:
    found: Tensor = distribution.log_prob(at)  # type: ignore[no-untyped-call]
    return found


def log_density(q: Parameters, z: Tensor) -> Tensor:
    """log q(z) [draws], by the Jacobian of the whole inverse."""
    jacobian = vmap(jacrev(lambda one: flows.inverse(q, one.unsqueeze(0)).z[0]))(z)
    before = flows.inverse(q, z).z
    density = log_prob(Normal(q[MU_Z], q[LOG_SIGMA_Z].exp()), before).sum(1)
    log_determinant: Tensor = torch.linalg.slogdet(jacobian).logabsdet
    return density + log_determinant


def gentle(q: Parameters) -> Parameters:
    """The tensors with a flow that differs little from the identity, as those of a line do."""
    return {key: 0.1 * t if key in {flows.OUTER, flows.OUTER_BIAS} else t for key, t in q.items()}


@variants
@layers
def test_the_density_of_a_drawn_z_is_that_of_the_inverse(family: FamilyName, layer: Weighted) -> None:
    q = random_tensors(family, layer, 0)

    complete = FAMILIES[family].complete(q, normal(1), 30)

    constant = 0.5 * math.log(2 * math.pi) * len(q[MU_Z])
    torch.testing.assert_close(
        complete[LOG_DENSITY].sum(1) - constant, log_density(q, complete[DRAWN]), rtol=1e-10, atol=1e-10
    )


@variants
@layers
def test_every_draw_of_a_posterior_that_is_its_prior_has_a_kl_of_zero(family: FamilyName, layer: Weighted) -> None:
    q = random_tensors(family, layer, 0)
    small = {key: tensor.float() for key, tensor in gentle(q).items()}

    for seed in range(5):
        noise, rules = normal(seed), FAMILIES[family]
        assert float(rules.kl(rules.complete(q, noise, 1), rules.ready(q))) == pytest.approx(0.0, abs=1e-10)
        assert float(rules.kl(rules.complete(small, noise, 1), rules.ready(small))) == pytest.approx(0.0, abs=1e-5)


@variants
@layers
def test_the_kl_is_that_of_plain_sampling_from_the_joint_distribution(family: FamilyName, layer: Weighted) -> None:
    q, p = (gentle(random_tensors(family, layer, seed)) for seed in (0, 1))
    complete = FAMILIES[family].complete(q, normal(2), DRAWS if family != "mnf" else 16 * DRAWS)
    z = complete[DRAWN][:DRAWS]
    factors = torch.stack([factor(family, layer, one) for one in z])
    stream = torch.Generator().manual_seed(3)

    ratios = log_density(q, z) - log_density(p, z)
    for part, scale in (("weight", factors), ("bias", torch.ones(1, dtype=torch.float64))):
        of_q, of_p = (Normal(scale * t[f"{part}.mu"], t[f"{part}.log_sigma"].exp()) for t in (q, p))
        noise = torch.randn((DRAWS, *q[f"{part}.mu"].shape), generator=stream, dtype=torch.float64)
        w = of_q.loc + of_q.scale * noise
        ratios = ratios + (log_prob(of_q, w) - log_prob(of_p, w)).flatten(1).sum(1)

    error = float(ratios.std()) / math.sqrt(DRAWS)
    assert float(kl(family, q, p, draws=16 * DRAWS)) == pytest.approx(float(ratios.mean()), abs=5 * error)


@variants
@layers
def test_the_kl_of_draws_in_turn_is_that_of_all_of_which_few_are_held(
    monkeypatch: pytest.MonkeyPatch, family: FamilyName, layer: Weighted
) -> None:
    q, p, rules = random_tensors(family, layer, 0), random_tensors(family, layer, 1), FAMILIES[family]
    size, rows, held, checks = len(q[MU_Z]), 400, list[int](), list[int]()
    numbers = torch.randn((rows, size), generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def noise() -> Callable[[Tensor], Tensor]:
        left = iter(numbers)

        def some(like: Tensor) -> Tensor:
            held.append(like.numel())
            return torch.stack([next(left) for _ in range(len(like))])

        return some

    ready = rules.ready(p)
    whole = rules.kl(rules.complete(q, noise(), rows), ready)
    monkeypatch.setattr(mnf, "DRAWN_MAX", held.pop())
    monkeypatch.setattr(mnf, "DRAWS_LEAST", 1)
    assert torch.equal(rules.kl_in_turn(q, ready, noise=noise(), rows=rows, check=lambda: None), whole)

    monkeypatch.setattr(mnf, "DRAWN_MAX", 7 * size)
    held.clear()
    in_turn = rules.kl_in_turn(q, ready, noise=noise(), rows=rows, check=lambda: checks.append(1))

    torch.testing.assert_close(in_turn, whole)
    assert max(held) == 7 * size
    assert len(checks) == len(held) > 3


@variants
@layers
def test_outputs_given_z_are_those_of_the_scaled_means_with_the_variance_of_ffg(
    family: FamilyName, layer: Weighted
) -> None:
    rules, q, x = FAMILIES[family], random_tensors(family, layer, 0), inputs_of(layer, rows=20)
    complete = rules.complete(q, normal(1), 20)
    z = complete[DRAWN]

    mean = rules.linear(layer, complete, x, torch.zeros_like)
    spread = rules.linear(layer, complete, x, torch.ones_like) - mean

    each = z.repeat_interleave(math.ceil(20 / len(z)), 0)[:20]
    scaled = [factor(family, layer, one) * q["weight.mu"] for one in each]
    expected = torch.cat([apply(layer, x[i : i + 1], w, q["bias.mu"]) for i, w in enumerate(scaled)])
    torch.testing.assert_close(mean, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        spread, ffg.linear(layer, q, x, torch.ones_like) - ffg.linear(layer, q, x, torch.zeros_like)
    )


@variants
@layers
def test_the_mean_of_a_flow_that_is_the_identity_is_exact(family: FamilyName, layer: Weighted) -> None:
    q = random_tensors(family, layer, 0)
    q = {key: torch.zeros_like(t) if key in {flows.OUTER, flows.OUTER_BIAS} else t for key, t in q.items()}

    mean = FAMILIES[family].mean(q).weight[0]

    expected = factor(family, layer, q[MU_Z]) * q["weight.mu"]
    is_product = family == "mnf-rank1" and layer is not DENSE
    torch.testing.assert_close(mean, expected, rtol=0.02 if is_product else 1e-12, atol=1e-12)


@variants
def test_signal_to_noise_is_told_by_mean_and_deviation_of_the_weights(family: FamilyName) -> None:
    rules, q = FAMILIES[family], random_tensors(family, CONV, 0)

    drawn = rules.draw(q, 20_000, torch.Generator().manual_seed(0)).weight

    ratio = drawn.mean(0).abs() / drawn.std(0)
    assert rules.describe(q, q, q)["snr_median"] == pytest.approx(float(ratio.median()), rel=0.1)


@variants
def test_the_masks_alone_are_never_learned(family: FamilyName) -> None:
    rules = FAMILIES[family]

    assert [key for key in rules.shapes(CONV) if rules.rate(key) is None] == [flows.MASK]

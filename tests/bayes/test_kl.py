import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

from bayes import FamilyMismatch, Model, Posterior, kl_divergence, root
from bayes.families import ffg
from bayes.posterior import join


def random_layer(seed: int) -> dict[str, Tensor]:
    stream = torch.Generator().manual_seed(seed)
    shapes = {"weight": (6, 5), "bias": (6,)}
    return {
        f"{part}.{key}": torch.randn(shape, generator=stream, dtype=torch.float64)
        for part, shape in shapes.items()
        for key in ("mu", "log_sigma")
    }


def test_kl_of_a_posterior_to_itself_is_exactly_zero(learned: Posterior) -> None:
    assert kl_divergence(learned, learned) == {"conv1": 0.0, "conv2": 0.0, "dense1": 0.0}


def test_kl_is_that_of_torch_distributions() -> None:
    q, p = random_layer(0), random_layer(1)

    expected = sum(
        torch_kl(
            Normal(q[f"{part}.mu"], q[f"{part}.log_sigma"].exp()), Normal(p[f"{part}.mu"], p[f"{part}.log_sigma"].exp())
        ).sum()
        for part in ("weight", "bias")
    )

    assert float(ffg.kl(q, ffg.ready(p))) == pytest.approx(float(expected), rel=1e-12)


def test_kl_of_a_whole_posterior_is_its_formula_weight_by_weight(learned: Posterior, images: Model) -> None:
    prior = root(images)
    by_hand = dict.fromkeys(("conv1", "conv2", "dense1"), 0.0)
    for name in learned.tensors:
        if name.endswith(".mu"):
            wide = name.replace(".mu", ".log_sigma")
            for mu_q, mu_p, log_q, log_p in zip(
                *(t.double().flatten().tolist() for t in (learned.tensors[name], prior.tensors[name])),
                *(t.double().flatten().tolist() for t in (learned.tensors[wide], prior.tensors[wide])),
                strict=True,
            ):
                variance = math.exp(2 * log_q) + (mu_q - mu_p) ** 2
                by_hand[name.split(".")[0]] += log_p - log_q + variance / (2 * math.exp(2 * log_p)) - 0.5

    assert kl_divergence(learned, prior) == pytest.approx(by_hand, rel=1e-12)


def test_kl_between_two_families_is_refused(images: Model, learned: Posterior) -> None:
    point = root(Model.from_description(images.to_description() | {"family": "point"}))

    with pytest.raises(FamilyMismatch, match="point"):
        kl_divergence(learned, point)


def test_kl_between_two_nets_is_refused(images: Model, learned: Posterior) -> None:
    other = root(Model.from_description(images.to_description() | {"output": {"kind": "categorical", "classes": 4}}))

    with pytest.raises(FamilyMismatch, match="different nets"):
        kl_divergence(learned, other)


def test_kl_of_points_is_zero(images: Model) -> None:
    point = root(Model.from_description(images.to_description() | {"family": "point"}))

    assert set(kl_divergence(point, point).values()) == {0.0}


def test_full_names_join_layer_and_key() -> None:
    tensor = torch.zeros(1)

    assert join({"conv1": {"weight.mu": tensor}}) == {"conv1.weight.mu": tensor}

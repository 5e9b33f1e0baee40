from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from bayes import (
    CategoricalPrediction,
    Chunk,
    Draws,
    GaussianPrediction,
    InvalidInputs,
    Model,
    Posterior,
    absorb,
    ask,
    draw,
    mean_draw,
    predict,
    ready,
    root,
)
from bayes.draws import nbytes_of_a_net
from bayes.families import family_names
from bayes.layers import Weighted, apply, forward


def one_by_one(draws: Draws, inputs: Tensor) -> Tensor:
    """The outputs of every drawn net by itself, [rows, draws, units]."""

    def outputs(index: int) -> Tensor:
        def linear(layer: Weighted, x: Tensor) -> Tensor:
            weight, bias = draws.weights[layer.name]
            return apply(layer, x, weight[index], bias[index])

        return forward(draws.network, draws.input.scale(inputs), linear)

    return torch.stack([outputs(index) for index in range(draws.samples)], 1).double()


def categorical(posterior: Posterior, inputs: Tensor, samples: int, seed: int = 0) -> CategoricalPrediction:
    prediction = predict(posterior, inputs, samples=samples, seed=seed)
    assert isinstance(prediction, CategoricalPrediction)
    return prediction


@pytest.fixture
def regression(described: dict[str, object]) -> tuple[Posterior, Tensor]:
    """A learned regression on two numbers, and inputs to ask it of."""
    model = Model.from_description(described | {"output": {"kind": "gaussian", "dims": 2}, "recipe": {"epochs": 5}})
    inputs = torch.randn(30, 4, generator=torch.Generator().manual_seed(2))
    posterior, _ = absorb(root(model), Chunk(inputs, 50 + 9 * inputs[:, :2]), model.recipe)
    return posterior, inputs


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_an_ensemble_is_its_nets_asked_one_by_one(learned: Posterior, image_chunk: Chunk, samples: int) -> None:
    draws = draw(learned, samples=samples, seed=3)

    prediction = categorical(learned, image_chunk.inputs, samples, seed=3)

    each = one_by_one(draws, image_chunk.inputs).softmax(-1)
    torch.testing.assert_close(prediction.probabilities, each.mean(1), rtol=1e-5, atol=1e-6)
    aleatoric = -(each * each.log()).sum(-1).mean(1)
    torch.testing.assert_close(prediction.aleatoric, aleatoric, rtol=1e-5, atol=1e-6)
    entropy = -(each.mean(1) * each.mean(1).log()).sum(-1)
    torch.testing.assert_close(prediction.entropy, entropy, rtol=1e-5, atol=1e-6)


def test_entropy_is_aleatoric_plus_mutual_information(learned: Posterior, image_chunk: Chunk) -> None:
    prediction = categorical(learned, image_chunk.inputs, 8)

    torch.testing.assert_close(prediction.entropy, prediction.aleatoric + prediction.mutual_information)
    assert bool((prediction.mutual_information > 0).all())
    torch.testing.assert_close(prediction.probabilities.sum(1), torch.ones(20, dtype=torch.float64))


def test_mutual_information_is_never_negative_where_the_nets_agree(learned: Posterior, image_chunk: Chunk) -> None:
    narrow = {key: torch.full_like(t, -19.0) if key.endswith("log_sigma") else t for key, t in learned.tensors.items()}

    prediction = categorical(replace(learned, tensors=narrow), image_chunk.inputs, 5)

    assert bool((prediction.mutual_information >= 0).all())
    assert float(prediction.mutual_information.max()) < 1e-12


def test_a_gaussian_ensemble_has_the_moments_of_its_nets(regression: tuple[Posterior, Tensor]) -> None:
    posterior, inputs = regression

    prediction = predict(posterior, inputs, samples=6, seed=3)

    assert isinstance(prediction, GaussianPrediction)
    own = {key: tensor.double() for key, tensor in posterior.layer("output").items()}
    each = own["location"] + own["scale"] * one_by_one(draw(posterior, samples=6, seed=3), inputs)
    torch.testing.assert_close(prediction.mean, each.mean(1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(prediction.epistemic_std, each.std(1, correction=0), rtol=1e-4, atol=1e-5)
    noise = own["scale"] * (own["log_noise.mu"] + (2 * own["log_noise.log_sigma"]).exp()).exp()
    torch.testing.assert_close(prediction.noise_std, noise.expand(30, 2))
    total = prediction.epistemic_std.square() + prediction.noise_std.square()
    torch.testing.assert_close(prediction.std.square(), total)


def test_a_given_noise_is_the_noise_of_the_prediction_in_label_units(described: dict[str, object]) -> None:
    model = Model.from_description(described | {"output": {"kind": "gaussian", "noise": 2.5}, "recipe": {"epochs": 1}})
    inputs = torch.randn(10, 4, generator=torch.Generator().manual_seed(2))
    posterior, _ = absorb(root(model), Chunk(inputs, 100 * inputs[:, :1]), model.recipe)

    prediction = predict(posterior, inputs)

    assert isinstance(prediction, GaussianPrediction)
    torch.testing.assert_close(prediction.noise_std, torch.full((10, 1), 2.5, dtype=torch.float64))


def test_the_same_request_gives_the_same_bytes_and_another_seed_others(learned: Posterior, image_chunk: Chunk) -> None:
    one, again, other = (categorical(learned, image_chunk.inputs, 4, seed).probabilities for seed in (1, 1, 2))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_draws_made_before_give_what_draws_made_on_request_give(learned: Posterior, image_chunk: Chunk) -> None:
    kept = ask(draw(learned, samples=4, seed=1), image_chunk.inputs)

    assert isinstance(kept, CategoricalPrediction)
    assert torch.equal(kept.probabilities, categorical(learned, image_chunk.inputs, 4, 1).probabilities)


def test_draws_know_their_bytes(learned: Posterior) -> None:
    kernels = sum(tensor.numel() for name, tensor in learned.tensors.items() if "conv" in name and "weight.mu" in name)

    assert draw(learned, samples=3).nbytes == 3 * 4 * (learned.network.weights + kernels)
    assert nbytes_of_a_net(learned.network) == 4 * (learned.network.weights + kernels)


def test_the_mean_is_one_net_without_mutual_information(learned: Posterior, image_chunk: Chunk) -> None:
    prediction = predict(learned, image_chunk.inputs, method="mean")

    assert isinstance(prediction, CategoricalPrediction)
    each = one_by_one(mean_draw(learned), image_chunk.inputs)
    torch.testing.assert_close(prediction.probabilities, each[:, 0].softmax(-1), rtol=1e-5, atol=1e-6)
    assert not bool(prediction.mutual_information.any())
    assert torch.equal(mean_draw(learned).weights["conv1"].weight[0], learned.tensors["conv1.weight.mu"])


def test_a_point_is_unsure_of_the_label_only(images: Model, image_chunk: Chunk) -> None:
    model = Model.from_description(images.to_description() | {"family": "point"})
    posterior, _ = absorb(root(model), image_chunk, model.recipe)

    prediction = categorical(posterior, image_chunk.inputs, 16)

    assert not bool(prediction.mutual_information.any())
    assert torch.equal(prediction.entropy, prediction.aleatoric)
    mean = predict(posterior, image_chunk.inputs, method="mean")
    assert isinstance(mean, CategoricalPrediction)
    assert torch.equal(prediction.probabilities, mean.probabilities)


@pytest.mark.parametrize("net", [{"kind": "lenet5"}, {"kind": "mlp", "hidden": [8]}])
@pytest.mark.parametrize("family", family_names())
def test_the_root_prior_predicts(net: dict[str, object], family: str) -> None:
    model = Model.from_description(
        {
            "net": net,
            "input": {"shape": [1, 28, 28], "dtype": "uint8"},
            "output": {"kind": "categorical", "classes": 10},
            "family": family,
        }
    )

    prediction = categorical(root(model), torch.full((2, 1, 28, 28), 255, dtype=torch.uint8), 2)

    assert bool(torch.isfinite(prediction.probabilities).all())
    assert bool(torch.isfinite(prediction.entropy).all())


def test_many_rows_are_answered_as_few_are(learned: Posterior) -> None:
    inputs = torch.randint(0, 256, (1100, 2, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)

    all_rows = categorical(learned, inputs, 3).probabilities

    last = categorical(learned, inputs[-7:], 3).probabilities
    torch.testing.assert_close(all_rows[-7:], last, rtol=1e-5, atol=1e-6)
    assert len(all_rows) == 1100


def test_no_rows_are_answered_with_none(learned: Posterior) -> None:
    assert categorical(learned, torch.zeros(0, 2, 6, 6, dtype=torch.uint8), 3).probabilities.shape == (0, 3)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (torch.zeros(1, 2, 6, 6), "float32"),
        (torch.zeros(2, 6, 6, dtype=torch.uint8), "shape"),
        (torch.zeros(1, 2, 6, 7, dtype=torch.uint8), "shape"),
        (torch.tensor(0, dtype=torch.uint8), "shape"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(learned: Posterior, inputs: Tensor, message: str) -> None:
    with pytest.raises(InvalidInputs, match=message):
        predict(learned, inputs)


def test_inputs_that_are_not_finite_are_refused(regression: tuple[Posterior, Tensor]) -> None:
    with pytest.raises(InvalidInputs, match="NaN"):
        predict(regression[0], torch.full((1, 4), float("nan")))


def test_inputs_whose_outputs_overflow_are_refused_with_their_row(regression: tuple[Posterior, Tensor]) -> None:
    posterior, _ = regression
    inputs = torch.zeros(3, 4)
    inputs[1] = 3e38

    with pytest.raises(InvalidInputs, match="row 1 "):
        predict(posterior, inputs)


def test_inputs_are_scaled_by_their_channel_before_the_net(described: dict[str, object]) -> None:
    scaled = Model.from_description(
        described | {"input": {"shape": [2, 1, 2], "dtype": "uint8", "mean": [10, 20], "std": [2, 4]}}
    ).input

    x = scaled.scale(torch.tensor([[[[12, 14]], [[24, 28]]]], dtype=torch.uint8))

    assert torch.equal(x, torch.tensor([[[[1.0, 2.0]], [[1.0, 2.0]]]]))


def test_a_method_that_is_none_is_refused(learned: Posterior, image_chunk: Chunk) -> None:
    with pytest.raises(InvalidInputs, match="method must be one of moments, ensemble, mean, not 'median'"):
        predict(learned, image_chunk.inputs, method="median")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"samples": 0}, "samples must be a whole number of at least 1, not 0"),
        ({"samples": -1}, "not -1"),
        ({"samples": 2.5}, "not 2.5"),
        ({"samples": True}, "not True"),
        ({"seed": 0.5}, "seed must be a whole number, not 0.5"),
        ({"samples": 2, "seed": "a"}, "not 'a'"),
    ],
)
def test_samples_and_seeds_that_are_none_are_refused(learned: Posterior, how: dict[str, Any], message: str) -> None:
    for made in (
        lambda: predict(learned, torch.zeros(1, 2, 6, 6, dtype=torch.uint8), **how),
        lambda: ready(learned, **how),
    ):
        with pytest.raises(InvalidInputs, match=message):
            made()


def test_inputs_of_another_library_are_refused_by_their_kind(learned: Posterior) -> None:
    with pytest.raises(InvalidInputs, match="inputs are ndarray; the model takes a torch tensor"):
        predict(learned, torch.zeros(1, 2, 6, 6, dtype=torch.uint8).numpy())  # type: ignore[arg-type]

"""What leaves an update is finite, or the update diverged."""

import math
from dataclasses import replace

import pytest
import torch

from bayes import (
    Bound,
    Chunk,
    InvalidInputs,
    Method,
    Model,
    Posterior,
    Report,
    UpdateDiverged,
    absorb,
    predict,
    root,
    score,
    update,
)
from bayes.adam import Adam
from bayes.outputs import NOISE_LEAST, NOISE_MOST
from tests.bayes.predictions import tensors

FINE = Report(
    elbo=Bound(-3.0, -2.0, 1.0, 1.0),
    kl_nats={"dense1": 1.0},
    snr_median={"dense1": 1.0},
    log_sigma_moved={"dense1": 1.0},
    steps=1,
    epochs=1,
    rows=1,
    seconds=1.0,
    device="cpu",
    warnings=(),
)


@pytest.fixture
def noisy() -> tuple[Model, Posterior, Chunk]:
    """A line through 0 whose prior predicts nearly 0, for labels of 0: every draw says that sigma is too wide."""
    model = Model.from_description(
        {
            "net": {"kind": "mlp", "hidden": []},
            "input": {"shape": [4], "dtype": "float32"},
            "output": {"kind": "gaussian", "noise": 1.0},
            "prior": {"kind": "gaussian", "sigma": 1.0},
            "recipe": {"epochs": 1, "batch_rows": 30, "lr_final": 1.0, "beta": 1e-6},
        }
    )
    prior = root(model)
    prior = replace(prior, tensors={**prior.tensors, "dense1.weight.mu": torch.full((1, 4), 1e-6)})
    inputs = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    return model, prior, Chunk(inputs, torch.zeros(30, 1))


def test_a_sigma_that_underflows_ends_the_update_with_an_error(noisy: tuple[Model, Posterior, Chunk]) -> None:
    model, prior, chunk = noisy
    _, report = absorb(prior, chunk, replace(model.recipe, lr_log_sigma=20.0))
    assert report.is_finite

    with pytest.raises(UpdateDiverged, match="after 1 steps the posterior or its report is not finite"):
        absorb(prior, chunk, replace(model.recipe, lr_log_sigma=200.0))


def test_a_weight_out_of_the_finite_numbers_ends_the_update_even_where_no_data_hear_of_it(
    described: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def descend(optimizer: Adam, *_: object, **__: object) -> int:
        with torch.no_grad():
            optimizer.q["dense1"]["bias.mu"][0] = -math.inf
        return 1

    monkeypatch.setattr(update, "descend", descend)
    model = Model.from_description(described | {"family": "point"})

    with pytest.raises(UpdateDiverged, match="after 1 steps the posterior"):
        absorb(root(model), Chunk(torch.ones(3, 4), torch.arange(3)), model.recipe)


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("field", ["kl_nats", "snr_median", "log_sigma_moved"])
def test_a_report_with_a_layer_out_of_the_finite_numbers_is_not_finite(field: str, number: float) -> None:
    assert FINE.is_finite

    assert not replace(FINE, **{field: {"dense1": 1.0, "dense2": number}}).is_finite  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["elbo", "data_nats", "kl_nats"])
def test_a_report_with_a_bound_out_of_the_finite_numbers_is_not_finite(field: str) -> None:
    assert not replace(FINE, elbo=replace(FINE.elbo, **{field: math.inf})).is_finite


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("sigma", [1e-6, 1e3])
def test_the_ends_of_the_bounds_of_a_description_can_be_learned_from(
    described: dict[str, object], dtype: str, sigma: float
) -> None:
    ends: dict[str, object] = {
        "input": {"shape": [4], "dtype": dtype, "mean": [-1e9, 1e9, 0, 0], "std": [1e-6, 1e-6, 1e9, 1e-6]},
        "prior": {"kind": "gaussian", "sigma": sigma},
        "recipe": {"epochs": 3, "batch_rows": 4},
    }
    model = Model.from_description(described | ends)
    inputs = torch.zeros(8, 4, dtype=torch.uint8 if dtype == "uint8" else torch.float32)

    _, report = absorb(root(model), Chunk(inputs, torch.arange(8) % 3), model.recipe)

    assert report.is_finite


@pytest.mark.parametrize("method", ["moments", "ensemble", "mean"])
@pytest.mark.parametrize("output", [{"kind": "categorical", "classes": 3}, {"kind": "gaussian", "dims": 2}])
@pytest.mark.parametrize("sigma", [1e-6, 1.0, 1e3])
def test_the_ends_of_the_bounds_of_a_description_predict_finite_numbers_or_are_refused_by_row(
    described: dict[str, object], sigma: float, output: dict[str, object], method: Method
) -> None:
    ends: dict[str, object] = {
        "input": {"shape": [4], "mean": [-1e9, 1e9, 0, 0], "std": [1e-6, 1e-6, 1e9, 1e-6]},
        "prior": {"kind": "gaussian", "sigma": sigma},
        "output": output,
    }
    posterior = root(Model.from_description(described | ends))

    if method == "moments" and sigma == 1e3:
        # (1e15)^2 times the variances of two layers, 1e6 each, is no number of float32.
        with pytest.raises(InvalidInputs, match="row 0 holds numbers so large that the mean and the variance of"):
            predict(posterior, torch.zeros(8, 4), method=method)
    else:
        prediction = predict(posterior, torch.zeros(8, 4), method=method)
        assert prediction.method == method
        assert all(bool(tensor.isfinite().all()) for tensor in tensors(prediction).values())


@pytest.mark.parametrize("activation", ["relu", "softplus"])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e8, 1e15, 1e17, 1e19, 1e25, 3e38])
def test_moments_of_inputs_of_any_size_are_finite_or_refused(activation: str, size: float) -> None:
    layers = [
        {"kind": "conv", "filters": 3, "kernel": 3},
        {"kind": "maxpool", "size": 2},
        {"kind": activation},
        {"kind": "flatten"},
        {"kind": "dense", "units": 7},
        {"kind": activation},
    ]
    for family in ("ffg", "cfg"):
        posterior = root(
            Model.from_description(
                {
                    "net": {"kind": "layers", "layers": layers},
                    "input": {"shape": [1, 6, 6]},
                    "output": {"kind": "categorical", "classes": 3},
                    "family": family,
                }
            )
        )
        inputs = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
        inputs[2] *= size

        if size < 1e18:
            prediction = predict(posterior, inputs)
            assert prediction.method == "moments"
            assert all(bool(tensor.isfinite().all()) for tensor in tensors(prediction).values())
        else:
            with pytest.raises(InvalidInputs, match="row 2 holds"):
                predict(posterior, inputs)


@pytest.mark.parametrize("optimizer", ["adam", "ivon"])
@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("noise", [NOISE_LEAST, NOISE_MOST])
def test_the_least_and_the_greatest_noise_learn_and_predict_finite_numbers(
    described: dict[str, object], noise: float, size: float, optimizer: str
) -> None:
    output = {"kind": "gaussian", "dims": 2, "noise": noise}
    model = Model.from_description(described | {"output": output, "recipe": {"epochs": 3, "optimizer": optimizer}})
    stream = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(30, 4, generator=stream), size * torch.randn(30, 2, generator=stream)

    first, _ = absorb(root(model), Chunk(inputs, labels), model.recipe)
    second, _ = absorb(first, Chunk(inputs + 1, 3 * labels), model.recipe)
    prediction = predict(second, inputs)

    assert all(bool(tensor.isfinite().all()) for tensor in tensors(prediction).values())
    assert all(math.isfinite(value) for value in score(prediction, labels).values())

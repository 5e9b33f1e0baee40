"""What each drawn net says: together it is what the ensemble says, to the byte."""

import sys

import pytest
import torch
from torch import Tensor

from bayes import (
    Categorical,
    CategoricalPrediction,
    Drawn,
    InvalidInputs,
    Model,
    Posterior,
    ask,
    ask_each,
    draw,
    mean_draw,
    predict,
    predict_each,
    root,
)
from bayes.draws import evaluate
from tests.bayes.predictions import Stop, classes, is_same, numbers
from tests.bayes.traced import random_chunk, small

DRAWS, PREDICT = sys.modules["bayes.draws"], sys.modules["bayes.predict"]
OUTPUTS = [
    {"kind": "categorical", "classes": 10},
    {"kind": "categorical", "classes": 2},
    {"kind": "gaussian", "dims": 2},
]


@pytest.fixture(params=["ffg", "mnf", "cfg"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=OUTPUTS)
def posterior(request: pytest.FixtureRequest, described: dict[str, object], family: str) -> Posterior:
    return root(Model.from_description(described | {"output": request.param, "family": family}))


def rows(count: int) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(2))


def location(drawn: Drawn) -> Tensor:
    """What the draws' mean must be."""
    found = drawn.prediction
    return found.probabilities if isinstance(found, CategoricalPrediction) else found.mean


@pytest.mark.parametrize("count", [1, 4, 30, 700])
@pytest.mark.parametrize("samples", [1, 5, 16])
def test_the_mean_over_the_draws_is_the_prediction_of_the_ensemble_to_the_byte(
    posterior: Posterior, samples: int, count: int
) -> None:
    drawn = predict_each(posterior, rows(count), samples=samples, seed=7)

    assert is_same(drawn.prediction, predict(posterior, rows(count), method="ensemble", samples=samples, seed=7))
    assert drawn.draws.shape == (count, samples, posterior.output.units)
    assert drawn.draws.dtype == torch.float64
    assert torch.equal(drawn.draws.mean(1), location(drawn))


def test_each_draw_is_what_its_net_says_alone(posterior: Posterior) -> None:
    inputs, nets = rows(3), draw(posterior, samples=4, seed=1)
    with torch.inference_mode():
        outputs = evaluate(nets, posterior.input.scale(inputs), by_row=True)

    drawn = ask_each(nets, inputs, samples=4)

    if isinstance(posterior.output, Categorical):
        torch.testing.assert_close(drawn.draws, outputs.softmax(-1), rtol=1e-13, atol=0)
        assert (drawn.draws.sum(-1) - 1).abs().max() < 1e-14
        aleatoric = torch.special.entr(drawn.draws).sum(-1).mean(1)
        torch.testing.assert_close(classes(drawn.prediction).aleatoric, aleatoric, rtol=1e-13, atol=0)
    else:
        std = drawn.draws.std(1, correction=0)
        torch.testing.assert_close(numbers(drawn.prediction).epistemic_std, std, rtol=1e-12, atol=0)
    assert len(set(map(tuple, drawn.draws[0].tolist()))) == 4


def test_draws_that_are_all_equal_are_as_many_as_are_asked_for(described: dict[str, object]) -> None:
    posterior = root(Model.from_description(described | {"output": OUTPUTS[0], "family": "point"}))

    drawn = predict_each(posterior, rows(2), samples=6)

    assert drawn.draws.shape == (2, 6, 10)
    assert all(torch.equal(drawn.draws[:, index], location(drawn)) for index in range(6))


def test_the_net_of_the_mean_weights_is_one_draw(posterior: Posterior) -> None:
    drawn = ask_each(mean_draw(posterior), rows(3), samples=1)

    assert is_same(drawn.prediction, ask(mean_draw(posterior), rows(3)))
    assert torch.equal(drawn.draws[:, 0], location(drawn))


@pytest.mark.parametrize("rows_of_outputs", [1, 5, 1000])
def test_draws_that_come_in_turn_say_what_draws_that_are_held_say(
    monkeypatch: pytest.MonkeyPatch, rows_of_outputs: int
) -> None:
    model, inputs = small(), random_chunk().inputs
    posterior = root(model)
    monkeypatch.setattr(DRAWS, "WEIGHTS_AT_ONCE", 2 * model.network.weights)
    monkeypatch.setattr(PREDICT, "ACTIVATIONS_MAX", 5 * model.network.width)
    monkeypatch.setattr(PREDICT, "OUTPUTS_MAX", rows_of_outputs * 5 * 3)

    in_turn = predict_each(posterior, inputs, samples=5, seed=9)

    held = ask_each(draw(posterior, samples=5, seed=9), inputs, samples=5)
    assert torch.equal(in_turn.draws, held.draws)
    assert is_same(in_turn.prediction, held.prediction)
    assert is_same(in_turn.prediction, predict(posterior, inputs, samples=5, seed=9))


def test_it_stops_and_refuses_as_a_prediction_does(posterior: Posterior) -> None:
    with pytest.raises(InterruptedError):
        predict_each(posterior, rows(30), samples=3, check=Stop(2))
    with pytest.raises(InvalidInputs, match="shape"):
        predict_each(posterior, rows(3)[:, :2], samples=3)
    with pytest.raises(InvalidInputs, match="samples must be"):
        predict_each(posterior, rows(3), samples=0)
    with pytest.raises(InvalidInputs, match="row 1 holds numbers so large"):
        predict_each(posterior, rows(3) * torch.tensor([[1], [3e38], [1]]), samples=3)

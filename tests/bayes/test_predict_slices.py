"""Predictions of many rows and draws, in slices: the same answers, in bounded memory."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bayes import CategoricalPrediction, Draws, InvalidInputs, Model, Posterior, ask, draw, predict, root
from bayes.families.parts import LayerWeights
from bayes.reduction import numbers_per_row
from tests.bayes.predictions import Stop, tensors

PREDICT = sys.modules["bayes.predict"]  # The package's attribute of this name is the function.
DRAWS, ROWS = 16, 101


class Sizes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While entered, keeps the size of the largest tensor that any operation makes, in numbers."""

    largest = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        made = func(*args, **(kwargs or {}))
        sizes = (in_memory(tensor) for tensor in tree_leaves(made) if isinstance(tensor, Tensor))
        self.largest = max(self.largest, *sizes, 0)
        return made


def in_memory(tensor: Tensor) -> int:
    """How many of its numbers are numbers of their own."""
    return min(tensor.numel(), tensor.untyped_storage().nbytes() // tensor.element_size())


@pytest.fixture(params=[{"kind": "categorical", "classes": 4}, {"kind": "gaussian", "dims": 2}, {"kind": "gaussian"}])
def prior(request: pytest.FixtureRequest, described: dict[str, object]) -> Posterior:
    """The root of a small model, once for each kind of output; one row of one draw takes at most 5 numbers."""
    return root(Model.from_description(described | {"output": request.param}))


def rows() -> Tensor:
    return torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(2))


def in_slices_of(rows: int, prior: Posterior, monkeypatch: pytest.MonkeyPatch) -> int:
    """Slices have at most so many rows of the models of `prior`; the most numbers in a tensor on the way."""
    most = rows * max(DRAWS * prior.network.width, numbers_per_row(prior.output, DRAWS))
    monkeypatch.setattr(PREDICT, "ACTIVATIONS_MAX", most)
    return most


def exact(draws: Draws) -> Draws:
    """The draws with small whole numbers for weights: behind whole inputs, their outputs do not depend on the slices.

    What is made of the outputs still rounds, as labels have a location and a scale that are no binary fractions.
    """
    weights = {name: LayerWeights((8 * w).round(), (8 * b).round()) for name, (w, b) in draws.weights.items()}
    return replace(draws, weights=weights, own={key: tensor.double() + 0.3 for key, tensor in draws.own.items()})


def test_rows_in_slices_are_answered_exactly_as_all_at_once(prior: Posterior, monkeypatch: pytest.MonkeyPatch) -> None:
    draws, whole = exact(draw(prior, samples=DRAWS)), rows().round()
    at_once = ask(draws, whole)
    nets: list[int] = []
    most = in_slices_of(7, prior, monkeypatch)

    sliced = ask(draws, whole, check=lambda: nets.append(1))

    # One net after the other needs no more than what all of them put out.
    slices = math.ceil(ROWS / (most // max(prior.network.width, numbers_per_row(prior.output, DRAWS))))
    assert len(nets) == slices * DRAWS
    assert type(sliced) is type(at_once)
    for name, tensor in tensors(sliced).items():
        assert torch.equal(tensor, tensors(at_once)[name]), name


def test_no_tensor_on_the_way_is_larger_than_the_bound(prior: Posterior, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = draw(prior, samples=DRAWS)
    most = in_slices_of(16, prior, monkeypatch)
    many = rows()[:1].expand(1000, 4).contiguous()
    answers = 1000 * prior.output.units

    with Sizes() as one_slice:  # type: ignore[no-untyped-call]
        ask(draws, many[:16])
    with Sizes() as all_slices:  # type: ignore[no-untyped-call]
        ask(draws, many)

    assert one_slice.largest <= most
    assert all_slices.largest <= max(answers, many.numel(), one_slice.largest) < 1000 * DRAWS * prior.output.units


@pytest.mark.parametrize("asked", [6, 8, 33])
def test_nor_is_one_where_all_nets_of_a_wide_chain_are_computed_side_by_side(
    described: dict[str, object], monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    wide = root(Model.from_description(described | {"net": {"kind": "mlp", "hidden": [40]}}))
    draws, few = draw(wide, samples=DRAWS), rows()[:asked]
    most = in_slices_of(5, wide, monkeypatch)

    with Sizes() as sizes:  # type: ignore[no-untyped-call]
        ask(draws, few)
    with Sizes() as alone:  # type: ignore[no-untyped-call]
        ask(draws, few, by_row=True)

    assert max(sizes.largest, alone.largest) <= most


def test_a_row_whose_draws_exceed_the_bound_is_answered_by_itself(
    prior: Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PREDICT, "ACTIVATIONS_MAX", 1)
    calls: list[None] = []

    prediction = predict(prior, rows()[:3], samples=DRAWS, check=lambda: calls.append(None))

    assert len(calls) == 3
    assert {len(tensor) for tensor in tensors(prediction).values()} == {3}


def test_an_overflow_in_a_later_slice_is_named_by_its_row_of_the_request(
    prior: Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_slices_of(8, prior, monkeypatch)
    inputs = rows()
    inputs[[42, 43, 90]] = 3e38

    with pytest.raises(InvalidInputs, match="row 42 "):
        predict(prior, inputs, samples=DRAWS)


def test_what_check_raises_stops_a_prediction_at_the_next_slice(
    prior: Posterior, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_slices_of(8, prior, monkeypatch)
    stop = Stop(at=3)

    with pytest.raises(InterruptedError):
        predict(prior, rows(), samples=DRAWS, check=stop)

    assert stop.calls == 3


@pytest.mark.parametrize("scale", [0.1, 10.0, 1e4, 1e30])
def test_the_probabilities_are_the_softmax_to_the_rounding_of_float64(
    described: dict[str, object], scale: float
) -> None:
    prior = root(Model.from_description(described | {"net": {"kind": "mlp", "hidden": []}}))
    inputs = rows() * scale

    prediction = predict(prior, inputs, samples=1)

    assert isinstance(prediction, CategoricalPrediction)
    weight, bias = draw(prior, samples=1).weights["dense1"]
    logits = torch.nn.functional.linear(inputs, weight[0], bias[0]).double()
    torch.testing.assert_close(prediction.probabilities, logits.softmax(-1), rtol=1e-12, atol=1e-15)
    assert float(prediction.mutual_information.abs().max()) == 0.0

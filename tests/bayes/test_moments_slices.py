"""Moments of many rows, in slices: the same answers, in bounded memory, stopped and refused by row."""

import sys

import pytest
import torch
from torch import Tensor

from bayes import FamilyName, InvalidInputs, Model, Moments, Posterior, ask, predict, ready, root
from bayes.families.kernels import products_per_row
from bayes.layers import Conv
from bayes.reduction import LOGIT_DRAWS, numbers_per_row
from tests.bayes.predictions import Stop, tensors
from tests.bayes.test_predict_slices import Sizes

MOMENTS, PREDICT = sys.modules["bayes.moments"], sys.modules["bayes.predict"]
ROWS = 101
CONVOLUTIONS: dict[str, object] = {
    "kind": "layers",
    "layers": [
        {"kind": "conv", "filters": 3, "kernel": 3, "padding": 1},
        {"kind": "maxpool", "size": 2},
        {"kind": "relu"},
        {"kind": "conv", "filters": 4, "kernel": 2},
        {"kind": "softplus"},
        {"kind": "flatten"},
    ],
}


def posterior(family: FamilyName = "ffg", output: dict[str, object] | None = None) -> Posterior:
    described = {"net": CONVOLUTIONS, "input": {"shape": [2, 8, 8]}, "family": family}
    return root(Model.from_description(described | {"output": output or {"kind": "categorical", "classes": 3}}))


def rows(count: int = ROWS) -> Tensor:
    return torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(2))


def made_ready(prior: Posterior) -> Moments:
    made = ready(prior)
    assert isinstance(made, Moments)
    return made


@pytest.fixture
def slices_of_eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MOMENTS, "NUMBERS_AT_ONCE", 8 * posterior().network.width)


@pytest.mark.usefixtures("slices_of_eight")
@pytest.mark.parametrize("output", [{"kind": "categorical", "classes": 3}, {"kind": "gaussian", "dims": 2}])
@pytest.mark.parametrize("family", ["ffg", "cfg", "point"])
def test_many_rows_are_answered_as_few_are(family: FamilyName, output: dict[str, object]) -> None:
    made = made_ready(posterior(family, output))
    calls: list[None] = []

    together = ask(made, rows(), check=lambda: calls.append(None))

    assert len(calls) == 13
    for first in (0, 40, 96):
        few = ask(made, rows()[first : first + 5])
        for name, tensor in tensors(few).items():
            torch.testing.assert_close(tensors(together)[name][first : first + 5], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("slices_of_eight")
@pytest.mark.parametrize("family", ["ffg", "cfg"])
def test_no_tensor_on_the_way_grows_with_the_rows(family: FamilyName) -> None:
    made = made_ready(posterior(family))
    many = rows(1).expand(2000, 2, 8, 8).contiguous()

    with Sizes() as one_slice:  # type: ignore[no-untyped-call]
        ask(made, many[:8])
    with Sizes() as all_slices:  # type: ignore[no-untyped-call]
        ask(made, many)

    assert all_slices.largest <= max(one_slice.largest, many.numel())
    assert many.numel() < 2000 * posterior().network.width


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_products_of_correlated_kernels_are_made_for_a_few_rows_at_once(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    prior = posterior("cfg")
    first = prior.network.weighted[0]
    per_row = products_per_row(first, rows(1))
    assert isinstance(first.layer, Conv)
    assert per_row == 2 * (9 * 10 // 2) * 8 * 8
    made, asked = made_ready(prior), rows(64)
    whole = ask(made, asked)
    monkeypatch.setattr(MOMENTS, "PRODUCTS_AT_ONCE", at_once * per_row)

    with Sizes() as sizes:  # type: ignore[no-untyped-call]
        in_parts = ask(made, asked)

    assert sizes.largest == max(at_once * per_row, 64 * numbers_per_row(prior.output, LOGIT_DRAWS))
    for name, tensor in tensors(in_parts).items():
        torch.testing.assert_close(tensor, tensors(whole)[name], rtol=1e-5, atol=1e-6)


def test_rows_of_many_classes_are_put_together_a_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = posterior(output={"kind": "categorical", "classes": 100})
    per_row = numbers_per_row(prior.output, LOGIT_DRAWS)
    assert per_row == 64 * 112
    monkeypatch.setattr(PREDICT, "ACTIVATIONS_MAX", 5 * per_row)
    made, calls = made_ready(prior), list[None]()
    ask(made, rows(1))

    with Sizes() as sizes:  # type: ignore[no-untyped-call]
        ask(made, rows(), check=lambda: calls.append(None))

    assert len(calls) == 21
    assert sizes.largest == 5 * per_row


@pytest.mark.usefixtures("slices_of_eight")
def test_what_check_raises_stops_a_prediction_at_the_next_slice() -> None:
    stop = Stop(at=3)

    with pytest.raises(InterruptedError):
        predict(posterior(), rows(), check=stop)

    assert stop.calls == 3


@pytest.mark.usefixtures("slices_of_eight")
@pytest.mark.parametrize("family", ["ffg", "cfg"])
def test_an_overflow_in_a_later_slice_is_named_by_its_row_of_the_request(family: FamilyName) -> None:
    inputs = rows()
    inputs[[42, 43, 90]] = 3e38

    with pytest.raises(InvalidInputs, match="row 42 "):
        predict(posterior(family), inputs)


def test_no_rows_are_answered_with_none() -> None:
    prediction = predict(posterior(), rows(0))

    assert prediction.method == "moments"
    assert {len(tensor) for tensor in tensors(prediction).values()} == {0}

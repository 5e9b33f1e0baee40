"""Lists that are just what the model takes are read the short way; it finds what the long way finds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayes import Input
from service.bodies import parse, parse_rows
from service.rejected import InputDtype, Rejected
from service.rows import inputs_of
from service.schemas import BatchBody, PredictionBody

INPUTS = [Input((2,), "float32"), Input((2,), "uint8"), Input((1, 2, 1), "uint8"), Input((1, 1), "float32")]

SCALARS: st.SearchStrategy[Any] = (
    st.integers(0, 255)
    | st.integers()
    | st.floats()
    | st.sampled_from([True, None, "1", 256, -1, -0.0, 2**53 + 1, 10**400, 1e15, 1.0000001e15, -(10**16), {}, 3.0])
)


def rows(of: Input) -> st.SearchStrategy[Any]:
    """Mostly the lists that the model takes, of the right numbers or of any."""
    numbers = st.integers(0, 255) if of.dtype == "uint8" else st.integers(-9, 9) | st.floats(-1e15, 1e15)
    lists: st.SearchStrategy[Any] = st.one_of(numbers, numbers, numbers, SCALARS)
    for side in reversed(of.shape):
        lists = st.lists(lists, min_size=side, max_size=side) | st.lists(lists, max_size=side + 1)
    return st.lists(lists, max_size=4)


def read(body: PredictionBody, of: Input) -> tuple[str, bytes]:
    try:
        return "rows", inputs_of(body.inputs, of=of, rows_max=3).tobytes()
    except Rejected as refusal:
        return refusal.code, str(refusal).encode()


@given(st.sampled_from(INPUTS).flatmap(lambda of: st.tuples(st.just(of), rows(of))))
def test_the_short_way_reads_the_same_rows_and_refuses_in_the_same_words(sample: tuple[Input, Any]) -> None:
    of, nested = sample
    body = json.dumps({"inputs": nested}).encode()

    assert read(parse_rows(PredictionBody, body, of=of), of) == read(parse(PredictionBody, body), of)


@pytest.mark.parametrize("of", INPUTS)
def test_lists_of_what_the_model_takes_are_an_array_once_they_are_parsed(of: Input) -> None:
    nested = np.ones((3, *of.shape), "uint8").tolist()

    prediction = parse_rows(PredictionBody, json.dumps({"inputs": nested}).encode(), of=of)
    batch = parse_rows(BatchBody, json.dumps({"inputs": nested, "labels": [0, 0, 1]}).encode(), of=of)

    assert isinstance(prediction.inputs, np.ndarray)
    assert isinstance(batch.inputs, np.ndarray)
    assert batch.labels == [0, 0, 1]


def test_lists_of_more_axes_than_are_read_are_refused_the_short_way_too() -> None:
    of = Input((1,) * 20, "uint8")
    body = b'{"inputs": ' + b"[" * 21 + b"1" + b"]" * 21 + b"}"

    assert read(parse_rows(PredictionBody, body, of=of), of) == read(parse(PredictionBody, body), of)


def test_a_body_of_other_numbers_throughout_is_refused_with_its_first() -> None:
    body = json.dumps({"inputs": [[0.5, 300]] * 3}).encode()
    of = Input((2,), "uint8")

    with pytest.raises(InputDtype, match="got float64"):
        inputs_of(parse_rows(PredictionBody, body, of=of).inputs, of=of, rows_max=3)


def test_base64_of_no_bytes_and_huge_sides_is_refused() -> None:
    encoded = {"b64": "", "dtype": "uint8", "shape": [0, 2**40, 2**40, 2**40]}
    body = json.dumps({"inputs": encoded}).encode()
    of = Input((2,), "uint8")

    assert read(parse_rows(PredictionBody, body, of=of), of)[0] == "body-invalid"

"""Bytes that are no JSON, no array or no safetensors are refused, in time that their length bounds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from bayes import Categorical, Input
from service.rejected import BatchEmpty, BodyInvalid, InputNotFinite, InputShape, JsonInvalid, LabelDtype, Rejected
from service.rows import rows_of_json
from tests.service.encoded import rows_of_safetensors

PAIR = Input(shape=(2,), dtype="float32")
THREE = Categorical(3)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b'{"inputs": [1,], "labels": []}', b"[" * 100_000, b'{"inputs": [[' + b"1" * 1_000_000],
    ids=["nothing", "cut off", "not UTF-8", "a comma too many", "100,000 brackets", "a number of a million digits"],
)
def test_what_is_not_json_is_refused_with_the_place(raw: bytes) -> None:
    with pytest.raises(JsonInvalid) as caught:
        rows_of_json(raw, of=PAIR, labeled=THREE, rows_max=5)

    assert "line 1 column" in str(caught.value)


@pytest.mark.parametrize("innermost", [b"", b"1"])
def test_lists_nested_a_hundred_times_are_refused_as_a_shape(innermost: bytes) -> None:
    raw = b'{"inputs": ' + b"[" * 100 + innermost + b"]" * 100 + b', "labels": [0]}'

    with pytest.raises(InputShape) as caught:
        rows_of_json(raw, of=PAIR, labeled=THREE, rows_max=5)

    assert "more than 16 deep" in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "refusal", "words"),
    [
        ({"x": np.zeros((1, 2), "float32")}, BodyInvalid, "y is missing"),
        ({"x": np.zeros((1, 2)), "y": np.zeros(1, "int64"), "z": np.zeros(1)}, BodyInvalid, "z is no tensor"),
        ({"x": np.zeros((1, 2), bool), "y": np.zeros(1, "int64")}, BodyInvalid, "x has the type bool"),
        ({"x": np.zeros((1, 2)), "y": np.zeros(1, "float32")}, LabelDtype, "got float32"),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0, "int64")}, BatchEmpty, "no rows"),
        ({"x": np.full((1, 2), np.nan), "y": np.zeros(1, "int64")}, InputNotFinite, "nan"),
    ],
)
def test_safetensors_that_do_not_fit_the_model_are_refused(
    tensors: dict[str, np.ndarray[Any, Any]], refusal: type[Rejected], words: str
) -> None:
    with pytest.raises(refusal) as caught:
        rows_of_safetensors(save(tensors), of=PAIR, labeled=THREE, rows_max=5)

    assert words in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"{}", b"\xff" * 100, save({"x": np.zeros(9)})[:-1]])
def test_bytes_that_are_not_safetensors_are_refused(raw: bytes) -> None:
    with pytest.raises(BodyInvalid) as caught:
        rows_of_safetensors(raw, of=PAIR, labeled=THREE, rows_max=5)

    assert "is not safetensors" in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "shape", "words"), [("BF16", [1], "BF16"), ("U8", [1] * 65 + [2], "maximum supported dimension")]
)
def test_safetensors_that_numpy_cannot_hold_are_refused(dtype: str, shape: list[int], words: str) -> None:
    header = json.dumps({"x": {"dtype": dtype, "shape": shape, "data_offsets": [0, 2]}}).encode()
    raw = len(header).to_bytes(8, "little") + header + b"\0\0"

    with pytest.raises(BodyInvalid) as caught:
        rows_of_safetensors(raw, of=PAIR, labeled=THREE, rows_max=5)

    assert words in str(caught.value)

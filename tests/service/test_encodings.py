"""However rows are sent, what is stored is the same; and what cannot be stored is refused with its reason."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save

from bayes import Categorical, Gaussian, Input
from service.rejected import (
    BatchEmpty,
    BatchTooLarge,
    BodyInvalid,
    InputDtype,
    InputNotFinite,
    InputShape,
    LabelDtype,
    LabelOutOfRange,
    LabelShape,
    Rejected,
    WeightsInvalid,
)
from service.rows import Rows, rows_of_json
from store.blobs import digest_of
from tests.service.encoded import rows_of_safetensors

PAIR = Input(shape=(2,), dtype="float32")
IMAGE = Input(shape=(1, 2, 2), dtype="uint8")
THREE = Categorical(3)
NAMED = Categorical(3, ("cat", "dog", "owl"))
VECTOR = Gaussian(dims=2)
NUMBER = Gaussian(dims=1)

Body = dict[str, Any]


def read(body: Body | bytes, of: Input = PAIR, labeled: Categorical | Gaussian = THREE) -> Rows:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return rows_of_json(raw, of=of, labeled=labeled, rows_max=5)


def encoded(array: np.ndarray[Any, Any]) -> Body:
    return {
        "b64": base64.b64encode(array.tobytes()).decode(),
        "dtype": array.dtype.name,
        "shape": list(array.shape),
    }


@st.composite
def labeled_rows(draw: st.DrawFn) -> tuple[Input, dict[str, np.ndarray[Any, Any]]]:
    of = draw(st.sampled_from([PAIR, IMAGE]))
    rows = draw(st.integers(1, 5))
    numbers = st.floats(-(2.0**49), 2.0**49, width=32)
    elements = numbers if of.dtype == "float32" else st.integers(0, 255)
    tensors = {
        "x": draw(arrays.arrays(of.dtype, (rows, *of.shape), elements=elements)),
        "y": draw(arrays.arrays("int64", rows, elements=st.integers(0, 2))),
    }
    if draw(st.booleans()):
        weight = st.floats(0.5, 4.0, width=32)
        tensors["weights"] = draw(arrays.arrays("float32", rows, elements=weight).filter(lambda w: (w != 1).any()))
    return of, tensors


@given(labeled_rows())
def test_the_same_rows_have_one_digest_whether_they_come_as_lists_as_base64_or_as_safetensors(
    sample: tuple[Input, dict[str, np.ndarray[Any, Any]]],
) -> None:
    of, tensors = sample
    names = {"x": "inputs", "y": "labels", "weights": "weights"}

    lists = read({names[key]: array.tolist() for key, array in tensors.items()}, of)
    base64s = read({names[key]: encoded(array) for key, array in tensors.items()}, of)
    binary = rows_of_safetensors(save(tensors), of=of, labeled=THREE, rows_max=5)

    digests = {digest_of(rows.to_bytes()) for rows in (lists, base64s, binary)}
    assert digests == {digest_of(save(tensors))}


def test_numbers_without_a_point_are_numbers_for_a_float32_model() -> None:
    rows = read({"inputs": [[1, -2]], "labels": [0]})

    assert rows.inputs.dtype == np.float32
    assert rows.inputs.tolist() == [[1.0, -2.0]]


def test_weights_that_are_all_1_say_nothing_and_have_the_digest_of_rows_without_them() -> None:
    body: Body = {"inputs": [[1, 2], [3, 4]], "labels": [0, 1]}

    assert read(body | {"weights": [1, 1.0]}).to_bytes() == read(body).to_bytes()
    assert read(body | {"weights": [1, 2]}).to_bytes() != read(body).to_bytes()


def test_labels_may_be_the_names_of_the_classes() -> None:
    rows = read({"inputs": [[0, 0], [0, 0]], "labels": ["owl", "cat"]}, labeled=NAMED)

    assert rows.labels.tolist() == [2, 0]
    assert rows.label_counts() == {"0": 1, "2": 1}


def test_labels_of_one_dimension_may_be_a_flat_list() -> None:
    flat = read({"inputs": [[0, 0], [0, 0]], "labels": [0.5, 1]}, labeled=NUMBER)
    nested = read({"inputs": [[0, 0], [0, 0]], "labels": [[0.5], [1]]}, labeled=NUMBER)

    assert flat.to_bytes() == nested.to_bytes()
    assert flat.labels.shape == (2, 1)
    assert flat.label_counts() == {}


REFUSED: list[tuple[str, Body, Input, Categorical | Gaussian, type[Rejected], str]] = [
    ("a row too short", {"inputs": [[1]], "labels": [0]}, PAIR, THREE, InputShape, "[rows, 2]; got [1, 1]"),
    (
        "a flat image",
        {"inputs": [[1, 2, 3, 4]], "labels": [0]},
        IMAGE,
        THREE,
        InputShape,
        "[rows, 1, 2, 2]; got [1, 4]",
    ),
    ("ragged rows", {"inputs": [[1, 2], [3]], "labels": [0, 0]}, PAIR, THREE, InputShape, "of 1 and of 2 entries"),
    ("rows beside numbers", {"inputs": [[1, 2], 3], "labels": [0]}, PAIR, THREE, InputShape, "beside other values"),
    ("no rows", {"inputs": [], "labels": []}, PAIR, THREE, BatchEmpty, "no rows"),
    ("too many rows", {"inputs": [[1, 2]] * 6, "labels": [0] * 6}, PAIR, THREE, BatchTooLarge, "6 rows"),
    ("strings", {"inputs": [["1", "2"]], "labels": [0]}, PAIR, THREE, InputDtype, "got strings"),
    ("one boolean", {"inputs": [[1, True]], "labels": [0]}, PAIR, THREE, InputDtype, "got booleans"),
    ("null", {"inputs": [[1, None]], "labels": [0]}, PAIR, THREE, InputDtype, "got null"),
    ("objects", {"inputs": [{}], "labels": [0]}, PAIR, THREE, InputDtype, "got objects"),
    ("fractions in uint8", {"inputs": [[[[1, 2], [3, 0.5]]]], "labels": [0]}, IMAGE, THREE, InputDtype, "float64"),
    ("256 in uint8", {"inputs": [[[[1, 2], [3, 256]]]], "labels": [0]}, IMAGE, THREE, InputDtype, "256 in row 0"),
    ("-1 in uint8", {"inputs": [[[[1, 2], [3, -1]]]], "labels": [0]}, IMAGE, THREE, InputDtype, "-1 in row 0"),
    ("a huge whole number", {"inputs": [[1, 10**400]], "labels": [0]}, PAIR, THREE, InputNotFinite, "inf"),
    ("a huge one in uint8", {"inputs": [[[[1, 2], [3, 10**40]]]], "labels": [0]}, IMAGE, THREE, InputDtype, "float64"),
    ("NaN", {"inputs": [[1, 2], [1, float("nan")]], "labels": [0, 0]}, PAIR, THREE, InputNotFinite, "Row 1"),
    ("infinity", {"inputs": [[1, float("inf")]], "labels": [0]}, PAIR, THREE, InputNotFinite, "inf"),
    ("more than float32", {"inputs": [[1, 1e39]], "labels": [0]}, PAIR, THREE, InputNotFinite, "1e+39"),
    ("class 3 of 3", {"inputs": [[1, 2]], "labels": [3]}, PAIR, THREE, LabelOutOfRange, "row 0 is 3; "),
    ("class -1", {"inputs": [[1, 2]], "labels": [-1]}, PAIR, THREE, LabelOutOfRange, "0 to 2"),
    ("an unknown name", {"inputs": [[1, 2]], "labels": ["cow"]}, PAIR, NAMED, LabelOutOfRange, "cat, dog, owl"),
    ("names for numbers", {"inputs": [[1, 2]], "labels": ["cat"]}, PAIR, THREE, LabelDtype, "does not name"),
    ("fractions as classes", {"inputs": [[1, 2]], "labels": [1.0]}, PAIR, THREE, LabelDtype, "got float64"),
    ("a boolean class", {"inputs": [[1, 2]], "labels": [True]}, PAIR, THREE, LabelDtype, "got booleans"),
    ("a label too few", {"inputs": [[1, 2]] * 2, "labels": [0]}, PAIR, THREE, LabelShape, "[2], one label per row"),
    ("a name too few", {"inputs": [[1, 2]] * 2, "labels": ["cat"]}, PAIR, NAMED, LabelShape, "got [1]"),
    ("nested classes", {"inputs": [[1, 2]], "labels": [[0]]}, PAIR, THREE, LabelShape, "got [1, 1]"),
    ("ragged labels", {"inputs": [[1, 2]] * 2, "labels": [[0, 1], [0]]}, PAIR, VECTOR, LabelShape, "entries"),
    ("a flat vector", {"inputs": [[1, 2]] * 2, "labels": [0, 1]}, PAIR, VECTOR, LabelShape, "[2, 2]; got [2]"),
    ("a NaN label", {"inputs": [[1, 2]], "labels": [[0, float("nan")]]}, PAIR, VECTOR, LabelOutOfRange, "nan"),
    ("a string label", {"inputs": [[1, 2]], "labels": [["a", "b"]]}, PAIR, VECTOR, LabelDtype, "strings"),
    (
        "a weight too few",
        {"inputs": [[1, 2]] * 2, "labels": [0, 0], "weights": [1]},
        PAIR,
        THREE,
        WeightsInvalid,
        "[1]",
    ),
    (
        "a negative weight",
        {"inputs": [[1, 2]], "labels": [0], "weights": [-1]},
        PAIR,
        THREE,
        WeightsInvalid,
        "-1 for row 0",
    ),
    (
        "a weight over a million",
        {"inputs": [[1, 2]] * 2, "labels": [0, 0], "weights": [1e6, 1.01e6]},
        *(PAIR, THREE, WeightsInvalid, "1010000.0 for row 1"),
    ),
    (
        "weights of 0",
        {"inputs": [[1, 2]], "labels": [0], "weights": [0]},
        PAIR,
        THREE,
        WeightsInvalid,
        "0 for every row",
    ),
    ("weights of null", {"inputs": [[1, 2]], "labels": [0], "weights": [None]}, PAIR, THREE, WeightsInvalid, "null"),
    ("no labels", {"inputs": [[1, 2]]}, PAIR, THREE, BodyInvalid, "labels: Field required"),
    ("an unknown field", {"inputs": [[1, 2]], "labels": [0], "rows": 1}, PAIR, THREE, BodyInvalid, "rows: Extra"),
    ("a number for inputs", {"inputs": 5, "labels": [0]}, PAIR, THREE, BodyInvalid, "inputs: Input should be"),
    (
        "base64 that is none",
        {"inputs": {"b64": "§", "dtype": "uint8", "shape": [1]}, "labels": [0]},
        *(PAIR, THREE, BodyInvalid, "inputs.b64 is not base64"),
    ),
    (
        "base64 of another size",
        {"inputs": {"b64": "AAAA", "dtype": "float32", "shape": [1, 2]}, "labels": [0]},
        *(PAIR, THREE, BodyInvalid, "[1, 2] is 8 bytes, but b64 holds 3"),
    ),
    (
        "base64 of one number",
        {"inputs": {"b64": "AAAAAA==", "dtype": "float32", "shape": []}, "labels": [0]},
        *(PAIR, THREE, InputShape, "got []"),
    ),
]


@pytest.mark.parametrize(
    ("body", "of", "labeled", "refusal", "words"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_rows_that_do_not_fit_the_model_are_refused_with_what_was_expected_and_what_came(
    body: Body, of: Input, labeled: Categorical | Gaussian, refusal: type[Rejected], words: str
) -> None:
    with pytest.raises(refusal) as caught:
        read(body, of, labeled)

    assert words in str(caught.value)

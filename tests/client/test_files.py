"""Rows from files: every format gives the same rows, fitted to what the model declares."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from client import Model, UnusableArray
from client.files import Rows, fitted, labels_of, read_rows
from client.values import parse
from tests.client.line import model

X = np.array([[0, 1, 2, 3], [4, 5, 6, 255]], np.uint8)
Y = np.array([1, 0])
WEIGHTS = np.array([1.0, 0.5], np.float32)


def described(dtype: str, shape: list[int], *classes: str) -> Model:
    output = {"kind": "categorical", "classes": list(classes) or 10}
    return parse(Model, model(input={"dtype": dtype, "shape": shape}, output=output), asked="a test")


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=X, y=Y, weights=WEIGHTS)
    return stream.getvalue()


def packed() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, x=X, y=Y)
    return stream.getvalue()


def npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, X)
    return stream.getvalue()


def as_json() -> bytes:
    return json.dumps({"inputs": X.tolist(), "labels": Y.tolist(), "weights": WEIGHTS.tolist()}).encode()


def as_csv() -> bytes:
    return b"a,b,c,d,label,weight\n0,1,2,3,1,1.0\n4,5,6,255,0,0.5\n"


@pytest.mark.parametrize("content", [npz, as_json, as_csv, lambda: save({"x": X, "y": Y, "weights": WEIGHTS})])
def test_every_format_gives_the_same_rows(content: Callable[[], bytes]) -> None:
    rows = fitted(read_rows(content(), is_labeled=True), described("uint8", [4]))

    assert rows.x.dtype == np.uint8
    assert rows.x.tolist() == X.tolist()
    assert labels_of(rows).tolist() == Y.tolist()
    assert rows.weights is not None
    assert rows.weights.tolist() == WEIGHTS.tolist()


def test_csv_without_a_header_ends_in_the_label_when_rows_are_labeled() -> None:
    labeled = read_rows(b"1,2,7\n3,4,8\n", is_labeled=True)
    unlabeled = read_rows(b"1,2,7\n3,4,8\n", is_labeled=False)

    assert (labeled.x.shape, labels_of(labeled).tolist()) == ((2, 2), ["7", "8"])
    assert unlabeled.x.shape == (2, 3)
    assert unlabeled.y is None


@pytest.mark.parametrize(
    ("content", "x", "labels"),
    [
        (b"0,1,2\n3,4,1\n5,6,0\n", [[3, 4], [5, 6]], ["1", "0"]),
        (b"0,1,label\n3,4,cat\n", [[3, 4]], ["cat"]),
        (b"0,1,target\n3,4,1\n", [[3, 4]], ["1"]),
        (b"a,b,target\n3,4,1\n", [[3, 4]], ["1"]),
        (b"a,b,target,weight\n3,4,1,2\n", [[3, 4]], ["1"]),
        (b"1,2,label\n3,4,1\n", [[3, 4]], ["1"]),
        (b"\xef\xbb\xbf1,2,3\n", [[1, 2]], ["3"]),
        (b"1,2,y\n3,4,n\n", [[1, 2], [3, 4]], ["y", "n"]),
        (b"0,1,cat\n3,4,dog\n", [[0, 1], [3, 4]], ["cat", "dog"]),
        (b"1,2,cat\n", [[1, 2]], ["cat"]),
        (b"0,1,0\n3,4,1\n", [[0, 1], [3, 4]], ["0", "1"]),
    ],
)
def test_the_first_line_of_a_csv_is_a_header_or_a_row_and_never_lost(
    content: bytes, x: list[list[float]], labels: list[str]
) -> None:
    rows = read_rows(content, is_labeled=True)

    assert (rows.x.tolist(), labels_of(rows).tolist()) == (x, labels)


def test_numbered_columns_are_a_header_without_labels_too() -> None:
    assert read_rows(b"0,1,2\n3,4,5\n", is_labeled=False).x.tolist() == [[3, 4, 5]]
    assert read_rows(b"0\n7\n", is_labeled=False).x.tolist() == [[7]]


def test_flat_rows_take_the_shape_of_the_model() -> None:
    rows = fitted(Rows(X), described("float32", [1, 2, 2]))

    assert (rows.x.shape, rows.x.dtype) == ((2, 1, 2, 2), np.dtype(np.float32))


def test_a_single_input_is_a_row() -> None:
    assert fitted(Rows(X[0]), described("uint8", [4])).x.shape == (1, 4)


def test_rows_of_another_size_are_left_for_the_service_to_refuse() -> None:
    assert fitted(Rows(X), described("uint8", [1, 3, 3])).x.shape == (2, 4)


def test_names_of_classes_become_their_numbers() -> None:
    rows = fitted(Rows(X, np.array(["dog", "cat"])), described("uint8", [4], "cat", "dog"))

    assert labels_of(rows).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (np.array(["cat", "cow"]), "no class called 'cow'; it knows cat, dog"),
        (np.array([0.5, 1.0]), "fractions"),
    ],
)
def test_labels_that_no_class_has_are_refused(labels: NDArray[Any], reason: str) -> None:
    with pytest.raises(UnusableArray, match=reason):
        fitted(Rows(X, labels), described("uint8", [4], "cat", "dog"))


@pytest.mark.parametrize("value", [0.5, 256, -1, np.nan])
def test_a_value_that_a_uint8_model_cannot_hold_is_refused(value: float) -> None:
    with pytest.raises(UnusableArray, match="whole numbers of 0 to 255"):
        fitted(Rows(np.array([[value]])), described("uint8", [1]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"1,2\n3\n", "2 columns"),
        (b"[[1, 2], [3]]", "not npz"),
        (b'{"labels": [1]}', "no inputs"),
        (b"PK\x03\x04 cut short", "not npz"),
        (b"\xff\xfe\x00 no text", "not npz"),
        (b"1,two,3\n", "Column 2 has 'two' in line 1"),
        (b"1,2,3\n4,five,6\n", "Column 2 has 'five' in line 2"),
        (b"a,b,label\n", "no rows"),
        (b"0,1,2\n", "no rows"),
        (b"junk", "no rows"),
        (b"\x00\x01\x02\x03", "no rows"),
        (b"[" * 100_000, "not npz"),
        (b'{"x": [[1]], "weights": [{}]}', "not npz"),
        (b"\x93NUMPY", "not npz"),
    ],
)
def test_what_is_no_rows_is_refused_in_words(content: bytes, reason: str) -> None:
    with pytest.raises(UnusableArray, match=reason):
        read_rows(content, is_labeled=True)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_breaks_a_file_is_told_and_never_a_traceback(seed: int) -> None:
    generator = np.random.default_rng(seed)
    whole = [npz(), packed(), npy(), as_json(), as_csv(), save({"x": X, "y": Y, "weights": WEIGHTS}), b"", b"PK"]

    said = [reading(broken(content, generator), is_labeled=bool(seed % 2)) for content in whole * 60]

    assert [one for one in said if "\n" in one] == []
    assert sum(one != "" for one in said) > 100


def broken(content: bytes, generator: np.random.Generator) -> bytes:
    """The content cut somewhere, with some bytes more, and some others."""
    found = bytearray(content[: generator.integers(len(content) + 1)] + generator.bytes(int(generator.integers(20))))
    for place in generator.integers(max(1, len(found)), size=generator.integers(4)):
        found[place : place + 1] = generator.bytes(1)
    return bytes(found)


def reading(content: bytes, *, is_labeled: bool) -> str:
    """What is said of the content; nothing where it holds rows."""
    try:
        rows = read_rows(content, is_labeled=is_labeled)
        fitted(rows, described("uint8", [4], "cat", "dog"))
    except UnusableArray as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("y", [np.array(["cat", "dog"]), np.array([{}, {}]), np.array([[], [1]], dtype=object)])
def test_labels_that_are_no_numbers_are_refused_by_a_model_of_numbers(y: NDArray[Any]) -> None:
    numbers = parse(
        Model, model(input={"dtype": "uint8", "shape": [4]}, output={"kind": "gaussian", "dims": 1}), asked=""
    )

    with pytest.raises(UnusableArray, match="labels are numbers"):
        fitted(Rows(X, y), numbers)


def test_rows_without_labels_cannot_be_ingested() -> None:
    with pytest.raises(UnusableArray, match="no labels"):
        labels_of(read_rows(b"[[1, 2]]", is_labeled=True))


def test_no_pickle_is_opened() -> None:
    stream = io.BytesIO()
    np.savez(stream, x=np.array([{"an": "object"}], dtype=object), allow_pickle=True)

    with pytest.raises(UnusableArray, match="pickle"):
        read_rows(stream.getvalue(), is_labeled=False)


def test_a_column_of_true_and_false_is_one_of_1_and_0() -> None:
    rows = read_rows(b"open,x,label\nTrue,1.5,a\nfalse,2,b\nFALSE,3,a\n", is_labeled=True)
    bare = read_rows(b"True,1.5\nFalse,2\n", is_labeled=False)

    assert rows.x.tolist() == [[1, 1.5], [0, 2], [0, 3]]
    assert bare.x.tolist() == [[1, 1.5], [0, 2]]


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b'a,label\n"145,793.63",1\n2,0\n', "thousands"),
        (b'a,label\n"145,793",1\n"1,145,793",0\n', "thousands"),
        (b"a;label\n145,793;1\n2;0\n", "decimal=','"),
        (b"a,label\n67%,1\n2,0\n", "leave the sign % out"),
        (b"a,label\nTrue,1\n,0\n", "fill or drop these rows"),
        (b"a,label\nred,1\n2,0\n", "get_dummies"),
    ],
)
def test_a_cell_that_is_no_number_gets_the_advice_that_helps(content: bytes, advice: str) -> None:
    with pytest.raises(UnusableArray) as refused:
        read_rows(content, is_labeled=True)

    assert advice in refused.value.next


@pytest.mark.parametrize(
    ("text", "encoding", "said", "how"),
    [
        ("größe,label\n1,2\n", "cp1252", "line 1", "encoding='cp1252') and"),
        ("a;label\n1,5;schön\n", "cp1252", "line 2", "encoding='cp1252', sep=';', decimal=',')"),
        ("a,label\n1,schön\n", "utf-16", "not in UTF-8", "encoding='utf-16') and"),
    ],
)
def test_a_csv_in_another_encoding_than_utf_8_is_told_so(text: str, encoding: str, said: str, how: str) -> None:
    with pytest.raises(UnusableArray) as refused:
        read_rows(text.encode(encoding), is_labeled=True)

    assert said in refused.value.detail
    assert "save it as CSV UTF-8" in refused.value.next
    assert how in refused.value.next


def test_bytes_that_are_no_text_are_not_told_to_be_text() -> None:
    with pytest.raises(UnusableArray, match="This is not npz"):
        read_rows(b"\x00\x01\xff\xfe" * 20, is_labeled=True)

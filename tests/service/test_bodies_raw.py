"""Raw tensors behind a header of JSON: what the header says and what follows must agree to the byte."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bayes import Categorical, Input
from service.asked import Way
from service.encodings import BodyKind, Encoding
from service.posted import batch_posted, prediction_posted
from service.raw_tensors import DTYPES
from service.rejected import BodyInvalid, InputDtype, InputNotFinite, JsonInvalid, LabelDtype, QueryInvalid, Rejected
from service.rows import inputs_of
from service.schemas import Datatype
from tests.service.encoded import Sent, kind_of, raw, raw_of
from tests.service.expected import expect_problem
from tests.service.live import Live

API = (Path(__file__).parents[2] / "docs" / "api.md").read_text()

PAIR = Input(shape=(2,), dtype="float32")
IMAGE = Input(shape=(2,), dtype="uint8")
WAY = Way(method="ensemble", samples=16, seed=0, interval=None)
ONES = np.ones((1, 2), "float32")


def inputs(sent: Sent, of: Input = PAIR, way: Way = WAY) -> tuple[np.ndarray[Any, Any], Way]:
    body, headers = sent
    posted, found = prediction_posted(body, kind=kind_of(headers), of=of, way=way, rows_max=5, bytes_max=10_000)
    return inputs_of(posted, of=of, rows_max=5), found


def tensor(name: str = "x", shape: object = (1, 2), datatype: object = "FP32", size: object = 8) -> dict[str, object]:
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}


@pytest.mark.parametrize("datatype", DTYPES)
def test_every_type_of_numbers_is_read_as_little_endian_bytes(datatype: Datatype) -> None:
    array = np.array([[1, 2], [3, 100]], DTYPES[datatype])
    described = tensor(shape=[2, 2], datatype=datatype, size=array.nbytes)

    found, _ = inputs(raw_of({"inputs": [described]}, array.tobytes()))

    assert found.tolist() == [[1, 2], [3, 100]]


def test_the_types_are_those_of_the_protocol_and_as_wide_as_their_names_say() -> None:
    assert {f"{datatype[-2:].strip('TP')}" for datatype in DTYPES} == {"8", "16", "32", "64"}
    for datatype, dtype in DTYPES.items():
        kind = {"U": "u", "I": "i", "F": "f"}[datatype[0]]
        assert dtype.kind == kind
        assert datatype.endswith(str(8 * dtype.itemsize))


def test_booleans_are_0_and_1_and_a_bf16_is_the_upper_half_of_a_float32() -> None:
    truths, _ = inputs(raw_of({"inputs": [tensor(datatype="BOOL", size=2)]}, b"\0\1"))
    numbers, _ = inputs(raw_of({"inputs": [tensor(datatype="BF16", size=4)]}, b"\x80\x3f\x20\xc0"))

    assert truths.tolist() == [[0, 1]]
    assert numbers.tolist() == [[1, -2.5]]


def test_the_tensor_is_a_view_of_the_body_where_it_lies_aligned() -> None:
    described = json.dumps({"inputs": [tensor(datatype="UINT8", size=2)]}).encode()
    body = described + b"\x01\x02"
    kind = BodyKind(Encoding.RAW, header_length=str(len(described)))

    posted, _ = prediction_posted(body, kind=kind, of=IMAGE, way=WAY, rows_max=1, bytes_max=1000)

    assert isinstance(posted, np.ndarray)
    assert np.shares_memory(posted, np.frombuffer(body, "uint8"))


@given(arrays.arrays("float32", (2, 2), elements=st.floats(-1e6, 1e6, width=32)), st.integers(0, 8))
def test_where_the_bytes_begin_makes_no_difference(x: np.ndarray[Any, Any], spaces: int) -> None:
    body, headers = raw_of({"inputs": [tensor(shape=[2, 2], size=16)]}, x.tobytes())
    moved = b" " * spaces + body
    length = {"Inference-Header-Content-Length": str(int(headers["Inference-Header-Content-Length"]) + spaces)}

    found, _ = inputs((moved, headers | length))

    assert found.flags.aligned
    assert found.tobytes() == x.tobytes()


def test_the_header_says_how_to_predict_and_the_query_the_rest() -> None:
    asked = {"method": "mean", "samples": 3, "interval": 0.5}

    _, way = inputs(raw({"x": ONES}, parameters=asked), way=Way(method="ensemble", samples=7, seed=9, interval=None))
    _, unchanged = inputs(raw({"x": ONES}, parameters={}))

    assert way == Way(method="mean", samples=3, seed=9, interval=0.5)
    assert unchanged == WAY


def test_the_example_in_the_documentation_is_read() -> None:
    example = API.partition("### Raw tensors")[2].split("```")[1]
    length, described = re.findall(r"Content-Length: (\d+)\n\n(.*)<64 bytes>", example, flags=re.DOTALL)[0]
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": length}

    found, way = inputs((described.encode() + bytes(range(64)), headers), of=Input((1, 8, 8), "uint8"))

    assert found.flatten().tolist() == list(range(64))
    assert (way.samples, way.seed) == (32, 7)


def test_a_batch_takes_its_tensors_in_any_order() -> None:
    body, headers = raw({"weights": np.array([1, 2.0]), "y": np.array([0, 2]), "x": np.ones((2, 2), "float16")})

    rows = batch_posted(body, kind=kind_of(headers), of=PAIR, labeled=Categorical(3), rows_max=5, bytes_max=1000)

    assert (rows.inputs.tolist(), rows.labels.tolist()) == ([[1, 1], [1, 1]], [0, 2])
    assert rows.weights is not None
    assert rows.weights.tolist() == [1, 2]


HEAD: dict[str, object] = {"inputs": [tensor()]}
DATA = ONES.tobytes()

REFUSED: list[tuple[object, bytes, type[Rejected], str]] = [
    ({}, DATA, BodyInvalid, "inputs: Field required"),
    ({"inputs": []}, b"", BodyInvalid, "inputs: List should have at least 1 item"),
    ({"inputs": [tensor("x", [0], "UINT8", 0)] * 17}, b"", BodyInvalid, "inputs: List should have at most 16"),
    ([], DATA, BodyInvalid, "should be an object"),
    (HEAD | {"outputs": []}, DATA, BodyInvalid, "outputs: Extra"),
    (HEAD | {"parameters": {"draws": 3}}, DATA, BodyInvalid, "parameters.draws: Extra"),
    (HEAD | {"parameters": {"samples": 0}}, DATA, BodyInvalid, "parameters.samples: "),
    (HEAD | {"parameters": {"samples": True}}, DATA, BodyInvalid, "parameters.samples: "),
    ({"inputs": [tensor("z")]}, DATA, BodyInvalid, "z is no tensor of this call, which takes x"),
    ({"inputs": [tensor(), tensor()]}, DATA + DATA, BodyInvalid, "x is described twice"),
    ({"inputs": [tensor(shape=[-1, 2])]}, DATA, BodyInvalid, "inputs.0.shape.0: "),
    ({"inputs": [tensor(shape=[1, 2.0])]}, DATA, BodyInvalid, "inputs.0.shape.1: "),
    ({"inputs": [tensor(shape=[2**41])]}, DATA, BodyInvalid, "inputs.0.shape.0: "),
    ({"inputs": [tensor(shape=[1] * 17)]}, DATA, BodyInvalid, "inputs.0.shape: "),
    ({"inputs": [tensor(shape=[2**40] * 16)]}, DATA, BodyInvalid, "but binary_data_size holds 8"),
    ({"inputs": [tensor(shape=[0, 2**40, 2**40], size=0)]}, b"", BodyInvalid, "no arrays"),
    ({"inputs": [tensor(size=-8)]}, DATA, BodyInvalid, "binary_data_size: "),
    ({"inputs": [tensor(size=4)]}, DATA, BodyInvalid, "x of float32 [1, 2] is 8 bytes, but binary_data_size holds 4"),
    ({"inputs": [tensor(size=12)]}, DATA, BodyInvalid, "x ends at byte 12 of 8"),
    ({"inputs": [tensor(size=2**40)]}, DATA, BodyInvalid, "x ends at byte 1099511627776 of 8"),
    ({"inputs": [tensor()]}, DATA[:-1], BodyInvalid, "x ends at byte 8 of 7"),
    ({"inputs": [tensor()]}, DATA + b"\0", BodyInvalid, "1 bytes behind the last tensor"),
    ({"inputs": [tensor(datatype="BOOL", size=2)]}, b"\0\2", BodyInvalid, "x holds the byte 2, and a BOOL is 0 or 1"),
    ({"inputs": [tensor(datatype="BYTES")]}, DATA, BodyInvalid, "inputs.0.datatype: "),
    ({"inputs": [tensor(datatype="BF16")]}, DATA, BodyInvalid, "x of uint16 [1, 2] is 4 bytes, but"),
    ({"inputs": [tensor() | {"data": [1, 2]}]}, DATA, BodyInvalid, "inputs.0.data: Extra"),
    ({"inputs": [tensor() | {"parameters": {}}]}, DATA, BodyInvalid, "binary_data_size: Field required"),
    (HEAD, np.array([1, np.nan], "float32").tobytes(), InputNotFinite, "Row 0 of the inputs holds nan"),
]


@pytest.mark.parametrize(("head", "data", "refusal", "words"), REFUSED)
def test_a_header_that_does_not_fit_is_refused_with_its_place(
    head: object, data: bytes, refusal: type[Rejected], words: str
) -> None:
    with pytest.raises(refusal) as caught:
        inputs(raw_of(head, data))

    assert words in str(caught.value)


def test_types_must_be_those_of_the_model() -> None:
    with pytest.raises(InputDtype, match="got float32"):
        inputs(raw({"x": ONES}), of=IMAGE)
    body, headers = raw({"x": ONES, "y": np.zeros(1)})
    with pytest.raises(LabelDtype, match="got float64"):
        batch_posted(body, kind=kind_of(headers), of=PAIR, labeled=Categorical(3), rows_max=5, bytes_max=1000)


@pytest.mark.parametrize(
    ("length", "refusal"),
    [
        *((wrong, QueryInvalid) for wrong in (None, "", "-1", "1e2", "0x10", "+5", "9999", "9" * 100, "¹")),
        *((short, JsonInvalid) for short in ("0", "10")),
    ],
)
def test_a_length_of_the_header_that_cannot_be_is_refused(length: str | None, refusal: type[Rejected]) -> None:
    body, _ = raw_of(HEAD, DATA)

    with pytest.raises(refusal):
        prediction_posted(
            body, kind=BodyKind(Encoding.RAW, header_length=length), of=PAIR, way=WAY, rows_max=5, bytes_max=1000
        )


GOOD, GOOD_HEADERS = raw({"x": ONES})


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=20), st.integers(0, 20), st.integers(0, len(GOOD) + 5))
def test_damage_anywhere_is_refused_or_read_as_other_numbers(at: int, inserted: bytes, cut: int, length: int) -> None:
    damaged = GOOD[:at] + inserted + GOOD[at + cut :]
    kind = BodyKind(Encoding.RAW, header_length=str(length))
    try:
        posted, _ = prediction_posted(damaged, kind=kind, of=PAIR, way=WAY, rows_max=5, bytes_max=1000)
        inputs_of(posted, of=PAIR, rows_max=5)
    except Rejected:
        pass


@pytest.mark.parametrize("length", ["-1", "many", "1.5", "9" * 13])
def test_a_length_of_json_that_is_no_length_is_refused_with_any_encoding(live: Live, model: str, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}

    expect_problem(
        live.client.post(f"{model}/predictions", json={"inputs": [[1, 2]]}, headers=headers), "query-invalid"
    )

"""Whatever a body says, its rows are those of the model or it is refused; nothing else happens."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import get_args

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayes import Input
from service.bodies import parse
from service.inference.schemas import InferenceRequest
from service.inference.tables import InvocationBody, must_be_one_shape, rows_of_csv, rows_posted
from service.inference.tensors import rows_in
from service.rejected import Rejected
from service.rows import inputs_of
from service.schemas import Whole
from tests.service.tensors import Array, described

MODELS = (Input((2,), "float32"), Input((1, 2), "uint8"))
DATATYPES = (*get_args(Whole), "BOOL", "FP16", "BF16", "FP32", "FP64", "BYTES")
SCALARS = st.one_of(
    st.integers(0, 3), st.integers(-(2**70), 2**70), st.floats(width=32), st.booleans(), st.none(), st.just("1")
)
LISTS = st.recursive(st.lists(SCALARS, max_size=4), lambda inner: st.lists(inner, max_size=3), max_leaves=8)
SHAPES = st.lists(st.sampled_from([0, 1, 2, 2**40]), max_size=4) | st.just([1, 2]) | st.just([2, 1, 2])
INPUTS = st.fixed_dictionaries(
    {"name": st.sampled_from(["x", "x", "x", "y"]), "shape": SHAPES, "datatype": st.sampled_from(DATATYPES)},
    optional={
        "data": LISTS | st.lists(st.integers(0, 2), min_size=2, max_size=4),
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.sampled_from([0, 2, 4, 8, 16])}),
    },
)


def must_be_rows(array: Array, of: Input) -> None:
    assert array.shape[1:] == of.shape
    assert len(array) > 0
    assert array.dtype == of.dtype
    assert np.isfinite(array).all()


@settings(deadline=None, max_examples=400)
@given(st.lists(INPUTS, min_size=1, max_size=2), st.binary(max_size=16), st.sampled_from(MODELS))
@example([described(np.array([[1, 2]], np.float32))], b"", MODELS[0])
def test_tensors_are_the_rows_of_the_model_or_refused(inputs: list[object], data: bytes, of: Input) -> None:
    with suppress(Rejected):
        request = parse(InferenceRequest, json.dumps({"inputs": inputs}).encode())
        must_be_rows(inputs_of(rows_in(request.inputs, data), of=of, rows_max=3), of)


RECORDS = st.lists(st.dictionaries(st.sampled_from("abx"), SCALARS | LISTS, max_size=3), max_size=3)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "dataframe_split": st.fixed_dictionaries({"data": LISTS}, optional={"columns": st.lists(st.just("a"))}),
        "dataframe_records": RECORDS,
        "instances": LISTS | RECORDS,
        "inputs": LISTS | st.dictionaries(st.sampled_from("xy"), LISTS, max_size=2),
    },
)


@settings(deadline=None, max_examples=400)
@given(BODIES, st.sampled_from(MODELS))
@example({"instances": [{"x": [1, 2]}]}, MODELS[0])
def test_invocations_have_the_rows_of_the_model_or_are_refused(body: object, of: Input) -> None:
    with suppress(Rejected):
        asked = parse(InvocationBody, json.dumps(body).encode())
        must_be_one_shape(asked)
        must_be_rows(inputs_of(rows_posted(asked, of), of=of, rows_max=3), of)


PIECES = st.sampled_from(
    [*'0123456789.,,,\n\n\r"e-+ #_x', "nan", "inf", "1,2\n", "é", "\x00", "\xa0", "\u2003", "1e999"]
)


@settings(deadline=None, max_examples=600)
@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(MODELS))
@example("1,2\n3,4", MODELS[1])
@example('""', MODELS[0])
@example("\x0c\n\x0c", MODELS[0])
def test_a_csv_has_the_rows_of_the_model_or_is_refused(text: str, of: Input) -> None:
    with suppress(Rejected):
        rows = rows_of_csv(f"a,b\n{text}".encode(), of=of, rows_max=3)
        must_be_rows(inputs_of(rows, of=of, rows_max=3), of)

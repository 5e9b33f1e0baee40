"""An npy file is read as the array that it holds, and not believed where it says more than it holds."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.npy import array_of_npy
from service.rejected import BodyInvalid
from tests.service.encoded import saved


def stating(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin-1")
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def described(descr: str = "'<f4'", shape: str = "(1, 2)", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


DTYPES = arrays.integer_dtypes() | arrays.unsigned_integer_dtypes() | arrays.floating_dtypes(sizes=(16, 32, 64))


@given(
    arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)),
    st.sampled_from([(1, 0), (2, 0)]),
    st.sampled_from("CF"),
)
def test_what_numpy_saves_is_read_back_to_the_bit(array: Any, version: tuple[int, int], order: Any) -> None:  # noqa: ANN401
    found = array_of_npy(saved(np.asarray(array, order=order), version), where="body")

    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    assert found.tobytes() == array.tobytes()


def test_the_array_is_the_body_itself() -> None:
    body = saved(np.arange(784, dtype="float32"))

    assert np.shares_memory(array_of_npy(body, where="body"), np.frombuffer(body, "uint8"))


def test_the_keys_of_a_header_may_stand_in_any_order() -> None:
    body = stating('{"shape": (2,),\n "fortran_order": False, "descr": "|u1"}', b"\x01\x02")

    assert array_of_npy(body, where="body").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "body is not npy"),
        (b"\x93NUMPY", "body is not npy"),
        (b"\x93NUMPY\x03\x00" + bytes(200), "body is not npy"),
        (saved(np.zeros(2))[:40], "an npy header of"),
        (stating(described())[:-1], "an npy header of"),
        (stating(described() + " " * 5000, bytes(8)), "an npy header of 5"),
        (saved(np.zeros(2))[:-1], "of float64 [2] is 16 bytes, but the body holds 15"),
        (saved(np.zeros(2)) + b"\0", "but the body holds 17"),
        (stating(described(shape="(1000000, 1000000, 1000000)")), "but the body holds 0"),
        (stating(described(shape="(0, 1099511627776, 1099511627776, 1099511627776)")), "no arrays"),
        (stating(described(shape="(-1, 2)"), bytes(8)), "no npy header"),
        (stating(described(shape="(-1, -2)"), bytes(8)), "no npy header"),
        (stating(described(shape="(True, 2)"), bytes(8)), "no npy header"),
        (stating(described(shape="(1.0, 2)"), bytes(8)), "no npy header"),
        (stating(described(shape="[1, 2]"), bytes(8)), "no npy header"),
        (stating(described(shape="(1,) * 2"), bytes(8)), "no npy header"),
        (stating(described(shape="(" + "1, " * 17 + ")"), bytes(4)), "no npy header"),
        (stating(described(shape="(1L, 2L)"), bytes(8)), "no npy header"),
        (stating(described(fortran="1"), bytes(8)), "no npy header"),
        (stating(described(descr="'|O'"), bytes(8)), "no npy header"),
        (stating(described(descr="'|b1'"), bytes(2)), "no npy header"),
        (stating(described(descr="'<c8'"), bytes(16)), "no npy header"),
        (stating(described(descr="'<M8[s]'"), bytes(16)), "no npy header"),
        (stating(described(descr="'<U1'"), bytes(8)), "no npy header"),
        (stating(described(descr="[('a', '<f4')]"), bytes(8)), "no npy header"),
        (stating(described(descr="'\\x3cf4'"), bytes(8)), "no npy header"),
        (stating("__import__('os').abort()"), "no npy header"),
        (stating("(" * 4000), "no npy header"),
        (stating("-" * 4000 + "1"), "no npy header"),
        (stating("{[]: 1}"), "no npy header"),
        (stating("{'descr': '<f4'}"), "no npy header"),
        (stating(described().replace("}", "'labels': 1}"), bytes(8)), "no npy header"),
        (stating("\xff\0"), "no npy header"),
    ],
)
def test_what_is_not_one_array_of_numbers_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BodyInvalid) as caught:
        array_of_npy(body, where="body")

    assert words in str(caught.value)


def test_a_pickle_is_not_read() -> None:
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)

    with pytest.raises(BodyInvalid):
        array_of_npy(stream.getvalue(), where="body")


@pytest.mark.parametrize("header", ["1if 1else 2", "{'shape': (1or 2,)}", "{'descr': '\\d'}", "0x1for x in y"])
def test_a_header_that_python_would_warn_of_is_refused_without_a_word_in_the_log(header: str) -> None:
    with warnings.catch_warnings(record=True, action="always") as warned, pytest.raises(BodyInvalid):
        array_of_npy(stating(header), where="body")

    assert not warned

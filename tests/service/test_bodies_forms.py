"""Forms are read part by part, no further than there may be rows; what is none of their parts is refused."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.multipart import Form, form_of
from service.rejected import BatchTooLarge, BodyInvalid, QueryInvalid, Rejected
from tests.service.encoded import BOUNDARY, Sent, Tensors, form, image_file, images, npz
from tests.service.expected import expect_problem
from tests.service.live import IMAGES, Live

CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
EDGE = f"--{BOUNDARY}"


def read(body: bytes, content_type: str = CONTENT_TYPE, rows_max: int = 3) -> Form:
    return form_of(body, content_type, required=("labels",), optional=("weights",), rows_max=rows_max)


def plain(found: Form) -> tuple[list[bytes], dict[str, bytes]]:
    return [bytes(image) for image in found.images], {name: bytes(part) for name, part in found.fields.items()}


@given(st.lists(st.binary(max_size=40), max_size=3), st.binary(max_size=40), st.permutations(range(4)))
def test_images_keep_their_order_and_their_bytes_wherever_the_fields_stand(
    files: list[bytes], labels: bytes, order: list[int]
) -> None:
    name = ("images", "image")
    parts = [(name[number % 2], file) for number, file in enumerate(files)]
    parts.insert(order[0] % (len(parts) + 1), ("labels", labels))

    assert plain(read(form(parts)[0])) == (files, {"labels": labels})


def test_the_parts_are_views_of_the_body() -> None:
    body, _ = form([("labels", b"[1]"), ("images", b"pixels")])

    assert read(body).images[0].obj is body


@pytest.mark.parametrize(
    "content_type", [f'multipart/form-data; boundary="{BOUNDARY}"; charset=utf-8', CONTENT_TYPE.upper()]
)
def test_the_boundary_may_be_quoted(content_type: str) -> None:
    body, _ = form([("labels", b"[]")])
    if content_type.isupper():
        body = body.replace(BOUNDARY.encode(), BOUNDARY.upper().encode())

    assert plain(read(body, content_type)) == ([], {"labels": b"[]"})


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        f"multipart/form-data; boundary={'x' * 71}",
        f"{CONTENT_TYPE}{';' * 16}",
        f'{CONTENT_TYPE}; a="{"x" * 1000}"',
    ],
)
def test_a_content_type_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(QueryInvalid, match="boundary"):
        read(form([("labels", b"[]")])[0], content_type)


GOOD = form([("images", b"a"), ("labels", b"[0]"), ("weights", b"[1]")])[0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "cut off"),
        (b"no form", "is no form"),
        (GOOD[:-5], "cut off"),
        (GOOD[:90], "cut off"),
        (GOOD.replace(BOUNDARY.encode(), b"other"), "is no form"),
        (form([("images", b"a")])[0], "labels is missing among the parts"),
        (form([("labels", b"[0]"), ("labels", b"[1]")])[0], "labels comes twice"),
        (
            form([("labels", b"[0]"), ("samples", b"3")])[0],
            "samples is no part of this form, which takes images, labels, weights",
        ),
        (f"{EDGE}\r\n\r\nnameless\r\n{EDGE}--".encode(), "a part is no part of this form"),
        (f"{EDGE}\r\nContent-Disposition: form-data\r\n\r\nx\r\n{EDGE}--".encode(), "a part is no part"),
        (f"{EDGE}\r\n{'A: b' * 2000}\r\n\r\nx\r\n{EDGE}--".encode(), "is no form"),
        (f"{EDGE}\r\nA: {'b' * 1022}\r\n\r\nx\r\n{EDGE}--".encode(), "is no form"),
        (GOOD.replace(b'name="weights"', b'name="weights"' + b";" * 15), "a part is no part of this form"),
        (GOOD.replace(b'filename="f"', b'filename="' + b";" * 15 + b'"'), "a part is no part of this form"),
        (f"{EDGE}\r\n".encode() + b"A: b\r\n" * 20 + f"\r\nx\r\n{EDGE}--".encode(), "is no form"),
    ],
)
def test_what_is_not_this_form_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(BodyInvalid) as caught:
        read(body)

    assert words in str(caught.value)


def test_a_file_may_have_a_name_of_many_parts() -> None:
    name = b"; ".join(b"part" for _ in range(14))

    found = read(GOOD.replace(b'filename="f"', b'filename="' + name + b'"; b="' + b"x" * 800 + b'"'))

    assert plain(found) == ([b"a"], {"labels": b"[0]", "weights": b"[1]"})


def test_a_part_without_a_name_has_not_that_of_the_part_before() -> None:
    body = GOOD.replace(b'Content-Disposition: form-data; name="weights"; filename="f"', b"A: b")

    with pytest.raises(BodyInvalid, match="a part is no part"):
        read(body)


def test_more_images_than_rows_are_refused_at_the_first_too_many() -> None:
    body = form([("images", b"")] * 100_000)[0]

    tracemalloc.start()
    with pytest.raises(BatchTooLarge, match="more than 3 rows"):
        read(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 100_000


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=20), st.integers(0, 20))
def test_damage_anywhere_is_refused_or_read(at: int, inserted: bytes, cut: int) -> None:
    try:
        found = read(GOOD[:at] + inserted + GOOD[at + cut :])
    except Rejected:
        return
    assert "labels" in found.fields


FILE = image_file(np.zeros((2, 2), "uint8"))


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"labels": "[0"}, "json-invalid", "labels: EOF"),
        ({"labels": "0"}, "body-invalid", "labels is no JSON list"),
        ({"labels": '{"b64": ""}'}, "body-invalid", "labels is no JSON list"),
        ({"labels": '["cat"]'}, "label-dtype", "does not name its classes"),
        ({"labels": "[0]", "weights": "[-1]"}, "weights-invalid", "-1 for row 0"),
        ({"labels": "[0, 1]"}, "label-shape", "[1]"),
        ({"weights": "[1]"}, "body-invalid", "labels is missing"),
    ],
)
def test_fields_that_do_not_fit_are_refused_by_name(live: Live, fields: dict[str, str], code: str, words: str) -> None:
    files = [("image", ("a.png", FILE, "image/png"))]

    answer = live.client.post(
        f"{live.create(IMAGES)}/batches", files=files, data=fields, headers={"Idempotency-Key": "k"}
    )

    assert words in expect_problem(answer, code)["detail"]


def test_a_form_without_images_has_no_rows(live: Live) -> None:
    body, headers = images({"x": np.zeros((0, 1, 2, 2), "uint8"), "y": np.zeros(0, "int64")})

    answer = live.client.post(
        f"{live.create(IMAGES)}/batches", content=body, headers=headers | {"Idempotency-Key": "k"}
    )

    expect_problem(answer, "batch-empty")


def test_what_is_larger_than_a_body_once_it_is_unpacked_is_refused(narrow: Live) -> None:
    model = narrow.create(IMAGES | {"input": {"shape": [1, 30, 30], "dtype": "uint8"}})
    blank = {"x": np.zeros((5, 1, 30, 30), "uint8"), "y": np.zeros(5, "int64")}

    def post(encode: Callable[[Tensors], Sent], rows: int) -> httpx.Response:
        body, headers = encode({name: array[:rows] for name, array in blank.items()})
        assert len(body) < 2000
        headers = headers | {"Idempotency-Key": f"{encode.__name__}-{rows}"}
        return narrow.client.post(f"{model}/batches", content=body, headers=headers)

    for encode in (images, npz):
        assert post(encode, 3).status_code == 202
        expect_problem(post(encode, 5), "body-too-large")


def test_a_service_that_takes_few_rows_takes_few_images(narrow: Live) -> None:
    model = narrow.create(IMAGES)

    def post(count: int) -> int:
        files = [("images", ("a.png", FILE)) for _ in range(count)]
        form = {"labels": json.dumps([0] * count)}
        headers = {"Idempotency-Key": str(count)}
        return narrow.client.post(f"{model}/batches", files=files, data=form, headers=headers).status_code

    assert [post(5), post(6)] == [202, 413]

"""The same rows are the same rows in every encoding: the same stored bytes, the same inputs of a prediction."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save

from bayes import Categorical, Gaussian, Input, Output
from service.asked import Way
from service.posted import batch_posted, prediction_posted
from service.rejected import BodyTooLarge
from service.rows import inputs_of
from tests.service.encoded import OF_BATCHES, OF_PREDICTIONS, Sent, Tensors, image_file, images, kind_of, npy, npz, raw
from tests.service.expected import expect_problem
from tests.service.live import IMAGES, NAMED, TINY, Live

PAIR = Input(shape=(2,), dtype="float32")
IMAGE = Input(shape=(1, 2, 3), dtype="uint8")
THREE = Categorical(3)
WAY = Way(method="ensemble", samples=16, seed=0, interval=None)
BYTES_MAX = 10_000


def stored(sent: Sent, of: Input, labeled: Output = THREE) -> bytes:
    body, headers = sent
    kind = kind_of(headers)
    return batch_posted(body, kind=kind, of=of, labeled=labeled, rows_max=5, bytes_max=BYTES_MAX).to_bytes()


def inputs(sent: Sent, of: Input) -> np.ndarray[Any, Any]:
    body, headers = sent
    posted, way = prediction_posted(body, kind=kind_of(headers), of=of, way=WAY, rows_max=5, bytes_max=BYTES_MAX)
    assert way == WAY
    rows = inputs_of(posted, of=of, rows_max=5)
    assert rows.flags.writeable
    assert rows.flags.aligned
    return rows


@st.composite
def tensors_of(draw: st.DrawFn, of: Input, labeled: Output) -> dict[str, np.ndarray[Any, Any]]:
    rows = draw(st.integers(1, 5))
    numbers = st.floats(-(2.0**49), 2.0**49, width=32)
    elements = numbers if of.dtype == "float32" else st.integers(0, 255)
    tensors = {"x": draw(arrays.arrays(of.dtype, (rows, *of.shape), elements=elements))}
    if isinstance(labeled, Categorical):
        tensors["y"] = draw(arrays.arrays("int64", rows, elements=st.integers(0, 2)))
    else:
        tensors["y"] = draw(arrays.arrays("float32", (rows, 2), elements=numbers))
    if draw(st.booleans()):
        weight = st.floats(0.5, 4.0, width=32)
        tensors["weights"] = draw(arrays.arrays("float32", rows, elements=weight).filter(lambda w: (w != 1).any()))
    return tensors


@given(tensors_of(PAIR, Gaussian(dims=2)))
def test_numbers_have_one_digest_in_every_encoding(tensors: Tensors) -> None:
    assert {stored(encode(tensors), PAIR, Gaussian(dims=2)) for encode in OF_BATCHES} == {save(dict(tensors))}


@given(tensors_of(IMAGE, THREE))
def test_images_have_one_digest_in_every_encoding_and_as_files(tensors: Tensors) -> None:
    assert {stored(encode(tensors), IMAGE) for encode in (*OF_BATCHES, images)} == {save(dict(tensors))}


@given(tensors_of(IMAGE, THREE))
def test_images_to_predict_are_the_same_rows_in_every_encoding_and_as_files(tensors: Tensors) -> None:
    only = {"x": tensors["x"]}
    assert {inputs(encode(only), IMAGE).tobytes() for encode in (*OF_PREDICTIONS, images)} == {only["x"].tobytes()}


@given(tensors_of(PAIR, THREE))
def test_numbers_to_predict_are_the_same_rows_in_every_encoding(tensors: Tensors) -> None:
    only = {"x": tensors["x"]}
    assert {inputs(encode(only), PAIR).tobytes() for encode in OF_PREDICTIONS} == {only["x"].tobytes()}


def test_every_encoding_is_predicted_with_the_same_bytes_by_head_and_by_version(live: Live) -> None:
    model = live.create(IMAGES)
    tensors = {"x": np.arange(8, dtype="uint8").reshape(2, 1, 2, 2)}

    answers = [
        live.client.post(f"{model}/{path}predictions", content=body, headers=headers)
        for body, headers in (encode(tensors) for encode in (*OF_PREDICTIONS, images))
        for path in ("", "versions/0/")
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("format_name", ["PNG", "JPEG"])
def test_an_image_is_predicted_as_its_pixels(live: Live, format_name: str) -> None:
    model, of = live.create(IMAGES), Input((1, 2, 2), "uint8")
    file = image_file(np.array([[0, 60], [120, 180]], "uint8"), format_name)
    sent = file, {"Content-Type": f"image/{format_name.lower()}"}
    pixels = {"inputs": inputs(sent, of).tolist()}

    as_file = live.client.post(f"{model}/predictions", content=sent[0], headers=sent[1])
    as_lists = live.client.post(f"{model}/predictions", json=pixels)

    assert as_file.status_code == 200
    assert as_file.content == as_lists.content


@pytest.mark.parametrize("encode", [npy, npz, images, raw])
def test_the_query_says_how_to_predict_what_has_no_place_for_it(live: Live, encode: Any) -> None:  # noqa: ANN401
    model, x = live.create(IMAGES), np.arange(8, dtype="uint8").reshape(2, 1, 2, 2)
    body, headers = encode({"x": x})
    how: dict[str, str | int] = {"method": "ensemble", "samples": 3, "seed": 5}

    by_query = live.client.post(f"{model}/predictions", content=body, headers=headers, params=how)
    by_body = live.client.post(f"{model}/predictions", json={"inputs": x.tolist()} | how)

    assert by_query.status_code == 200
    assert by_query.content == by_body.content


def test_an_image_of_more_pixels_than_a_body_may_have_is_refused() -> None:
    sent = image_file(np.zeros((200, 60), "uint8")), {"Content-Type": "image/png"}

    with pytest.raises(BodyTooLarge):
        inputs(sent, Input((200, 60), "uint8"))


@pytest.mark.parametrize("encode", OF_BATCHES)
def test_a_batch_may_be_sent_again_under_its_key_in_another_encoding(live: Live, encode: Any) -> None:  # noqa: ANN401
    model = live.create(IMAGES)
    tensors = {"x": np.arange(8, dtype="uint8").reshape(2, 1, 2, 2), "y": np.array([0, 2])}
    first, again = (
        live.client.post(f"{model}/batches", content=body, headers=headers | {"Idempotency-Key": "monday"})
        for body, headers in (images(tensors), encode(tensors))
    )

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json() == again.json()
    assert first.json()["digest"] == f"sha256:{hashlib.sha256(save(tensors)).hexdigest()}"


def test_a_form_may_name_the_classes(live: Live) -> None:
    model = live.create(NAMED | {"input": {"shape": [2, 2], "dtype": "uint8"}})
    files = [("images", ("a.png", image_file(np.full((2, 2), pixel, "uint8")), "image/png")) for pixel in (1, 2)]
    form = {"labels": '["owl", "cat"]', "weights": "[1, 2.5]"}

    answer = live.client.post(f"{model}/batches", files=files, data=form, headers={"Idempotency-Key": "k"})

    expected = {
        "x": np.stack([np.full((2, 2), 1, "uint8"), np.full((2, 2), 2, "uint8")]),
        "y": np.array([2, 0]),
        "weights": np.array([1, 2.5], "float32"),
    }
    assert answer.json()["digest"] == f"sha256:{hashlib.sha256(save(expected)).hexdigest()}"


@pytest.mark.parametrize(
    "encode", [npy, lambda tensors: (image_file(tensors["x"][0, 0]), {"Content-Type": "image/png"})]
)
def test_a_body_without_a_place_for_labels_is_no_batch(live: Live, encode: Any) -> None:  # noqa: ANN401
    body, headers = encode({"x": np.zeros((1, 1, 2, 2), "uint8")})

    answer = live.client.post(
        f"{live.create(IMAGES)}/batches", content=body, headers=headers | {"Idempotency-Key": "k"}
    )

    assert expect_problem(answer, "media-type-unsupported")["detail"].startswith("This call reads application/json or ")


X = np.zeros((1, 1, 2, 2), "uint8")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (raw({"x": X, "y": np.array([3])}), "label-out-of-range"),
        (raw({"x": X}), "body-invalid"),
        (images({"x": X, "y": np.array([0, 0])}), "label-shape"),
        (images({"x": X}), "body-invalid"),
        (images({"x": X[:, :, :1], "y": np.array([0])}), "input-shape"),
        ((b"\xff", {"Content-Type": "application/x-npz"}), "body-invalid"),
        ((b"", {"Content-Type": "multipart/form-data"}), "query-invalid"),
        ((b"{}", {"Content-Type": "application/octet-stream"}), "query-invalid"),
    ],
)
def test_what_does_not_fit_leaves_nothing_behind_and_its_key_is_free(live: Live, sent: Sent, code: str) -> None:
    model, (body, headers) = live.create(IMAGES), sent

    refused = live.client.post(f"{model}/batches", content=body, headers=headers | {"Idempotency-Key": "k"})
    good, headers = raw({"x": X, "y": np.array([1])})
    accepted = live.client.post(f"{model}/batches", content=good, headers=headers | {"Idempotency-Key": "k"})

    expect_problem(refused, code)
    assert (accepted.status_code, accepted.json()["batch"]) == (202, 1)


def test_a_model_of_numbers_takes_no_images(live: Live) -> None:
    body, headers = images({"x": np.zeros((1, 1, 2, 2), "uint8"), "y": np.array([0])})

    answer = live.client.post(f"{live.create(TINY)}/batches", content=body, headers=headers | {"Idempotency-Key": "k"})

    assert "[rows, 2]; got images" in expect_problem(answer, "input-shape")["detail"]

"""Rows are taken in whatever a caller has them in, and what does not fit is told with what to do next."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from client import AsyncClient, Client, UnusableArray
from client.arrays import Given, as_pixels, plain
from client.tensors import inputs_array
from tests.client.given import description

NUMBERS = [[0.5, 1.0], [2.0, -3.0]]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FRAME = pd.DataFrame(NUMBERS, columns=["a", "b"])


class OfAnotherLibrary:
    """An array that speaks DLPack and nothing else."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __dlpack__(self, **how: object) -> object:
        return self.array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


@pytest.mark.parametrize(
    "given",
    [
        NUMBERS,
        np.array(NUMBERS),
        torch.tensor(NUMBERS),
        torch.tensor(NUMBERS, requires_grad=True),
        torch.tensor(NUMBERS, dtype=torch.bfloat16),
        torch.tensor(NUMBERS, dtype=torch.float16),
        torch.tensor(NUMBERS).to_sparse(),
        torch.tensor(NUMBERS).T.contiguous().T,
        torch.tensor(NUMBERS, device=DEVICE, requires_grad=True),
        [torch.tensor(row) for row in NUMBERS],
        (torch.tensor(NUMBERS[0], requires_grad=True), torch.tensor(NUMBERS[1])),
        FRAME,
        FRAME.convert_dtypes(),
        OfAnotherLibrary(np.array(NUMBERS)),
    ],
    ids=lambda given: type(given).__name__,
)
def test_the_same_rows_travel_alike_from_every_library(given: Given) -> None:
    travelling = inputs_array(given)

    assert (travelling.dtype, travelling.tolist()) == (np.dtype(np.float32), NUMBERS)


def test_columns_of_different_types_are_numbers_side_by_side() -> None:
    frame = pd.DataFrame({"whole": [1, 2], "half": [0.5, 1.5], "flag": [True, False]})

    assert inputs_array(frame).tolist() == [[1.0, 0.5, 1.0], [2.0, 1.5, 0.0]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (pd.DataFrame({"size": [1.0], "colour": ["red"]}), "miss some: colour. Next: .*get_dummies"),
        (pd.DataFrame({"size": [1, None]}, dtype="Int64"), "miss some: size. Next:"),
        (pd.DataFrame({f"c{n}": ["x"] for n in range(7)}), "c0, c1, c2, c3, c4 and 2 more"),
        ([[1.0], [1.0, 2.0]], "no array: .* Next: give rows that all have one shape"),
        ([torch.zeros(2), torch.zeros(3)], r"different shapes: \(2,\) and \(3,\). Next:"),
        (["red", "blue"], "not numbers. Next:"),
        (np.array([1 + 2j]), "complex128, and not numbers. Next:"),
        (pd.DataFrame({"size": [1.0, np.nan]}), "miss some: size. Next:"),
        (torch.tensor([1 + 2j]), "complex64, and not numbers. Next:"),
        (np.array(["2026-11-28"], dtype="datetime64[D]"), "not numbers. Next:"),
    ],
)
def test_what_is_no_rows_is_refused_in_words_that_end_in_what_to_do(given: Given, said: str) -> None:
    with pytest.raises(UnusableArray, match=said) as caught:
        inputs_array(given)

    assert caught.value.next
    assert str(caught.value).endswith(f"Next: {caught.value.next}.")


def test_the_client_imports_none_of_them() -> None:
    others = ("torch", "pandas", "PIL", "polars", "sklearn")
    asked = f"import sys, client; print([name for name in {others!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
"""3 pixels high, 4 wide."""
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def test_images_have_the_shape_that_the_model_takes() -> None:
    grey, colour = Image.fromarray(GREY), Image.fromarray(COLOUR)

    assert as_pixels([grey, grey], [3, 4]).tolist() == [GREY.tolist()] * 2
    assert as_pixels([grey], [1, 3, 4]).tolist() == [[GREY.tolist()]]
    assert as_pixels([grey], [12]).tolist() == [GREY.reshape(-1).tolist()]
    assert as_pixels([colour], [3, 3, 4]).tolist() == [np.moveaxis(COLOUR, 2, 0).tolist()]
    assert as_pixels([grey], [3, 3, 4]).tolist() == [[GREY.tolist()] * 3]
    assert as_pixels([colour], [3, 4]).tolist() == [np.asarray(colour.convert("L")).tolist()]


def test_palettes_bits_opaque_alpha_and_sixteen_bits_are_read_as_what_is_seen() -> None:
    black_and_white = Image.fromarray(np.array([[True, False]]))
    opaque = Image.fromarray(np.dstack([COLOUR, np.full((3, 4), 255, np.uint8)]))
    deep = Image.fromarray(np.array([[0, 256, 65535]], np.uint16))

    assert as_pixels([black_and_white], [1, 2]).tolist() == [[[255, 0]]]
    assert as_pixels([Image.fromarray(COLOUR).quantize(36)], [3, 3, 4]).shape == (1, 3, 3, 4)
    assert as_pixels([opaque], [3, 3, 4]).tolist() == [np.moveaxis(COLOUR, 2, 0).tolist()]
    assert as_pixels([deep], [1, 3]).tolist() == [[[0, 1, 255]]]


def test_images_that_the_model_has_no_place_for_are_refused_with_their_number() -> None:
    clear = Image.fromarray(np.dstack([COLOUR, np.zeros((3, 4), np.uint8)]))

    with pytest.raises(UnusableArray, match=r"Image 1 is 3 pixels wide and 2 high, .* \[1, 3, 4\]. Next: scale"):
        as_pixels([Image.fromarray(GREY), Image.new("L", (3, 2))], [1, 3, 4])
    with pytest.raises(UnusableArray, match=r"transparent pixels.* Next: paste"):
        as_pixels([clear], [3, 3, 4])
    with pytest.raises(UnusableArray, match=r"CMYK. Next: convert"):
        as_pixels([Image.new("CMYK", (4, 3))], [3, 3, 4])


def test_series_of_names_and_categories_become_the_classes_of_the_model(client: Client, model: str) -> None:
    names = pd.Series(["left", "right", "left"])
    categories = pd.Categorical(["right", "left", "right"], categories=["right", "left"])

    for y in (names, names.tolist(), np.array(names), categories, pd.Series(categories)):
        assert client.ingest(model, np.zeros((3, 2)), y).rows == 3

    digests = [client.ingest(model, np.zeros((2, 2)), y).digest for y in (["left", "right"], torch.tensor([0, 1]))]
    assert digests[0] == digests[1]


def test_names_that_the_model_does_not_have_are_refused_before_anything_is_posted(client: Client, model: str) -> None:
    with pytest.raises(UnusableArray, match=r"no class called 'up'; it knows left, right. Next: "):
        client.ingest(model, np.zeros((2, 2)), ["left", "up"])
    with pytest.raises(UnusableArray, match=r"labels are missing. Next: "):
        client.ingest(model, np.zeros((2, 2)), pd.Series(["left", None]))

    assert client.model(model).rows == 0


def test_words_are_no_labels_of_a_model_without_names(client: Client) -> None:
    numbered = client.create_model(description("numbered", output={"kind": "categorical", "classes": 2})).name
    measured = client.create_model(description("measured", output={"kind": "gaussian"})).name

    with pytest.raises(UnusableArray, match=r"such as 'left', and the model's are numbers from 0. Next: "):
        client.ingest(numbered, np.zeros((1, 2)), ["left"])
    with pytest.raises(UnusableArray, match=r"such as 'left', and the model's are numbers. Next: "):
        client.ingest(measured, np.zeros((1, 2)), ["left"])


async def both(url: str, name: str, image: Image.Image) -> int:
    async with AsyncClient(url) as client:
        return len(await client.predict(name, [image, image]))


def test_images_frames_and_tensors_are_posted_and_predicted_by_both_clients(url: str, client: Client) -> None:
    pixels = description("images", input={"shape": [1, 3, 4], "dtype": "uint8"})
    name = client.create_model(pixels).name
    image = Image.fromarray(GREY)

    assert client.ingest(name, [image, image], ["left", "right"]).rows == 2
    assert client.predict(name, image).probabilities.shape == (1, 2)
    assert asyncio.run(both(url, name, image)) == 2
    assert client.compare(name, 0, 0, x=image).predictions is not None


def test_a_table_of_words_is_plain_as_an_array_of_words() -> None:
    assert plain(pd.Series(["a", "b"]), what="labels").tolist() == ["a", "b"]

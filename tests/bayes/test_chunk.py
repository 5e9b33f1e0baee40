from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bayes import Chunk, InvalidChunk, Model, absorb, root

INPUTS, LABELS = torch.arange(8, dtype=torch.uint8).view(2, 4), torch.tensor([0, 2])


def test_equal_content_has_one_digest() -> None:
    strided = torch.arange(8, dtype=torch.uint8).view(4, 2).T.contiguous().T.reshape(2, 4)

    assert Chunk(INPUTS, LABELS).digest == Chunk(strided.clone(), LABELS.clone()).digest


@pytest.mark.parametrize(
    "other",
    [
        Chunk(INPUTS.flip(0), LABELS),
        Chunk(INPUTS.view(2, 2, 2), LABELS),
        Chunk(INPUTS.float(), LABELS),
        Chunk(INPUTS, LABELS.flip(0)),
        Chunk(INPUTS, LABELS.float()),
        Chunk(INPUTS, LABELS, torch.ones(2)),
        Chunk(INPUTS, LABELS, torch.tensor([1.0, 2.0])),
    ],
)
def test_other_content_has_another_digest(other: Chunk) -> None:
    assert other.digest != Chunk(INPUTS, LABELS).digest


@pytest.mark.parametrize(
    ("inputs", "labels", "weights"),
    [
        (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), None),
        (torch.zeros(3, 4), LABELS, None),
        (torch.tensor(1.0), LABELS, None),
        (INPUTS, torch.tensor(1), None),
        (INPUTS, LABELS, torch.ones(3)),
        (INPUTS, LABELS, torch.ones(2, dtype=torch.float64)),
        (INPUTS, LABELS, torch.zeros(2)),
        (INPUTS, LABELS, torch.tensor([1.0, -0.5])),
        (INPUTS, LABELS, torch.tensor([1.0, float("nan")])),
        (INPUTS, LABELS, torch.tensor([1.0, float("inf")])),
    ],
)
def test_rows_that_contradict_themselves_are_refused(inputs: Tensor, labels: Tensor, weights: Tensor | None) -> None:
    with pytest.raises(InvalidChunk):
        Chunk(inputs, labels, weights)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((INPUTS.numpy(), LABELS.numpy()), "inputs are a numpy.ndarray; give a tensor"),
        ((INPUTS, LABELS.tolist()), "labels are a builtins.list; give a tensor"),
        ((INPUTS, None), "labels are a builtins.NoneType; give a tensor"),
        ((INPUTS, LABELS, np.ones(2, "float32")), "weights are a numpy.ndarray; give a tensor"),
    ],
)
def test_parts_that_are_no_tensors_are_refused_by_what_they_are(parts: tuple[Any, ...], words: str) -> None:
    with pytest.raises(InvalidChunk, match=words):
        Chunk(*parts)


def changed(output: dict[str, object], dtype: str) -> Callable[[dict[str, object]], Model]:
    return lambda described: Model.from_description(
        described | {"output": output, "input": {"shape": [4], "dtype": dtype}}
    )


CLASSES = changed({"kind": "categorical", "classes": 3}, "uint8")
REALS = changed({"kind": "gaussian", "dims": 2}, "float32")


@pytest.mark.parametrize(
    ("model", "inputs", "labels", "message"),
    [
        (CLASSES, INPUTS.float(), LABELS, "float32"),
        (CLASSES, INPUTS.view(2, 2, 2), LABELS, "shape"),
        (CLASSES, INPUTS, LABELS.int(), "int32"),
        (CLASSES, INPUTS, LABELS.view(2, 1), "rows"),
        (CLASSES, INPUTS, torch.tensor([0, 3]), "0 to 2"),
        (CLASSES, INPUTS, torch.tensor([-1, 2]), "0 to 2"),
        (REALS, torch.full((2, 4), float("nan")), torch.zeros(2, 2), "NaN"),
        (REALS, torch.zeros(2, 4), torch.zeros(2, 3), "rows, 2"),
        (REALS, torch.zeros(2, 4), LABELS, "int64"),
        (REALS, torch.zeros(2, 4), torch.tensor([[0.0, 1.0], [0.0, float("inf")]]), "NaN or infinity"),
    ],
)
def test_rows_that_do_not_fit_the_model_are_refused(
    described: dict[str, object],
    model: Callable[[dict[str, object]], Model],
    inputs: Tensor,
    labels: Tensor,
    message: str,
) -> None:
    fitted = model(described)

    with pytest.raises(InvalidChunk, match=message):
        absorb(root(fitted), Chunk(inputs, labels), fitted.recipe)

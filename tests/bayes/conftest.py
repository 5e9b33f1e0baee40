"""Small models and rows that the tests share."""

from collections.abc import Iterator

import pytest
import torch

from bayes import Chunk, Model, Posterior, absorb, root

Description = dict[str, object]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def described() -> Description:
    """A description that leaves out all that may be left out."""
    return {
        "name": "tiny",
        "net": {"kind": "mlp", "hidden": [5]},
        "input": {"shape": [4], "dtype": "float32"},
        "output": {"kind": "categorical", "classes": 3},
    }


@pytest.fixture
def images() -> Model:
    """A small convolutional net over 2-channel images of 6 x 6 and 3 classes, taught in steps that leave it alive."""
    layers = [
        {"kind": "conv", "filters": 3, "kernel": 3, "padding": 1},
        {"kind": "maxpool", "size": 2},
        {"kind": "softplus"},
        {"kind": "conv", "filters": 4, "kernel": 2},
        {"kind": "relu"},
        {"kind": "flatten"},
    ]
    return Model.from_description(
        {
            "net": {"kind": "layers", "layers": layers},
            "input": {"shape": [2, 6, 6], "dtype": "uint8"},
            "output": {"kind": "categorical", "classes": 3},
            "recipe": {"epochs": 3, "batch_rows": 8, "lr": 0.003},
        }
    )


@pytest.fixture
def image_chunk() -> Chunk:
    """20 random images and labels."""
    stream = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, 256, (20, 2, 6, 6), generator=stream, dtype=torch.uint8)
    return Chunk(inputs, torch.randint(0, 3, (20,), generator=stream))


@pytest.fixture
def learned(images: Model, image_chunk: Chunk) -> Posterior:
    """A posterior with no tensor as its root has it."""
    return absorb(root(images), image_chunk, images.recipe)[0]

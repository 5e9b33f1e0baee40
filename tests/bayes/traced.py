"""A small model of torchvision, and rows and weights for it."""

import torch
from torch import Tensor

from bayes import Chunk, Model
from bayes.layers import Network

SMALL = "shufflenet_v2_x0_5"


def images(rows: int, side: int = 32, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(rows, 3, side, side, generator=torch.Generator().manual_seed(2), dtype=dtype)


def drawn_weights(network: Network) -> dict[str, tuple[Tensor, Tensor]]:
    stream = torch.Generator().manual_seed(3)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(shape, generator=stream, dtype=torch.float64)

    return {
        layer.name: (numbers(*layer.weight_shape) * (2 / layer.fan_in) ** 0.5, 0.1 * numbers(*layer.bias_shape))
        for layer in network.weighted
    }


def small(**part: object) -> Model:
    return Model.from_description(
        {
            "net": {"kind": "torchvision", "name": SMALL},
            "input": {"shape": [3, 32, 32], "dtype": "uint8", "mean": 128, "std": 64},
            "output": {"kind": "categorical", "classes": 3},
            "recipe": {"epochs": 1, "batch_rows": 6},
        }
        | part
    )


def random_chunk() -> Chunk:
    stream = torch.Generator().manual_seed(4)
    inputs = torch.randint(0, 256, (12, 3, 32, 32), generator=stream, dtype=torch.uint8)
    return Chunk(inputs, torch.randint(0, 3, (12,), generator=stream))

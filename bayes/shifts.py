"""Images moved by whole pixels, so that a net learns from each what it would from its neighbours.

Source: Nabarro et al. 2022, "Data augmentation in Bayesian neural networks and the cold posterior effect".
"""

from collections.abc import Callable
from typing import assert_never

import torch
from torch import Tensor

from bayes.errors import InvalidDescription
from bayes.layers import Shape
from bayes.nets import Conv3Fc3, Layers, LeNet5, Mlp, Net, Torchvision
from bayes.outputs import Categorical, Output

SIDES_A_PIXEL = 12
"""`auto` moves an image by at most one pixel for so many of its shorter side."""

Shift = Callable[[Tensor], Tensor]


def check_shift(pixels: int, input_shape: Shape) -> None:
    """Rows of this shape can be moved by so many pixels: 0, or they are images with a greater shorter side.

    Raises:
        InvalidDescription: they cannot.
    """
    if pixels >= (side := _shorter_side(input_shape)):
        reason = f"images of {side} pixels a side" if side > 1 else "rows that are no images [channels, height, width]"
        raise InvalidDescription("recipe.shift_pixels", f"must be at most {side - 1} for {reason}, not {pixels}")


def auto_shift(net: Net, input_shape: Shape, output: Output) -> int:
    """How far images are moved where nobody said: a twelfth of the shorter side, for classes and named image nets.

    These nets pool over neighbouring positions, which says already that a class does not hang on a pixel or two. Of
    other nets, and of labels that are numbers, as a position may be, nothing of the kind is known.
    """
    match net:
        case LeNet5() | Conv3Fc3() | Torchvision():
            return _shorter_side(input_shape) // SIDES_A_PIXEL if isinstance(output, Categorical) else 0
        case Mlp() | Layers():
            return 0
        case _:
            assert_never(net)


def shifts(most: int, generator: torch.Generator) -> Shift:
    """Moves every image of a minibatch [rows, channels, height, width] by its own draw of `shifted`'s offsets.

    Down and right are independent and uniform on -most ... most; the generator is one of the CPU.
    """

    def shift(images: Tensor) -> Tensor:
        offsets = torch.randint(-most, most + 1, (len(images), 2), generator=generator)
        return shifted(images, offsets.to(images.device))

    return shift


def shifted(images: Tensor, offsets: Tensor) -> Tensor:
    """Images [rows, channels, height, width] moved down and right by their offsets [rows, 2], in pixels.

    What comes in over an edge is the edge's own pixel, again and again.
    """
    down, right = offsets.unsqueeze(2).unbind(1)
    rows = _sources(images.shape[2], down).unsqueeze(2)
    columns = _sources(images.shape[3], right).unsqueeze(1)
    each = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    return images.movedim(1, 3)[each, rows, columns].movedim(3, 1)


def _shorter_side(input_shape: Shape) -> int:
    """In pixels; 1 where rows are no images."""
    return min(input_shape[1:]) if len(input_shape) == 3 else 1


def _sources(side: int, offset: Tensor) -> Tensor:
    """Where each pixel along a side comes from, for offsets [rows, 1]; [rows, side]."""
    return (torch.arange(side, device=offset.device) - offset).clamp(0, side - 1)

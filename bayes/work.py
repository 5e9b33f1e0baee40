"""The work that a net makes of one row, in multiply-adds, and its bounds: few weights can make much work."""

from math import prod

from bayes.errors import InvalidDescription
from bayes.layers import Conv, Dense, Layer, MaxPool, Shape, Weighted

WORK_MAX = 20_000_000_000
"""For a net whose layers are declared. VGG16 at 224 pixels has 15.5e9, the largest of torchvision's here 16.4e9."""
TRACED_WORK_MAX = 250_000_000_000
"""For a net of torchvision, whose kernels are all of a common size. resnet152 at 1024 pixels has 241e9."""
LANES = 16
"""So many filters are computed in the time of one."""
KERNEL_FAST_MAX = 13
"""The processor's library has no fast code to learn with larger kernels, and none for a maxpool of any size."""
SLOW = 64
"""As many ordinary multiply-adds take the time of one in a larger kernel, or of one comparison of a maxpool."""


def of_weighted(layer: Weighted, after: Shape) -> int:
    """The multiply-adds of a dense or convolution layer whose outputs have this shape."""
    weights = prod(layer.weight_shape)
    match layer.layer:
        case Dense():
            return weights
        case Conv():
            return weights * prod(after[1:])


def counted(step: Weighted | Layer, before: Shape, after: Shape) -> int:
    """The work of a declared layer from inputs to outputs of these shapes: as many multiply-adds as take its time.

    Large kernels are applied to every position of the inputs on the way back, however few outputs they have.
    """
    match step:
        case MaxPool(size, _):
            return SLOW * size**2 * prod(after)
        case Weighted(_, Conv(filters, kernel)):
            of_a_filter, in_lanes = of_weighted(step, after) // filters, filters + -filters % LANES
            if kernel <= KERNEL_FAST_MAX:
                return of_a_filter * in_lanes
            back = prod(step.weight_shape[1:]) * prod(before[1:]) * in_lanes
            return max(SLOW * filters * of_a_filter, back)
        case Weighted():
            return of_weighted(step, after)
        case _:
            return 0


def check_work(work: int, where: str, *, most: int) -> None:
    """The net up to here makes no more work of one row.

    Raises:
        InvalidDescription: it makes more.
    """
    if work > most:
        raise InvalidDescription(
            where, f"brings the work of one row to {work} multiply-adds; at most {most} are accepted"
        )

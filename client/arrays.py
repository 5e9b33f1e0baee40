"""What callers have their rows in, as numpy arrays: torch, PIL, pandas, polars and whatever else speaks for itself.

None of these is imported: an object of a library is only here if its owner has imported it, and its methods are enough.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from client.errors import UnusableArray

NUMBERS = "buif"
NAMED_MAX = 5
"""Columns that an error names of many."""


class ImageLike(Protocol):
    """An image of PIL."""

    @property
    def mode(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...
    def getbands(self) -> tuple[str, ...]: ...


class FrameLike(Protocol):
    """A DataFrame or a Series of pandas or polars."""

    def to_numpy(self) -> NDArray[Any]: ...


class TensorLike(Protocol):
    """A tensor of torch, on any device, whether it wants gradients or not."""

    def detach(self) -> Any: ...  # noqa: ANN401 - a tensor again.


class DLPackLike(Protocol):
    """An array of any library that exports DLPack."""

    def __dlpack__(self) -> object: ...


Given: TypeAlias = (
    ArrayLike | ImageLike | FrameLike | TensorLike | DLPackLike | Sequence[ImageLike] | Sequence[TensorLike]
)
"""What rows and labels may be given as."""


def plain(given: object, *, what: str) -> NDArray[Any]:
    """The same numbers, or words, as a numpy array; a tensor comes from its device and leaves its gradients.

    Raises:
        UnusableArray: it is no array: its rows differ in length, or a table has a column of something else.
    """
    if is_tensor(given):
        return _of_tensor(given)
    if is_table(given):
        return _of_table(given, what=what)
    if isinstance(given, list | tuple) and given and all(is_tensor(one) for one in given):
        return _stacked([_of_tensor(one) for one in given], what=what)
    try:
        if not hasattr(given, "__array__") and hasattr(given, "__dlpack__"):
            return np.from_dlpack(given)
        return np.asarray(given)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UnusableArray(
            f"The {what} are no array: {reason}",
            "give rows that all have one shape, as numpy, torch, pandas or lists",
        ) from error


def is_tensor(given: object) -> TypeGuard[TensorLike]:
    return type(given).__module__.partition(".")[0] == "torch" and hasattr(given, "detach")


def is_image(given: object) -> TypeGuard[ImageLike]:
    return hasattr(given, "getbands") and hasattr(given, "mode") and hasattr(given, "size")


def images_in(given: object) -> list[ImageLike]:
    """The images, where an image or a list of nothing else was given; else none."""
    if is_image(given):
        return [given]
    if isinstance(given, list | tuple) and given and all(is_image(one) for one in given):
        return list(given)
    return []


def as_pixels(images: Sequence[ImageLike], shape: Sequence[int]) -> NDArray[np.uint8]:
    """The images as rows of this shape, uint8; grey where the shape has one channel, colour where it has three.

    An image with height · width numbers fits a flat shape as well. Nothing is scaled or cut.

    Raises:
        UnusableArray: an image has another size, or pixels that a model has no place for.
    """
    return _stacked([_pixels(image, tuple(shape), place) for place, image in enumerate(images)], what="images")


def _pixels(image: Any, shape: tuple[int, ...], place: int) -> NDArray[np.uint8]:  # noqa: ANN401 - PIL's, not imported.
    width, height = image.size
    is_colour = (len(shape) == 3 and shape[0] == 3) or math.prod(shape) == 3 * width * height
    wanted = {(height, width), (1, height, width), (height * width,), (3, height, width), (3 * height * width,)}
    if shape not in wanted:
        raise UnusableArray(
            f"Image {place} is {width} pixels wide and {height} high, and the model takes {list(shape)}",
            "scale the image to the model's size (`image.resize((width, height))`; on the command line --resize)",
        )
    if getattr(image, "n_frames", 1) > 1 or image.mode == "CMYK":
        raise UnusableArray(
            f"Image {place} is {'animated' if image.mode != 'CMYK' else 'in CMYK'}",
            "convert it to one frame in RGB or grey",
        )
    if image.mode.startswith("I;16") or image.mode == "I":
        image = image.convert("I").point(lambda value: value / 256).convert("L")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:
            raise UnusableArray(
                f"Image {place} has transparent pixels, which have no colour", "paste it on a background first"
            )
    pixels = np.asarray(image.convert("RGB" if is_colour else "L"), dtype=np.uint8)
    return (np.moveaxis(pixels, 2, 0) if is_colour else pixels).reshape(shape)


def _of_tensor(tensor: Any) -> NDArray[Any]:  # noqa: ANN401 - torch's, not imported.
    tensor = tensor.detach()
    if str(tensor.layout) != "torch.strided":
        tensor = tensor.to_dense()
    name = str(tensor.dtype)
    if name == "torch.bfloat16" or name.startswith("torch.float8"):
        # Numpy has no such type, and every number of it is a float32.
        tensor = tensor.float()
    array: NDArray[Any] = tensor.cpu().resolve_conj().resolve_neg().numpy()
    return array


def is_table(given: object) -> bool:
    return hasattr(given, "columns") and hasattr(given, "dtypes") and hasattr(given, "to_numpy")


def in_order(table: Any, names: Sequence[str]) -> Any:  # noqa: ANN401 - pandas' or polars', not imported.
    """The columns with these names, in this order; a table whose columns have numbers for names stays as it is.

    Raises:
        UnusableArray: some are not there.
    """
    columns = list(table.columns)
    if not any(isinstance(name, str) for name in columns):
        return table
    missing = [name for name in names if name not in columns]
    if missing:
        more = f" and {len(missing) - NAMED_MAX} more" if len(missing) > NAMED_MAX else ""
        raise UnusableArray(
            f"The table has no column called {', '.join(map(repr, missing[:NAMED_MAX]))}{more}, which the model takes",
            "rename its columns to what the model calls them, or give them as an array in the model's order (to_numpy)",
        )
    return table[list(names)]


def _of_table(table: Any, *, what: str) -> NDArray[Any]:  # noqa: ANN401 - pandas' or polars', not imported.
    """The columns side by side, in their order.

    Raises:
        UnusableArray: a column holds no numbers, or misses some.
    """
    array: NDArray[Any] = np.asarray(table.to_numpy())
    if array.dtype.kind in NUMBERS and (array.dtype.kind != "f" or np.isfinite(array).all()):
        return array
    columns = [_numeric(array[:, place]) for place in range(array.shape[1])]
    bad = [str(name) for name, column in zip(table.columns, columns, strict=False) if column is None]
    if not bad:
        return np.stack([column for column in columns if column is not None], axis=1)
    more = f" and {len(bad) - NAMED_MAX} more" if len(bad) > NAMED_MAX else ""
    raise UnusableArray(
        f"The {what} have columns that are not numbers or miss some: {', '.join(bad[:NAMED_MAX])}{more}",
        "leave them out, fill what is missing, or turn words into numbers (`pandas.get_dummies`)",
    )


def _numeric(column: NDArray[Any]) -> NDArray[np.float64] | None:
    """A column as numbers, all of them finite; None: it holds something else, and words of digits are words."""
    if column.dtype.kind == "O" and not all(isinstance(one, int | float | np.number | np.bool_) for one in column):
        return None
    if column.dtype.kind not in f"{NUMBERS}O":
        return None
    numbers = column.astype(np.float64)
    return numbers if np.isfinite(numbers).all() else None


def _stacked(arrays: Sequence[NDArray[Any]], *, what: str) -> NDArray[Any]:
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise UnusableArray(f"The {what} have different shapes: {shapes[0]} and {shapes[1]}", "give them one shape")
    return np.stack(arrays)

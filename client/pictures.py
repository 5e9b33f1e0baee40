"""Images from files and folders; in a folder of folders, each is called after the class of its images."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from client.arrays import ImageLike
from client.errors import UnreadableFile, UnusableArray

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def is_picture(content: bytes) -> bool:
    """Whether the bytes begin as those of an image do."""
    return content.startswith(BEGINNINGS)


def has_picture_name(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def opened(content: bytes, name: str, *, size: tuple[int, int] | None = None) -> ImageLike:
    """The image, scaled to this width and height where one is given; its pixels are read.

    Raises:
        UnusableArray: it is no image, or a broken one.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return image.copy() if size is None else image.resize(size, Image.Resampling.BILINEAR)
    # PIL's readers raise whatever they meet.
    except Exception as error:
        raise UnusableArray(
            f"{name} cannot be read as an image: {error}", "save it as PNG or JPEG again, or leave it out"
        ) from error


def read(file: Path, *, size: tuple[int, int] | None = None) -> ImageLike:
    """As `opened`, of a file.

    Raises:
        UnreadableFile, UnusableArray: there is no such file, or it is no image.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{file}: {error.strerror}", "name an image that can be read") from error
    return opened(content, str(file), size=size)


def files_in(folder: Path) -> list[Path]:
    """The images in the folder and in those inside it, in the order of their paths; hidden ones are not looked at.

    Raises:
        UnusableArray: there are none.
    """
    inside = (path for path in folder.rglob("*") if has_picture_name(path) and path.is_file())
    found = sorted(path for path in inside if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not found:
        raise UnusableArray(f"The folder {folder} has no images", f"put some there: {', '.join(sorted(SUFFIXES))}")
    return found


def classes_of(folder: Path, files: Sequence[Path]) -> list[str]:
    """The name of the class of each image: the folder right below this one that it is in.

    Raises:
        UnusableArray: an image is in none.
    """
    parts = [file.relative_to(folder).parts for file in files]
    for file, inside in zip(files, parts, strict=True):
        if len(inside) < 2:
            raise UnusableArray(
                f"{file} is in no folder of a class",
                f"put the images of each class into a folder of its name below {folder}, or say --class",
            )
    return [inside[0] for inside in parts]

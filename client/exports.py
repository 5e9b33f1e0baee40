"""Versions on their way to another installation, as one file."""

from pathlib import Path
from typing import Literal

from client import moves
from client.calls import Call, ask
from client.errors import UnreadableFile
from client.values import Model
from client.wire import Request, get, stated, url_path

ZIP = "application/zip"

Format = Literal["zip", "state_dict", "json"]


def export(model: str, version: int | None = None, *, format: Format = "zip") -> Call[bytes]:  # noqa: A002 - As asked.
    """A version (head's unless stated) as a file.

    `zip` is what `import_version` takes and `bayes.load_export` reads; `state_dict` its mean weights, for plain torch;
    `json` what is told of it: the model's description, and its lineage from the root on.

    Raises:
        ServiceProblem: there is no such version; or `plain-weights-impossible`, where no plain weights do the same.
    """
    if version is None:
        version = (yield from moves.alias(model, "head")).version
    return (yield get("models", model, "versions", version, "export", query={"format": format})).content


def import_version(archive: bytes | Path, name: str | None = None) -> Call[Model]:
    """The model goes on here from an exported version, under its own name unless another is given.

    The same again changes nothing.

    Raises:
        UnreadableFile: there is no such file, or it may not be read.
        ServiceProblem: `export-invalid`, or `model-exists` where another model has the name; nothing was stored.
    """
    request = Request(
        "POST",
        url_path("imports"),
        query=stated({"name": name}),
        headers={"Content-Type": ZIP},
        body=_read(archive) if isinstance(archive, Path) else archive,
        is_repeatable=True,
    )
    return (yield from ask(request, Model))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{file}: {error.strerror}") from error

"""Versions on their way to another installation, as one file."""

import dataclasses
from pathlib import Path
from typing import Literal

from client import moves
from client.bars import Told, bytes_bar
from client.calls import Call, ask
from client.errors import UnreadableFile
from client.values import Model
from client.wire import Request, get, stated, url_path

ZIP = "application/zip"

Format = Literal["zip", "state_dict", "json"]


def export(
    model: str,
    version: int | None = None,
    *,
    format: Format = "zip",  # noqa: A002 - As asked.
    progress: Told[tuple[int, int | None]] = None,
) -> Call[bytes]:
    """A version (head's unless stated) as a file.

    `zip` is what `import_version` takes and `bayes.load_export` reads; `state_dict` its mean weights, for plain torch;
    `json` what is told of it: the model's description, and its lineage from the root on. `progress` is as for `ingest`,
    of the bytes that came.

    Raises:
        ServiceProblem: there is no such version; or `plain-weights-impossible`, where no plain weights do the same.
    """
    if version is None:
        version = (yield from moves.alias(model, "head")).version
    request = get("models", model, "versions", version, "export", query={"format": format})
    with bytes_bar(f"{model}: version {version}", progress) as watch:
        return (yield dataclasses.replace(request, watch=watch, is_long=True)).content


def import_version(
    archive: bytes | Path, name: str | None = None, *, progress: Told[tuple[int, int | None]] = None
) -> Call[Model]:
    """The model goes on here from an exported version, under its own name unless another is given.

    The same again changes nothing. `progress` is as for `ingest`.

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
    with bytes_bar("importing", progress) as watch:
        return (yield from ask(dataclasses.replace(request, watch=watch), Model))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{file}: {error.strerror}", "name a file that `posterity export` wrote") from error

"""What the `export.json` of an exported version says: which version it is, of which model, and its lineage."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayes.errors import InvalidDescription, UnreadableExport
from bayes.fields import Fields
from bayes.lineage import IMPORTED, Lineage, digest, read_lineage, text, write_lineage

FORMAT = 1
BYTES_MAX = 16 * 2**20
"""Room for lines of tens of thousands of versions."""


@dataclass(frozen=True)
class About:
    """A version as the installation that exported it knows it.

    Attributes:
        model: what the model is called there; `version`, its number there.
        digest: of the posterior's bytes; `root_digest`, of version 0's.
        description: the model's, with every default resolved.
        posted: the description as a client wrote it; None where that was not kept.
        lineage: from the root to the version, also over installations.
        report: the report of the update that made it; its scores before the chunk was absorbed among it.
        posterity: the release of the exporting service; `torch`, that of its torch.
    """

    model: str
    version: int
    digest: str
    root_digest: str
    description: Mapping[str, object]
    posted: Mapping[str, object] | None
    lineage: Lineage
    report: Mapping[str, object]
    posterity: str
    torch: str

    @property
    def is_root(self) -> bool:
        """Nothing was learned: the version is the root prior itself."""
        return len(self.lineage) == 1

    def to_bytes(self) -> bytes:
        """The `export.json`; equal values make equal bytes."""
        told = {**vars(self), "format": FORMAT, "lineage": write_lineage(self.lineage)}
        return json.dumps(told, sort_keys=True, allow_nan=False).encode()


def read_about(raw: bytes) -> About:
    """What the bytes of an `export.json` say.

    Raises:
        UnreadableExport: they are of another format, not what they say, or nothing of the kind.
    """
    if len(raw) > BYTES_MAX:
        raise UnreadableExport(f"export.json has more than {BYTES_MAX} bytes")
    try:
        return _read(_object_of(raw))
    except InvalidDescription as fault:
        raise UnreadableExport(f"export.json is not readable: {fault}") from fault


def _read(value: object) -> About:
    fields = Fields(value, "")
    fields.whole("format", least=FORMAT, most=FORMAT)
    posted = fields.take("posted")
    about = About(
        model=text(fields, "model"),
        version=fields.whole("version", least=0),
        digest=digest(fields, "digest"),
        root_digest=digest(fields, "root_digest"),
        description=_mapping(fields.take("description"), "description"),
        posted=None if posted is None else _mapping(posted, "posted"),
        lineage=read_lineage(fields.take("lineage")),
        report=_mapping(fields.take("report"), "report"),
        posterity=text(fields, "posterity"),
        torch=text(fields, "torch"),
    )
    fields.close()
    if (about.lineage[0].digest, about.lineage[-1].digest) != (about.root_digest, about.digest):
        raise InvalidDescription("lineage", "does not lead from root_digest to digest")
    # What was imported is exported under its own name and number, and its lineage is the one that came along.
    last, again = about.lineage[-1], 0 if about.is_root else IMPORTED
    if (about.model, about.version) != (last.model, last.version) and about.version != again:
        raise InvalidDescription(
            "version", f"must be the last of the lineage, version {last.version} of '{last.model}'"
        )
    return about


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidDescription(where, "must be an object")
    return value


def _object_of(raw: bytes) -> object:
    """The JSON, which names no member twice, and holds nothing that could not be written again."""
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as fault:
        raise InvalidDescription("", f"it is no JSON: {fault}") from fault
    return value


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("an object in it has two members of one name")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    return _no_number(text[:40]) if number in {float("inf"), float("-inf")} else number

"""What the `export.json` of an exported version says: which version it is, of which model, and its lineage."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bayes.errors import InvalidDescription, UnreadableExport
from bayes.fields import Fields
from bayes.lineage import IMPORTED, Lineage, digest, read_lineage, text, write_lineage
from bayes.outputs import CLASSES_MAX

FORMAT = 1
BYTES_MAX = 16 * 2**20
"""Room for lines of 40,000 versions, or of 120,000 batches, which is also what the bounds below leave room for."""
VALUES_MAX, OF_LIST = 2_000_000, 8
"""Of commas and of lists and objects, each of which counts as so many: nothing else runs while JSON is read."""
COLONS_MAX = 1_000_000
"""A member of an object has one; those in the digests and times of a line count too."""
MEMBERS_MAX = 2_000
"""Of one object: as many as a whole description may have."""
NUMBER_LENGTH_MAX = 400
REPORT_VALUES_MAX = 10_000
"""A report has some numbers for each layer, of which nets have hundreds."""
DESCRIPTION_VALUES_MAX = CLASSES_MAX + 10_000
"""The names of the classes, and what else a description may say."""


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
    description = _mapping(fields.take("description"), "description", values_max=DESCRIPTION_VALUES_MAX)
    report = _mapping(fields.take("report"), "report", values_max=REPORT_VALUES_MAX)
    posted = fields.take("posted")
    fields.whole("format", least=FORMAT, most=FORMAT)
    about = About(
        model=text(fields, "model"),
        version=fields.whole("version", least=0),
        digest=digest(fields, "digest"),
        root_digest=digest(fields, "root_digest"),
        description=description,
        posted=None if posted is None else _mapping(posted, "posted", values_max=DESCRIPTION_VALUES_MAX),
        lineage=read_lineage(fields.take("lineage")),
        report=report,
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


def _mapping(value: object, where: str, *, values_max: int) -> Mapping[str, object]:
    """The object that stands there, in which there are few values, however deep."""
    if not isinstance(value, dict):
        raise InvalidDescription(where, "must be an object")
    left, values = list[object](value.values()), 0
    while left:
        one = left.pop()
        values += 1
        if isinstance(one, dict):
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
        if values + len(left) > values_max:
            raise InvalidDescription(where, f"has more than {values_max} values")
    return value


def _object_of(raw: bytes) -> object:
    """The JSON, which names no member twice, and holds nothing that could not be written again."""
    _must_be_bounded(raw)
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite, parse_int=_whole
        )
        if b"\\u" in raw:  # Half of a character can be written in no other way.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as fault:
        raise InvalidDescription("", f"it is no JSON: {fault}") from fault
    return value


def _must_be_bounded(raw: bytes) -> None:
    """Nothing happens where the JSON can be read, or refused, about as soon as the longest line.

    Raises:
        InvalidDescription: it cannot.
    """
    values = raw.count(b",") + OF_LIST * (raw.count(b"[") + raw.count(b"{"))
    if values > VALUES_MAX:
        raise InvalidDescription("", f"it has more than {VALUES_MAX} values; a list or object counts as {OF_LIST}")
    if raw.count(b":") > COLONS_MAX:
        raise InvalidDescription("", f"it has more than {COLONS_MAX} colons")


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(members) > MEMBERS_MAX:
        raise ValueError(f"an object in it has more than {MEMBERS_MAX} members")
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("an object in it has two members of one name")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _whole(text: str) -> int:
    return int(_short(text))


def _short(text: str) -> str:
    if len(text) > NUMBER_LENGTH_MAX:
        raise ValueError(f"a number in it has more than {NUMBER_LENGTH_MAX} digits")
    return text


def _finite(text: str) -> float:
    number = float(_short(text))
    return _no_number(text[:40]) if number in {float("inf"), float("-inf")} else number

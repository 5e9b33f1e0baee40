"""What a posterior was learned from, step by step: the versions of its line from the root on."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from bayes.errors import InvalidDescription
from bayes.fields import Fields, sequence

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
NAME_LENGTH_MAX = 128
IMPORTED = 1
"""The version that an imported one is called where it was imported to; a root is version 0 everywhere."""

KL_ABOVE = -1.0
"""What is never negative is estimated where a family has auxiliary variables, and rounded in all: a little below 0."""


@dataclass(frozen=True)
class AbsorbedBatch:
    """A batch of the chunk that a version absorbed; its number is that of the installation that accepted it."""

    batch: int
    rows: int
    digest: str


@dataclass(frozen=True)
class Ancestor:
    """A version of a line, as it was called where it was learned.

    Its parent is the one before it in the lineage, which is version 1 where it was imported. `parent` and `chunk` are
    the numbers of that installation, None for a root, as is `chunk` where no chunk was absorbed. `kl_nats` is
    KL(version || parent); `created_at` is ISO 8601. `divided` are the batches, absorbed before it under the same name
    of the model, whose part was divided out of it.
    """

    model: str
    version: int
    parent: int | None
    digest: str
    kl_nats: float
    rows: int
    chunk: int | None
    batches: tuple[AbsorbedBatch, ...]
    created_at: str
    divided: tuple[int, ...] = ()

    @property
    def is_root(self) -> bool:
        """It is a version 0, of which nothing says that it has learned."""
        learned = (self.rows, self.batches, self.divided) != (0, (), ())
        return not learned and (self.version, self.parent, self.chunk) == (0, None, None)


Lineage = tuple[Ancestor, ...]
"""From the root to the version itself."""


def rows_of(lineage: Lineage) -> int:
    """How many rows were absorbed on the line."""
    return sum(ancestor.rows for ancestor in lineage)


def divided_out(lineage: Lineage) -> list[str]:
    """The digests of the batches whose part was divided out on the line, approximately, in the order of that."""
    absorbed = {(one.model, batch.batch): batch.digest for one in lineage for batch in one.batches}
    return [absorbed[ancestor.model, batch] for ancestor in lineage for batch in ancestor.divided]


def write_lineage(lineage: Sequence[Ancestor]) -> list[dict[str, object]]:
    """The JSON that `read_lineage` reads back as this lineage."""
    return [_written(ancestor) for ancestor in lineage]


def read_lineage(value: object, where: str = "lineage") -> Lineage:
    """The lineage that the JSON tells of.

    Raises:
        InvalidDescription: it tells of none, its beginning is no root, or it contradicts itself.
    """
    told = sequence(value, where)
    if not told:
        raise InvalidDescription(where, "has no versions")
    lineage = tuple(_read_ancestor(one, f"{where}.{index}") for index, one in enumerate(told))
    if not lineage[0].is_root:
        raise InvalidDescription(f"{where}.0", "must be a root: version 0, no parent, no chunk, no rows")
    for index, ancestor in enumerate(lineage[1:], start=1):
        _must_add_up(ancestor, f"{where}.{index}")
    _must_be_a_line(lineage, where)
    return lineage


def digest(fields: Fields, key: str) -> str:
    """The digest under this key.

    Raises:
        InvalidDescription: there is none.
    """
    value = text(fields, key, length_max=71)
    if not DIGEST.fullmatch(value):
        raise InvalidDescription(fields.at(key), "must be sha256: and 64 hexadecimal digits")
    return value


def text(fields: Fields, key: str, *, length_max: int = NAME_LENGTH_MAX) -> str:
    """The short printable string under this key.

    Raises:
        InvalidDescription: there is none.
    """
    value = fields.take(key)
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= length_max:
        raise InvalidDescription(fields.at(key), f"must be 1 to {length_max} printable characters")
    return value


def _must_add_up(ancestor: Ancestor, where: str) -> None:
    """What it says of its rows, its chunk and its batches can all be true.

    Raises:
        InvalidDescription: it cannot.
    """
    if len({batch.batch for batch in ancestor.batches}) < len(ancestor.batches):
        raise InvalidDescription(f"{where}.batches", "has a batch twice")
    if (ancestor.chunk is None) != (not ancestor.batches):
        raise InvalidDescription(f"{where}.batches", "must be there where a chunk is, and only there")
    if not ancestor.batches and not ancestor.divided:
        raise InvalidDescription(where, "has absorbed nothing, and nothing was divided out of it")
    if ancestor.rows != (held := sum(batch.rows for batch in ancestor.batches)):
        raise InvalidDescription(f"{where}.rows", f"must be the {held} rows of its batches")


def _must_be_a_line(lineage: Lineage, where: str) -> None:
    """Each version follows from the one before it, and no installation has absorbed a batch twice.

    Raises:
        InvalidDescription: they do not, or one has.
    """
    known, absorbed = defaultdict[str, set[int]](set), set[int]()
    for index, (before, ancestor) in enumerate(pairwise(lineage), start=1):
        at = f"{where}.{index}"
        is_child = ancestor.parent == before.version and (ancestor.model == before.model or index == 1)
        # Where a version was imported it is version 1, and what was learned there begins anew with batch 1.
        is_elsewhere = ancestor.parent == IMPORTED and index > 1
        if not is_child and not is_elsewhere:
            raise InvalidDescription(f"{at}.parent", "must be the version before it")
        if ancestor.version <= (ancestor.parent or 0):
            raise InvalidDescription(f"{at}.version", "must be a later one than its parent")
        if is_elsewhere:
            absorbed = set()
        batches = {batch.batch for batch in ancestor.batches}
        if again := sorted(absorbed & batches):
            raise InvalidDescription(f"{at}.batches", f"has batch {again[0]}, which a version before it absorbed")
        if ancestor.divided and (batches or not known[ancestor.model].issuperset(ancestor.divided)):
            raise InvalidDescription(f"{at}.divided", "must be batches that versions before it absorbed")
        absorbed |= batches
        known[ancestor.model] |= batches


def _written(ancestor: Ancestor) -> dict[str, object]:
    told = {**vars(ancestor), "batches": [vars(batch) for batch in ancestor.batches]}
    # What was never divided is written as releases write and read it that know no division.
    divided = told.pop("divided")
    return told | ({"divided": list(ancestor.divided)} if divided else {})


def _read_ancestor(value: object, where: str) -> Ancestor:
    fields = Fields(value, where)
    listed = sequence(fields.take("batches"), fields.at("batches"))
    ancestor = Ancestor(
        model=text(fields, "model"),
        version=fields.whole("version", least=0),
        parent=_number_or_none(fields, "parent", least=0),
        digest=digest(fields, "digest"),
        kl_nats=fields.number("kl_nats", above=KL_ABOVE),
        rows=fields.whole("rows", least=0, most=2**53),
        chunk=_number_or_none(fields, "chunk", least=1),
        batches=tuple(_read_batch(one, f"{fields.at('batches')}.{index}") for index, one in enumerate(listed)),
        created_at=_moment(fields, "created_at"),
        divided=_numbers(fields, "divided"),
    )
    fields.close()
    return ancestor


def _read_batch(value: object, where: str) -> AbsorbedBatch:
    fields = Fields(value, where)
    batch = AbsorbedBatch(
        fields.whole("batch", least=1), fields.whole("rows", least=1, most=2**53), digest(fields, "digest")
    )
    fields.close()
    return batch


def _numbers(fields: Fields, key: str) -> tuple[int, ...]:
    told = sequence(fields.take(key), fields.at(key)) if fields.has(key) else ()
    return tuple(Fields({key: one}, fields.where).whole(key, least=1) for one in told)


def _number_or_none(fields: Fields, key: str, *, least: int) -> int | None:
    if fields.has(key) and (value := fields.take(key)) is not None:
        return Fields({key: value}, fields.where).whole(key, least=least)
    return None


def _moment(fields: Fields, key: str) -> str:
    value = text(fields, key, length_max=40)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise InvalidDescription(fields.at(key), "must be a time in ISO 8601") from None
    return value

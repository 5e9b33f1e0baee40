"""What a posterior was learned from, step by step: the versions of its line from the root on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bayes.errors import InvalidDescription
from bayes.fields import Fields, sequence

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
NAME_LENGTH_MAX = 128


@dataclass(frozen=True)
class AbsorbedBatch:
    """A batch of the chunk that a version absorbed; its number is that of the installation that accepted it."""

    batch: int
    rows: int
    digest: str


@dataclass(frozen=True)
class Ancestor:
    """A version of a line, as it was called where it was learned.

    Its parent is the one before it in the lineage. `parent` and `chunk` are the numbers of that installation, None for
    a root, as is `chunk` where no chunk was absorbed. `kl_nats` is KL(version || parent); `created_at` is ISO 8601.
    `divided` are the batches, absorbed before it under the same name of the model, whose part was divided out of it.
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
        InvalidDescription: it tells of none, or its beginning is no root.
    """
    told = sequence(value, where)
    if not told:
        raise InvalidDescription(where, "has no versions")
    lineage = tuple(_read_ancestor(one, f"{where}.{index}") for index, one in enumerate(told))
    for index, ancestor in enumerate(lineage):
        is_root = ancestor.parent is None and ancestor.chunk is None and not ancestor.batches and not ancestor.rows
        if (index == 0) != is_root:
            said = "must be a root: no parent, no chunk, no rows" if index == 0 else "has no parent, or no rows"
            raise InvalidDescription(f"{where}.{index}", said)
        before = {batch.batch for one in lineage[:index] if one.model == ancestor.model for batch in one.batches}
        if ancestor.divided and (ancestor.batches or not before.issuperset(ancestor.divided)):
            raise InvalidDescription(f"{where}.{index}.divided", "must be batches that versions before it absorbed")
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
        parent=_number_or_none(fields, "parent"),
        digest=digest(fields, "digest"),
        kl_nats=fields.number("kl_nats"),
        rows=fields.whole("rows", least=0, most=2**53),
        chunk=_number_or_none(fields, "chunk"),
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


def _number_or_none(fields: Fields, key: str) -> int | None:
    if fields.has(key) and (value := fields.take(key)) is not None:
        return Fields({key: value}, fields.where).whole(key, least=0)
    return None


def _moment(fields: Fields, key: str) -> str:
    value = text(fields, key, length_max=40)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise InvalidDescription(fields.at(key), "must be a time in ISO 8601") from None
    return value

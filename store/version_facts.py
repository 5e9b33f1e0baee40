"""All that is told of versions, read at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from store.dividing import divided_on, divisions_of
from store.import_books import brought
from store.learned import evidence_of
from store.queries import aliases_of
from store.tree import on_line
from store.values import Evidence, ModelRow, VersionRow


@dataclass(frozen=True)
class VersionFacts:
    """A version of a model, and what the ledger has of it in other places."""

    model: ModelRow
    version: VersionRow
    aliases: tuple[str, ...]
    """Those that point at it."""
    evidence: Evidence | None
    """None: it was not asked for."""
    divided: tuple[int, ...]
    """The batches that were divided out on its line, in their order."""
    elsewhere: int
    """So many rows of its line were learned from before the model was imported."""


def facts_of(
    connection: Connection, model: ModelRow, rows: Sequence[VersionRow], *, depth_max: int | None = None
) -> list[VersionFacts]:
    """The facts of these versions; the evidence of those alone that have no more than `depth_max` before them."""
    aliases, divisions = aliases_of(connection, model.id), divisions_of(connection, model.id)
    came = brought(model.imported)

    def facts(row: VersionRow) -> VersionFacts:
        has_brought = bool(came) and bool(on_line(connection, model.id, row.number, came))
        is_told = depth_max is None or row.depth <= depth_max
        return VersionFacts(
            model=model,
            version=row,
            aliases=tuple(alias for alias, version in aliases.items() if version == row.number),
            evidence=evidence_of(connection, model.id, row.number) if is_told else None,
            divided=tuple(sorted(divided_on(connection, model.id, row.number, divisions))),
            elsewhere=int(model.imported["rows"]) if model.imported is not None and has_brought else 0,
        )

    return [facts(row) for row in rows]

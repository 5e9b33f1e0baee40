"""What is true at every moment of a model that was imported; `store.invariants` asks it with all else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row

from store.kinds import Publication
from store.values import Json


def brought(imported: Json | None) -> frozenset[int]:
    """The versions that came from elsewhere, so that no update here has made them; the root is not among them."""
    return frozenset({1}) if imported is not None and imported["chunks"] else frozenset()


def faults_of_import(imported: Json | None, versions: Sequence[Row[Any]]) -> Iterator[str]:
    """Versions 0 and 1 are those that the model says it came from, and no other version says that it was imported."""
    came = brought(imported)
    for row in versions:
        if (row.publication == Publication.IMPORTED) != (row.number in came):
            yield f"version {row.number} and the model disagree about its being imported"
        if imported is None:
            continue
        if row.number == 0 and row.digest != imported["root_digest"]:
            yield "version 0 is another root than the imported one"
        if row.number in came:
            if (row.parent, row.chunk, row.update) != (0, None, None):
                yield f"version {row.number} was imported, and has another parent than the root, a chunk or an update"
            if (row.digest, row.rows_learned) != (imported["digest"], imported["rows"]):
                yield f"version {row.number} is another than the imported one"
    yield from (f"version {number}, the imported one, is missing" for number in came - {row.number for row in versions})

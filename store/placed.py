"""Whether the versions of a model stand where they belong in the tree: on branches, one step after their parents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row


def placed(versions: Sequence[Row[Any]]) -> Iterator[str]:
    """A sentence for each version that does not stand where its parent says; the versions come by their numbers."""
    known = {row.number: row for row in versions}
    for (branch, depth), count in Counter((row.branch, row.depth) for row in versions).items():
        if count > 1:
            yield f"{count} versions are at depth {depth} of branch {branch}"
    for row in versions:
        parent = known.get(row.parent)
        if row.number == 0:
            if (row.depth, row.branch, row.fork) != (0, 0, None):
                yield "version 0, the root prior, is not where the tree begins"
        elif parent is not None and (row.depth, row.rows_learned) != (
            parent.depth + 1,
            parent.rows_learned + row.rows,
        ):
            yield f"version {row.number} is not one step and its own rows after version {row.parent}, its parent"
        if parent is None:
            continue
        goes_on = (row.branch, row.fork) == (parent.branch, parent.fork)
        if not goes_on and (row.branch <= parent.branch or row.fork != row.parent):
            yield f"version {row.number} is on branch {row.branch}, which does not start from its parent {row.parent}"

"""The branches of a model's versions: what a drawing of the tree is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, FromClause, Select, and_, func, select
from sqlalchemy.sql import ColumnElement

from store.kinds import HEAD
from store.line import find_line
from store.queries import aliases_of
from store.schema.learning import versions


@dataclass(frozen=True)
class BranchRow:
    """A run of versions, each learned from the one before it."""

    branch: int
    fork: int | None
    """The version that it starts from; None: it starts with the root prior."""
    parent_branch: int | None
    """The branch that `fork` is on."""
    first: int
    tip: int
    versions: int
    is_on_head: bool
    """True where head was learned from some of its versions, or is one."""
    aliases: dict[str, int]
    """Those that point at its versions."""


def branches_of(connection: Connection, model_id: int, *, after: int, limit: int) -> list[BranchRow]:
    """The branches after this one, in the order in which they began."""
    rows = connection.execute(_spans(model_id, after=after, limit=limit)).all()
    if not rows:
        return []
    aliases = aliases_of(connection, model_id)
    homes = select(versions.c.number, versions.c.branch).where(versions.c.model_id == model_id)
    found = connection.execute(homes.where(versions.c.number.in_(set(aliases.values()))))
    branches = {row.number: row.branch for row in found}
    passed = {segment.branch for segment in find_line(connection, model_id, aliases[HEAD]).segments}
    return [
        BranchRow(
            branch=row.branch,
            fork=row.fork,
            parent_branch=row.parent_branch,
            first=row.first,
            tip=row.tip,
            # The depths on a branch follow each other.
            versions=row.deepest - row.least + 1,
            is_on_head=row.branch in passed,
            aliases={alias: version for alias, version in aliases.items() if branches[version] == row.branch},
        )
        for row in rows
    ]


def _spans(model_id: int, *, after: int, limit: int) -> Select[Any]:
    """Where each branch begins and ends, and what it starts from. Branches are numbered without a gap."""
    ends = (func.min(versions.c.depth).label("least"), func.max(versions.c.depth).label("deepest"))
    page = (versions.c.model_id == model_id, versions.c.branch.between(after + 1, after + limit))
    span = select(versions.c.branch, *ends).where(*page).group_by(versions.c.branch).subquery("span")
    first, tip, fork = (versions.alias(name) for name in ("first_one", "tip_one", "fork_one"))

    def at(end: FromClause, depth: ColumnElement[int]) -> ColumnElement[bool]:
        return and_(end.c.model_id == model_id, end.c.branch == span.c.branch, end.c.depth == depth)

    joined = span.join(first, at(first, span.c.least)).join(tip, at(tip, span.c.deepest))
    joined = joined.outerjoin(fork, and_(fork.c.model_id == model_id, fork.c.number == first.c.fork))
    columns = (first.c.number.label("first"), tip.c.number.label("tip"), first.c.fork)
    return select(span, *columns, fork.c.branch.label("parent_branch")).select_from(joined).order_by(span.c.branch)

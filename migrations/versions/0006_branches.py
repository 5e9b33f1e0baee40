"""The tree of versions as branches, so that the line of a version is found without walking it; and how each came to be.

Versions that are there get the branches that they would have got.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

versions = sa.table(
    "versions",
    *(sa.column(name, sa.Integer) for name in ("model_id", "number", "parent", "chunk", "depth", "branch", "fork")),
    sa.column("rows", sa.BigInteger),
    sa.column("rows_learned", sa.BigInteger),
    sa.column("publication", sa.String),
    sa.column("head_seq", sa.Integer),
)
chunks = sa.table("chunks", *(sa.column(name, sa.Integer) for name in ("model_id", "number", "rows")))
moves = sa.table("moves", *(sa.column(n, sa.Integer) for n in ("model_id", "seq", "version")), sa.column("alias"))


def upgrade() -> None:
    op.add_column("versions", sa.Column("depth", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("versions", sa.Column("branch", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("versions", sa.Column("fork", sa.Integer(), nullable=True))
    op.add_column("versions", sa.Column("rows", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("versions", sa.Column("rows_learned", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("versions", sa.Column("publication", sa.String(length=16), nullable=False, server_default="head"))
    op.add_column("versions", sa.Column("head_seq", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("models", sa.Column("imported", sa.JSON(), nullable=True))
    connection = op.get_bind()
    for model in connection.execute(sa.select(versions.c.model_id).distinct()).scalars().all():
        _place(connection, model)
    op.create_index("uq_versions_branch", "versions", ["model_id", "branch", "depth"], unique=True)


def downgrade() -> None:
    """An older release walks the line. Where a model came from, and why head did not move, is known no more."""
    op.drop_index("uq_versions_branch", "versions")
    op.drop_column("models", "imported")
    for name in ("head_seq", "publication", "rows_learned", "rows", "fork", "branch", "depth"):
        op.drop_column("versions", name)


def _place(connection: sa.Connection, model: int) -> None:
    """The first child of a version goes on with its branch; each later one begins another."""
    held = sa.select(chunks.c.number, chunks.c.rows).where(chunks.c.model_id == model)
    rows = {row.number: row.rows for row in connection.execute(held)}
    named = sa.select(versions.c.number, versions.c.parent, versions.c.chunk).where(versions.c.model_id == model)
    seqs = sa.select(moves.c.version, sa.func.min(moves.c.seq).label("seq")).where(
        moves.c.model_id == model, moves.c.alias == "head"
    )
    moved = {row.version: row.seq for row in connection.execute(seqs.group_by(moves.c.version))}
    taken, newest = set[tuple[int, int]](), 0
    places: dict[int, tuple[int, int, int | None, int]] = {}
    for row in connection.execute(named.order_by(versions.c.number)).all():
        depth, branch, fork, learned = places.get(row.parent, (-1, 0, None, 0))
        if (branch, depth + 1) in taken:
            newest += 1
            branch, fork = newest, row.parent
        taken.add((branch, depth + 1))
        own = rows.get(row.chunk, 0)
        places[row.number] = (depth + 1, branch, fork, learned + own)
        place = {"depth": depth + 1, "branch": branch, "fork": fork, "rows": own, "rows_learned": learned + own}
        facts = {"publication": "root" if row.parent is None else "head", "head_seq": moved.get(row.number, 1) - 1}
        connection.execute(
            versions.update()
            .where(versions.c.model_id == model, versions.c.number == row.number)
            .values(**place, **facts)
        )

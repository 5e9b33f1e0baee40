"""All reads of the ledger: what exists, what was live when, what a version has learned from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from itertools import islice

from sqlalchemy import Connection, Engine, and_, bindparam, func, literal, select, union
from sqlalchemy.sql import ColumnElement

from store.accepting import batches_named, pending_totals
from store.branches import BranchRow, branches_of
from store.dividing import divided_on
from store.errors import AliasNotFound, BatchNotFound, ModelNotFound, VersionNotFound
from store.kinds import ALL_MODELS, HEAD, UpdateState
from store.learned import Difference, difference_between, evidence_of, labels_in
from store.queries import (
    IS_DELETED,
    aliases_of,
    batch_totals,
    batches_of,
    count_versions,
    find_model,
    find_update,
    find_version,
    moves_of,
    newest_move,
    newest_moves,
    to_batch,
    to_model,
    to_move,
    to_updates,
    to_version,
    undecided_of,
    updates_of,
    versions_of,
)
from store.runs import Runs
from store.schema.learning import batches, models, moves, updates, versions
from store.tombstones import holders_of
from store.tree import born_of, learned_of, on_line, scores_on_line
from store.values import BatchRow, Counters, Evidence, Json, ModelRow, MoveRow, Part, Resolved, UpdateRow, VersionRow
from store.version_facts import VersionFacts, facts_of

LIMIT = 100

KNOWN = select(batches.c.key).where(
    batches.c.model_id == select(models.c.id).where(models.c.name == bindparam("name")).scalar_subquery(),
    batches.c.key.in_(bindparam("keys", expanding=True)),
)
"""Asked before every batch, and seldom answered: so it is built once."""


class History:
    """Read-only answers from the ledger; each call is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def model(self, name: str) -> ModelRow:
        with self.engine.begin() as connection:
            return find_model(connection, name)

    def models(self, *, after: str = "", limit: int = LIMIT, pattern: str = ALL_MODELS) -> list[ModelRow]:
        """Models in the order of their names, after this name; only those whose name fits the pattern (`fnmatch`)."""
        with self.engine.begin() as connection:
            if pattern == ALL_MODELS:
                chosen = models.c.name > after
            else:
                # The database's own patterns differ from one engine to the other.
                named = select(models.c.name).where(models.c.name > after).order_by(models.c.name)
                fitting = (name for name in connection.execute(named).scalars() if fnmatchcase(name, pattern))
                chosen = models.c.name.in_(list(islice(fitting, limit)))
            query = select(models).where(chosen).order_by(models.c.name).limit(limit)
            return [to_model(row) for row in connection.execute(query)]

    def batches_named(self, name: str, keys: Collection[str]) -> dict[str, BatchRow]:
        """The batches of the model that these keys name, by key; none where there is no such model."""
        with self.engine.begin() as connection:
            known = list(connection.execute(KNOWN, {"name": name, "keys": list(keys)}).scalars())
            return batches_named(connection, find_model(connection, name).id, known) if known else {}

    def models_of(self, digest: str) -> list[str]:
        """The models that have a version or a batch of this digest."""
        owners = union(
            *(select(table.c.model_id).where(table.c.digest == digest) for table in (versions, batches))
        ).subquery()
        query = select(models.c.name).join(owners, owners.c.model_id == models.c.id).order_by(models.c.name)
        with self.engine.begin() as connection:
            return list(connection.execute(query).scalars())

    def holders_of(self, digest: str) -> list[str]:
        """The models that need these bytes: for a version, for a batch that was not deleted, or for their prior."""
        with self.engine.begin() as connection:
            return holders_of(connection, digest)

    def counters(self, name: str) -> Counters:
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            accepted = connection.execute(batch_totals(model.id)).one()
            pending = connection.execute(pending_totals(model.id)).one()
            states = connection.execute(
                select(updates.c.state, func.count()).where(updates.c.model_id == model.id).group_by(updates.c.state)
            )
            counts = dict.fromkeys(UpdateState, 0) | {UpdateState(state): count for state, count in states}
            return Counters(
                versions=count_versions(connection, model.id),
                batches=accepted.batches,
                rows=accepted.rows,
                pending_batches=pending.batches,
                pending_rows=pending.rows,
                updates=counts,
            )

    def batch(self, name: str, number: int) -> BatchRow:
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            row = connection.execute(batches_of(model.id).where(batches.c.number == number)).one_or_none()
        if row is None:
            raise BatchNotFound(model=name, batch=number)
        return to_batch(row)

    def batches(self, name: str, *, after: int = 0, limit: int = LIMIT) -> list[BatchRow]:
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            query = batches_of(model.id).where(batches.c.number > after).order_by(batches.c.number).limit(limit)
            return [to_batch(row) for row in connection.execute(query)]

    def absorbed_in(self, name: str, chunk: int) -> list[Part]:
        """What each version that was born by absorbing this chunk has learned of it, in the order of the versions."""
        with self.engine.begin() as connection:
            return born_of(connection, find_model(connection, name).id, chunk)

    def update(self, name: str, number: int) -> UpdateRow:
        with self.engine.begin() as connection:
            return find_update(connection, find_model(connection, name), number)

    def updates(self, name: str, *, after: int = 0, limit: int = LIMIT) -> list[UpdateRow]:
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            query = updates_of(model.id).where(updates.c.number > after).order_by(updates.c.number).limit(limit)
            return to_updates(connection, model.id, connection.execute(query).all())

    def version(self, name: str, number: int) -> VersionRow:
        with self.engine.begin() as connection:
            return find_version(connection, find_model(connection, name), number)

    def versions(self, name: str, *, after: int = -1, limit: int = LIMIT) -> list[VersionRow]:
        with self.engine.begin() as connection:
            return _page(connection, find_model(connection, name), after, limit)

    def version_numbers(self, name: str) -> list[int]:
        """The numbers of all versions of the model."""
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            query = select(versions.c.number).where(versions.c.model_id == model.id).order_by(versions.c.number)
            return list(connection.execute(query).scalars())

    def version_facts(self, name: str, number: int) -> VersionFacts:
        """The version, and all that is told of it."""
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            return facts_of(connection, model, [find_version(connection, model, number)])[0]

    def versions_facts(self, name: str, *, after: int = -1, limit: int = LIMIT, depth_max: int) -> list[VersionFacts]:
        """Versions with all that is told of them; their evidence where no more than so many lie before them."""
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            return facts_of(connection, model, _page(connection, model, after, limit), depth_max=depth_max)

    def branches(self, name: str, *, after: int = -1, limit: int = LIMIT) -> list[BranchRow]:
        """The runs of versions that the tree is made of, in the order in which they began."""
        with self.engine.begin() as connection:
            return branches_of(connection, find_model(connection, name).id, after=after, limit=limit)

    def evidence(self, name: str, version: int) -> Evidence:
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            find_version(connection, model, version)
            return evidence_of(connection, model.id, version)

    def compared(self, name: str, version: int, other: int) -> tuple[VersionRow, VersionRow, Difference]:
        """The two versions, and what one of them has learned from and the other has not."""
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            one, two = find_version(connection, model, version), find_version(connection, model, other)
            return one, two, difference_between(connection, model.id, version, other)

    def resolve(self, name: str, *, version: int | None = None, alias: str = HEAD) -> Resolved:
        """The version that answers now: the given one, else where the alias points; a single query."""
        points_at: ColumnElement[int | None]
        if version is None:
            newest = select(moves.c.version).where(moves.c.model_id == models.c.id, moves.c.alias == alias)
            points_at = newest.order_by(moves.c.seq.desc()).limit(1).scalar_subquery()
        else:
            points_at = literal(version)
        on = and_(versions.c.model_id == models.c.id, versions.c.number == points_at)
        query = (
            select(versions.c.number, versions.c.digest)
            .select_from(models.outerjoin(versions, on))
            .where(models.c.name == name)
        )
        with self.engine.begin() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise ModelNotFound(model=name)
        if row.number is None:
            raise (
                AliasNotFound(model=name, alias=alias)
                if version is None
                else VersionNotFound(model=name, version=version)
            )
        return Resolved(model=name, version=row.number, digest=row.digest)

    def on_line(self, name: str, version: int, among: Collection[int]) -> frozenset[int]:
        """Of these versions, those that the version was learned from, or is."""
        with self.engine.begin() as connection:
            return on_line(connection, find_model(connection, name).id, version, among)

    def scores_on_line(self, name: str, version: int, *, limit: int) -> list[Json]:
        """How the newest batches that the line has learned from were predicted before that, the oldest first."""
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            divided = divided_on(connection, model.id, version)
            return scores_on_line(connection, model.id, version, limit=limit, but=divided)

    def parts_kept(self, name: str, version: int) -> Iterator[list[tuple[str, int]]]:
        """What the line of the version has absorbed, the newest part first: digest and rows of its batches, in order.

        Parts of which rows were given up, or were divided out, are left out.
        """
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            parts = learned_of(connection, model.id, version)
            divided = divided_on(connection, model.id, version)
        for part in reversed(parts):
            if not divided.isdisjoint(part.batches):
                continue
            with self.engine.begin() as connection:
                named = batches.c.number.in_(part.batches)
                columns = select(batches.c.digest, batches.c.rows)
                query = columns.where(batches.c.model_id == model.id, named, ~IS_DELETED)
                found = [(row.digest, row.rows) for row in connection.execute(query.order_by(batches.c.number))]
            if len(found) == len(part.batches):
                yield found

    def missing_labels(self, name: str, *, version: int, batches: Collection[int]) -> list[str]:
        """Labels that the version has learned from and these batches lack."""
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            seen = labels_in(connection, model.id, evidence_of(connection, model.id, version).batch_runs)
            new = labels_in(connection, model.id, Runs.among(batches))
        return sorted(seen - new, key=lambda label: (len(label), label))

    def alias(self, name: str, alias: str, *, at: float | None = None) -> MoveRow:
        """Where the alias points, or pointed at that time: its newest move until then.

        Raises:
            AliasNotFound: it points nowhere, or did not then.
        """
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            move = newest_move(connection, model.id, alias, at=at)
            if move is None or move.version is None:
                existed = at is not None and newest_move(connection, model.id, alias) is not None
                raise AliasNotFound(model=name, alias=alias, at=at if existed else None)
        return move

    def undecided(self, name: str) -> int | None:
        """The version that waits for head to be moved by hand; None: nothing waits for that."""
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            head = newest_move(connection, model.id, HEAD)
            assert head is not None
            return undecided_of(connection, model, head)

    def aliases(self, name: str) -> dict[str, int]:
        """Every alias that points at a version, with that version."""
        with self.engine.begin() as connection:
            return aliases_of(connection, find_model(connection, name).id)

    def newest_moves(self, name: str) -> list[MoveRow]:
        """The newest move of each alias that points at a version, in the order of their names."""
        with self.engine.begin() as connection:
            moved = newest_moves(connection, find_model(connection, name).id)
        return [move for move in moved if move.version is not None]

    def moves(self, name: str, alias: str, *, after: int = 0, limit: int = LIMIT) -> list[MoveRow]:
        """What was live when, by whom and why: every move of the alias, oldest first.

        Raises:
            AliasNotFound: the alias never existed.
        """
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            if newest_move(connection, model.id, alias) is None:
                raise AliasNotFound(model=name, alias=alias)
            query = moves_of(model.id, alias).where(moves.c.seq > after).order_by(moves.c.seq).limit(limit)
            return [to_move(row) for row in connection.execute(query)]


def _page(connection: Connection, model: ModelRow, after: int, limit: int) -> list[VersionRow]:
    query = versions_of(model.id).where(versions.c.number > after).order_by(versions.c.number)
    return [to_version(row) for row in connection.execute(query.limit(limit))]

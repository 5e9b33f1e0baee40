"""Forgetting by division: what versions learned of some batches is divided out of head. Not exact, and no deletion.

`plan` says which versions have to be divided by which; whoever computes it brings the posterior, and `finish` makes it
head. It is for where the exact forget (store/forgetting.py) lacks rows. The evidence of what it makes still lists the
batches: its line has learned from them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, insert, select

from store.engine import Clock, database_clock, for_writing
from store.errors import ApproximationImpossible, ApproximationOvertaken, ForgetBusy
from store.events import tell
from store.forgets import going_on, running_forget
from store.forgetting import line_with, must_exist
from store.kinds import HEAD, EventKind, ForgetState, MoveKind, ParkingKind, Publication
from store.learned import evidence_of
from store.parking import Decision, decide, give_back
from store.queries import IS_DELETED, find_model, find_version, must_be_decided, newest_move, next_number
from store.schema.learning import batches, forgets, updates, versions
from store.tombstones import must_not_be_buried
from store.tree import on_line, place_of_child
from store.values import Json, ModelRow, MoveRow, Part
from store.waker import announce
from store.writes import head_of, insert_move, lock_model

APPROXIMATE = "approximate"
"""How a forget is done: by division."""

ROWS_MAX = 1_000
"""So many rows, and the rest of the last batch, say what a division has done."""

AT_ONCE = 100


@dataclass(frozen=True)
class Step:
    """A version of head's line that has learned from these batches alone, and the version that it learned upon."""

    version: int
    digest: str
    before: int
    before_digest: str
    batches: tuple[int, ...]


@dataclass(frozen=True)
class Division:
    """What has to be divided out of head for it to forget these batches; no steps: it has not learned from them."""

    model: str
    batches: tuple[int, ...]
    head: int
    head_digest: str
    steps: tuple[Step, ...]
    """The newest first."""
    forgotten: tuple[str, ...]
    """The digests of the divided batches whose rows are still kept, the newest first, of `ROWS_MAX` rows or more."""
    kept: tuple[str, ...]
    """The same of the batches that head goes on knowing."""

    @property
    def divided(self) -> list[int]:
        """The batches that head has learned from, and that are divided out."""
        return sorted(batch for step in self.steps for batch in step.batches)


@dataclass(frozen=True)
class Divided:
    """The posterior that a division has left, and what was measured of it."""

    digest: str
    kl_nats: float
    report: Json


class Dividing:
    """Divisions, planned and made head; `clock` tells the time inside a transaction, by default the database's."""

    def __init__(self, engine: Engine, *, clock: Clock = database_clock) -> None:
        self.engine = for_writing(engine)
        self.reading = engine
        self.clock = clock

    def plan(self, name: str, numbers: Sequence[int]) -> Division:
        """What forgetting these batches takes, as of now. Those that were divided out before are left alone.

        Raises:
            BatchNotFound: there is no such batch.
            ForgetBusy: another forget of the model is under way.
            HeadUndecided: a version waits for head to be moved by hand.
            ApproximationImpossible: a version has learned from one of them together with others.
        """
        with self.reading.begin() as connection:
            model = find_model(connection, name)
            at = newest_move(connection, model.id, HEAD)
            assert at is not None
            running = running_forget(connection, model.id)
            if running is not None and running.head_seq == at.seq:
                raise ForgetBusy(model=name, forget=running.number)
            must_be_decided(connection, model, at)
            chosen, head = frozenset(numbers), find_version(connection, model, head_of(connection, model))
            must_exist(connection, model, chosen)
            gone = divided_on(connection, model.id, head.number)
            steps = tuple(_steps(connection, model, head.number, chosen, gone=gone))
            divided = sorted(batch for step in steps for batch in step.batches)
            known = [batch for batch in evidence_of(connection, model.id, head.number).batches if batch not in gone]
            return Division(
                model=name,
                batches=tuple(sorted(chosen)),
                head=head.number,
                head_digest=head.digest,
                steps=steps,
                forgotten=_newest(connection, model.id, divided),
                kept=_newest(connection, model.id, [batch for batch in known if batch not in chosen]),
            )

    def finish(self, division: Division, made: Divided | None, *, actor: str, reason: str = "") -> int:
        """Nothing will learn from the batches any more, and head is what was made: all of it or nothing.

        The number of the forget, which is done. Where there was nothing to divide out, there is no posterior, and head
        stays.

        Raises:
            ApproximationOvertaken: head is another version than the one that was divided.
            ForgetBusy: another forget of the model is under way.
            HeadUndecided: a version waits for head to be moved by hand.
            BlobBuried: the posterior's bytes are being removed.
        """
        assert (made is None) == (not division.steps)
        with self.engine.begin() as connection:
            model, now = lock_model(connection, division.model), self.clock(connection)
            head = newest_move(connection, model.id, HEAD)
            assert head is not None
            if (busy := going_on(connection, model, head, now=now)) is not None:
                raise ForgetBusy(model=model.name, forget=busy.number)
            must_be_decided(connection, model, head)
            if head.version != division.head:
                raise ApproximationOvertaken(model=model.name, head=division.head)
            # Now only: whoever was overtaken with the same removes the same bytes.
            must_not_be_buried(connection, [] if made is None else [made.digest])
            for batch in division.batches:
                decide(connection, model, batch, Decision(ParkingKind.FORGET, actor, reason), now=now)
            give_back(connection, model, updates.c.number > 0)
            number = next_number(connection, model.id, forgets.c.number)
            version = division.head if made is None else _insert(connection, model, division, made, head=head, now=now)
            facts = {"batches": list(division.batches), "method": APPROXIMATE, "base": division.head, "head": version}
            asked = {"asked_by": actor, "reason": reason, "created_at": now, "finished_at": now}
            own = {"model_id": model.id, "number": number, "state": ForgetState.DONE, "head_seq": head.seq}
            connection.execute(insert(forgets).values(**own, **facts, **asked))
            if made is not None:
                said = reason or f"forget {number}: divided by what was learned of {_named(division.divided)}"
                move = {"alias": HEAD, "version": version, "kind": MoveKind.FORGET, "moved_by": actor, "reason": said}
                insert_move(connection, model.id, move | {"moved_at": now})
            told = {"forget": number, "batches": list(division.batches), "head": version, "by": actor}
            tell(connection, model.id, EventKind.FORGOTTEN, told | {"method": APPROXIMATE}, at=now)
            announce(connection)
            return number


def divided_on(
    connection: Connection, model_id: int, version: int, divisions: Mapping[int, Sequence[int]] | None = None
) -> frozenset[int]:
    """The batches that the line of the version has learned from, and that were divided out on it.

    `divisions` of the model are asked for where they are not known.
    """
    found = divisions_of(connection, model_id) if divisions is None else divisions
    line = on_line(connection, model_id, version, found) if found else frozenset()
    return frozenset(batch for division in line for batch in found[division])


def divisions_of(connection: Connection, model_id: int) -> dict[int, list[int]]:
    """The versions of the model that were made by division, each with the batches that it was divided by."""
    # By way of the forgets, which are few: of the versions, all would have to be looked at.
    of_division = (forgets.c.model_id == model_id, forgets.c.method == APPROXIMATE)
    if not (ends := connection.execute(select(forgets.c.head).where(*of_division)).scalars().all()):
        return {}
    made = (versions.c.number.in_(ends), versions.c.publication == Publication.APPROXIMATE)
    query = select(versions.c.number, versions.c.report).where(versions.c.model_id == model_id, *made)
    found = connection.execute(query.order_by(versions.c.number))
    return {number: list(report["divided"]) for number, report in found}


def _steps(
    connection: Connection, model: ModelRow, head: int, chosen: frozenset[int], *, gone: frozenset[int]
) -> list[Step]:
    parts = [part for part in line_with(connection, model, head, chosen) if chosen & (set(part.batches) - gone)]
    for part in parts:
        if others := sorted(set(part.batches) - chosen):
            reason = f"version {part.version} has learned from it together with {_named(others)}; name all of them"
            raise ApproximationImpossible(batches=_listed(chosen), model=model.name, head=head, reason=reason)
    depths = {part.version: find_version(connection, model, part.version).depth for part in parts}
    newest_first = sorted(parts, key=lambda part: depths[part.version], reverse=True)
    return [_step(connection, model, part) for part in newest_first]


def _step(connection: Connection, model: ModelRow, part: Part) -> Step:
    after = find_version(connection, model, part.version)
    assert after.parent is not None
    before = find_version(connection, model, after.parent)
    return Step(after.number, after.digest, before.number, before.digest, tuple(part.batches))


def _newest(connection: Connection, model_id: int, numbers: Sequence[int]) -> tuple[str, ...]:
    """The digests of the newest of these batches whose rows are kept, until they have `ROWS_MAX` rows."""
    found: list[str] = []
    rows = 0
    for end in range(len(numbers), 0, -AT_ONCE):
        here = (batches.c.model_id == model_id, batches.c.number.in_(numbers[max(0, end - AT_ONCE) : end]))
        query = select(batches.c.digest, batches.c.rows).where(*here, ~IS_DELETED).order_by(batches.c.number.desc())
        for digest, count in connection.execute(query):
            if rows >= ROWS_MAX:
                return tuple(found)
            found.append(digest)
            rows += count
    return tuple(found)


def _insert(
    connection: Connection, model: ModelRow, division: Division, made: Divided, *, head: MoveRow, now: float
) -> int:
    """The next version exists: a child of head that has absorbed nothing; its number."""
    newest = select(func.max(versions.c.number)).where(versions.c.model_id == model.id)
    number = int(connection.execute(newest).scalar_one()) + 1
    lineage: Json = {"parent": division.head, "chunk": None, "update": None}
    place = place_of_child(connection, model.id, division.head, rows=0)
    report = made.report | {"divided": division.divided}
    facts = {"digest": made.digest, "kl_nats": made.kl_nats, "report": report, "created_at": now}
    own = {"model_id": model.id, "number": number, "publication": Publication.APPROXIMATE, "head_seq": head.seq}
    connection.execute(insert(versions).values(**own, **lineage, **facts, **place))
    told = lineage | {"rows": 0, "version": number, "digest": made.digest, "publication": str(Publication.APPROXIMATE)}
    told |= {"warnings": list(report.get("warnings", [])), "divided": division.divided}
    tell(connection, model.id, EventKind.PUBLISHED, told, at=now)
    return number


def _named(numbers: Sequence[int]) -> str:
    return f"batch{'es' * (len(numbers) > 1)} {_listed(numbers)}"


def _listed(numbers: Collection[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))

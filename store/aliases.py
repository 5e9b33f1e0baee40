"""Moves of the aliases, head among them. One call is one transaction, and one more row of the alias' history."""

from __future__ import annotations

import re
from typing import Literal

from sqlalchemy import Connection, Engine

from store.engine import Clock, database_clock, for_writing
from store.errors import AliasInvalid, AliasMoved, AliasNotFound, HeadRequired, NotOnLine, RollbackTooFar
from store.given_up import must_not_come_back
from store.kinds import HEAD, MoveKind
from store.queries import find_version, newest_move
from store.tree import ancestor_of, is_on_line
from store.values import ModelRow, MoveRow
from store.writes import head_of, insert_move, lock_model

ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")

Expected = int | Literal["any", "none"] | None
"""The newest move of an alias (0: it never existed), or that it points at "any" version or "none"; None: whatever."""


class Aliases:
    """The pointers; `clock` tells the time inside a transaction, by default the database's."""

    def __init__(self, engine: Engine, *, clock: Clock = database_clock) -> None:
        self.engine = for_writing(engine)
        self.clock = clock

    def move(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        actor: str,
        reason: str = "",
        expected_seq: Expected = None,
    ) -> MoveRow:
        """The alias points at the version; with `expected_seq`, only if its newest move is still that one.

        Raises:
            AliasMoved: it moved meanwhile, or is not there, or is there already.
            AliasInvalid: not a name.
            VersionForgotten: head would know again what was forgotten or discarded.
            VersionParked: head would know what is parked.
        """
        if not ALIAS.fullmatch(alias):
            raise AliasInvalid(alias=alias[:100])
        with self.engine.begin() as connection:
            model = lock_model(connection, name)
            find_version(connection, model, version)
            _expect(connection, model, alias, expected_seq)
            if alias == HEAD:
                must_not_come_back(connection, model, version, head=head_of(connection, model))
            return self._insert(connection, model, alias, version, kind=MoveKind.PUT, actor=actor, reason=reason)

    def remove(self, name: str, alias: str, *, actor: str, reason: str = "", expected_seq: Expected = None) -> MoveRow:
        """The alias points nowhere; its history stays.

        Raises:
            HeadRequired: head cannot be removed.
        """
        if alias == HEAD:
            raise HeadRequired(model=name)
        with self.engine.begin() as connection:
            model = lock_model(connection, name)
            _expect(connection, model, alias, expected_seq)
            newest = newest_move(connection, model.id, alias)
            if newest is None or newest.version is None:
                raise AliasNotFound(model=name, alias=alias)
            return self._insert(connection, model, alias, None, kind=MoveKind.REMOVE, actor=actor, reason=reason)

    def rollback(
        self,
        name: str,
        *,
        to: int | None = None,
        steps: int = 1,
        actor: str,
        reason: str = "",
        expected_seq: Expected = None,
    ) -> MoveRow:
        """Head points at an earlier version of its own line: `to`, or `steps` parents back.

        Raises:
            AliasMoved: head's newest move is another than `expected_seq`.
            NotOnLine: head was not learned from that version.
            RollbackTooFar: the line has fewer versions than `steps`.
        """
        with self.engine.begin() as connection:
            model = lock_model(connection, name)
            _expect(connection, model, HEAD, expected_seq)
            head = find_version(connection, model, head_of(connection, model))
            if to is None:
                to = ancestor_of(connection, model.id, head.number, steps=steps) if steps > 0 else None
                if to is None:
                    raise RollbackTooFar(model=name, head=head.number, earlier=head.depth, steps=steps)
            find_version(connection, model, to)
            if to == head.number or not is_on_line(connection, model.id, to, head.number):
                raise NotOnLine(version=to, model=name, head=head.number)
            return self._insert(connection, model, HEAD, to, kind=MoveKind.ROLLBACK, actor=actor, reason=reason)

    def _insert(
        self,
        connection: Connection,
        model: ModelRow,
        alias: str,
        version: int | None,
        *,
        kind: MoveKind,
        actor: str,
        reason: str,
    ) -> MoveRow:
        return insert_move(
            connection,
            model.id,
            {
                "alias": alias,
                "version": version,
                "kind": kind,
                "moved_by": actor,
                "reason": reason,
                "moved_at": self.clock(connection),
            },
        )


def _expect(connection: Connection, model: ModelRow, alias: str, expected: Expected) -> None:
    newest = newest_move(connection, model.id, alias)
    seq = 0 if newest is None else newest.seq
    exists = newest is not None and newest.version is not None
    match expected:
        case None:
            return
        case "any":
            is_met, words = exists, "at any version"
        case "none":
            is_met, words = not exists, "absent"
        case _:
            is_met, words = seq == expected, str(expected)
    if not is_met:
        raise AliasMoved(alias=alias, model=model.name, seq=seq, expected=words)

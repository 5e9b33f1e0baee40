"""Keys: made once, shown once, kept as hashes, revoked. One call is one transaction."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Engine, Row, select, update

from store.engine import Clock, database_clock, for_writing
from store.errors import KeyExists, KeyGiven, KeyNotFound, KeyUnusable
from store.kinds import ALL_MODELS, Scope
from store.schema.beside import keys
from store.writes import insert_once

PREFIX = "posterity_"
"""Tells people, and programs that look for leaked secrets, what this is."""
KEY_BYTES = 32
KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)
LIKE_A_KEY = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{32,}}", re.ASCII)
"""A key, or so much of one that what is left out could be found by trying."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}", re.ASCII)
PATTERN = re.compile(r"(?![._-])(?=.{1,255}\Z)(?:[A-Za-z0-9._*?-]|\[!?[A-Za-z0-9._-]+\])+", re.ASCII)
"""Fits some name that a model can have."""
OURS = frozenset({"anonymous", "client", "local", "service", "worker"})
"""Names that the history uses for those who have no key."""
EXPIRES_MAX = 32_503_680_000.0
"""The year 3000; times far beyond cannot be written as dates."""
LIMIT = 100


@dataclass(frozen=True)
class KeyRow:
    """A key as the ledger knows it; the key itself is nowhere."""

    name: str
    hash: str = field(repr=False)
    scopes: frozenset[Scope]
    models: str
    """Which models it is for: a pattern as of `fnmatch`, where * stands for all."""
    requests_per_minute: int | None
    created_by: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None

    @property
    def is_for_all(self) -> bool:
        return self.models == ALL_MODELS

    def is_for(self, model: str) -> bool:
        return fnmatchcase(model, self.models)

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True)
class NewKey:
    """The only moment in which the key itself is known."""

    row: KeyRow
    key: str = field(repr=False)


@dataclass(frozen=True)
class InForce:
    """The keys that were not revoked when `read_at` was the time by the database, by their hash."""

    by_hash: Mapping[str, KeyRow] = field(repr=False)
    read_at: float
    is_unclaimed: bool
    """No key was ever made: nobody has said who may call."""

    def find(self, presented: str, *, now: float) -> KeyRow | None:
        """Whose key this is; None: it is unknown, revoked or expired."""
        if not KEY.fullmatch(presented):
            return None
        digest = hash_of(presented)
        row = self.by_hash.get(digest)
        if row is None or not hmac.compare_digest(row.hash, digest) or row.is_expired(now):
            return None
        return row

    def is_usable(self) -> bool:
        """True where somebody could be let in: one of the keys had not expired."""
        return any(not row.is_expired(self.read_at) for row in self.by_hash.values())


class Keys:
    """The table of keys; `clock` tells the time inside a transaction, by default the database's."""

    def __init__(self, engine: Engine, *, clock: Clock = database_clock) -> None:
        self.engine = engine
        self.clock = clock

    def create(
        self,
        name: str,
        *,
        scopes: Collection[Scope],
        created_by: str,
        models: str = ALL_MODELS,
        requests_per_minute: int | None = None,
        expires_at: float | None = None,
    ) -> NewKey:
        """A key of this name counts from now on; only its hash is stored, so that it cannot be shown again.

        Raises:
            KeyExists: there is, or was, one of this name.
            KeyUnusable: the name is none, or the key would open nothing.
        """
        if name.startswith(PREFIX):
            raise KeyUnusable(reason=f"A name that begins with {PREFIX} could be taken for a key")
        if not NAME.fullmatch(name) or name in OURS:
            reason = f"'{name[:200]}' cannot name a key: use 1 to 128 of A-Z, a-z, 0-9, ., _, @ and -"
            raise KeyUnusable(reason=f"{reason}, and none of {', '.join(sorted(OURS))}")
        if not PATTERN.fullmatch(models):
            reason = f"The pattern '{models[:255]}' fits no name of a model: use 1 to 255 of A-Z, a-z, 0-9, ., _ and -"
            raise KeyUnusable(
                reason=f"{reason}, and *, ?, [ab] and [!ab]; it is one pattern, not a list, without spaces"
            )
        if not scopes:
            raise KeyUnusable(reason="A key needs at least one of the scopes predict, ingest and admin")
        key = PREFIX + secrets.token_urlsafe(KEY_BYTES)
        with for_writing(self.engine).begin() as connection:
            now = self.clock(connection)
            if expires_at is not None and expires_at <= now:
                raise KeyUnusable(reason="The key would have expired already")
            if expires_at is not None and expires_at > EXPIRES_MAX:
                raise KeyUnusable(reason="A key that counts beyond the year 3000 is one that does not expire: say so")
            values = {
                "name": name,
                "hash": hash_of(key),
                "scopes": sorted(scopes),
                "models": models,
                "requests_per_minute": requests_per_minute,
                "created_by": created_by,
                "created_at": now,
                "expires_at": expires_at,
            }
            if not insert_once(connection, keys, values):
                raise KeyExists(name=name)
            row = connection.execute(select(keys).where(keys.c.name == name)).one()
        return NewKey(to_key(row), key)

    def list(self, *, after: str = "", limit: int = LIMIT) -> list[KeyRow]:
        """Every key that was made, in the order of their names, after this name."""
        query = select(keys).where(keys.c.name > after).order_by(keys.c.name).limit(limit)
        with self.engine.begin() as connection:
            return [to_key(row) for row in connection.execute(query)]

    def revoke(self, name: str) -> KeyRow:
        """The key of this name does not count any more; one that was revoked before stays as it is.

        Raises:
            KeyNotFound: there never was one.
            KeyGiven: it is no name but a key.
        """
        named = keys.c.name == name
        with for_writing(self.engine).begin() as connection:
            now = self.clock(connection)
            connection.execute(update(keys).where(named, keys.c.revoked_at.is_(None)).values(revoked_at=now))
            row = connection.execute(select(keys).where(named)).one_or_none()
            if row is None and KEY.fullmatch(name):
                holder = connection.scalar(select(keys.c.name).where(keys.c.hash == hash_of(name)))
                raise KeyGiven(whose="none of this service's" if holder is None else f"the key named '{holder}'")
        if row is None:
            raise KeyNotFound(name=name)
        return to_key(row)

    def in_force(self) -> InForce:
        """The keys that are not revoked now, expired ones among them."""
        with self.engine.begin() as connection:
            now = self.clock(connection)
            found = [to_key(row) for row in connection.execute(select(keys).where(keys.c.revoked_at.is_(None)))]
            was_made = bool(found) or connection.execute(select(keys.c.id).limit(1)).first() is not None
        return InForce({row.hash: row for row in found}, now, is_unclaimed=not was_made)


def hash_of(key: str) -> str:
    """What is stored of a key. It has 256 random bits, so a plain hash is enough: nothing can be tried out."""
    return hashlib.sha256(key.encode()).hexdigest()


def to_key(row: Row[Any]) -> KeyRow:
    facts = {name: row._mapping[name] for name in KeyRow.__dataclass_fields__}
    return KeyRow(**facts | {"scopes": frozenset(map(Scope, facts["scopes"]))})

"""Who asks, as endpoints see it: the name that the history keeps, and the models that are theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from starlette.types import Scope

from service.house import House
from service.rejected import KeyNotAllowed
from store.keys import KeyRow
from store.kinds import Scope as KeyScope
from store.retention import Deletion

ANYBODY = "client"
"""Who it was, for the history, where no key says who that was."""
KEY = "key"
"""Where the request's state has the row of its key."""


@dataclass(frozen=True)
class Caller:
    """The holder of this key; without keys, anybody on this machine."""

    key: KeyRow | None

    def name(self, otherwise: str) -> str:
        """The name of the key, for the history."""
        return otherwise if self.key is None else self.key.name

    @property
    def models(self) -> str:
        """The pattern of the models that are theirs."""
        return "*" if self.key is None else self.key.models

    def require(self, model: str) -> None:
        """Nothing happens when the model is theirs.

        Raises:
            KeyNotAllowed: it is not, whether there is such a model or not.
        """
        if self.key is not None and not self.key.is_for(model):
            raise outside(self.key)

    def require_scope(self, scopes: frozenset[KeyScope], what: str) -> None:
        """Nothing happens when the key has one of these scopes.

        Raises:
            KeyNotAllowed: it has none of them.
        """
        if self.key is not None and not self.key.scopes & scopes:
            raise KeyNotAllowed(reason=lacking(self.key, scopes, what))

    def may_read(self, house: House, digest: str) -> bool:
        """True unless the bytes are a version or a batch of models of which none is theirs."""
        if self.key is None or self.key.is_for_all:
            return True
        owners = house.history.models_of(digest)
        return not owners or any(map(self.key.is_for, owners))

    def sees_removed(self, house: House, deletion: Deletion) -> bool:
        """True where the bytes of the deleted rows are gone; or where models of others need them, and none of theirs.

        What models hold that are not theirs is not told, nor which of the two it is.
        """
        if deletion.bytes_removed or self.key is None or self.key.is_for_all:
            return deletion.bytes_removed
        holders = house.history.holders_of(deletion.digest)
        return bool(holders) and not any(map(self.key.is_for, holders))


def outside(key: KeyRow) -> KeyNotAllowed:
    return KeyNotAllowed(reason=f"The key '{key.name}' is for the models '{key.models}', and this asks for others")


def lacking(key: KeyRow, scopes: frozenset[KeyScope], what: str) -> str:
    """Why a key that has none of these scopes does not allow this."""
    has, needs = " and ".join(sorted(key.scopes)), " or ".join(sorted(scopes))
    return f"The key '{key.name}' has the scope {has}; {what} needs {needs}"


def caller_of(scope: Scope) -> Caller:
    """Who asks, of a request that was let in."""
    return Caller(scope.get("state", {}).get(KEY))


async def _caller(connection: HTTPConnection) -> Caller:
    return caller_of(connection.scope)


TheCaller = Annotated[Caller, Depends(_caller)]

"""Keys of the service: who may do what. A new one is shown once."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from client.calls import Call, ask, every
from client.values import Resource
from client.wire import Request, post, url_path


@dataclass(frozen=True, kw_only=True)
class Key(Resource):
    """A key without what opens the door."""

    name: str
    scopes: tuple[str, ...]
    models: str
    requests_per_minute: int | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class NewKey(Key):
    """`key` is what opens the door; the service shows it this once and keeps its hash only."""

    key: str = field(repr=False)


def create_key(
    name: str,
    scopes: Collection[str],
    *,
    models: str | None = None,
    requests_per_minute: int | None = None,
    expires_at: datetime | None = None,
) -> Call[NewKey]:
    """A key of this name counts from now on; the answer is the only one that ever shows it.

    `scopes` are "predict", "ingest" and "admin"; `models` is a pattern such as "team-*", all when not given.
    `expires_at` has a time zone, without one it is refused; when not given, the key counts until it is revoked.

    Raises:
        ServiceProblem: the name is taken, also by a key that was revoked; `body-invalid`, when `expires_at` has no
            time zone.
    """
    body = {
        "name": name,
        "scopes": list(scopes),
        "models": models,
        "requests_per_minute": requests_per_minute,
        "expires_at": None if expires_at is None else expires_at.isoformat(),
    }
    return (yield from ask(post("keys", body=body), NewKey))


def keys() -> Call[tuple[Key, ...]]:
    """Every key that was made, without what opens the door.

    Raises:
        ServiceProblem: `key-not-allowed`, without the scope admin for all models.
    """
    return (yield from every(Key, "keys"))


def revoke_key(name: str) -> Call[Key]:
    """The key opens nothing any more; again, it stays as it is.

    Raises:
        ServiceProblem: `key-not-found`; `key-given`, when a key was named and not its name.
    """
    return (yield from ask(Request("DELETE", url_path("keys", name), is_repeatable=True), Key))

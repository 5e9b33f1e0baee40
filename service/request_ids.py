"""Request ids: the caller's, where it is one that can be written anywhere, else a new one."""

from __future__ import annotations

import re
import secrets

from store.keys import LIKE_A_KEY

SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def new() -> str:
    """An id that nobody else has."""
    return secrets.token_hex(16)


def of(stated: bytes | None) -> str:
    """The id that the client stated; a new one where it stated none, or one that a log or a header should not carry."""
    if stated is None or not SANE.fullmatch(stated) or LIKE_A_KEY.search(id_ := stated.decode()):
        return new()
    return id_

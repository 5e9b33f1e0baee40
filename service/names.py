"""By which names the service may be addressed, and whose web pages may call it.

A page in a browser on this machine reaches a service on loopback, and can give it a name of the page's own (DNS
rebinding). Neither may drive it: nobody is asked who they are there.
"""

from __future__ import annotations

import ipaddress
import re

from service.rejected import HostUnknown, OriginForeign
from store.settings import Settings

LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
ANY = "*"
PLACE = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::\d{1,5})?")


class Names:
    """The names of the service; what was found right once is right again."""

    def __init__(self, settings: Settings) -> None:
        self._stated = settings.host_names
        is_open = ANY in self._stated or not (self._stated or is_loopback(settings.host))
        self._hosts = None if is_open else self._stated | LOCAL | {settings.host.lower()}
        self._plain: set[bytes] = set()

    def check(self, host: bytes | None, origin: bytes | None) -> None:
        """Nothing happens where the request may be answered.

        Raises:
            HostUnknown: it is for another host; a request that names none is no browser's.
            OriginForeign: a page of another origin sent it.
        """
        if host in self._plain and origin is None:
            return
        if host is not None:
            self._check_host(host)
        if origin is not None:
            self._check_origin(origin, host)

    def _check_host(self, host: bytes) -> None:
        name = _name(host)
        if not (self._hosts is None or name in self._hosts or _is_local(name)):
            raise HostUnknown(host=name[:100] or "''", names=", ".join(sorted(self._hosts)))
        if len(self._plain) < 100 and len(host) < 300:
            self._plain.add(host)

    def _check_origin(self, origin: bytes, host: bytes | None) -> None:
        _, _, place = origin.partition(b"://")
        if place and host is not None and place.lower() == host.lower():
            return
        if not (ANY in self._stated or _name(place) in self._stated):
            raise OriginForeign(origin=origin.decode("latin-1")[:100])


def is_local(settings: Settings) -> bool:
    """True when only this machine can reach the service, by its address and by the names that it is told to have."""
    return is_loopback(settings.host) and all(map(_is_local, settings.host_names))


def is_loopback(host: str) -> bool:
    """True when only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_local(name: str) -> bool:
    """True for addresses of this machine, which no page can take for its name."""
    return is_loopback(name.removeprefix("[").removesuffix("]"))


def _name(place: bytes) -> str:
    """The host without its port, in lower case; the whole, where it is no host."""
    text = place.decode("latin-1").lower()
    found = PLACE.fullmatch(text)
    return found[1] if found else text

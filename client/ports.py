"""Who listens on a port of this machine, as far as the system tells."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx

LISTENING = "0A"
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0"})  # noqa: S104 - compared, not bound.


def port_of(url: str) -> int | None:
    """The port of the URL, where it is of this machine; else None."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    if parsed.host not in LOCAL_NAMES:
        return None
    return parsed.port or (443 if parsed.scheme == "https" else 80)


def holder_of(port: int) -> str | None:
    """The process that listens there, or that one does whose name the system keeps; None: the port is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(("127.0.0.1", port)) != 0:
            return None
    for folder in _holding(_inodes(port)):
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return f"process {folder.name} ({command[:80]})"
    return "a process that is another user's, or another system's"


def _inodes(port: int) -> set[str]:
    """The sockets that listen on the port, as Linux numbers them; elsewhere none is known."""
    found: set[str] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                cells = line.split()
                if cells[3] == LISTENING and int(cells[1].rpartition(":")[2], 16) == port:
                    found.add(cells[9])
    return found


def _holding(inodes: set[str]) -> Iterator[Path]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for folder in Path("/proc").glob("[0-9]*"):
        # Of other users' processes, and of those that have just ended, nothing is told.
        with suppress(OSError):
            if any(str(handle.readlink()) in wanted for handle in (folder / "fd").iterdir()):
                yield folder

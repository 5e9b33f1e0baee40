from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path

import httpx
import pytest

from benchmarks.live import memory
from benchmarks.live.processes import NotStartedError, running

SERVER = """
import http.server, subprocess, sys, threading
def start():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
threading.Thread(target=start).start()
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(f"It is running on http://127.0.0.1:{server.server_port} (press nothing)", flush=True)
server.serve_forever()
"""


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_server_runs_with_its_children_and_none_of_them_is_left(tmp_path: Path) -> None:
    with running([sys.executable, "-c", SERVER], os.environ, log=tmp_path / "log") as server:
        status = httpx.get(server.url).status_code
        while not (children := server.children):
            continue
        assert exists(server.pid)
        assert all(map(exists, children))

    assert status == 200
    assert not exists(server.pid)
    deadline = time.monotonic() + 10.0
    while any(map(is_running, children)):  # They are killed, and end when the kernel comes to it.
        assert time.monotonic() < deadline


def is_running(pid: int) -> bool:
    """False also for a process that has ended and that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        pytest.raises(NotStartedError, match="no room"),
        running([sys.executable, "-c", "import sys; sys.exit('no room')"], os.environ, log=tmp_path / "log"),
    ):
        pass


def test_memory_that_a_process_takes_is_seen_as_its_own() -> None:
    before = memory.resident(os.getpid())
    with mmap.mmap(-1, 64 * 2**20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as taken:
        for _ in range(64):  # into new pages: what malloc gives may be what an earlier test freed
            taken.write(b"\1" * 2**20)
        after = memory.resident(os.getpid())
        held = memory.held(os.getpid())

    assert 60 < after["own_mib"] - before["own_mib"] < 80
    assert abs(held["rss_mib"] - after["rss_mib"]) < 10

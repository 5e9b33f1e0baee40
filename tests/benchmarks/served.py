"""A service in this process with the model that the benchmarks ask, as small as a model is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.live import digits
from benchmarks.live.processes import Server
from client.client import Client
from tests.service.live import IMAGES, Json, Live, running

SMALL: Json = {"name": digits.NAME, **IMAGES, "output": {"kind": "categorical", "classes": 10}}
MODEL = f"/v1/models/{digits.NAME}"


@contextmanager
def serving(data_dir: Path, **settings: object) -> Iterator[tuple[Live, Server, Client]]:
    """The service, as it is in this process, as a server of this process, and as a client sees it."""
    with running(data_dir, **settings) as live:
        port = live.client.base_url.port
        assert port is not None
        server = Server(os.getpid(), port)
        with Client(server.url) as client:
            yield live, server, client

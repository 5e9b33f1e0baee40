"""How the service listens: uvicorn, with connections that keep bounds."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI

from service.connection import Bounds, bounded
from store.settings import Settings

FILES_BESIDE = 512
"""Files that the process may have open beside its connections: the database, blobs, what libraries map."""


def config_of(app: FastAPI, settings: Settings, *, graceful_seconds: int | None = None) -> uvicorn.Config:
    """What uvicorn needs to serve the app on these settings; it leaves logging alone."""
    bounds = Bounds(
        connections_max=settings.connections_max,
        header_seconds=settings.header_seconds,
        upload_seconds=settings.upload_seconds,
        answer_seconds=settings.answer_seconds,
    )
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=bounded(bounds),
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=graceful_seconds,
    )


def allow_files(connections_max: int) -> None:
    """The process may open a file for each connection, as far as the system lets it."""
    try:
        import resource  # noqa: PLC0415 - Windows has none, and no such limit.
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections_max + FILES_BESIDE
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

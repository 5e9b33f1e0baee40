"""Where a demo or an example runs: the service that was asked for, or one of its own in a place of its own."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from rich.console import Console

from client.client import Client
from client.demo.process import running_service
from client.demo.report import Report
from client.errors import ClientProblem

LOG_NAME = "demo-service.log"
CONFIG_NAME = "posterity.toml"
"""In a temporary directory it is there and empty, so that the settings of no other place count."""
COLUMNS = 120
TIMEOUT_SECONDS = 120.0
"""A busy machine may take long to make a large net ready."""


def run_example(title: str, steps: Callable[[Client, Report], None], *, url: str | None) -> int:
    """The steps were done at the service at `url`, or at one that ran for them alone; 0 if all they check holds."""
    before = signal.signal(signal.SIGTERM, _leave)
    report = Report(Console(width=None if sys.stdout.isatty() else COLUMNS))
    began = time.monotonic()
    report.title(title)
    try:
        with service_at(url) as client:
            steps(client, report)
    except (ClientProblem, OSError) as error:
        Console(stderr=True, highlight=False, markup=False).print(f"\nThe example ends: {error}", soft_wrap=True)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    report.title(f"All {report.checks} checks hold, after {time.monotonic() - began:.0f} seconds.")
    return 0


@contextmanager
def service_at(url: str | None) -> Iterator[Client]:
    """A client of the service at `url`; without one, of a service that lives, with its data, as long as the block."""
    if url is not None:
        with Client(url, key=os.environ.get("POSTERITY_KEY"), timeout_seconds=TIMEOUT_SECONDS) as client:
            yield client
        return
    with data_directory(None) as directory:
        environment = service_environment(directory, is_temporary=True)
        with (
            running_service(environment, log=directory / LOG_NAME) as own,
            Client(own, timeout_seconds=TIMEOUT_SECONDS) as client,
        ):
            yield client


def service_environment(directory: Path, *, is_temporary: bool) -> dict[str, str]:
    """The settings of the demo's service.

    A directory that was asked for goes with the other settings asked for; with a temporary one the demo stays away
    from any real database. Tensor operations take one thread unless POSTERITY_THREADS says otherwise, so that
    the figures do not depend on how many cores a machine has.
    """
    set_by_user = {"POSTERITY_THREADS": "1"} | os.environ
    own = {"POSTERITY_DATA_DIR": str(directory)}
    if not is_temporary:
        return set_by_user | own
    ignored = ("POSTERITY_DATABASE_URL", "POSTERITY_BLOB_DIR")
    kept = {name: value for name, value in set_by_user.items() if name not in ignored}
    return kept | own | {"POSTERITY_CONFIG": str(directory / CONFIG_NAME)}


@contextmanager
def data_directory(asked_for: Path | None) -> Iterator[Path]:
    """A directory that exists: the one asked for, or a temporary one, which is removed after the block."""
    if asked_for is not None:
        asked_for.mkdir(parents=True, exist_ok=True)
        yield asked_for
        return
    with TemporaryDirectory(prefix="posterity-demo-") as directory:
        Path(directory, CONFIG_NAME).touch()
        yield Path(directory)


def _leave(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler.
    """SIGTERM unwinds the program as Ctrl-C does, so that its service is stopped."""
    sys.exit(128 + number)

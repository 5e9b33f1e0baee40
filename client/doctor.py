"""`posterity doctor`: what is installed, whether a service answers, whether ledger and blobs are sound."""

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console
from rich.markup import escape

from client.client import Client
from client.errors import ClientProblem


def examine(url: str, *, console: Console) -> bool:
    """Everything found was printed; true when nothing is wrong."""
    console.print(f"python     {platform.python_version()} ({sys.executable})", soft_wrap=True)
    is_installed = [_report_package(name, console) for name in ("posterity", "torch")]
    is_answering = _report_service(url, console)
    is_sound = _report_store(console)
    return all(is_installed) and is_answering and is_sound


def _report_package(name: str, console: Console) -> bool:
    try:
        console.print(f"{name:<10} {version(name)}")
    except PackageNotFoundError:
        console.print(f"{name:<10} [red]is not installed[/red]")
        return False
    return True


def _report_service(url: str, console: Console) -> bool:
    try:
        with Client(url, attempts_max=1) as client:
            readiness = client.ready()
    except ClientProblem as error:
        console.print(f"service    [red]{escape(str(error))}[/red]", soft_wrap=True)
        return False
    if readiness.is_ready:
        console.print(f"service    ready at {url}", soft_wrap=True)
    else:
        reason = escape(str(readiness.raw.get("detail", "")))
        console.print(f"service    [red]answers at {url} and is not ready: {reason}[/red]", soft_wrap=True)
    return readiness.is_ready


def _report_store(console: Console) -> bool:
    """Print what `python -m store doctor` says of the ledger and blobs that this machine's settings name."""
    done = subprocess.run([sys.executable, "-m", "store", "doctor"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines() or ["nothing to report"]
    for number, line in enumerate(lines):
        console.print(f"{'' if number else 'store':<10} {escape(line)}", soft_wrap=True)
    return done.returncode == 0

"""`posterity doctor`: everything that a service and its users need, looked at one by one, with what to do next."""

import json
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.text import Text

from client.client import Client
from client.errors import ClientProblem, ServiceProblem
from client.packages import missing_and_misfits, version_of
from client.ports import holder_of, port_of
from client.wire import Request, get

State = Literal["ok", "warn", "fail"]
COLOURS: dict[State, str] = {"ok": "green", "warn": "yellow", "fail": "red"}
PYTHON_LEAST = (3, 11)
DEVICES = """
import json, torch
found = [(p.name, *torch.cuda.mem_get_info(i)) for i, p in
         ((i, torch.cuda.get_device_properties(i)) for i in range(torch.cuda.device_count()))]
print(json.dumps({"threads": torch.get_num_threads(), "cuda": found, "built": torch.version.cuda}))
"""
"""Asked of a process of its own: the client does not import torch."""
DEVICES_SECONDS_MAX = 120
ELSEWHERE = "run it where the service runs, set POSTERITY_DATA_DIR to its folder, or use --remote"
PROBES = {"predict": "versions", "ingest": "batches", "admin": "webhooks"}
"""What each scope may read of a model and the others may not."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: how it is, in words, and what to do next where it is not well."""

    check: str
    state: State
    detail: str
    next: str = ""


def examine(url: str, *, key: str | None, is_remote: bool) -> Iterator[Check]:
    """Every check, as soon as it was made; `is_remote` leaves out what is of the machine that the service runs on."""
    yield from _of_installation()
    if not is_remote:
        yield _of_devices()
    of_service = list(_of_service(url, key, is_remote=is_remote))
    yield from of_service
    if is_remote:
        return
    of_store = list(_of_store())
    if of_service[0].state == "ok" and _is_elsewhere(of_store):
        yield Check("database", "warn", f"this folder has no ledger, and the service at {url} answers", ELSEWHERE)
        return
    yield from of_store
    yield from of_books()


def show(check: Check, *, console: Console, as_json: bool) -> None:
    """The check is printed: a line, and below it what to do next; or a JSON object."""
    if as_json:
        print(json.dumps(asdict(check)), flush=True)  # noqa: T201 - what the command is for.
        return
    line = Text.assemble((f"{check.state:<5}", COLOURS[check.state]), f"{check.check:<10} {check.detail}")
    console.print(line, soft_wrap=True)
    if check.next:
        console.print(Text(f"{'':<16}Next: {check.next}."), soft_wrap=True)


def _of_installation() -> Iterator[Check]:
    is_known = sys.version_info >= PYTHON_LEAST
    advice = "" if is_known else "use Python 3.11 or newer"
    yield Check("python", "ok" if is_known else "fail", f"{platform.python_version()} ({sys.executable})", advice)
    for name in ("posterity", "torch"):
        version = version_of(name)
        if version is None:
            yield Check(name, "fail", "is not installed", "`make install`, or `pip install` with constraints.txt")
        else:
            yield Check(name, "ok", version)
    lacking, others = missing_and_misfits("posterity")
    advice = "`make install`, or `pip install` with constraints.txt"
    for one in lacking:
        yield Check("packages", "fail", one, advice)
    for one in others:
        yield Check("packages", "warn", one, advice)
    if not lacking and not others:
        yield Check("packages", "ok", "all that is needed is installed, in versions that fit")


def _of_devices() -> Check:
    """What updates can be computed on."""
    try:
        done = subprocess.run(  # noqa: S603 - our own words.
            [sys.executable, "-c", DEVICES], capture_output=True, text=True, check=False, timeout=DEVICES_SECONDS_MAX
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return Check("devices", "fail", "torch cannot be asked for its devices", "`python -c 'import torch'` says why")
    cards = [f"{name}, {free / 2**30:,.1f} of {size / 2**30:,.1f} GiB free" for name, free, size in found["cuda"]]
    cpu = f"CPU with {found['threads']} threads"
    if cards:
        return Check("devices", "ok", f"{cpu}; CUDA {found['built']}: {'; '.join(cards)}")
    lacks = "no CUDA card is seen" if found["built"] else "torch is built without CUDA"
    return Check("devices", "ok", f"{cpu}; {lacks}")


def _of_service(url: str, key: str | None, *, is_remote: bool) -> Iterator[Check]:
    try:
        with Client(url, key=key, attempts_max=1) as client:
            readiness = client.ready()
            if readiness.is_ready:
                yield Check("service", "ok", f"ready at {url}")
            else:
                reason = str(readiness.raw.get("detail", ""))
                advice = "the checks below say what is missing" if not is_remote else "look at it where it runs"
                yield Check("service", "fail", f"answers at {url} and is not ready: {reason}", advice)
            yield _of_key(client, key)
    except ClientProblem as problem:
        yield Check("service", "fail", " ".join(problem.detail.split())[:200], problem.next)
        if (port := port_of(url)) is not None and not is_remote:
            yield _of_port(port, is_http=isinstance(problem, ServiceProblem))


def _of_port(port: int, *, is_http: bool) -> Check:
    """Whether a service could listen where none of ours answers."""
    holder = holder_of(port)
    if holder is None and not is_http:
        return Check("port", "ok", f"port {port} is free")
    whose = f"port {port} is taken by {holder or 'something that is no service of Posterity'}"
    return Check("port", "fail", whose, "stop that, or serve elsewhere: `posterity serve --port 8001`")


def _of_key(client: Client, key: str | None) -> Check:
    """What the key of the environment may do, seen by asking."""
    shown = "POSTERITY_KEY is not set" if key is None else "the key in POSTERITY_KEY"
    try:
        names = [one.name for one in client.models()]
    except ServiceProblem as problem:
        return Check("key", "fail", f"{shown}, and the service says {problem.code}", problem.next)
    model = names[0] if names else "posterity-doctor"
    may = [scope for scope, plural in PROBES.items() if _is_allowed(client, get("models", model, plural))]
    if key is None:
        return Check("key", "ok", "none is asked for: every caller may do everything")
    everything = "everything" if "admin" in may else " and ".join(may) or "nothing of a model that is there"
    return Check("key", "ok" if may else "warn", f"counts, and allows {everything} ({len(names)} models are shown)")


def _is_allowed(client: Client, request: Request) -> bool:
    try:
        client.answer_to(request)
    except ServiceProblem as problem:
        return problem.status == 404
    return True


def _of_store() -> Iterator[Check]:
    """What `python -m store checkup` sees of this machine's settings."""
    done = subprocess.run([sys.executable, "-m", "store", "checkup"], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    for line in lines:
        yield Check(**json.loads(line))
    if not lines:
        said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1].removeprefix("posterity: ")
        yield Check("settings", "fail", said, "correct the variable or the file; docs/settings.md lists them all")


def _is_elsewhere(of_store: Sequence[Check]) -> bool:
    """Whether nobody said where the ledger is, and it is not where a service started here would have it."""
    told = [one.detail for one in of_store if one.check == "setting"]
    names_a_place = any(
        one.startswith(("data_dir = ", "database_url = ")) and not one.endswith("(default)") for one in told
    )
    has_none = any(one.check == "database" and one.detail.startswith("There is no ledger") for one in of_store)
    return bool(told) and not names_a_place and has_none


def of_books() -> Iterator[Check]:
    """What `python -m store doctor` finds in the ledger and the bytes that it names."""
    done = subprocess.run([sys.executable, "-m", "store", "doctor"], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("wrong: "):
            advice = "restore it from a backup; docs/operations.md says how"
            yield Check("books", "fail", line.removeprefix("wrong: "), advice)
        elif line.startswith("There is no ledger"):
            yield Check("books", "fail", line, "run `posterity serve`; or POSTERITY_DATA_DIR names another folder")
        else:
            yield Check("books", "fail" if done.returncode and line.endswith("are wrong.") else "ok", line)
    if done.returncode and not done.stdout:
        said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1].removeprefix("posterity: ")
        yield Check("books", "fail", said, "`posterity doctor` says more of database and settings")

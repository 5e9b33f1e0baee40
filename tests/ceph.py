"""A real S3 store for long runs: Ceph's RADOS gateway on one node. `python -m tests.ceph` runs it until its input ends.

One monitor, one OSD in memory and the gateway, all on loopback, from Debian's packages ceph-mon, ceph-osd and radosgw.
The first line of output is what a client needs, as JSON.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PACKAGES = "ceph-mon ceph-osd radosgw"
START_SECONDS = 120.0
STOP_SECONDS = 30.0
MEMORY_BYTES = 4 * 2**30

CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{monitor}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
crash dir = {folder}/crash
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {memory}
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail crit = 1
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
"""


class CephUnavailableError(Exception):
    """Ceph cannot be started; the message says what is missing, or what its programs said."""


@contextmanager
def ceph() -> Iterator[dict[str, str]]:
    """A gateway that answers, as the AWS_* variables of its one user; gone afterwards, with all that it holds.

    Raises:
        CephUnavailableError: its programs are not installed, or did not start.
    """
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise CephUnavailableError(f"There is no {', '.join(missing)} here: apt-get install {PACKAGES}")
    folder = Path(tempfile.mkdtemp(prefix="posterity-ceph-"))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        yield _start(folder, processes)
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder)


def _start(folder: Path, processes: list[subprocess.Popen[bytes]]) -> dict[str, str]:
    fsid, osd, gateway = str(uuid.uuid4()), str(uuid.uuid4()), _free_port()
    monitor = f"[v2:127.0.0.1:{(monitor_port := _free_port())}]"
    conf, keyring = folder / "ceph.conf", str(folder / "keyring")
    conf.write_text(
        CONFIGURATION.format(fsid=fsid, monitor=monitor_port, folder=folder, gateway=gateway, memory=MEMORY_BYTES)
    )
    for name in ("mon", "osd", "rgw", "crash"):
        (folder / name).mkdir()

    def call(*command: str) -> None:
        _call(folder, *command)

    def run(*command: str) -> None:
        with (folder / f"{command[0]}.out").open("w") as out:
            processes.append(
                subprocess.Popen([*command, "-c", conf, "-f"], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            )

    everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *")
    call("ceph-authtool", "-C", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    for name in ("client.admin", "client.rgw", "osd.0"):
        call("ceph-authtool", keyring, "--gen-key", "-n", name, *everything)
    call("monmaptool", "--create", "--addv", "a", monitor, "--fsid", fsid, str(folder / "monmap"))
    call("ceph-mon", "-c", str(conf), "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"), "--keyring", keyring)
    run("ceph-mon", "-i", "a")
    call("ceph", "-c", str(conf), "osd", "new", osd, "0")
    call("ceph-osd", "-c", str(conf), "-i", "0", "--mkfs", "--osd-uuid", osd)
    run("ceph-osd", "-i", "0")
    key, secret = secrets.token_hex(10), secrets.token_hex(20)
    user = ("--uid", "posterity", "--display-name", "posterity", "--access-key", key, "--secret-key", secret)
    call("radosgw-admin", "-c", str(conf), "user", "create", *user)
    run("radosgw", "-n", "client.rgw")
    _wait_until_it_answers(folder, gateway, processes)
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{gateway}",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_REGION": "us-east-1",
    }


def _wait_until_it_answers(folder: Path, port: int, processes: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            if time.monotonic() > deadline or any(process.poll() is not None for process in processes):
                said = "\n".join(path.read_text()[-2000:] for path in folder.glob("*.out"))
                raise CephUnavailableError(f"The gateway does not answer on port {port}:\n{said}") from None
            time.sleep(0.1)
        else:
            return


def _call(folder: Path, *command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=START_SECONDS
    )
    if done.returncode != 0:
        raise CephUnavailableError(f"{command[0]} failed in {folder}:\n{done.stderr[-2000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def main() -> None:
    try:
        with ceph() as variables:
            sys.stdout.write(f"{json.dumps(variables)}\n")
            sys.stdout.flush()
            # Not through sys.stdin, which a signal handler of its reader could be in.
            while os.read(sys.stdin.fileno(), 4096):
                continue
    except CephUnavailableError as error:
        sys.exit(f"tests.ceph: {error}")


if __name__ == "__main__":
    main()

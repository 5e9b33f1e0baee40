"""An object store for the tests that speaks S3: moto's server, or what POSTERITY_TEST_S3 names.

`ceph` starts Ceph's gateway (tests/ceph.py); `http://…` or `https://…` is a store that runs, with AWS_REGION,
AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY beside it, where the tests make a bucket and leave it behind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import httpx
import obstore
from obstore.store import S3Store

VARIABLE = "POSTERITY_TEST_S3"
MOTO = """
import json, logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
keys = {"AWS_ACCESS_KEY_ID": "posterity", "AWS_SECRET_ACCESS_KEY": "only-for-tests", "AWS_REGION": "us-east-1"}
print(json.dumps({"AWS_ENDPOINT_URL": f"http://{host}:{port}", **keys}), flush=True)
sys.stdin.read()
"""


class ObjectServerUnavailableError(Exception):
    """No store can be had for the tests; the message says why."""


@dataclass(frozen=True)
class ObjectServer:
    """A running store, and a bucket in it; `variables` are what a process needs to reach it."""

    variables: Mapping[str, str]
    bucket: str

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        url = httpx.URL(self.variables["AWS_ENDPOINT_URL"])
        return url.host, url.port or {"http": 80, "https": 443}[url.scheme]

    def url(self) -> str:
        """A place of its own in the bucket."""
        return f"s3://{self.bucket}/{uuid.uuid4().hex}"

    def store(self, url: str) -> S3Store:
        """What is at this place, as it is."""
        return _store(self.variables, url)


@contextmanager
def object_server(environment: Mapping[str, str] = os.environ) -> Iterator[ObjectServer]:
    """A store that answers; it is gone afterwards, where it was started here.

    Raises:
        ObjectServerUnavailableError: there is none, and none can be started.
    """
    named = environment.get(VARIABLE, "")
    if named.startswith(("http://", "https://")):
        keys = {name: value for name, value in environment.items() if name.startswith("AWS_")}
        yield _with_bucket(keys | {"AWS_ENDPOINT_URL": named})
        return
    commands = {"": ["-c", MOTO], "ceph": ["-m", "tests.ceph"]}
    if named not in commands:
        raise ObjectServerUnavailableError(f"{VARIABLE} is {named!r}; it may be absent, ceph, or the URL of a store")
    # It ends when our end of its standard input closes, so it outlives neither us nor a kill -9 of us.
    with subprocess.Popen(
        [sys.executable, *commands[named]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Control-C is for us.
    ) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        if not said:
            raise ObjectServerUnavailableError(f"{commands[named]} ended with {server.wait()} before it was ready")
        yield _with_bucket(json.loads(said))


def _with_bucket(variables: Mapping[str, str]) -> ObjectServer:
    bucket = f"posterity-test-{uuid.uuid4().hex}"
    url = obstore.sign(_store(variables, f"s3://{bucket}"), "PUT", "", timedelta(minutes=1))
    answer = httpx.put(url)
    if not answer.is_success:
        raise ObjectServerUnavailableError(f"no bucket can be made: {answer.status_code} {answer.text}")
    server = ObjectServer(variables, bucket)
    # Ceph makes its pools when something is first put into them, and takes seconds for each.
    for is_in_parts in (False, True):
        obstore.put(server.store(f"s3://{bucket}"), "first", bytes(6 * 2**20), use_multipart=is_in_parts)
    return server


def _store(variables: Mapping[str, str], url: str) -> S3Store:
    return S3Store.from_url(
        url,
        config={
            "endpoint": variables["AWS_ENDPOINT_URL"],
            "access_key_id": variables["AWS_ACCESS_KEY_ID"],
            "secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
            "region": variables["AWS_REGION"],
        },
        client_options={"allow_http": True},
    )

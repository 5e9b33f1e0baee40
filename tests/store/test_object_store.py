"""Blobs in an object store that fails: a put whose answer was lost is done again, and nobody waits for ever."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import obstore
import pytest

from store.digests import digest_of, name_of
from store.errors import BlobCorrupt, BlobMissing, BlobStoreError
from store.object_store import PART_BYTES, PUTS_AT_ONCE, ObjectStore
from tests.faulty_proxy import FaultyProxy, To
from tests.object_server import ObjectServer

SECONDS = 1.0
"""The time of a request; of a call, with the request that follows the first, less than five times as much."""
DATA = os.urandom(100_000)
LARGE = os.urandom(2 * PART_BYTES + 1)
DIGEST = digest_of(DATA)

Call = Callable[[ObjectStore], object]
CALLS: dict[str, Call] = {
    "put": lambda blobs: blobs.put(DATA),
    "put many": lambda blobs: blobs.put_all([DATA, *(bytes([number]) for number in range(2 * PUTS_AT_ONCE))]),
    "put large": lambda blobs: blobs.put(LARGE),
    "get": lambda blobs: blobs.get(DIGEST),
    "open": lambda blobs: blobs.open(DIGEST),
    "verify": lambda blobs: blobs.verify(DIGEST),
    "holds": lambda blobs: blobs.holds(DIGEST),
    "listed": lambda blobs: list(blobs.listed()),
    "delete": lambda blobs: blobs.delete(DIGEST),
}


@pytest.fixture
def proxy(s3: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with FaultyProxy(*s3.address) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        yield proxy


@pytest.fixture
def url(s3: ObjectServer) -> str:
    return s3.url()


@pytest.fixture
def blobs(proxy: FaultyProxy, url: str) -> ObjectStore:
    """The store behind the proxy, with a blob in it."""
    blobs = ObjectStore(url, seconds=SECONDS)
    blobs.put(DATA)
    return blobs


def seconds_of(call: Call, blobs: ObjectStore) -> float:
    """How long the call took to fail."""
    began = time.monotonic()
    with pytest.raises(BlobStoreError, match=r"^s3://\S+ cannot be \S+") as failed:
        call(blobs)
    assert "Debug" not in str(failed.value)
    return time.monotonic() - began


@pytest.mark.parametrize("data", [b"posterior", LARGE], ids=["small", "large"])
def test_a_put_that_landed_though_its_answer_never_came_succeeds(
    blobs: ObjectStore, proxy: FaultyProxy, data: bytes
) -> None:
    proxy.swallow(To.CLIENT)

    digest = blobs.put(data)

    assert proxy.faults_done == 1
    assert blobs.get(digest) == data


def test_bytes_land_before_the_answer_that_is_lost(
    blobs: ObjectStore, proxy: FaultyProxy, s3: ObjectServer, url: str
) -> None:
    digest = digest_of(b"posterior")
    proxy.swallow(To.CLIENT, connections=100)

    seconds_of(lambda blobs: blobs.put(b"posterior"), blobs)

    assert obstore.get(s3.store(url), name_of(digest)).bytes().to_bytes() == b"posterior"
    proxy.heal()
    assert blobs.put(b"posterior") == digest


@pytest.mark.parametrize(
    "fault",
    [
        *(lambda proxy: proxy.cut(To.SERVER, after_bytes=50_000), lambda proxy: proxy.cut(To.SERVER, after_bytes=100)),
        *(lambda proxy: proxy.cut(To.CLIENT), lambda proxy: proxy.swallow(To.SERVER, after_bytes=50_000)),
        lambda proxy: proxy.delay(0.01, To.SERVER),
    ],
    ids=["cut within the body", "cut within the head", "answer cut", "silent within the body", "slow"],
)
def test_a_put_outlives_one_fault_of_the_connection(
    blobs: ObjectStore, proxy: FaultyProxy, fault: Callable[[FaultyProxy], None]
) -> None:
    others = [os.urandom(100_000), DATA]
    fault(proxy)

    digests = blobs.put_all(others)

    assert [blobs.get(digest) for digest in digests] == others


@pytest.mark.parametrize(
    "fault",
    [
        *(lambda proxy: proxy.cut(To.CLIENT, after_bytes=50_000), lambda proxy: proxy.cut(To.CLIENT, after_bytes=50)),
        *(lambda proxy: proxy.cut(To.SERVER), lambda proxy: proxy.swallow(To.CLIENT, after_bytes=50_000)),
        *(lambda proxy: proxy.delay(0.001, To.CLIENT), lambda proxy: proxy.flip(To.CLIENT, after_bytes=50_000)),
    ],
    ids=["cut within the body", "cut within the head", "request cut", "silent within the body", "slow", "damaged"],
)
@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
def test_a_get_outlives_one_fault_of_the_connection(
    blobs: ObjectStore, proxy: FaultyProxy, data: bytes, fault: Callable[[FaultyProxy], None]
) -> None:
    digest = blobs.put(data)
    fault(proxy)

    assert blobs.get(digest) == data


def test_bytes_that_are_damaged_on_every_way_are_not_taken(blobs: ObjectStore, proxy: FaultyProxy) -> None:
    proxy.flip(To.CLIENT, after_bytes=50_000)
    with blobs.open(DIGEST) as file, pytest.raises(BlobCorrupt):
        file.verify()

    proxy.flip(To.CLIENT, after_bytes=40_000, times=5, connections=2)
    with pytest.raises(BlobCorrupt, match=DIGEST):
        blobs.get(DIGEST)


def test_bytes_that_were_damaged_on_their_way_to_the_store_are_never_taken_for_whole(
    blobs: ObjectStore, proxy: FaultyProxy
) -> None:
    data = os.urandom(100_000)
    proxy.flip(To.SERVER, after_bytes=50_000)
    with suppress(BlobStoreError):  # A store that compares the bytes with their digest refuses them.
        blobs.put(data)

    assert proxy.faults_done == 1
    with pytest.raises((BlobCorrupt, BlobMissing)):
        blobs.get(digest_of(data))

    blobs.put(data)
    assert blobs.get(digest_of(data)) == data


@pytest.mark.parametrize("name", ["put many", "put large", "open", "holds", "listed", "delete"])
def test_a_store_that_stays_silent_is_given_up_after_a_bounded_time(
    blobs: ObjectStore, proxy: FaultyProxy, name: str
) -> None:
    proxy.hold()

    assert SECONDS <= seconds_of(CALLS[name], blobs) < 3.5 * SECONDS

    proxy.heal()
    CALLS[name](blobs)


def test_a_store_that_refuses_connections_is_given_up_and_used_again_later(
    blobs: ObjectStore, proxy: FaultyProxy
) -> None:
    proxy.refuse()

    for name in ("put", "get", "listed"):
        assert seconds_of(CALLS[name], blobs) < 5 * SECONDS
    assert not blobs.is_writable()

    proxy.heal()
    assert blobs.is_writable()
    assert blobs.get(DIGEST) == DATA


def test_whether_a_silent_store_can_be_written_is_known_after_one_request(
    blobs: ObjectStore, proxy: FaultyProxy
) -> None:
    proxy.hold()
    began = time.monotonic()

    assert not blobs.is_writable()

    assert time.monotonic() - began < 2 * SECONDS


@pytest.mark.parametrize("name", ["put", "put many", "get", "open", "verify", "listed"])
def test_a_bucket_that_is_not_there_is_not_taken_for_missing_blobs(s3: ObjectServer, name: str) -> None:
    blobs = ObjectStore("s3://no-such-bucket/prefix", seconds=SECONDS)

    with pytest.raises(BlobStoreError, match=r"no-such-bucket.* NoSuchBucket"):
        CALLS[name](blobs)

    assert not blobs.is_writable()


REFUSAL = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature does not match</Message>
<AWSAccessKeyId>the-key</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 the-request</StringToSign>
<SignatureProvided>the-signature</SignatureProvided></Error>"""


class Refusing(BaseHTTPRequestHandler):
    """What Amazon answers to a wrong secret, with all that it says."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", str(len(REFUSAL)))
        self.end_headers()
        self.wfile.write(REFUSAL)

    def do_PUT(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("name", ["put", "get", "listed", "delete"])
def test_what_a_store_says_of_a_refusal_is_told_without_keys_and_signatures(
    s3: ObjectServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(BlobStoreError, match="SignatureDoesNotMatch") as refused:
            CALLS[name](ObjectStore("s3://bucket", seconds=SECONDS))
        server.shutdown()
        thread.join()

    said = f"{refused.value} {refused.value.__cause__}"
    assert not any(word in said for word in ("the-key", "the-request", "the-signature", "HMAC"))


def test_without_credentials_the_message_says_what_to_set(s3: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(BlobStoreError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        ObjectStore("s3://bucket", seconds=SECONDS).put(DATA)


def test_other_threads_go_on_while_a_store_is_waited_for(blobs: ObjectStore, proxy: FaultyProxy) -> None:
    proxy.hold()
    waiting = threading.Thread(target=lambda: seconds_of(CALLS["put"], blobs))
    waiting.start()
    turns = 0
    while waiting.is_alive():
        turns += 1
        time.sleep(0.001)

    assert turns > 100


def test_more_blobs_than_a_store_lists_at_a_time_are_all_listed(s3: ObjectServer, url: str) -> None:
    blobs = ObjectStore(url, seconds=20.0)
    digests = blobs.put_all([str(number).encode() for number in range(1100)])

    assert sorted(found.digest for found in blobs.listed()) == sorted(digests)

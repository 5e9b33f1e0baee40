"""What every store of blobs promises: whole or absent, verified when read, safe for many at once."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.blobs import Blobs, digest_of
from store.digests import name_of
from store.errors import BlobCorrupt, BlobMissing
from tests.store.kept import Kept, KeptInBucket, KeptInFolder

NOWHERE = f"sha256:{'0' * 64}"
LARGE_BYTES = 17 * 2**20
"""More than fits in two parts of an object."""

Read = Callable[[Blobs, str], object]


@pytest.fixture(params=["folder", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "folder":
        return KeptInFolder(tmp_path / "blobs")
    return KeptInBucket(request.getfixturevalue("s3"))


@pytest.fixture
def blobs(kept: Kept) -> Blobs:
    return kept.blobs


def verified(blobs: Blobs, digest: str) -> bytes:
    with blobs.open(digest) as file:
        data = file.read()
        file.verify()
        return data


READS: dict[str, Read] = {
    "get": lambda blobs, digest: blobs.get(digest),
    "verify": lambda blobs, digest: blobs.verify(digest),
    "open and verify": verified,
}


@pytest.mark.parametrize("data", [b"posterior", b"", os.urandom(LARGE_BYTES)], ids=["small", "empty", "large"])
def test_bytes_come_back_under_the_name_of_their_digest(kept: Kept, data: bytes) -> None:
    blobs = kept.blobs

    digest = blobs.put(data)

    assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert blobs.get(digest) == verified(blobs, digest) == data
    blobs.verify(digest)
    assert blobs.holds(digest)
    assert blobs.put(data) == digest
    assert kept.names() == [name_of(digest)]


@pytest.mark.parametrize("ask", [*READS.values(), lambda blobs, digest: blobs.open(digest)], ids=[*READS, "open"])
def test_missing_bytes_are_a_clear_error(blobs: Blobs, ask: Read) -> None:
    with pytest.raises(BlobMissing, match="doctor"):
        ask(blobs, NOWHERE)

    assert not blobs.holds(NOWHERE)


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
@pytest.mark.parametrize(
    "damaged",
    [b"posterios", b"posterio", b"posteriors", b"", b"another blob"],
    ids=["flipped", "cut off", "longer", "emptied", "swapped"],
)
def test_damage_is_a_clear_error_and_putting_the_bytes_again_heals_it(kept: Kept, damaged: bytes, read: Read) -> None:
    digest = kept.blobs.put(b"posterior")
    kept.damage(digest, damaged)

    with pytest.raises(BlobCorrupt, match=digest) as corrupt:
        read(kept.blobs, digest)

    assert digest_of(damaged) in str(corrupt.value)
    kept.blobs.put_all([b"others", b"posterior"])
    assert kept.blobs.get(digest) == b"posterior"
    read(kept.blobs, digest)


@pytest.mark.parametrize(
    ("read", "place"),
    list(zip(READS.values(), [LARGE_BYTES - 1, 0, LARGE_BYTES // 2], strict=True)),
    ids=["get, last", "verify, first", "open and verify, middle"],
)
def test_a_flipped_bit_of_a_large_blob_is_found_wherever_it_is(kept: Kept, place: int, read: Read) -> None:
    data = bytearray(os.urandom(LARGE_BYTES))
    digest = kept.blobs.put(bytes(data))
    data[place] ^= 1
    kept.damage(digest, bytes(data))

    with pytest.raises(BlobCorrupt, match=digest):
        read(kept.blobs, digest)


def test_an_open_file_can_be_sought_and_nobody_has_looked_at_its_bytes(kept: Kept) -> None:
    digest = kept.blobs.put(b"posterior")
    kept.damage(digest, b"posterios")

    with kept.blobs.open(digest) as file:
        assert file.seek(-4, os.SEEK_END) == 5
        buffer = bytearray(2)
        assert (file.readinto(buffer), bytes(buffer)) == (2, b"ri")
        with pytest.raises(BlobCorrupt):
            file.verify()
        assert file.read() == b"os"


def test_a_file_that_was_opened_damaged_stays_damaged_when_its_name_is_healed(kept: Kept) -> None:
    digest = kept.blobs.put(b"posterior")
    kept.damage(digest, b"posterios")

    with kept.blobs.open(digest) as file:
        assert file.read() == b"posterios"
        kept.blobs.put(b"posterior")
        with pytest.raises(BlobCorrupt):
            file.verify()

    kept.blobs.verify(digest)


def test_many_are_put_at_once_each_once_and_their_digests_come_in_order(kept: Kept) -> None:
    data = [b"a", b"b", b"a", b"", b"c"]
    kept.blobs.put(b"b")

    digests = kept.blobs.put_all(data)

    assert digests == [digest_of(one) for one in data]
    assert [kept.blobs.get(digest) for digest in digests] == data
    assert len(kept.names()) == 4
    assert kept.blobs.put_all([]) == []


def test_what_is_listed_are_the_blobs_and_nothing_else_that_lies_there(kept: Kept) -> None:
    assert list(kept.blobs.listed()) == []
    lengths = {kept.blobs.put(data): len(data) for data in (b"a", b"bc", b"")}
    digest = digest_of(b"a").removeprefix("sha256:")
    others = ("README", digest, f"00/{digest}", f"{digest[:2]}/.writing-1", f"{digest[:2]}/{digest}.old", "ab/cd")
    for name in (*others, f"{digest[:2]}/{digest.upper()}"):
        kept.plant(name, b"no blob")

    listed = list(kept.blobs.listed())

    assert {found.digest: found.bytes for found in listed} == lengths
    assert all(abs(found.modified_at - time.time()) < 60 for found in listed)


def test_what_is_deleted_is_gone_and_deleting_it_again_does_nothing(kept: Kept) -> None:
    beside, digest = kept.blobs.put_all([b"beside", b"posterior"])

    for _ in range(2):
        kept.blobs.delete(digest)
        assert not kept.blobs.holds(digest)
        with pytest.raises(BlobMissing):
            kept.blobs.get(digest)
    kept.blobs.delete(NOWHERE)

    assert [found.digest for found in kept.blobs.listed()] == [beside]
    assert kept.blobs.put(b"posterior") == digest
    assert kept.blobs.get(digest) == b"posterior"


def test_a_store_that_can_be_written_says_so_and_shows_nothing_for_it(kept: Kept) -> None:
    assert kept.blobs.is_writable()
    assert list(kept.blobs.listed()) == []


def test_the_same_and_other_bytes_put_by_many_threads_are_each_one_whole_blob(kept: Kept) -> None:
    shared = os.urandom(1 << 20)
    data = [shared if number % 2 else number.to_bytes(4, "big") * 1000 for number in range(32)]

    with ThreadPoolExecutor(8) as writers:
        digests = list(writers.map(kept.blobs.put, data))

    assert [kept.blobs.get(digest) for digest in digests] == data
    assert kept.names() == sorted({name_of(digest) for digest in digests})


PUTTING = """
import sys
from store.blobs import open_blobs
from store.settings import Settings
blobs, me = open_blobs(Settings()), sys.argv[1]
print("ready", flush=True)
sys.stdin.readline()
for number in range(25):
    shared, own = f"{number} ".encode() * 20_000, f"{me} {number} ".encode() * 1000
    print(*blobs.put_all([shared, own]), blobs.put(shared), flush=True)
"""


def putting(kept: Kept, name: str) -> subprocess.Popen[str]:
    """A process that puts 25 blobs that others put as well and 25 of its own, once it is told to begin."""
    settings = {key: value for key, value in os.environ.items() if not key.startswith("POSTERITY_")}
    return subprocess.Popen(
        [sys.executable, "-c", PUTTING, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=settings | {"POSTERITY_BLOB_URL": kept.url},
        text=True,
    )


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_the_same_and_other_bytes_put_by_many_processes_are_each_one_whole_blob(kept: Kept) -> None:
    processes = [putting(kept, str(number)) for number in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        begin(process)
    said = [process.communicate(timeout=60)[0].splitlines() for process in processes]

    assert [len(lines) for lines in said] == [25, 25, 25]
    digests = {digest for lines in said for line in lines for digest in line.split()}
    assert len(digests) == 4 * 25
    assert {found.digest for found in kept.blobs.listed()} == digests
    for digest in digests:
        kept.blobs.verify(digest)


def test_a_writer_that_is_killed_leaves_nothing_but_whole_blobs_and_what_it_was_told_of(kept: Kept) -> None:
    process = putting(kept, "killed")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    begin(process)
    told = process.stdout.readline().split()
    process.send_signal(signal.SIGKILL)
    told += process.communicate()[0].split()

    listed = {found.digest for found in kept.blobs.listed()}

    assert listed >= {digest for digest in told if len(digest) == len(NOWHERE)}
    for digest in listed:
        kept.blobs.verify(digest)

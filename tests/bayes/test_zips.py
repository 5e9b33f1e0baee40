import struct
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from bayes.zips import END, pack, unpack

FILES = {"a": b"first", "b": b"second" * 100}
MIB = 2**20


def zipped(files: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return stream.getvalue()


def read(raw: bytes) -> dict[str, bytes]:
    return unpack(raw, required=("a",), optional=("b",))


def test_the_same_files_make_the_same_archive_at_any_time() -> None:
    assert pack(FILES) == pack(dict(FILES))
    assert read(pack(FILES)) == FILES


def test_other_programs_read_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(BytesIO(pack(FILES))) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == FILES


def test_archives_of_other_programs_are_read_where_nothing_is_compressed() -> None:
    assert read(zipped(list(FILES.items()))) == FILES


@pytest.mark.parametrize("name", ["../a", "/a", "a/", "A", "a\0", "c", "dir/a", "a\\b"])
def test_a_file_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="none of the files"):
        read(zipped([("a", b""), (name.replace("\0", "\1"), b"")]))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="a is in it twice"):
        read(zipped([("a", b"one"), ("a", b"other")]))


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_is_refused_before_it_is_unpacked(compression: int) -> None:
    with pytest.raises(ValueError, match="a is compressed"):
        read(zipped([("a", b"\0" * 64 * MIB)], compression))


def test_a_bomb_that_says_it_is_not_compressed_is_refused() -> None:
    raw = bytearray(zipped([("a", b"\0" * MIB)], zipfile.ZIP_DEFLATED))
    local, central = raw.index(b"PK\x03\x04"), raw.index(b"PK\x01\x02")
    struct.pack_into("<H", raw, local + 8, 0)
    struct.pack_into("<H", raw, central + 10, 0)

    with pytest.raises(ValueError, match="a is compressed"):
        read(bytes(raw))


def test_sizes_that_are_larger_than_the_archive_are_refused() -> None:
    raw = bytearray(pack(FILES))
    central = raw.index(b"PK\x01\x02")
    struct.pack_into("<LL", raw, central + 20, 2**31, 2**31)

    with pytest.raises(ValueError, match="larger than it is"):
        read(bytes(raw))


def test_files_that_lie_in_each_other_are_refused() -> None:
    raw = bytearray(pack({"a": b"x" * 1000, "b": b"x" * 1000}))
    second = raw.index(b"PK\x01\x02", raw.index(b"PK\x01\x02") + 1)
    struct.pack_into("<L", raw, second + 42, 0)

    with pytest.raises(ValueError, match="no zip archive of this kind"):
        read(bytes(raw))


def test_an_encrypted_file_is_refused() -> None:
    raw = bytearray(pack(FILES))
    struct.pack_into("<H", raw, raw.index(b"PK\x01\x02") + 8, 1)

    with pytest.raises(ValueError, match="a is encrypted"):
        read(bytes(raw))


def test_a_byte_that_fell_over_is_seen_in_the_checksum() -> None:
    raw = bytearray(pack(FILES))
    raw[raw.index(b"first")] ^= 1

    with pytest.raises(ValueError, match="CRC-32"):
        read(bytes(raw))


def test_a_directory_of_very_many_files_is_not_read() -> None:
    with pytest.raises(ValueError, match="too many files"):
        read(zipped([(f"{number}", b"") for number in range(10_000)]))


@pytest.mark.parametrize("place", ["said", "elsewhere"])
def test_the_large_end_of_an_archive_is_not_believed_either(place: str) -> None:
    raw = pack(FILES)
    end = len(raw) - END.size
    large = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, 2**40, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end if place == "said" else 0, 1)

    with pytest.raises(ValueError, match="too many files" if place == "said" else "not where it says"):
        read(raw[:end] + large + locator + raw[end:])


def test_an_archive_of_more_than_two_gibibytes_has_the_large_end_that_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    raw = pack(FILES)

    assert b"PK\x06\x07" in raw
    assert read(raw) == FILES


@pytest.mark.parametrize("cut", [0, 1, 10, 21, 40])
def test_what_is_cut_off_is_refused(cut: int) -> None:
    raw = pack(FILES)

    with pytest.raises(ValueError, match="no zip archive of this kind"):
        read(raw[: len(raw) - 1 - cut])


def test_a_file_that_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="the archive has no a"):
        read(pack({"b": b""}))

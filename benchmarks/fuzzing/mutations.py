"""Bodies that are nearly valid: one part of the structure is changed, and lengths and checksums are made right again.

`bend` changes bytes without knowing what they are: the fuzzer's own mutation, or where there is none, `bent`.
"""

from __future__ import annotations

import base64
import binascii
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from random import Random
from typing import Any

from benchmarks.fuzzing.seeds import archive, png

Bend = Callable[[bytes, int], bytes]
"""Other bytes than these, and at most so many."""

Mutation = Callable[[bytes, Random, Bend], bytes]

BROKEN = (
    *(ValueError, LookupError, OSError, EOFError, RuntimeError, struct.error),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""What is raised by a body whose structure is damaged already."""

MORE_BYTES = 64
"""A part grows by no more than this at a time."""

ODD: tuple[object, ...] = (
    *(0, 1, -1, 2, 255, 256, 2**31 - 1, 2**31, 2**40, 2**62, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, True, None),
    *("", "x", "y", "weights", "F32", "F64", "I64", "U8", "BOOL", "BF16", "F8_E4M3", "uint8", "int64", "float32"),
    *(
        "UINT8",
        "FP32",
        "FP64",
        "cat",
        "\ud800",
        "\0",
        "a" * 300,
        [],
        {},
        [[]],
        [0, 0],
        [1, 2],
        [2, 2, 0],
        [[1, 2], [3, 4]],
    ),
)
DESCRS = (b"<f4", b">f8", b"|u1", b"<i8", b"=f2", b"|b1", b"<c8", b"|O", b"<U4", b"<M8[s]", b"<f3", b"<i16")
SHAPES = (
    b"(2, 2)",
    b"()",
    b"(2,)",
    b"(0, 2)",
    b"(1, 1, 8, 8)",
    b"(-1,)",
    b"(4611686018427387904, 4)",
    b"(1" + b",1" * 40 + b")",
)
KINDS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"iCCP", b"zTXt", b"eXIf", b"gAMA")


def mutated(decoder: str, body: bytes, *, seeds: Sequence[bytes], random: Random, bend: Bend) -> bytes:
    """Another body for this decoder, made of this one, or now and then of one of the seeds."""
    chance = random.random()
    if chance < 0.2:
        body = random.choice(seeds)
    elif chance < 0.5:
        return bend(body, len(body) + MORE_BYTES)
    try:
        return OF_DECODER[decoder](body, random, bend)
    except BROKEN:
        return bend(body, len(body) + MORE_BYTES)


def bent(body: bytes, size: int, random: Random) -> bytes:
    """Some bytes are changed, put in, left out or said twice."""
    made = bytearray(body)
    for _ in range(random.randint(1, 4)):
        at = random.randint(0, len(made))
        match random.randrange(4):
            case 0:
                made[at : at + 1] = random.randbytes(1)
            case 1:
                made[at:at] = random.randbytes(random.randint(1, 8))
            case 2:
                del made[at : at + random.randint(1, 16)]
            case _:
                made[at:at] = made[random.randint(0, at) : at]
    return bytes(made[:size])


def safetensors(body: bytes, random: Random, bend: Bend) -> bytes:
    length = int.from_bytes(body[:8], "little")
    head, data = body[8 : 8 + length], body[8 + length :]
    if random.random() < 0.7:
        head = _json(head, random, bend)
    else:
        data = bend(data, len(data) + MORE_BYTES)
    return len(head).to_bytes(8, "little") + head + data


def npy(body: bytes, random: Random, bend: Bend) -> bytes:
    if not body.startswith(b"PK"):
        return _npy(body, random, bend)
    with zipfile.ZipFile(BytesIO(body)) as read:
        members = [(info.filename, read.read(info)) for info in read.infolist()]
    at = random.randrange(len(members))
    name, content = members[at]
    match random.randrange(4):
        case 0:
            members[at] = name, bend(content, len(content) + MORE_BYTES)
        case 1:
            members[at] = random.choice(("x.npy", "y", "weights.npy", "a/../x.npy", "\u00e9")), content
        case 2:
            members.insert(at, members[at])
        case _:
            members[at] = name, _npy(content, random, bend)
    made = archive(members, is_packed=random.random() < 0.5)
    if random.random() < 0.3:
        made = made[:-100] + bend(made[-100:], 100 + MORE_BYTES)
    return made


def images(body: bytes, random: Random, bend: Bend) -> bytes:
    if not body.startswith(b"\x89PNG"):
        return _jpeg(body, random, bend)
    chunks = list(_chunks(body))
    at = random.randrange(len(chunks))
    kind, content = chunks[at]
    match random.randrange(6):
        case 0:
            chunks[at] = kind, bend(content, len(content) + MORE_BYTES)
        case 1 if kind == b"IHDR":
            header = content[:8] + bytes(map(random.choice, ((1, 2, 4, 8, 16), (0, 2, 3, 4, 6), (0,), (0,), (0, 1))))
            chunks[at] = kind, header
        case 1 | 2:
            pixels = zlib.decompress(b"".join(part for name, part in chunks if name == b"IDAT"))
            packed = zlib.compress(bend(pixels, len(pixels) + MORE_BYTES), 1)
            chunks = [(name, packed if name == b"IDAT" else part) for name, part in chunks]
        case 3:
            chunks.insert(at, (random.choice(KINDS), bend(content, MORE_BYTES)))
        case 4:
            del chunks[at]
        case _:
            chunks.insert(random.randrange(len(chunks)), chunks.pop(at))
    return png(chunks)


def in_json(body: bytes, random: Random, bend: Bend) -> bytes:
    return _json(body, random, bend)


def raw_tensors(body: bytes, random: Random, bend: Bend) -> bytes:
    length = int.from_bytes(body[:2], "little")
    head, data = body[2 : 2 + length], body[2 + length :]
    if random.random() < 0.7:
        head = _json(head, random, bend)
    else:
        data = bend(data, len(data) + MORE_BYTES)
    return min(len(head), 2**16 - 1).to_bytes(2, "little") + head + data


def forms(body: bytes, random: Random, bend: Bend) -> bytes:
    first, _, form = body.partition(b"\n")
    boundary = b"--" + first.rpartition(b"=")[2]
    parts = form.split(boundary)
    at = random.randrange(len(parts))
    head, between, content = parts[at].partition(b"\r\n\r\n")
    match random.randrange(5):
        case 0:
            parts[at] = bend(head, len(head) + MORE_BYTES) + between + content
        case 1:
            parts.insert(at, parts[at])
        case 2:
            del parts[at]
        case 3 if content.startswith((b"\x89PNG", b"\xff\xd8")):
            parts[at] = head + between + images(content[:-2], random, bend) + b"\r\n"
        case _:
            parts[at] = head + between + bend(content, len(content) + MORE_BYTES)
    return first + b"\n" + boundary.join(parts)


def _json(text: bytes, random: Random, bend: Bend) -> bytes:
    """One value of the JSON is another one; or the text itself is, so that it may be no JSON any more."""
    value = json.loads(text)
    places = list(_places(value))
    if not places or random.random() < 0.2:
        return bend(text, len(text) + MORE_BYTES)
    holder, key = random.choice(places)
    old = holder[key]
    match random.randrange(4):
        case 0 if isinstance(old, str):
            holder[key] = _string(old, random, bend)
        case 1 if isinstance(holder, list):
            holder.insert(key, old)
        case 1:
            holder[str(random.choice(ODD))[:40]] = old
        case 2:
            del holder[key]
        case _:
            holder[key] = random.choice(ODD)
    return json.dumps(value).encode()


def _string(text: str, random: Random, bend: Bend) -> str:
    """Other base64 where it is some, else another text."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return bend(text.encode("utf-8", "replace"), len(text) + MORE_BYTES).decode("utf-8", "replace")
    coded = base64.b64encode(bend(data, len(data) + MORE_BYTES)).decode()
    return coded if random.random() < 0.8 else coded[:-1]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401
    """Each place of the JSON that holds a value: what holds it, and under which key."""
    found = [value]
    while found:
        holder = found.pop()
        keys = range(len(holder)) if isinstance(holder, list) else list(holder) if isinstance(holder, dict) else ()
        for key in keys:
            yield holder, key
            found.append(holder[key])


def _npy(file: bytes, random: Random, bend: Bend) -> bytes:
    width = 2 if file[6] == 1 else 4
    start = 8 + width
    end = start + int.from_bytes(file[8:start], "little")
    head, data = file[start:end], file[end:]
    match random.randrange(5):
        case 0:
            head = _between(head, b"'descr': '", b"'", random.choice(DESCRS))
        case 1:
            head = _between(head, b"'shape': ", b", }", random.choice(SHAPES))
        case 2:
            head = _between(head, b"'fortran_order': ", b",", random.choice((b"True", b"False", b"1", b"None")))
        case 3:
            head = bend(head, len(head) + MORE_BYTES)
        case _:
            data = bend(data, len(data) + MORE_BYTES)
    length: int = len(head) % 256**width
    return file[:8] + length.to_bytes(width, "little") + head + data


def _between(text: bytes, before: bytes, after: bytes, new: bytes) -> bytes:
    start = text.index(before) + len(before)
    return text[:start] + new + text[text.index(after, start) :]


def _chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(file):
        length = int.from_bytes(file[at : at + 4])
        yield file[at + 4 : at + 8], file[at + 8 : at + 8 + length]
        at += 12 + length


def _jpeg(file: bytes, random: Random, bend: Bend) -> bytes:
    """One segment is another one, of the length that it says."""
    segments = file.split(b"\xff")
    at = random.randrange(1, len(segments))
    kind, content = segments[at][:1], segments[at][3:]
    match random.randrange(4):
        case 0:
            content = bend(content, len(content) + MORE_BYTES)
            segments[at] = kind + (len(content) + 2).to_bytes(2) + content
        case 1:
            segments.insert(at, segments[at])
        case 2:
            segments[at] = random.randbytes(1) + segments[at][1:]
        case _:
            segments[at] = bend(segments[at], len(segments[at]) + MORE_BYTES)
    return b"\xff".join(segments)


OF_DECODER: dict[str, Mutation] = {
    "safetensors": safetensors,
    "npy": npy,
    "images": images,
    "base64": in_json,
    "raw": raw_tensors,
    "forms": forms,
}

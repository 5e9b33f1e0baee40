"""What reads bodies, as functions of bytes that a fuzzer can call: each body is read, or refused by a declared problem.

A decoder here is all that the service does with a body before it touches the ledger: the parser of the encoding, and
what the rows must be for a model. What is accepted is read again from its stored form, which must be the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bayes import Categorical, Gaussian, Input, Output
from service.asked import Way
from service.blobs import contents_of
from service.encodings import BodyKind, Encoding
from service.posted import batch_posted, prediction_posted
from service.rejected import Rejected
from service.rows import inputs_of

ROWS_MAX, BYTES_MAX = 64, 2**20

PAIR = Input(shape=(2,), dtype="float32")
GREY = Input(shape=(1, 8, 8), dtype="uint8")
COLOURS = Input(shape=(3, 8, 8), dtype="float32")
NAMED = Categorical(3, ("cat", "dog", "owl"))
NUMBERS = Gaussian(dims=2, noise=0.5)

ACCEPTED = "accepted"

Decoder = Callable[[bytes], list[str]]
"""What came of the body at each call that takes it; anything but a declared problem is raised."""


def safetensors(raw: bytes) -> list[str]:
    kind = BodyKind(Encoding.SAFETENSORS)
    return [
        _outcome(lambda: _batch(raw, kind, of=PAIR, labeled=NAMED)),
        _outcome(lambda: _prediction(raw, kind, of=GREY)),
        _outcome(lambda: contents_of(raw)),
    ]


def npy(raw: bytes) -> list[str]:
    """Npz where it begins as a zip archive does, else npy."""
    if raw.startswith(b"PK"):
        kind = BodyKind(Encoding.NPZ)
        return [
            _outcome(lambda: _batch(raw, kind, of=PAIR, labeled=NUMBERS)),
            _outcome(lambda: _prediction(raw, kind, of=GREY)),
        ]
    kind = BodyKind(Encoding.NPY)
    return [_outcome(lambda: _prediction(raw, kind, of=PAIR)), _outcome(lambda: _prediction(raw, kind, of=GREY))]


def images(raw: bytes) -> list[str]:
    kind = BodyKind(Encoding.PNG)
    return [_outcome(lambda: _prediction(raw, kind, of=GREY)), _outcome(lambda: _prediction(raw, kind, of=COLOURS))]


def base64(raw: bytes) -> list[str]:
    """JSON, whose arrays are base64 or lists."""
    kind = BodyKind(Encoding.JSON)
    return [
        _outcome(lambda: _batch(raw, kind, of=PAIR, labeled=NAMED)),
        _outcome(lambda: _batch(raw, kind, of=GREY, labeled=NUMBERS)),
        _outcome(lambda: _prediction(raw, kind, of=PAIR)),
    ]


def raw_tensors(raw: bytes) -> list[str]:
    """The first two bytes are what the header says: how many of the others are JSON."""
    length = int.from_bytes(raw[:2], "little")
    kind = BodyKind(Encoding.RAW, header_length=str(length))
    return [
        _outcome(lambda: _batch(raw[2:], kind, of=PAIR, labeled=NAMED)),
        _outcome(lambda: _prediction(raw[2:], kind, of=GREY)),
    ]


def forms(raw: bytes) -> list[str]:
    """The first line is the Content-Type."""
    content_type, _, body = raw.partition(b"\n")
    kind = BodyKind(Encoding.FORM, content_type.decode("latin-1"))
    return [
        _outcome(lambda: _batch(body, kind, of=GREY, labeled=NAMED)),
        _outcome(lambda: _prediction(body, kind, of=COLOURS)),
    ]


def _batch(raw: bytes, kind: BodyKind, *, of: Input, labeled: Output) -> None:
    rows = batch_posted(raw, kind=kind, of=of, labeled=labeled, rows_max=ROWS_MAX, bytes_max=BYTES_MAX)
    rows.label_counts()
    stored = rows.to_bytes()
    as_stored = BodyKind(Encoding.SAFETENSORS)
    again = batch_posted(stored, kind=as_stored, of=of, labeled=labeled, rows_max=ROWS_MAX, bytes_max=BYTES_MAX)
    assert again.to_bytes() == stored, "its stored form reads as other rows"


def _prediction(raw: bytes, kind: BodyKind, *, of: Input) -> None:
    posted, _ = prediction_posted(raw, kind=kind, of=of, way=Way(), rows_max=ROWS_MAX, bytes_max=BYTES_MAX)
    rows: np.ndarray[Any, Any] = inputs_of(posted, of=of, rows_max=ROWS_MAX)
    assert (rows.dtype.name, rows.shape[1:]) == (of.dtype, tuple(of.shape)), "its rows are not the model's"
    assert np.isfinite(rows).all(), "its rows are not finite"


def _outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except Rejected as refusal:
        if refusal.status >= 500:
            raise
        # Where the fault is may be in words of the body's own, of which there are too many to tell apart.
        said = [fault.message for fault in refusal.faults] or [str(refusal)]
        return f"{refusal.code} {said[0]}"
    return ACCEPTED


DECODERS: dict[str, Decoder] = {
    "safetensors": safetensors,
    "npy": npy,
    "images": images,
    "base64": base64,
    "raw": raw_tensors,
    "forms": forms,
}

"""Learns every published posterior once more, from its recorded parent, chunk and recipe: the digest must be equal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.progress import track
from sqlalchemy import Engine

import bayes
from client.tensors import safetensors_body
from client.wire import SAFETENSORS
from service.encodings import BodyKind, Encoding
from service.posted import batch_posted
from store.blobs import Blobs
from store.errors import BlobMissing
from store.folder import Folder
from store.history import History
from store.values import BatchRow, Claim, ModelRow, VersionRow
from tests.storm.clients import rows_of
from worker.absorb import absorb


def recomputed(engine: Engine, blobs: Blobs, scratch: Path) -> tuple[int, list[str]]:
    """How many posteriors were learned once more, and a sentence for each that came out otherwise.

    Rows that retention has removed are taken from those who posted them.
    """
    history, copies = History(engine), Folder(scratch)
    count, wrong = 0, []
    for model in history.models():
        batches = {batch.number: batch for batch in _batches(history, model.name)}
        for version in track(list(_versions(history, model.name)), description=f"learning {model.name} once more"):
            claim = _claim(history, model, version, batches)
            rows = {batches[number].digest: batches[number] for number in claim.batches}
            for digest in (claim.prior_digest, *rows):
                if not copies.holds(digest):
                    copies.put(_read(blobs, model, digest, rows.get(digest)))
            again = absorb(
                claim, copies, device="cpu", missing_labels=[], progress=lambda _: None, check=lambda: None
            ).digest
            count += 1
            if again != version.digest:
                wrong.append(f"{model.name}: version {version.number} is {version.digest}, and learned again {again}")
    return count, wrong


def _claim(history: History, model: ModelRow, version: VersionRow, batches: dict[int, BatchRow]) -> Claim:
    """The claim that the version was published under, as far as it determines the posterior."""
    assert version.update is not None
    assert version.parent is not None
    update = history.update(model.name, version.update)
    return Claim(
        model_id=model.id,
        model=model.name,
        description=model.description,
        update=version.update,
        attempt=1,
        failures=0,
        chunk=update.chunk,
        prior=version.parent,
        prior_digest=history.version(model.name, version.parent).digest,
        root_digest=history.version(model.name, 0).digest,
        batches=tuple(update.batches),
        batch_digests=tuple(batches[number].digest for number in update.batches),
        rows=version.rows,
        released=frozenset(),
        lease_seconds=1.0,
        head_seq=0,
    )


def _read(blobs: Blobs, model: ModelRow, digest: str, batch: BatchRow | None) -> bytes:
    try:
        return blobs.get(digest)
    except BlobMissing:
        if batch is None or batch.deleted_at is None:
            raise
    x, y = rows_of(model.name, batch.key)
    described = bayes.Model.from_description(model.description)
    return batch_posted(
        safetensors_body({"x": x, "y": y}),
        kind=BodyKind(Encoding.SAFETENSORS, SAFETENSORS),
        of=described.input,
        labeled=described.output,
        rows_max=len(y),
        bytes_max=2**20,
    ).to_bytes()


def _versions(history: History, model: str) -> Iterator[VersionRow]:
    after = 0
    while page := history.versions(model, after=after):
        yield from page
        after = page[-1].number


def _batches(history: History, model: str) -> Iterator[BatchRow]:
    after = 0
    while page := history.batches(model, after=after):
        yield from page
        after = page[-1].number

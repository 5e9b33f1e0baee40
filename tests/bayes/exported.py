"""Exported versions, and ways to spoil them."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from bayes import Model, Posterior
from bayes.about import About, read_about
from bayes.exports import ABOUT, POSTERIOR, ROOT, STATE_DICT, WEIGHTS, write_export
from bayes.lineage import AbsorbedBatch, Ancestor, Lineage
from bayes.zips import pack, unpack

Files = dict[str, bytes]
Json = dict[str, Any]
DIGEST = f"sha256:{'a' * 64}"


def lineage_of(posteriors: Sequence[Posterior]) -> Lineage:
    """A line of these, the first of them its root, each later one with a batch of 20 rows."""
    return tuple(
        Ancestor(
            model="images",
            version=number,
            parent=number - 1 if number else None,
            digest=posterior.digest,
            kl_nats=float(number),
            rows=20 if number else 0,
            chunk=number or None,
            batches=(AbsorbedBatch(number, 20, DIGEST),) if number else (),
            created_at="2026-11-28T00:00:00+00:00",
        )
        for number, posterior in enumerate(posteriors)
    )


def about_of(model: Model, posteriors: Sequence[Posterior]) -> About:
    return About(
        model="images",
        version=len(posteriors) - 1,
        digest=posteriors[-1].digest,
        root_digest=posteriors[0].digest,
        description={"name": "images", **model.to_description(), "chunk": {"rows": 20, "seconds": None}},
        posted=None,
        lineage=lineage_of(posteriors),
        report={"prequential": {"rows": 20, "nll": 1.1}},
        posterity="0.0.1",
        torch="2",
    )


def exported(model: Model, posteriors: Sequence[Posterior], weights: bytes | None = None) -> bytes:
    """The archive of the last of these, a line from its root."""
    about = about_of(model, posteriors)
    return write_export(about, posterior=posteriors[-1].to_bytes(), root=posteriors[0].to_bytes(), weights=weights)


def files_of(archive: bytes) -> Files:
    return unpack(archive, required=(ABOUT,), optional=(POSTERIOR, ROOT, STATE_DICT, WEIGHTS))


def spoiled(archive: bytes, spoil: Callable[[Files], object]) -> bytes:
    """The archive with other files, in a sound zip."""
    files = files_of(archive)
    spoil(files)
    return pack(files)


def told_otherwise(archive: bytes, change: Callable[[Json], object]) -> bytes:
    """The archive whose `export.json` says something else."""

    def spoil(files: Files) -> None:
        told = json.loads(files[ABOUT])
        change(told)
        files[ABOUT] = json.dumps(told).encode()

    return spoiled(archive, spoil)


def about_in(archive: bytes) -> About:
    return read_about(files_of(archive)[ABOUT])

"""What the command line prints: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from client.api_keys import Key
from client.blobs import Blob
from client.moves import Alias, Move
from client.values import Batch, Deletion, Model, Prequential, Resource, Update, Version

R = TypeVar("R", bound=Resource)
PIPE_COLUMNS = 200


def console() -> Console:
    """A console on stdout; wide enough not to fold a table where stdout is no terminal."""
    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)


def print_json(value: object) -> None:
    Console(soft_wrap=True, highlight=False, markup=False).print(json.dumps(value, indent=2), soft_wrap=True)


def print_resources(found: Sequence[R], shown: Callable[[Sequence[R]], Table], *, as_json: bool) -> None:
    if as_json:
        print_json([one.raw for one in found])
    else:
        console().print(shown(found))


def print_resource(found: R, shown: Callable[[Sequence[R]], Table], *, as_json: bool) -> None:
    if as_json:
        print_json(found.raw)
    else:
        console().print(shown([found]))


def models_table(models: Iterable[Model]) -> Table:
    rows = (
        (
            m.name, _net(m), m.family, m.head, m.versions, m.batches, m.rows, m.pending.rows,
            m.updates.get("queued", 0) + m.updates.get("running", 0), m.updates.get("failed", 0),
            moment(m.created_at),
        )
        for m in models
    )  # fmt: skip
    titles = ("model", "net", "family", "head", "versions", "batches", "rows", "pending rows")
    return table((*titles, "updates to go", "failed", times("created")), rows)


def versions_table(versions: Iterable[Version]) -> Table:
    def row(version: Version) -> tuple[object, ...]:
        score = version.prequential or Prequential(rows=0)
        return (
            version.version, ", ".join(version.aliases), version.parent, version.chunk, version.rows,
            version.evidence.rows, number(version.kl_nats, 1), number(score.accuracy, 4),
            number(score.nll, 4), number(score.ece, 4), number(version.seconds, 1),
            version.digest[:19], moment(version.created_at),
        )  # fmt: skip

    titles = ("version", "aliases", "parent", "chunk", "rows", "evidence rows", "KL to parent, nats")
    scores = ("accuracy before", "NLL before", "ECE before", "seconds", "digest", times("created"))
    return table((*titles, *scores), map(row, versions))


def updates_table(updates: Iterable[Update]) -> Table:
    def row(update: Update) -> tuple[object, ...]:
        progress = f"{update.progress.step}/{update.progress.steps}" if update.progress else ""
        remarks = [*update.warnings, *([update.error.message] if update.error else [])]
        return (
            update.update, update.state, update.chunk, update.rows, update.prior, update.version,
            update.attempt, progress, "; ".join(remarks), moment(update.created_at),
        )  # fmt: skip

    titles = ("update", "state", "chunk", "rows", "prior", "version", "attempt", "steps", "remarks", times("created"))
    return table(titles, map(row, updates))


def batches_table(batches: Iterable[Batch]) -> Table:
    rows = (
        (b.batch, b.rows, b.state, b.chunk, ", ".join(map(str, b.absorbed_in)), b.key, moment(b.accepted_at), _gone(b))
        for b in batches
    )
    titles = ("batch", "rows", "state", "chunk", "absorbed in", "key", times("accepted"), times("deleted"))
    return table(titles, rows)


def _gone(batch: Batch) -> str:
    return "" if batch.deleted_at is None else moment(batch.deleted_at)


def deletions_table(deletions: Iterable[Deletion]) -> Table:
    rows = (
        (d.batch, d.deleted_by, d.reason, moment(d.deleted_at), ", ".join(map(str, d.learned_by)), d.bytes_removed)
        for d in deletions
    )
    return table(("batch", "deleted by", "reason", times("deleted"), "learned by", "bytes removed"), rows)


def tensors_table(blobs: Iterable[Blob]) -> Table:
    """One row for each tensor of the blobs."""
    rows = ((b.blob, name, t.dtype, list(t.shape)) for b in blobs for name, t in b.tensors.items())
    return table(("blob", "tensor", "type", "shape"), rows)


def aliases_table(aliases: Iterable[Alias]) -> Table:
    rows = ((a.alias, a.version, a.seq, a.moved_by, a.reason, moment(a.moved_at)) for a in aliases)
    return table(("alias", "version", "seq", "moved by", "reason", times("moved")), rows)


def keys_table(keys: Iterable[Key]) -> Table:
    rows = (
        (
            k.name, ", ".join(k.scopes), k.models, k.requests_per_minute, k.created_by, moment(k.created_at),
            moment(k.expires_at), moment(k.revoked_at),
        )
        for k in keys
    )  # fmt: skip
    named = ("key", "scopes", "models", "requests per minute", "made by")
    return table((*named, times("made"), times("until"), times("revoked")), rows)


def moves_table(moves: Iterable[Move]) -> Table:
    rows = ((m.seq, moment(m.moved_at), m.kind, m.previous, m.version, m.moved_by, m.reason) for m in moves)
    return table(("seq", times("when"), "kind", "from version", "to version", "by", "reason"), rows)


def table(titles: Sequence[str | Column], rows: Iterable[Sequence[object]], *, caption: str | None = None) -> Table:
    """A table without lines; None is empty."""
    drawn = Table(*titles, box=None, caption=caption, caption_justify="left", header_style="bold", pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text("" if value is None else str(value)) for value in row))
    return drawn


def _net(model: Model) -> str:
    return str(model.net.get("kind", ""))


def number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:,.{places}f}"


def times(title: str) -> Column:
    """A column of times, which never folds: each can be pasted as one word."""
    return Column(title, no_wrap=True)


def moment(when: datetime | None) -> str:
    """The time in UTC with its zone, to the microsecond that tells moves apart; None is empty."""
    return "" if when is None else f"{when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"

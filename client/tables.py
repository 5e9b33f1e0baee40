"""What the command line prints: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from rich.console import Console, RenderableType

from client.api_keys import Key
from client.blobs import Blob
from client.columns import Fitted, extra, prose, table, times
from client.moves import Alias, Move
from client.values import Batch, Deletion, Model, Prequential, Resource, Update, Version

R = TypeVar("R", bound=Resource)
PIPE_COLUMNS = 200


def console() -> Console:
    """A console on stdout; wide enough not to fold a table where stdout is no terminal."""
    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)


def show(*found: RenderableType) -> None:
    """All of it is on stdout: what has to be wider than the terminal goes on in its next line."""
    console().print(*found, crop=False, markup=False)


def print_json(value: object) -> None:
    Console(soft_wrap=True, highlight=False, markup=False).print(json.dumps(value, indent=2), soft_wrap=True)


def print_resources(found: Sequence[R], shown: Callable[[Sequence[R]], Fitted], *, as_json: bool) -> None:
    if as_json:
        print_json([one.raw for one in found])
    else:
        show(shown(found))


def print_resource(found: R, shown: Callable[[Sequence[R]], Fitted], *, as_json: bool) -> None:
    if as_json:
        print_json(found.raw)
    else:
        show(shown([found]))


def models_table(models: Iterable[Model]) -> Fitted:
    rows = (
        (
            m.name, _net(m), m.family, m.head, m.versions, m.batches, m.rows, m.pending.rows,
            m.updates.get("queued", 0) + m.updates.get("running", 0), m.updates.get("failed", 0),
            moment(m.created_at),
        )
        for m in models
    )  # fmt: skip
    counted = (extra("versions"), extra("batches"), "rows", "pending rows", "updates to go", "failed")
    return table(("model", extra("net"), extra("family"), "head", *counted, times("created")), rows)


def versions_table(versions: Iterable[Version]) -> Fitted:
    def row(version: Version) -> tuple[object, ...]:
        score = version.prequential or Prequential(rows=0)
        return (
            version.version, ", ".join(version.aliases), version.parent, version.chunk, version.rows,
            version.evidence.rows, number(version.kl_nats, 1), number(score.accuracy, 4),
            number(score.nll, 4), number(score.ece, 4), number(version.seconds, 1),
            version.digest[:19], moment(version.created_at),
        )  # fmt: skip

    titles = ("version", "aliases", "parent", "chunk", "rows", extra("evidence rows"), extra("KL to parent, nats"))
    scores = map(extra, ("accuracy before", "NLL before", "ECE before", "seconds", "digest"))
    return table((*titles, *scores, times("created")), map(row, versions))


def updates_table(updates: Iterable[Update]) -> Fitted:
    def row(update: Update) -> tuple[object, ...]:
        progress = f"{update.progress.step}/{update.progress.steps}" if update.progress else ""
        remarks = [*update.warnings, *([update.error.message] if update.error else [])]
        return (
            update.update, update.state, update.chunk, update.rows, update.prior, update.version,
            update.attempt, progress, "; ".join(remarks), moment(update.created_at),
        )  # fmt: skip

    titles = ("update", "state", "chunk", "rows", extra("prior"), "version", extra("attempt"), extra("steps"))
    return table((*titles, prose("remarks"), times("created")), map(row, updates))


def batches_table(batches: Iterable[Batch]) -> Fitted:
    rows = (
        (b.batch, b.rows, b.state, b.chunk, ", ".join(map(str, b.absorbed_in)), b.key, moment(b.accepted_at), _gone(b))
        for b in batches
    )
    titles = ("batch", "rows", "state", "chunk", "absorbed in", extra("key"), times("accepted"), times("deleted"))
    return table(titles, rows)


def _gone(batch: Batch) -> str:
    return "" if batch.deleted_at is None else moment(batch.deleted_at)


def deletions_table(deletions: Iterable[Deletion]) -> Fitted:
    rows = (
        (d.batch, d.deleted_by, d.reason, moment(d.deleted_at), ", ".join(map(str, d.learned_by)), d.bytes_removed)
        for d in deletions
    )
    titles = ("batch", "deleted by", prose("reason"), times("deleted"), prose("learned by"), extra("bytes removed"))
    return table(titles, rows)


def tensors_table(blobs: Iterable[Blob]) -> Fitted:
    """One row for each tensor of the blobs."""
    rows = ((b.blob, name, t.dtype, list(t.shape)) for b in blobs for name, t in b.tensors.items())
    return table(("blob", "tensor", "type", "shape"), rows)


def aliases_table(aliases: Iterable[Alias]) -> Fitted:
    rows = ((a.alias, a.version, a.seq, a.moved_by, a.reason, moment(a.moved_at)) for a in aliases)
    return table(("alias", "version", extra("seq"), extra("moved by"), prose("reason"), times("moved")), rows)


def keys_table(keys: Iterable[Key]) -> Fitted:
    rows = (
        (
            k.name, ", ".join(k.scopes), k.models, k.requests_per_minute, k.created_by, moment(k.created_at),
            moment(k.expires_at), moment(k.revoked_at),
        )
        for k in keys
    )  # fmt: skip
    named = ("key", "scopes", prose("models"), extra("requests per minute"), extra("made by"))
    return table((*named, times("made"), times("until"), times("revoked")), rows)


def moves_table(moves: Iterable[Move]) -> Fitted:
    rows = ((m.seq, moment(m.moved_at), m.kind, m.previous, m.version, m.moved_by, m.reason) for m in moves)
    when = times("when", is_extra=False)
    return table(("seq", when, "kind", "from version", "to version", extra("by"), prose("reason")), rows)


def _net(model: Model) -> str:
    return str(model.net.get("kind", ""))


def number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:,.{places}f}"


def moment(when: datetime | None) -> str:
    """The time in UTC with its zone, to the microsecond that tells moves apart; None is empty."""
    return "" if when is None else f"{when.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"

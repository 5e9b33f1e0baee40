"""What is true of a sound ledger at every moment, looked at from outside: the doctor, the tests and the storm ask this.

Each question is answered from one pass over a model's rows, so 10,000 versions on one line take a moment. The reader
needs a transaction that sees one moment (`store.engine.for_examining`): between two looks a live ledger moves.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise

from sqlalchemy import Connection, func, select

from store.books import Books, books_of
from store.divided_books import absorbed_by, faults_of_divisions
from store.import_books import brought, faults_of_import
from store.kinds import HEAD, OPEN, Publication, UpdateState
from store.labeled import mislabeled
from store.lines import Absorbed, Lines
from store.move_books import faults_of_head, faults_of_moves
from store.part_books import faults_of_comebacks, faults_of_decisions, faults_of_forgets, faults_of_parts
from store.placed import placed
from store.schema.beside import events
from store.schema.learning import models
from store.tombstones import named_and_buried


def violations(connection: Connection) -> list[str]:
    """A sentence for everything wrong with the books, which names the model and the thing; none when they are sound."""
    found = connection.execute(select(models.c.id, models.c.name, models.c.imported).order_by(models.c.id)).all()
    faults = [
        f"{row.name}: {fault}"
        for row in found
        for fault in _faults(books_of(connection, row.id, imported=row.imported))
    ]
    return [*faults, *_untold(connection), *_buried(connection), *mislabeled(connection)]


def _untold(connection: Connection) -> Iterator[str]:
    """The events of each model are numbered without a gap."""
    counts = (func.count().label("count"), func.max(events.c.number).label("newest"))
    query = select(models.c.name, *counts).join(models, models.c.id == events.c.model_id).group_by(models.c.name)
    for row in connection.execute(query.order_by(models.c.name)):
        if row.count != row.newest:
            yield f"{row.name}: of events 1 to {row.newest} there are {row.count}"


def _buried(connection: Connection) -> Iterator[str]:
    """Nothing names a digest whose bytes are removed."""
    return (f"the blob {digest} is named by a row, and buried" for digest in named_and_buried(connection))


def _faults(books: Books) -> Iterator[str]:
    omitted = books.omitted
    spans = {chunk.number: (chunk.batch_first, chunk.batch_last) for chunk in books.chunks}
    absorbed = (
        Absorbed(row.number, row.parent, row.chunk, omitted.get(row.update, frozenset())) for row in books.versions
    )
    lines = Lines(absorbed, spans)
    yield from _numbered(books)
    yield from _batches(books)
    yield from _chunks(books)
    yield from _updates(books, lines, omitted)
    yield from _deletions(books, omitted)
    yield from _versions(books)
    yield from faults_of_import(books.imported, books.versions)
    yield from placed(books.versions)
    yield from faults_of_parts(
        batches=books.batches, updates=books.updates, versions=books.versions, omitted=omitted, spans=spans
    )
    yield from faults_of_decisions(books.parkings)
    yield from faults_of_forgets(
        forgets=books.forgets,
        updates=books.updates,
        versions=books.versions,
        moves=books.moves,
        spans=spans,
        lines=lines,
    )
    absorbed_batches = absorbed_by(books.versions, omitted, spans)
    of_head = [row.version for row in books.moves if row.alias == HEAD]
    yield from faults_of_comebacks(
        of_head[-1] if of_head else None,
        parkings=books.parkings,
        forgets=books.forgets,
        versions=books.versions,
        absorbed=absorbed_batches,
        lines=lines,
    )
    yield from faults_of_divisions(
        forgets=books.forgets,
        updates=books.updates,
        versions=books.versions,
        moves=books.moves,
        absorbed=absorbed_batches,
        lines=lines,
    )
    yield from (f"version {version} counts chunk {chunk} {count} times" for version, chunk, count in lines.repeated)
    yield from faults_of_moves(books)
    yield from faults_of_head(books, lines)


def _numbered(books: Books) -> Iterator[str]:
    """Numbers are given out without a gap, so a row that vanished is missed."""
    kinds = {
        "batch": books.batches,
        "chunk": books.chunks,
        "update": books.updates,
        "version": books.versions,
        "forget": books.forgets,
    }
    for noun, rows in kinds.items():
        before = -1 if noun == "version" else 0
        for earlier, later in pairwise([before, *(row.number for row in rows)]):
            yield from (f"{noun} {number} is missing" for number in range(earlier + 1, later))


def _batches(books: Books) -> Iterator[str]:
    for key, count in Counter(row.key for row in books.batches).items():
        if count > 1:
            yield f"the idempotency key '{key}' names {count} batches"


def _chunks(books: Books) -> Iterator[str]:
    """Chunks follow each other without gap or overlap, hold the rows of their batches, and somebody absorbs them."""
    numbers = [row.number for row in books.batches]
    totals = list(accumulate((row.rows for row in books.batches), initial=0))
    wanted = {row.chunk for row in books.updates}
    expected = 1
    for chunk in books.chunks:
        first, last = chunk.batch_first, chunk.batch_last
        if first != expected:
            yield f"chunk {chunk.number} begins at batch {first} instead of {expected}"
        if last < first or not numbers or last > numbers[-1]:
            yield f"chunk {chunk.number} ends at batch {last}, which it cannot"
        held = totals[bisect_right(numbers, last)] - totals[bisect_left(numbers, first)]
        if held != chunk.rows:
            yield f"chunk {chunk.number} says {chunk.rows} rows, its batches hold {held}"
        if chunk.number not in wanted:
            yield f"chunk {chunk.number} has no update: nobody will absorb it"
        expected = last + 1


def _updates(books: Books, lines: Lines, omitted: dict[int, frozenset[int]]) -> Iterator[str]:
    """One runs at most, under a lease; each batch waits in one open update at most; the state and the columns agree."""
    open_ = [row for row in books.updates if row.state in OPEN]
    running = [row for row in open_ if row.state == UpdateState.RUNNING]
    if len(running) > 1:
        yield f"updates {', '.join(str(row.number) for row in running)} run at once"
    spans = {chunk.number: range(chunk.batch_first, chunk.batch_last + 1) for chunk in books.chunks}
    waiting = Counter(row.chunk for row in open_)
    for chunk in (chunk for chunk, count in waiting.items() if count > 1):
        of_chunk = [omitted.get(row.number, frozenset()) for row in open_ if row.chunk == chunk]
        times = Counter(batch for left_out in of_chunk for batch in spans.get(chunk, ()) if batch not in left_out)
        if any(count > 1 for count in times.values()) or chunk not in spans:
            yield f"chunk {chunk} waits in {len(of_chunk)} updates at once"
    for row in running:
        if None in (row.owner, row.lease_until, row.prior, row.started_at):
            yield f"update {row.number} runs without an owner, a lease or a prior"
        if lines.has_learned(row.prior, row.chunk, omitted.get(row.number, frozenset())):
            yield f"update {row.number} absorbs chunk {row.chunk} into version {row.prior}, which has learned from it"
    known = {row.number for row in books.chunks}
    for row in books.updates:
        if row.chunk not in known:
            yield f"update {row.number} is of chunk {row.chunk}, which does not exist"
        if row.state != UpdateState.RUNNING and (row.owner, row.lease_until) != (None, None):
            yield f"update {row.number} is {row.state} and still held by '{row.owner}'"
        if (row.finished_at is None) != (row.state in OPEN):
            yield f"update {row.number} is {row.state}, its finish says otherwise"
        if not 0 <= row.failures <= row.attempt:
            yield f"update {row.number} failed {row.failures} times in {row.attempt} attempts"


def _deletions(books: Books, omitted: dict[int, frozenset[int]]) -> Iterator[str]:
    """Rows are given up once they are in a chunk or were given up for learning, and no update waits for them."""
    gone = [row.batch for row in books.deletions]
    last_closed = max((chunk.batch_last for chunk in books.chunks), default=0)
    yield from (
        f"the rows of batch {batch} are deleted before it was in a chunk"
        for batch in gone
        if batch > last_closed and batch not in books.discarded
    )
    spans = {chunk.number: (chunk.batch_first, chunk.batch_last) for chunk in books.chunks}
    for update in books.updates:
        if update.state not in OPEN:
            continue
        first, last = spans.get(update.chunk, (1, 0))
        left_out = omitted.get(update.number, frozenset())
        if update.state == UpdateState.QUEUED:
            # What was set aside by then, it leaves out once it is claimed.
            left_out |= books.discarded
        held = gone[bisect_left(gone, first) : bisect_right(gone, last)]
        if any(batch not in left_out for batch in held):
            yield f"update {update.number} is to absorb chunk {update.chunk}, whose rows are deleted"


def _versions(books: Books) -> Iterator[str]:
    """Each but the root has an earlier parent, and is what its update says: that chunk, absorbed into that prior."""
    updates_ = {row.number: row for row in books.updates}
    numbers = {row.number for row in books.versions}
    if 0 not in numbers:
        yield "version 0, the root prior, is missing"
    for row in books.versions:
        if row.number == 0:
            if (row.parent, row.chunk, row.update) != (None, None, None):
                yield "version 0 is the root prior, and yet has a parent, a chunk or an update"
            continue
        if row.parent not in numbers or row.parent >= row.number:
            yield f"version {row.number} has parent {row.parent}, which is not an earlier version"
        if row.number in brought(books.imported) or row.publication == Publication.APPROXIMATE:
            continue
        if (update := updates_.get(row.update)) is None:
            yield f"version {row.number} names update {row.update}, which does not exist"
        elif (update.prior, update.chunk) != (row.parent, row.chunk):
            yield (
                f"version {row.number} is chunk {row.chunk} absorbed into version {row.parent}, "
                f"its update {row.update} says chunk {update.chunk} into {update.prior}"
            )
    born = Counter(row.update for row in books.versions if row.update is not None)
    yield from (f"update {update} was published {count} times" for update, count in born.items() if count > 1)
    published = {row.number for row in books.updates if row.state == UpdateState.PUBLISHED}
    for update in sorted(published ^ set(born)):
        yield f"update {update} and the versions disagree about its being published"

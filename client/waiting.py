"""Calls that take time: they ask again until what is waited for has happened."""

import time
from collections.abc import Callable

from client import calls
from client.calls import Call
from client.errors import HeadUndecided, RowsLeftPending, UpdateUnpublished, WaitTimedOut
from client.values import Batch, Model, Update
from client.wire import get

POLL_SECONDS = 0.1


def wait(
    model: str,
    update: int | None = None,
    *,
    batch: int | None = None,
    progress: Callable[[Update], None] | None = None,
    timeout_seconds: float | None = None,
    poll_seconds: float = POLL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Call[Update]:
    """The update is published; instead of its number, a batch may be given whose newest update is meant.

    `progress` is called with the update each time it was looked at.

    Raises:
        UpdateUnpublished: it failed or was cancelled.
        WaitTimedOut: it did not end within `timeout_seconds`.
        RowsLeftPending: the batch waits for more rows.
    """
    deadline = None if timeout_seconds is None else clock() + timeout_seconds
    if update is None:
        if batch is None:
            raise TypeError("wait() wants an update or a batch; settle() waits for everything")
        update = yield from _update_of(model, batch, deadline=deadline, poll_seconds=poll_seconds, clock=clock)
    current = yield from calls.read_update(model, update)
    while True:
        if progress is not None:
            progress(current)
        if current.state == "published":
            return current
        if current.state in ("failed", "cancelled"):
            reason = current.error.message if current.error else ""
            verb = "failed" if current.state == "failed" else "was cancelled"
            raise UpdateUnpublished(model, update, state=verb, reason=reason)
        _stop_at(deadline, clock, f"Update {update} of model {model} is still {current.state}")
        current = yield from calls.read_update(model, update, after_seconds=poll_seconds)


def settle(
    model: str,
    *,
    progress: Callable[[Model], None] | None = None,
    timeout_seconds: float | None = None,
    poll_seconds: float = POLL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Call[Model]:
    """No row of the model is pending and no update of it is queued or running.

    Raises:
        RowsLeftPending: rows are pending that nothing will close by itself.
        HeadUndecided: updates wait until somebody moves head.
        WaitTimedOut: that took more than `timeout_seconds`.
    """
    deadline = None if timeout_seconds is None else clock() + timeout_seconds
    current = yield from calls.model(model)
    while True:
        if progress is not None:
            progress(current)
        busy = current.updates.get("queued", 0) + current.updates.get("running", 0)
        if not busy and not current.pending.rows:
            return current
        if not busy:
            _refuse_endless_wait(current)
        if current.undecided is not None:
            raise HeadUndecided(model, current.undecided, waiting=busy)
        _stop_at(deadline, clock, f"Model {model} has {busy} updates to go and {current.pending.rows} rows pending")
        current = yield from calls.ask(get("models", model, after_seconds=poll_seconds), Model)


def _update_of(
    model: str, batch: int, *, deadline: float | None, poll_seconds: float, clock: Callable[[], float]
) -> Call[int]:
    """The number of the newest update of the chunk that holds the batch, once it is in one."""
    current = yield from calls.batch(model, batch)
    while current.chunk is None:
        _refuse_endless_wait((yield from calls.model(model)))
        _stop_at(deadline, clock, f"Batch {batch} of model {model} is still {current.state}")
        path = ("models", model, "batches", batch)
        current = yield from calls.ask(get(*path, after_seconds=poll_seconds), Batch)
    found = yield from calls.updates(model)
    return max(update.update for update in found if update.chunk == current.chunk)


def _refuse_endless_wait(model: Model) -> None:
    rows = int(model.chunk["rows"])
    if 0 < model.pending.rows < rows and model.chunk.get("seconds") is None:
        raise RowsLeftPending(model.name, model.pending.rows, chunk_rows=rows)


def _stop_at(deadline: float | None, clock: Callable[[], float], situation: str) -> None:
    if deadline is not None and clock() >= deadline:
        raise WaitTimedOut(f"{situation}; the time given for waiting is over. Nothing was cancelled.")

"""Calls that take time: they ask again until what is waited for has happened."""

import time
from collections.abc import Callable
from typing import TypeVar

from client import calls
from client.bars import Told, UpdateBar, update_bar
from client.calls import Call
from client.errors import GO_ON_WAITING, HeadUndecided, RowsLeftPending, UpdateUnpublished, WaitTimedOut
from client.values import Batch, Model, Update
from client.wire import get

T = TypeVar("T")
POLL_SECONDS = 0.1


def wait(
    model: str,
    update: int | None = None,
    *,
    batch: int | None = None,
    progress: Told[Update] = None,
    left_pending: Callable[[Model], None] | None = None,
    timeout_seconds: float | None = None,
    poll_seconds: float = POLL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Call[Update]:
    """The update is published; instead of its number, a batch may be given whose newest update is meant.

    `progress` is called with the update each time it was looked at; True draws its steps and its evidence lower bound,
    where there is a terminal. `left_pending` is called once, with the model, where the batch's chunk is not full.

    Raises:
        UpdateUnpublished: it failed or was cancelled.
        WaitTimedOut: it did not end within `timeout_seconds`.
        RowsLeftPending: the batch waits for more rows.
    """
    deadline = None if timeout_seconds is None else clock() + timeout_seconds
    with update_bar(model, is_wanted=progress is True) as bar:
        if update is None:
            if batch is None:
                raise TypeError("wait() wants an update or a batch; settle() waits for everything")
            tell = _telling(bar, left_pending)
            closing = _update_of(model, batch, tell, deadline=deadline, poll_seconds=poll_seconds, clock=clock)
            update = yield from closing
        current = yield from calls.read_update(model, update)
        while True:
            _tell(current, progress, None if bar is None else bar.show)
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
    progress: Told[Model] = None,
    timeout_seconds: float | None = None,
    poll_seconds: float = POLL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Call[Model]:
    """No row of the model is pending and no update of it is queued or running.

    `progress` is called with the model each time it was looked at; True draws the steps of the running update and its
    evidence lower bound, where there is a terminal.

    Raises:
        RowsLeftPending: rows are pending that nothing will close by itself.
        HeadUndecided: updates wait until somebody moves head.
        WaitTimedOut: that took more than `timeout_seconds`.
    """
    deadline = None if timeout_seconds is None else clock() + timeout_seconds
    current = yield from calls.model(model)
    with update_bar(model, is_wanted=progress is True) as bar:
        while True:
            _tell(current, progress, None if bar is None else bar.waits)
            busy = current.updates.get("queued", 0) + current.updates.get("running", 0)
            if not busy and not current.pending.rows:
                return current
            if not busy:
                _refuse_endless_wait(current)
            if current.undecided is not None:
                raise HeadUndecided(model, current.undecided, waiting=busy)
            _stop_at(deadline, clock, f"Model {model} has {busy} updates to go and {current.pending.rows} rows pending")
            if bar is not None and current.updates.get("running", 0):
                yield from _show_running(current, bar)
            current = yield from calls.ask(get("models", model, after_seconds=poll_seconds), Model)


def _show_running(model: Model, bar: UpdateBar) -> Call[None]:
    """The running update is drawn: where updates come in their order, the first after all that have ended."""
    ended = sum(count for state, count in model.updates.items() if state not in ("queued", "running"))
    found = yield from calls.read_update(model.name, ended + 1)
    if found.state == "running":
        bar.show(found)


def _tell(current: T, progress: Told[T], draw: Callable[[T], None] | None) -> None:
    if callable(progress):
        progress(current)
    elif draw is not None:
        draw(current)


def _telling(bar: UpdateBar | None, left_pending: Callable[[Model], None] | None) -> Callable[[Model], None]:
    """What draws the rows that are pending, and says once that they stay so."""
    is_told = left_pending is None

    def tell(model: Model) -> None:
        nonlocal is_told
        if bar is not None:
            bar.waits(model)
        if left_pending is not None and not is_told and 0 < model.pending.rows < int(model.chunk["rows"]):
            is_told = True
            left_pending(model)

    return tell


def _update_of(
    model: str,
    batch: int,
    tell: Callable[[Model], None],
    *,
    deadline: float | None,
    poll_seconds: float,
    clock: Callable[[], float],
) -> Call[int]:
    """The number of the newest update of the chunk that holds the batch, once it is in one."""
    current = yield from calls.batch(model, batch)
    while current.chunk is None:
        described = yield from calls.model(model)
        _refuse_endless_wait(described)
        tell(described)
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
        raise WaitTimedOut(f"{situation}; the time given for waiting is over", GO_ON_WAITING)

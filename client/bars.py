"""Progress bars: on a terminal, for whoever asked for one, and nowhere else."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from client.values import Model, Update
from client.values_of_decisions import Forget
from client.wire import Watch

T = TypeVar("T")
Told = bool | Callable[[T], None] | None
"""True shows a bar where there is a terminal; a function is told instead, wherever it runs."""


def is_drawn(console: Console) -> bool:
    """Whether a bar can be drawn: not into files and pipes, nor into what a notebook keeps."""
    return sys.stderr.isatty() and not console.is_jupyter and not console.is_dumb_terminal


@contextmanager
def bytes_bar(what: str, told: "Told[tuple[int, int | None]]") -> Iterator[Watch | None]:
    """What is to be told how many bytes have gone, of how many; None where nobody asked."""
    console = Console(stderr=True)
    if callable(told):
        tell = told
        yield lambda done, size: tell((done, size))
    elif not told or not is_drawn(console):
        yield None
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, size: bar.update(task, completed=done, total=size)


class UpdateBar:
    """The steps of an update and its evidence lower bound."""

    def __init__(self, bar: Progress, what: str) -> None:
        self._bar, self._what = bar, what
        self._task = bar.add_task(what, total=None, said="")

    def show(self, update: Update) -> None:
        at = update.progress
        elbo = "" if at is None or at.elbo is None else f"  ELBO {at.elbo:,.1f} nats"
        self._bar.update(
            self._task,
            description=f"{self._what}: update {update.update} {update.state}",
            completed=0 if at is None else at.step,
            total=None if at is None else at.steps,
            said="" if at is None else f"step {at.step}/{at.steps or '?'}{elbo}",
        )

    def waits(self, model: Model) -> None:
        """Nothing runs at the moment."""
        queued = model.updates.get("queued", 0)
        pending, rows = model.pending.rows, int(model.chunk["rows"])
        said = f"{queued} updates queued" if queued else f"{pending:,} of {rows:,} rows pending"
        done, total = (0, None) if queued else (pending, rows)
        self._bar.update(self._task, description=f"{self._what}: {said}", completed=done, total=total, said="")

    def steps(self, forget: Forget) -> None:
        done, every = forget.steps.published, forget.steps.all
        self._bar.update(self._task, completed=done, total=every, said=f"{done} of {every} steps learned anew")


@contextmanager
def update_bar(what: str, *, is_wanted: bool) -> Iterator[UpdateBar | None]:
    """A bar for what a worker does; None where it is not wanted, or cannot be drawn."""
    console = Console(stderr=True)
    if not is_wanted or not is_drawn(console):
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield UpdateBar(bar, what)

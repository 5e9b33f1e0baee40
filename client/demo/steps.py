"""What the demo does with a service, step by step; each step checks what it promises."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from client.client import Client
from client.demo.data import Dataset
from client.demo.report import Report, score
from client.prediction import Prediction
from client.values import Update

NOISE_ROWS = 360
SHOWN_ROWS = 10
COMPARED_ROWS = 100
SCORED_ROWS = 1000
UPDATE_SECONDS_MAX = 300.0


@dataclass(frozen=True)
class Demo:
    """One model on one service, and the rows it learns from and is judged by."""

    client: Client
    report: Report
    dataset: Dataset
    model: str

    def predict(self, images: NDArray[np.uint8], version: int | None = None) -> Prediction:
        return self.client.predict(self.model, images, version=version)


def free_name(client: Client, wanted: str) -> str:
    """The name itself, or with the first number that no model has."""
    taken = {model.name for model in client.models()}
    names = (wanted, *(f"{wanted}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def stream(demo: Demo) -> None:
    """Every batch was predicted, then posted, then absorbed; one line tells of each version."""
    client, dataset = demo.client, demo.dataset
    held_out = dataset.held_out.first(SCORED_ROWS)
    demo.report.versions_header()
    head = 0
    for rows in dataset.batches:
        before = score(demo.predict(rows.images, head), rows.labels)
        batch = client.ingest(demo.model, rows.images, rows.labels)
        with progress_shown(demo.report.console, f"version {head + 1} of {len(dataset.batches)}") as progress:
            update = client.wait(demo.model, batch=batch.batch, progress=progress, timeout_seconds=UPDATE_SECONDS_MAX)
        head = update.version or 0
        after = score(demo.predict(held_out.images, head), held_out.labels)
        demo.report.version_line(client.version(demo.model, head), before, after, update)
    if len(held_out) < len(dataset.held_out):
        demo.report.say(f"(held out: the first {len(held_out):,} of {len(dataset.held_out):,} rows)")


def check_chain(demo: Demo) -> None:
    """Every version stands on its parent's evidence and more, and head knows the held-out rows."""
    versions = {version.version: version for version in demo.client.versions(demo.model)}
    grown = [
        set(version.evidence.batches or ()) > set(versions[version.parent].evidence.batches or ())
        for version in versions.values()
        if version.parent in versions and version.parent is not None
    ]
    posted = len(demo.dataset.batches)
    demo.report.check(
        holds=all(grown) and sorted(versions)[-posted:] == list(range(1, posted + 1)),
        claim=f"{posted} batches became versions 1 to {posted}; each one's evidence strictly contains its parent's",
    )
    held_out = demo.dataset.held_out
    final = score(demo.predict(held_out.images), held_out.labels)
    due = demo.dataset.accuracy_due
    demo.report.check(
        holds=final.accuracy >= due,
        claim=f"head is right on {final.accuracy:.2%} of {len(held_out):,} held-out rows ({due:.1%} is due)",
    )


def show_ten(demo: Demo) -> None:
    """The same ten held-out rows were shown as version 1 and head see them."""
    demo.report.title(
        "The same ten held-out inputs, by version 1 and by head (entropy in nats; ! marks a wrong answer)"
    )
    rows = demo.dataset.held_out.first(SHOWN_ROWS)
    demo.report.ten_inputs(rows.labels, demo.predict(rows.images, 1), demo.predict(rows.images))


def show_noise(demo: Demo, generator: np.random.Generator) -> None:
    """Head was seen to be less sure of noise than of digits."""
    demo.report.title("An input that is not a digit: uniform noise")
    noise = demo.predict(demo.dataset.noise(NOISE_ROWS, generator))
    digits = demo.predict(demo.dataset.held_out.first(SCORED_ROWS).images)
    demo.report.say(
        f"  one noise image: head says {noise.labels[0]} with probability {noise.probabilities[0].max():.3f}, "
        f"entropy {noise.entropy[0]:.3f} of at most {np.log(noise.probabilities.shape[1]):.3f} nats"
    )
    demo.report.check(
        holds=bool(noise.entropy.mean() > digits.entropy.mean()),
        claim=f"mean entropy of {len(noise)} noise images {noise.entropy.mean():.3f} nats, "
        f"of {len(digits):,} held-out digits {digits.entropy.mean():.3f} nats",
    )


def roll_back_and_forth(demo: Demo) -> None:
    """Head went to version 1 and back by two moves; the next request saw each, and no version changed."""
    client, report = demo.client, demo.report
    report.title("Rollback: one move of head, seen by the next request")
    images = demo.dataset.held_out.first(COMPARED_ROWS).images
    head = demo.client.model(demo.model).head
    old, new = demo.predict(images, 1), demo.predict(images)
    row = int(np.abs(old.probabilities - new.probabilities).max(axis=1).argmax())
    report.say(f"  before: {_answer(new, row)}")
    one = images[row : row + 1]

    asked = time.perf_counter()
    client.rollback(demo.model, to=1, reason="demo: suppose the later batches were mislabeled")
    moved = time.perf_counter()
    next_answer = demo.predict(one)
    answered = time.perf_counter()

    report.say(f"  after:  {_answer(next_answer, 0)}")
    rollback_ms, answer_ms = 1000 * (moved - asked), 1000 * (answered - moved)
    report.say(f"  the rollback took {rollback_ms:.1f} ms, the prediction after it {answer_ms:.1f} ms")
    report.check(
        holds=next_answer.version == 1 and next_answer.probabilities[0].tolist() != new.probabilities[row].tolist(),
        claim="the next request was answered by version 1, and its answer is another",
    )
    report.check(
        holds=demo.predict(images, 1).raw == old.raw and demo.predict(images, head).raw == new.raw,
        claim=f"version 1 and version {head} answer bit for bit as before the rollback",
    )
    alias = client.alias(demo.model, "head")
    client.set_alias(demo.model, "head", head, if_match=alias.seq, reason="demo: they were fine after all")
    report.check(
        holds=demo.predict(images).raw == new.raw, claim=f"head moved forward again to version {head}, and answers so"
    )


def show_history(demo: Demo) -> None:
    """All moves of head were printed, oldest first."""
    demo.report.title("The audit history of head: what was live when, and why")
    moves = sorted(demo.client.history(demo.model), key=lambda move: move.seq)
    demo.report.moves(moves)
    kinds = [move.kind for move in moves]
    posted = len(demo.dataset.batches)
    demo.report.check(
        holds=kinds.count("publish") == posted and kinds[-2:] == ["rollback", "put"],
        claim=f"{len(moves)} moves: {posted} published versions, the rollback, the way back",
    )


@contextmanager
def progress_shown(console: Console, title: str) -> Iterator[Callable[[Update], None]]:
    """A bar that follows the update's steps on a terminal, and is gone afterwards; in a log, nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        line = bar.add_task(title, total=None, note="queued")

        def show(update: Update) -> None:
            if update.progress is not None:
                elbo = "" if update.progress.elbo is None else f", ELBO {update.progress.elbo:,.0f} nats"
                note = f"step {update.progress.step}/{update.progress.steps}{elbo}"
                bar.update(line, completed=update.progress.step, total=update.progress.steps, note=note)
            else:
                bar.update(line, note=update.state)

        yield show


def _answer(prediction: Prediction, row: int) -> str:
    return (
        f"version {prediction.version} says {prediction.labels[row]} "
        f"with probability {prediction.probabilities[row].max():.3f}, entropy {prediction.entropy[row]:.3f} nats"
    )

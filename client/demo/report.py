"""How the demo scores predictions, and the lines it prints."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from sklearn.metrics import accuracy_score, log_loss

from client.demo.data import Labels
from client.errors import ClientProblem
from client.moves import Move
from client.prediction import Floats, Prediction
from client.values import Update, Version

BINS = 15


class DemoFailed(ClientProblem):
    """Something that the demo promises did not hold."""


@dataclass(frozen=True)
class Score:
    """Share of rows that are right, nats per row, and expected calibration error."""

    accuracy: float
    nll: float
    ece: float

    def __str__(self) -> str:
        return f"{self.accuracy:9.4f} {self.nll:7.4f} {self.ece:7.4f}"


def score(prediction: Prediction, labels: Labels) -> Score:
    # JSON carries float32 probabilities, whose sums differ from 1 by more than log_loss tolerates.
    probabilities = prediction.probabilities / prediction.probabilities.sum(axis=1, keepdims=True)
    return Score(
        accuracy=float(accuracy_score(labels, prediction.labels)),
        nll=float(log_loss(labels, probabilities, labels=range(probabilities.shape[1]))),
        ece=calibration_error(probabilities, labels),
    )


def calibration_error(probabilities: Floats, labels: Labels) -> float:
    """Expected calibration error over 15 equal-width bins of the highest probability.

    Source: Guo et al. 2017, *On Calibration of Modern Neural Networks*, equation 3.
    """
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [abs(float((is_right[bins == b] - confidence[bins == b]).sum())) for b in range(BINS)]
    return sum(gaps) / len(labels)


class Report:
    """Prints the demo; every `check` either prints what holds or ends the demo."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.checks = 0

    def say(self, text: str = "") -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def title(self, text: str) -> None:
        self.console.print(f"\n{text}", style="bold", markup=False, highlight=False, soft_wrap=True)

    def check(self, *, holds: bool, claim: str) -> None:
        """The claim was printed as true.

        Raises:
            DemoFailed: it is not.
        """
        if not holds:
            raise DemoFailed(f"This does not hold: {claim}")
        self.checks += 1
        self.console.print(f"  [green]ok[/green]  {claim}", highlight=False, soft_wrap=True)

    def versions_header(self) -> None:
        self.title("version  rows   new batch, not yet absorbed        held out              KL to prior  seconds")
        self.say("                 accuracy     NLL     ECE   accuracy     NLL     ECE        nats")

    def version_line(self, version: Version, before: Score, held_out: Score, update: Update) -> None:
        kl_nats = "-" if version.kl_nats is None else f"{version.kl_nats:,.1f}"
        self.say(
            f"{version.version:7d} {version.evidence.rows:5d} {before}  {held_out} "
            f"{kl_nats:>12} {version.seconds or 0.0:8.1f}"
        )
        for warning in update.warnings:
            self.say(f"         note: {warning}")

    def ten_inputs(self, labels: Labels, first: Prediction, head: Prediction) -> None:
        self.say("           version 1                        head")
        self.say("  truth    says   probability  entropy      says   probability  entropy")
        for row, truth in enumerate(labels):
            columns = "      ".join(_says(prediction, row, int(truth)) for prediction in (first, head))
            self.say(f"  {truth:5d}    {columns}")

    def moves(self, moves: Sequence[Move]) -> None:
        for move in moves:
            origin = "-" if move.previous is None else str(move.previous)
            self.say(
                f"  {move.seq:3d}  {move.moved_at:%H:%M:%S}Z  {move.kind:<9} {origin:>3} -> {move.version}"
                f"  {move.reason or ''}".rstrip()
            )


def _says(prediction: Prediction, row: int, truth: int) -> str:
    label = int(prediction.labels[row])
    mark = " " if label == truth else "!"
    return f"{label:4d}{mark} {prediction.probabilities[row].max():12.3f} {prediction.entropy[row]:8.3f}"

"""Whether a fresh version is fit to answer everyone: compared with its parent on rows that neither has learned from."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from bayes.paired import Difference, paired
from bayes.prediction import Prediction

ROWS_LEAST = 100
"""Of fewer rows one alone is more than a point, and only their standard error tells whether a loss is one."""
FEW_ROWS_FACTOR = 2.0
"""Of fewer rows so many times the standard error: two rows more that were missed are not a loss yet."""


@dataclass(frozen=True)
class Gate:
    """What a fresh version may lose against its parent; `held_out` is the share of every batch that is kept for this.

    accuracy: as a part of the rows (0.01 is a point); nll: in nats per row. Worse is what has lost more than that, and
    more than so many standard errors beyond it, twice as many of fewer than 100 rows; or, of 100 rows and more, more
    than twice that.
    """

    held_out: float = 0.2
    accuracy: float = 0.01
    nll: float = 0.1
    standard_errors: float = 1.0

    def split(self, digest: str, rows: int, *, seed: int) -> Tensor:
        """True for the rows of the batch of this digest that are held out, bool [rows].

        It is drawn from the digest, so whoever learns from these rows, and when, leaves out the same.
        """
        drawn = hashlib.sha256(f"held out {seed} {digest}".encode()).digest()
        draws = torch.Generator().manual_seed(int.from_bytes(drawn[:8], "big") >> 1)
        return torch.rand(rows, generator=draws, dtype=torch.float64) < self.held_out

    def judge(self, fresh: Prediction, parent: Prediction, labels: Tensor) -> "Verdict":
        """How the two compare on these rows, and whether the fresh version is worse.

        Raises:
            InvalidInputs: they do not pair up, or there are no rows.
        """
        found = paired(fresh, parent, labels)
        # What it lost, so that more is worse in each.
        lost = {"accuracy": -1.0, "nll": 1.0}
        worse = [
            name
            for name, sign in lost.items()
            if name in found and self._is_worse(sign * found[name].mean, found[name], getattr(self, name))
        ]
        return Verdict(differences=found, worse=tuple(worse), rows=len(labels))

    def _is_worse(self, loss: float, found: Difference, tolerance: float) -> bool:
        if not math.isfinite(loss):
            return True
        is_few = found.rows < ROWS_LEAST
        if loss > 2 * tolerance and not is_few:
            return True
        errors = self.standard_errors * (FEW_ROWS_FACTOR if is_few else 1.0)
        return loss - errors * found.standard_error > tolerance


@dataclass(frozen=True)
class Verdict:
    """What a gate has found: the fresh version less its parent in each score, and in which of them it is worse."""

    differences: Mapping[str, Difference]
    worse: tuple[str, ...]
    rows: int

    @property
    def is_fit(self) -> bool:
        return not self.worse

    def to_json(self) -> dict[str, Any]:
        """The differences by score, with their standard errors; one that is not finite is None."""
        return {
            "rows": self.rows,
            "worse": list(self.worse),
            "differences": {name: _plain(found) for name, found in self.differences.items()},
        }

    def sentence(self) -> str:
        """Why head does not move."""
        said = [_said(name, self.differences.get(name)) for name in self.worse]
        return f"worse than its parent on {self.rows} rows that neither has learned from: {', '.join(said)}"


def _said(name: str, found: Difference | None) -> str:
    if found is None:
        return "it predicts nothing finite"
    if name == "accuracy":
        return f"accuracy {100 * found.mean:+.2f} points (standard error {100 * found.standard_error:.2f})"
    return f"{name} {found.mean:+.3f} nats (standard error {found.standard_error:.3f})"


def _plain(found: Difference) -> dict[str, Any]:
    return {name: value if math.isfinite(value) else None for name, value in asdict(found).items()}

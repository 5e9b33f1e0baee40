"""The ledger and the plain one are asked the same: they answer alike, or refuse with the same code. It is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from store.accepting import Posted
from store.errors import Problem
from store.values import Accepted, ChunkRow
from tests.promises.ledger_rows import RefusedError
from tests.store.given import digest

Real = TypeVar("Real")
Plain = TypeVar("Plain")

COMEBACKS = {"version-forgotten", "version-parked"}

REFUSALS: dict[str, set[str]] = {
    "create": {"model-exists"},
    "accept": {"model-not-found", "idempotency-key-reused"},
    "accept together": {"model-not-found", "idempotency-key-reused"},
    "close": {"model-not-found", "nothing-pending"},
    "close due": set(),
    "claim": {"nothing to do"},
    "renew": {"lease-lost", "head-moved"},
    "publish": {"lease-lost", "head-moved"},
    "fail": {"lease-lost"},
    "release": {"lease-lost"},
    "cancel": {"model-not-found", "update-not-found", "update-finished"},
    "replay": {"model-not-found", "chunk-not-found", "already-absorbed", "chunk-busy"},
    "move": {"alias-invalid", "model-not-found", "version-not-found", "alias-moved", *COMEBACKS},
    "remove": {"head-required", "model-not-found", "alias-moved", "alias-not-found"},
    "rollback": {"model-not-found", "alias-moved", "rollback-too-far", "version-not-found", "not-on-line"},
    "park": {"model-not-found", "batch-not-found", "batch-absorbed", "batch-forgotten"},
    "discard": {"model-not-found", "batch-not-found", "batch-absorbed", "batch-forgotten"},
    "let in": {"model-not-found", "batch-not-found", "batch-not-parked", "batch-forgotten"},
    "forget": {"model-not-found", "batch-not-found", "forget-busy", "head-undecided"},
    "cancel forget": {"model-not-found", "forget-not-found", "update-finished"},
    "park as worker": {"lease-lost", "head-moved"},
    "wait": set(),
}
"""What each rule can be refused with; "nothing to do" is a claim's empty answer."""

OUTCOMES = {(rule, outcome) for rule, refusals in REFUSALS.items() for outcome in {"answered", *refusals}}

HAPPENINGS = {
    "close by rows",
    "close by what was let in",
    "expire",
    "expire for good",
    "already-absorbed when claimed",
    "learned in part when claimed",
    "set-aside when claimed",
    "give back what was set aside",
    "wait for a pause",
    "wait for a move of head",
    "forget done",
    "forget overtaken",
}
"""What happens on the way of rules that answer with something else."""


@dataclass(frozen=True)
class Both(Generic[Real, Plain]):
    """What the ledger answered, and the plain one."""

    real: Real
    plain: Plain


@dataclass
class Tally:
    """How often each rule had each outcome: "answered", or the code of the refusal; and what else happened."""

    walks: int = 0
    looks: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)

    @property
    def never(self) -> list[str]:
        """What should have occurred and did not."""
        missing = [" ".join(outcome) for outcome in OUTCOMES - set(self.outcomes)]
        return sorted([*missing, *(HAPPENINGS - set(self.happened))])

    def agree(
        self, rule: str, real: Callable[[], Real], plain: Callable[[], Plain], *facts: str
    ) -> Both[Real, Plain] | None:
        """Both answer, and these attributes of the answers are equal; None when both refuse with the same code.

        Raises:
            AssertionError: they do not, or a refusal is unheard of.
        """
        expected, answered = outcome_of(plain), outcome_of(real)
        refused, code = refusal(answered), refusal(expected)
        assert refused == code, f"{rule}: {answered!r}; in plain Python: {expected!r}"
        found = "nothing to do" if rule == "claim" and expected is None else code or "answered"
        assert (rule, found) in OUTCOMES
        self.outcomes[rule, found] += 1
        if isinstance(answered, Problem | RefusedError) or isinstance(expected, Problem | RefusedError):
            return None
        assert told(answered, facts) == told(expected, facts), rule
        return Both(answered, expected)


def outcome_of(call: Callable[[], Real]) -> Real | Problem | RefusedError:
    """What it answers, or how it refuses; anything else is raised."""
    try:
        return call()
    except (Problem, RefusedError) as refused:
        return refused


def refusal(outcome: object) -> str | None:
    return outcome.code if isinstance(outcome, Problem | RefusedError) else None


def told(answer: object, facts: tuple[str, ...]) -> object:
    if not facts or answer is None:
        return answer
    if isinstance(answer, list):
        return [told(one, facts) for one in answer]
    values = (getattr(answer, name) for name in facts)
    return [value.number if isinstance(value, ChunkRow) else value for value in values]


def accepted(answer: Accepted | Exception) -> tuple[int, int | None, bool]:
    if isinstance(answer, Exception):
        raise answer
    return answer.batch.number, answer.batch.chunk, answer.is_replay


def a_batch(posted: tuple[str, str, int]) -> Posted:
    """A batch by its key, by a word that makes its content another, and by its number of rows."""
    key, other, rows = posted
    return Posted(key, digest(f"{other}{key}"), rows, {"0": rows})

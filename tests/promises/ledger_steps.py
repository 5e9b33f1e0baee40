"""The ledger in plain Python: the steps that its writes are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Literal

from tests.promises.ledger_rows import (
    HEAD,
    OPEN,
    Chunk,
    Claim,
    Event,
    Forget,
    Model,
    Move,
    RefusedError,
    Update,
    Version,
)

Expected = int | Literal["any", "none"] | None


class PlainSteps:
    """All models at the time `now`, in seconds; `happened` counts what has no answer of its own."""

    def __init__(self, *, lease_seconds: float, attempts_max: int, retry_seconds: float) -> None:
        self.lease_seconds = lease_seconds
        self.attempts_max = attempts_max
        self.retry_seconds = retry_seconds
        self.now = 0.0
        self.models: dict[str, Model] = {}
        self.happened: Counter[str] = Counter()

    def _model(self, name: str) -> Model:
        if name not in self.models:
            raise RefusedError("model-not-found")
        return self.models[name]

    def _held(self, claim: Claim) -> Update:
        update = self.models[claim.model].updates[claim.update - 1]
        if (update.state, update.attempt) != ("running", claim.attempt):
            raise RefusedError("lease-lost")
        return update

    def _has_moved(self, claim: Claim) -> bool:
        model = self.models[claim.model]
        if claim.forget is not None:
            return len(model.moves[HEAD]) != claim.head_seq
        return model.head() != claim.prior

    def _require_version(self, model: Model, version: int) -> None:
        if not 0 <= version < len(model.versions):
            raise RefusedError("version-not-found")

    def _require_batches(self, model: Model, numbers: Collection[int]) -> None:
        if not all(1 <= number <= len(model.batches) for number in numbers):
            raise RefusedError("batch-not-found")

    def _expect(self, model: Model, alias: str, expected: Expected) -> None:
        exists = model.points_at(alias) is not None
        wishes = {None: True, "any": exists, "none": not exists}
        is_met = expected == len(model.moves.get(alias, [])) if isinstance(expected, int) else wishes[expected]
        if not is_met:
            raise RefusedError("alias-moved")

    def _tell(self, model: Model, kind: str) -> None:
        model.events.append(Event(len(model.events) + 1, kind, self.now))

    def _close(self, model: Model, reason: str) -> Update:
        pending = model.pending()
        rows = sum(batch.rows for batch in pending)
        chunk = Chunk(len(model.chunks) + 1, pending[0].number, pending[-1].number, rows, reason, self.now)
        model.chunks.append(chunk)
        self._tell(model, "closed")
        return self._queue(model, chunk.number)

    def _queue(self, model: Model, chunk: int, *, omitted: Collection[int] = (), forget: int | None = None) -> Update:
        update = Update(len(model.updates) + 1, chunk, self.now, forget=forget)
        model.updates.append(update)
        model.omissions |= {(update.number, batch) for batch in omitted}
        return update

    def _move(self, model: Model, alias: str, version: int | None, *, kind: str, by: str) -> Move:
        history = model.moves.setdefault(alias, [])
        history.append(Move(alias, len(history) + 1, version, kind, by, self.now))
        self._tell(model, "moved")
        return history[-1]

    def _give_back(self, running: Update) -> None:
        running.let_go("queued")
        running.step = running.steps = None

    def _fail(self, model: Model, update: Update, *, is_last: bool) -> None:
        """It is told that an attempt failed; a forget that it was a step of has failed with its last one."""
        if is_last:
            update.end("failed", self.now)
        else:
            update.let_go("queued")
        self._tell(model, "failed")
        if is_last and update.forget is not None:
            self._abandon(model, model.forgets[update.forget - 1], "failed", str(update.error_code))

    def _going_on(self, model: Model) -> Forget | None:
        forget = model.forgetting()
        if forget is not None and forget.head_seq != len(model.moves[HEAD]):
            self._abandon(model, forget, "failed", "forget-overtaken")
            self.happened["forget overtaken"] += 1
            return None
        return forget

    def _abandon(self, model: Model, forget: Forget, state: str, code: str) -> None:
        forget.state, forget.error_code, forget.finished_at = state, code, self.now
        for update in self._steps(model, forget):
            if update.state in OPEN:
                update.end("cancelled", self.now)
                update.error_code = code
        self._tell(model, state)

    def _end_if_done(self, model: Model, forget: Forget) -> bool:
        if any(update.state in OPEN for update in self._steps(model, forget)):
            return False
        forget.state, forget.head, forget.finished_at = "done", model.tip(forget), self.now
        if forget.head != model.head():
            self._move(model, HEAD, forget.head, kind="forget", by=forget.asked_by)
            self.happened["forget done"] += 1
        self._tell(model, "forgotten")
        return True

    def _steps(self, model: Model, forget: Forget) -> Sequence[Update]:
        return [update for update in model.updates if update.forget == forget.number]

    def _place(self, model: Model, version: Version, rows: int) -> None:
        """The first child of a version goes on with its branch; each later one begins another."""
        assert version.parent is not None
        parent = model.versions[version.parent]
        version.depth, version.rows, version.rows_learned = parent.depth + 1, rows, parent.rows_learned + rows
        version.branch, version.fork, version.head_seq = parent.branch, parent.fork, len(model.moves[HEAD])
        if any(one.parent == parent.number for one in model.versions):
            version.branch, version.fork = 1 + max(one.branch for one in model.versions), parent.number

    def _is_undecided(self, model: Model) -> bool:
        newest = [one for one in model.versions if one.publication != "aside"][-1]
        return newest.publication == "manual" and newest.head_seq == len(model.moves[HEAD])

    def _is_due(self, update: Update) -> bool:
        return update.state == "queued" and (update.not_before is None or update.not_before <= self.now)

    def _is_expired(self, update: Update) -> bool:
        return update.state == "running" and update.lease_until is not None and update.lease_until < self.now

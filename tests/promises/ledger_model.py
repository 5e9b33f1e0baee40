"""The ledger in plain Python: what each write answers or refuses, and what the books say then. No SQL, no threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from tests.promises.ledger_rows import HEAD, OPEN, Batch, Chunk, Claim, Model, Move, RefusedError, Update, Version

Expected = int | Literal["any", "none"] | None


class PlainLedger:
    """All models at the time `now`, in seconds; `happened` counts what has no answer of its own."""

    def __init__(self, *, lease_seconds: float, attempts_max: int, retry_seconds: float) -> None:
        self.lease_seconds = lease_seconds
        self.attempts_max = attempts_max
        self.retry_seconds = retry_seconds
        self.now = 0.0
        self.models: dict[str, Model] = {}
        self.happened: Counter[str] = Counter()

    def create(self, name: str, *, rows: int, seconds: float | None, root: str) -> bool:
        """True when it is new."""
        if (known := self.models.get(name)) is not None:
            if (known.rows, known.seconds) != (rows, seconds):
                raise RefusedError("model-exists")
            return False
        model = self.models[name] = Model(name, rows, seconds, self.now)
        model.versions.append(Version(0, None, None, None, root, self.now))
        self._move(model, HEAD, 0, kind="create", by="service")
        return True

    def accept(self, name: str, key: str, digest: str, rows: int) -> tuple[int, int | None, bool]:
        """The batch, the chunk it was in before this call, and whether the key was known."""
        model = self._model(name)
        for batch in model.batches:
            if batch.key == key:
                if batch.digest != digest:
                    raise RefusedError("idempotency-key-reused")
                return batch.number, model.chunk_of(batch), True
        batch = Batch(len(model.batches) + 1, key, digest, rows, self.now)
        model.batches.append(batch)
        if sum(one.rows for one in model.pending()) >= model.rows:
            self._close(model, "rows")
            self.happened["close by rows"] += 1
        return batch.number, None, False

    def close(self, name: str) -> Update:
        model = self._model(name)
        if not model.pending():
            raise RefusedError("nothing-pending")
        return self._close(model, "demand")

    def close_due(self) -> list[tuple[str, int]]:
        due = [
            model
            for model in self.models.values()
            if model.seconds is not None
            and (pending := model.pending())
            and pending[0].accepted_at + model.seconds <= self.now
        ]
        return [(model.name, self._close(model, "age").chunk) for model in due]

    def claim(self, owner: str) -> Claim | None:
        for model in self._due():
            self._expire(model)
            if (claim := self._take_oldest(model, owner)) is not None:
                return claim
        return None

    def renew(self, claim: Claim, progress: tuple[int, int, float] | None) -> None:
        update = self._held(claim)
        if self.models[claim.model].head() != claim.prior:
            raise RefusedError("head-moved")
        update.lease_until = self.now + self.lease_seconds
        if progress is not None:
            update.step, update.steps, update.elbo = progress

    def publish(self, claim: Claim, digest: str) -> Version:
        model, update = self.models[claim.model], self._held(claim)
        if model.head() != claim.prior:
            self.release(claim)
            raise RefusedError("head-moved")
        update.end("published", self.now)
        update.step = update.steps
        version = Version(len(model.versions), claim.prior, update.chunk, update.number, digest, self.now)
        model.versions.append(version)
        self._move(model, HEAD, version.number, kind="publish", by="worker")
        return version

    def release(self, claim: Claim) -> None:
        update = self._held(claim)
        update.let_go("queued")
        update.step = update.steps = None

    def fail(self, claim: Claim, code: str, *, is_final: bool) -> str:
        update = self._held(claim)
        update.failures = claim.failures + 1
        update.error_code = code
        if is_final or update.failures >= self.attempts_max:
            update.end("failed", self.now)
        else:
            update.let_go("queued")
            update.not_before = self.now + self.retry_seconds * 2**claim.failures
        return update.state

    def cancel(self, name: str, number: int) -> Update:
        model = self._model(name)
        if not 1 <= number <= len(model.updates):
            raise RefusedError("update-not-found")
        update = model.updates[number - 1]
        if update.state not in OPEN:
            raise RefusedError("update-finished")
        update.end("cancelled", self.now)
        return update

    def replay(self, name: str, numbers: Sequence[int]) -> list[Update]:
        model = self._model(name)
        learned = model.learned(model.head())
        wanted: list[int] = []
        for number in numbers:
            if not 1 <= number <= len(model.chunks):
                raise RefusedError("chunk-not-found")
            if number in learned:
                raise RefusedError("already-absorbed")
            if number in wanted or any(one.chunk == number and one.state in OPEN for one in model.updates):
                raise RefusedError("chunk-busy")
            wanted.append(number)
        return [self._queue(model, number) for number in wanted]

    def move(self, name: str, alias: str, version: int, *, by: str, expected: Expected) -> Move:
        if not alias[0].islower():
            raise RefusedError("alias-invalid")
        model = self._model(name)
        self._require_version(model, version)
        self._expect(model, alias, expected)
        return self._move(model, alias, version, kind="put", by=by)

    def remove(self, name: str, alias: str, *, by: str, expected: Expected) -> Move:
        if alias == HEAD:
            raise RefusedError("head-required")
        model = self._model(name)
        self._expect(model, alias, expected)
        if model.points_at(alias) is None:
            raise RefusedError("alias-not-found")
        return self._move(model, alias, None, kind="remove", by=by)

    def rollback(self, name: str, *, to: int | None, steps: int, by: str, expected: Expected) -> Move:
        model = self._model(name)
        self._expect(model, HEAD, expected)
        earlier = model.line(model.head())[1:]
        if to is None:
            if not 1 <= steps <= len(earlier):
                raise RefusedError("rollback-too-far")
            to = earlier[steps - 1]
        self._require_version(model, to)
        if to not in earlier:
            raise RefusedError("not-on-line")
        return self._move(model, HEAD, to, kind="rollback", by=by)

    def _model(self, name: str) -> Model:
        if name not in self.models:
            raise RefusedError("model-not-found")
        return self.models[name]

    def _held(self, claim: Claim) -> Update:
        update = self.models[claim.model].updates[claim.update - 1]
        if (update.state, update.attempt) != ("running", claim.attempt):
            raise RefusedError("lease-lost")
        return update

    def _require_version(self, model: Model, version: int) -> None:
        if not 0 <= version < len(model.versions):
            raise RefusedError("version-not-found")

    def _expect(self, model: Model, alias: str, expected: Expected) -> None:
        exists = model.points_at(alias) is not None
        wishes = {None: True, "any": exists, "none": not exists}
        is_met = expected == len(model.moves.get(alias, [])) if isinstance(expected, int) else wishes[expected]
        if not is_met:
            raise RefusedError("alias-moved")

    def _close(self, model: Model, reason: str) -> Update:
        pending = model.pending()
        rows = sum(batch.rows for batch in pending)
        chunk = Chunk(len(model.chunks) + 1, pending[0].number, pending[-1].number, rows, reason, self.now)
        model.chunks.append(chunk)
        return self._queue(model, chunk.number)

    def _queue(self, model: Model, chunk: int) -> Update:
        update = Update(len(model.updates) + 1, chunk, self.now)
        model.updates.append(update)
        return update

    def _move(self, model: Model, alias: str, version: int | None, *, kind: str, by: str) -> Move:
        history = model.moves.setdefault(alias, [])
        history.append(Move(alias, len(history) + 1, version, kind, by, self.now))
        return history[-1]

    def _due(self) -> list[Model]:
        """Models with a due update and no live lease, the one that waits longest first."""
        since = {}
        for model in self.models.values():
            running = model.running()
            if running is not None and not self._is_expired(running):
                continue
            waiting = [one for one in model.updates if self._is_due(one) or self._is_expired(one)]
            if waiting:
                since[model.name] = min(update.created_at for update in waiting)
        return [self.models[name] for name in sorted(since, key=since.__getitem__)]

    def _expire(self, model: Model) -> None:
        update = model.running()
        if update is None:
            return
        update.failures += 1
        update.error_code = "lease-expired"
        update.not_before = None
        if update.failures >= self.attempts_max:
            update.end("failed", self.now)
            self.happened["expire for good"] += 1
        else:
            update.let_go("queued")
            self.happened["expire"] += 1

    def _take_oldest(self, model: Model, owner: str) -> Claim | None:
        head = model.head()
        while (update := model.oldest_queued()) is not None and self._is_due(update):
            if update.chunk in model.learned(head):
                update.end("failed", self.now)
                update.error_code = "already-absorbed"
                self.happened["already absorbed when claimed"] += 1
                continue
            update.state, update.owner, update.lease_until = "running", owner, self.now + self.lease_seconds
            update.attempt += 1
            update.prior, update.started_at, update.not_before = head, self.now, None
            update.step = update.steps = update.elbo = None
            return Claim(model.name, update.number, update.attempt, update.failures, update.chunk, head)
        if update is not None:
            self.happened["wait for a pause"] += 1
        return None

    def _is_due(self, update: Update) -> bool:
        return update.state == "queued" and (update.not_before is None or update.not_before <= self.now)

    def _is_expired(self, update: Update) -> bool:
        return update.state == "running" and update.lease_until is not None and update.lease_until < self.now

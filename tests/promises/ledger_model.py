"""The ledger in plain Python: what each write answers or refuses, and what the books say then. No SQL, no threads."""

from __future__ import annotations

from collections.abc import Sequence

from tests.promises.ledger_aside import PlainAside
from tests.promises.ledger_rows import HEAD, OPEN, Batch, Claim, Forget, Model, Move, RefusedError, Update, Version
from tests.promises.ledger_steps import Expected


class PlainLedger(PlainAside):
    """Every call of clients and workers."""

    def create(self, name: str, *, rows: int, seconds: float | None, publish: str, root: str) -> bool:
        """True when it is new."""
        if (known := self.models.get(name)) is not None:
            if (known.rows, known.seconds, known.publish) != (rows, seconds, publish):
                raise RefusedError("model-exists")
            return False
        model = self.models[name] = Model(name, rows, seconds, publish, self.now)
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
        self._tell(model, "accepted")
        if sum(one.rows for one in model.waiting()) >= model.rows:
            self._close(model, "rows")
            self.happened["close by rows"] += 1
        return batch.number, None, False

    def close(self, name: str) -> Update:
        model = self._model(name)
        if not model.waiting():
            raise RefusedError("nothing-pending")
        return self._close(model, "demand")

    def close_due(self) -> list[tuple[str, int]]:
        due = [
            model
            for model in self.models.values()
            if model.seconds is not None
            and (waiting := model.waiting())
            and waiting[0].accepted_at + model.seconds <= self.now
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
        if self._has_moved(claim):
            raise RefusedError("head-moved")
        update.lease_until = self.now + self.lease_seconds
        if progress is not None:
            update.step, update.steps, update.elbo = progress

    def publish(self, claim: Claim, digest: str, *, is_held: bool) -> Version:
        model, update = self.models[claim.model], self._held(claim)
        if self._has_moved(claim):
            self.release(claim)
            raise RefusedError("head-moved")
        update.end("published", self.now)
        update.step = update.steps
        version = Version(len(model.versions), claim.prior, update.chunk, update.number, digest, self.now)
        self._place(model, version, claim.rows)
        version.publication = (
            "aside" if claim.forget else "manual" if model.publish == "manual" else "gated" if is_held else "head"
        )
        model.versions.append(version)
        self._tell(model, "published")
        if version.publication == "head":
            self._move(model, HEAD, version.number, kind="publish", by="worker")
        elif version.publication != "aside":
            self._move(model, "challenger", version.number, kind="hold", by="worker")
            self._tell(model, "held")
        if claim.forget is not None:
            self._end_if_done(model, model.forgets[claim.forget - 1])
        return version

    def release(self, claim: Claim) -> None:
        self._give_back(self._held(claim))

    def fail(self, claim: Claim, code: str, *, is_final: bool) -> str:
        update = self._held(claim)
        update.failures = claim.failures + 1
        update.error_code = code
        is_last = is_final or update.failures >= self.attempts_max
        if not is_last:
            update.not_before = self.now + self.retry_seconds * 2**claim.failures
        self._fail(self.models[claim.model], update, is_last=is_last)
        return update.state

    def cancel(self, name: str, number: int) -> Update:
        model = self._model(name)
        if not 1 <= number <= len(model.updates):
            raise RefusedError("update-not-found")
        update = model.updates[number - 1]
        if update.state not in OPEN:
            raise RefusedError("update-finished")
        update.end("cancelled", self.now)
        self._tell(model, "cancelled")
        if update.forget is not None:
            self._abandon(model, model.forgets[update.forget - 1], "cancelled", "cancelled")
        return update

    def replay(self, name: str, numbers: Sequence[int]) -> list[Update]:
        model = self._model(name)
        learned = set(model.learned(model.head()))
        wanted: dict[int, set[int]] = {}
        for number in dict.fromkeys(numbers):
            if not 1 <= number <= len(model.chunks):
                raise RefusedError("chunk-not-found")
            held = set(range(model.chunks[number - 1].batch_first, model.chunks[number - 1].batch_last + 1))
            if held & learned and all(model.aside(batch) for batch in held - learned):
                raise RefusedError("already-absorbed")
            if any(one.chunk == number and one.state in OPEN for one in model.updates):
                raise RefusedError("chunk-busy")
            wanted[number] = held & learned
        return [self._queue(model, number, omitted=omitted) for number, omitted in wanted.items()]

    def move(self, name: str, alias: str, version: int, *, by: str, expected: Expected) -> Move:
        if not alias[0].islower():
            raise RefusedError("alias-invalid")
        model = self._model(name)
        self._require_version(model, version)
        self._expect(model, alias, expected)
        if alias == HEAD:
            back = set(model.learned(version)) - set(model.learned(model.head()))
            how = {model.aside(batch) for batch in back}
            if how & {"discard", "forget"}:
                raise RefusedError("version-forgotten")
            if "park" in how:
                raise RefusedError("version-parked")
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

    def _due(self) -> list[Model]:
        """Models with a due update and no live lease; first whose newest version is oldest, then who waits longest."""
        since = {}
        for model in self.models.values():
            running = model.running()
            if running is not None and not self._is_expired(running):
                continue
            waiting = [one for one in model.updates if self._is_due(one) or self._is_expired(one)]
            if waiting:
                longest = min(update.created_at for update in waiting)
                since[model.name] = (model.versions[-1].created_at, longest)
        return [self.models[name] for name in sorted(since, key=since.__getitem__)]

    def _expire(self, model: Model) -> None:
        update = model.running()
        if update is None:
            return
        update.failures += 1
        update.error_code = "lease-expired"
        update.not_before = None
        is_last = update.failures >= self.attempts_max
        self.happened["expire for good" if is_last else "expire"] += 1
        self._fail(model, update, is_last=is_last)

    def _take_oldest(self, model: Model, owner: str) -> Claim | None:
        forget = self._going_on(model)
        if forget is None and self._is_undecided(model):
            self.happened["wait for a move of head"] += 1
            return None
        while (update := model.oldest_queued(forget)) is not None and self._is_due(update):
            prior = model.head() if forget is None else model.tip(forget)
            aside = {(update.number, batch) for batch in model.part(update) if model.aside(batch) is not None}
            model.omissions |= aside
            part = model.part(update)
            learned = set(model.learned(prior))
            if learned.issuperset(part):
                self._end_without_batches(model, update, code="already-absorbed" if part else "set-aside")
                if forget is not None and self._end_if_done(model, forget):
                    return self._take_oldest(model, owner)
            else:
                self.happened["learned in part when claimed"] += bool(learned & set(part))
                model.omissions |= {(update.number, batch) for batch in learned & set(part)}
                return self._take(model, update, owner, part=model.part(update), prior=prior, forget=forget)
        if update is not None:
            self.happened["wait for a pause"] += 1
        return None

    def _take(
        self, model: Model, update: Update, owner: str, *, part: list[int], prior: int, forget: Forget | None
    ) -> Claim:
        update.state, update.owner, update.lease_until = "running", owner, self.now + self.lease_seconds
        update.attempt += 1
        update.prior, update.started_at, update.not_before = prior, self.now, None
        update.step = update.steps = update.elbo = None
        self._tell(model, "started")
        return Claim(
            model=model.name,
            update=update.number,
            attempt=update.attempt,
            failures=update.failures,
            chunk=update.chunk,
            prior=prior,
            batches=tuple(part),
            rows=sum(model.batches[batch - 1].rows for batch in part),
            head_seq=len(model.moves[HEAD]),
            forget=None if forget is None else forget.number,
        )

    def _end_without_batches(self, model: Model, update: Update, *, code: str) -> None:
        update.end("cancelled", self.now)
        update.error_code = code
        self._tell(model, "cancelled")
        self.happened[f"{code} when claimed"] += 1

"""The ledger in plain Python: batches that are set aside, released and forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from tests.promises.ledger_rows import HEAD, OPEN, Claim, Decision, Forget, Model, RefusedError, Update
from tests.promises.ledger_steps import PlainSteps

TOLD = {"park": "parked", "release": "released", "discard": "discarded", "forget": "discarded"}


class PlainAside(PlainSteps):
    """What clients decide about batches, and what workers do."""

    def set_aside(self, name: str, numbers: Sequence[int], kind: str, *, by: str) -> list[str | None]:
        """The batches are parked or discarded; why each is not to be learned from."""
        model = self._model(name)
        learned = model.learned(model.head())
        for number in numbers:
            self._require_batches(model, [number])
            if model.aside(number) == "forget":
                raise RefusedError("batch-forgotten")
            if number in learned:
                raise RefusedError("batch-absorbed")
        for number in numbers:
            if model.aside(number) != kind:
                self._decide(model, number, kind, by)
            running = model.running()
            if running is not None and number in model.part(running):
                self._give_back(running)
                self.happened["give back what was set aside"] += 1
        return [model.aside(number) for number in numbers]

    def let_in(self, name: str, numbers: Sequence[int], *, by: str) -> list[Update]:
        """They are released; for each chunk, an update of those that no update waits for already."""
        model = self._model(name)
        for number in numbers:
            self._require_batches(model, [number])
        chosen = list(dict.fromkeys(numbers))
        for number in chosen:
            if (aside := model.aside(number)) not in {"park", "discard"}:
                raise RefusedError("batch-forgotten" if aside == "forget" else "batch-not-parked")
        for number in chosen:
            self._decide(model, number, "release", by)
        waited_for = {batch for one in model.updates if one.state in OPEN for batch in model.part(one)}
        chunks = [model.chunk_of(model.batches[number - 1]) for number in chosen]
        queued = []
        for chunk in dict.fromkeys(chunk for chunk in chunks if chunk is not None):
            held = range(model.chunks[chunk - 1].batch_first, model.chunks[chunk - 1].batch_last + 1)
            own = [batch for batch in held if batch in chosen and batch not in waited_for]
            if own:
                queued.append(self._queue(model, chunk, omitted=set(held) - set(own)))
        if sum(one.rows for one in model.waiting()) >= model.rows:
            queued.append(self._close(model, "rows"))
            self.happened["close by what was let in"] += 1
        return queued

    def forget(self, name: str, numbers: Sequence[int], *, by: str) -> Forget:
        model = self._model(name)
        head_seq, busy = len(model.moves[HEAD]), model.forgetting()
        if busy is not None and busy.head_seq == head_seq:
            raise RefusedError("forget-busy")
        if self._is_undecided(model):
            raise RefusedError("head-undecided")
        self._require_batches(model, numbers)
        self._going_on(model)
        chosen = sorted(set(numbers))
        line = [model.versions[one] for one in reversed(model.line(model.head()))]
        parts = [(one, model.part(model.updates[one.update - 1])) for one in line if one.update is not None]
        first = next((at for at, (_, part) in enumerate(parts) if set(part) & set(chosen)), len(parts))
        for number in chosen:
            self._decide(model, number, "forget", by)
        if (running := model.running()) is not None:
            self._give_back(running)
        base = model.head() if first == len(parts) else line[first].number
        forget = Forget(len(model.forgets) + 1, chosen, base, head_seq, by, self.now)
        model.forgets.append(forget)
        for version, part in parts[first:]:
            if left := set(part) - set(chosen):
                assert version.chunk is not None
                chunk = model.chunks[version.chunk - 1]
                held = set(range(chunk.batch_first, chunk.batch_last + 1))
                self._queue(model, version.chunk, omitted=held - left, forget=forget.number)
        self._end_if_done(model, forget)
        return forget

    def cancel_forget(self, name: str, number: int) -> Forget:
        model = self._model(name)
        if not 1 <= number <= len(model.forgets):
            raise RefusedError("forget-not-found")
        forget = model.forgets[number - 1]
        if forget.state != "running":
            raise RefusedError("update-finished")
        self._abandon(model, forget, "cancelled", "cancelled")
        return forget

    def park(self, claim: Claim, numbers: Sequence[int]) -> None:
        """A worker sets batches of its claim aside."""
        self._give_back(self._held(claim))
        if self._has_moved(claim):
            raise RefusedError("head-moved")
        for number in numbers:
            self._decide(self.models[claim.model], number, "park", "worker")

    def _decide(self, model: Model, number: int, kind: str, by: str) -> None:
        history = model.decisions.setdefault(number, [])
        history.append(Decision(number, len(history) + 1, kind, by, self.now))
        self._tell(model, TOLD[kind])

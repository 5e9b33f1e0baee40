"""A crowd at one ledger: posters, closers, workers and movers, each a thread with connections of its own, all at once.

What each was told is kept, and compared with the books afterwards; meanwhile a watcher looks at them again and again.
Each draws what it does from a seed of its own; who comes first is up to the machine.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy import Engine

from store.accepting import Posted
from store.aliases import Aliases
from store.errors import IdempotencyKeyReused, Problem
from store.history import History
from store.kinds import OPEN
from store.leases import Leases
from store.ledger import Ledger
from store.values import Accepted, Claim, MoveRow, VersionRow
from tests.promises.ledger_books import Seen, look
from tests.store.given import ROOT, digest

NAMES = ("digits", "letters")
SIZES = {"digits": (9, 0.1), "letters": (1000, None)}
SECONDS_MAX = 60.0
POSTERS, CLOSERS, WORKERS, MOVERS = 4, 2, 3, 2

Turn = Callable[[random.Random], None]


@dataclass
class Told:
    """What the callers were told; each entry was acknowledged to one of them at least."""

    batches: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    """Number and digest, by model and key."""
    versions: dict[tuple[str, int], VersionRow] = field(default_factory=dict)
    moves: dict[tuple[str, str, int], MoveRow] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def batch(self, model: str, answer: Accepted) -> None:
        """One key is always told the same, and is new once."""
        fact = (answer.batch.number, answer.batch.digest)
        with self.lock:
            assert self.batches.setdefault((model, answer.batch.key), fact) == fact
            self.counts["replayed" if answer.is_replay else "accepted"] += 1

    def version(self, model: str, version: VersionRow) -> None:
        with self.lock:
            assert (model, version.number) not in self.versions
            self.versions[model, version.number] = version
            self.counts["published"] += 1

    def move(self, model: str, move: MoveRow) -> None:
        with self.lock:
            assert (model, move.alias, move.seq) not in self.moves
            self.moves[model, move.alias, move.seq] = move
            self.counts[f"moved: {move.kind}"] += 1

    def refused(self, problem: Problem) -> None:
        with self.lock:
            self.counts[problem.code] += 1


class Crowd:
    """Everyone at the ledger of this engine, timed by the database's clock; leases last a moment."""

    def __init__(self, engine: Engine, *, seed: int) -> None:
        self.engine, self.seed = engine, seed
        self.ledger, self.aliases, self.history = Ledger(engine), Aliases(engine), History(engine)
        self.leases = Leases(engine, lease_seconds=0.1, attempts_max=1000, retry_seconds=0.001)
        self.told = Told()
        self.late: list[Claim] = []
        self.looks = 0
        self.broke = threading.Event()
        for name, (rows, seconds) in SIZES.items():
            self.ledger.create_model(name, {"chunk": {"rows": rows, "seconds": seconds}}, ROOT)

    def gather(self, *, seconds: float) -> None:
        """All of them have been busy for so long, and until enough has happened; no look at the books found a fault.

        Raises:
            Exception: what one of them met and should not have.
        """
        places = {self.post: POSTERS, self.close: CLOSERS, self.work: WORKERS, self.decide: MOVERS}
        turns = [turn for turn, count in places.items() for _ in range(count)]
        start = threading.Barrier(len(turns) + 1)
        with ThreadPoolExecutor(len(turns) + 1) as threads:
            busy = [
                threads.submit(self._keep, turn, random.Random(f"{self.seed} {place}"), start, seconds)
                for place, turn in enumerate(turns)
            ]
            watching = threads.submit(self._watch, start, seconds)
        for one in (watching, *busy):
            one.result()

    def settle(self, *, seconds: float) -> None:
        """One worker has finished what was left; no update is open."""
        until = time.monotonic() + seconds
        while any(self.history.counters(name).updates[state] for name in NAMES for state in OPEN):
            assert time.monotonic() < until, "the updates that are left take too long"
            if (claim := self.leases.claim("last")) is not None:
                self._publish(claim)

    def _keep(self, turn: Turn, chance: random.Random, start: threading.Barrier, seconds: float) -> None:
        start.wait()
        for _ in self._while_busy(seconds):
            try:
                turn(chance)
            except Problem as problem:
                self.told.refused(problem)
            except BaseException:
                self.broke.set()
                raise

    def _watch(self, start: threading.Barrier, seconds: float) -> None:
        before: Seen = look(self.engine)
        start.wait()
        for _ in self._while_busy(seconds):
            now = look(self.engine)
            if (faults := [*now.wrong, *now.since(before)]) != []:
                self.broke.set()
                raise AssertionError(faults)
            before, self.looks = now, self.looks + 1

    def _while_busy(self, seconds: float) -> Iterator[None]:
        """Turns, until the time is over and enough has happened; on a slow machine that takes longer."""
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds or not self.is_enough:
            if self.broke.is_set() or passed > SECONDS_MAX:
                return
            yield

    @property
    def is_enough(self) -> bool:
        counts = self.told.counts
        late = counts["lease-lost"] + counts["head-moved"]
        return late > 0 and self.looks > 0 and all(counts[what] >= 5 for what in ("accepted", "replayed", "published"))

    def post(self, chance: random.Random) -> None:
        """One batch or three; each key is posted by all posters sooner or later, now and then with other rows."""
        name = chance.choice(NAMES)
        newest = len(self.told.batches)
        keys = [f"key-{chance.randrange(max(0, newest - 20), newest + 5)}" for _ in range(chance.choice((1, 1, 3)))]
        posted = [Posted(key, digest(f"{key}{chance.choice(('', '', '', 'other'))}"), 1, {}) for key in keys]
        for answer in self.ledger.accept_all(name, posted):
            if isinstance(answer, IdempotencyKeyReused):
                self.told.refused(answer)
            else:
                assert isinstance(answer, Accepted), answer
                self.told.batch(name, answer)

    def close(self, chance: random.Random) -> None:
        if chance.random() < 0.5:
            self.ledger.close_due()
        else:
            self.ledger.close(chance.choice(NAMES))

    def work(self, chance: random.Random) -> None:
        """Mostly a publish; else a failure, a claim given back, or silence until much later."""
        if self.late and chance.random() < 0.3:
            claim: Claim | None = self.late.pop()
        else:
            claim = self.leases.claim(f"worker-{chance.random()}")
        if claim is None:
            return
        fate = chance.random()
        if fate < 0.1:
            self.leases.fail(claim, code="any", message="any")
        elif fate < 0.2:
            self.leases.release(claim)
        elif fate < 0.35:
            self.late.insert(0, claim)
        else:
            if fate < 0.6:
                self.leases.renew(claim)
            self._publish(claim)

    def _publish(self, claim: Claim) -> None:
        posterior = digest(f"{claim.model} {claim.update} {claim.attempt}")
        try:
            version = self.leases.publish(claim, digest=posterior, kl_nats=1.0, report={})
        except Problem as problem:
            self.told.refused(problem)
        else:
            self.told.version(claim.model, version)

    def decide(self, chance: random.Random) -> None:
        """Head goes back, or anywhere; another alias is moved by who read it last; updates are cancelled, replayed."""
        name = chance.choice(NAMES)
        some = chance.randrange(1 + len(self.told.versions))
        match chance.randrange(6):
            case 0:
                self.told.move(name, self.aliases.rollback(name, steps=chance.choice((1, 2)), actor="ada"))
            case 1:
                self.told.move(name, self.aliases.move(name, "head", some, actor="ada"))
            case 2:
                seq = len([key for key in list(self.told.moves) if key[:2] == (name, "champion")])
                self.told.move(name, self.aliases.move(name, "champion", some, actor="ada", expected_seq=seq))
            case 3:
                self.told.move(name, self.aliases.remove(name, "champion", actor="ada"))
            case 4:
                self.ledger.cancel(name, 1 + some)
            case _:
                self.ledger.replay(name, [1 + chance.randrange(1 + some)])

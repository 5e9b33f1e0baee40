"""A random walk over everything that clients and workers can ask of the ledger, beside the same in plain Python.

After every step both have answered alike, the books agree row by row, nothing is wrong with them, and nothing that was
there for good has changed. Workers come back late: a claim, once given, is used again at any later time.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from tests.promises import asked
from tests.promises.ledger_aside_calls import AsideCalls
from tests.promises.ledger_books import look, plain_books

SILENCE_SECONDS = asked.TIMES["lease_seconds"] + 0.5


class LedgerMachine(AsideCalls):
    """The calls, and stories of several of them that chance would tell too rarely."""

    @invariant()
    def the_books_are_sound_and_agree(self) -> None:
        now = look(self.engine)
        self.tally.looks += 1
        assert now.wrong == []
        assert now.since(self.seen) == []
        assert now.books == plain_books(self.plain)
        self.seen = now

    @initialize(
        rows=asked.SIZES,
        seconds=asked.AGES,
        policies=st.tuples(asked.POLICIES, asked.POLICIES),
        versions=st.sampled_from((2, 1, 3, 0)),
    )
    def begin(self, rows: int, seconds: float | None, policies: tuple[str, str], versions: int) -> None:
        """There are two models, one of them perhaps with versions."""
        for name, publish in zip(("one", "two"), policies, strict=True):
            self.create(name, rows, seconds, publish)
        for _ in range(versions):
            self.learn("one", "worker-1")

    @rule(name=asked.NAMES)
    def queue(self, name: str) -> None:
        """New rows, and an update that waits for them."""
        self.fresh += 1
        self.accept(name, (f"new {self.fresh}", "", 1))
        self.close(name)

    @rule(name=asked.NAMES, owner=asked.OWNERS)
    def take(self, name: str, owner: str) -> None:
        """New rows, and a worker that is busy with them or with something older."""
        self.queue(name)
        self.claim(owner)

    @rule(name=asked.NAMES, owner=asked.OWNERS)
    def learn(self, name: str, owner: str) -> None:
        """New rows, and a worker that nobody disturbs."""
        known = len(self.claims)
        self.take(name, owner)
        if len(self.claims) > known:
            self.publish(late=0)

    @rule(name=asked.NAMES, owner=asked.OWNERS, disturbed=asked.DISTURBED, then=asked.THEN)
    def disturb(self, name: str, owner: str, disturbed: asked.Disturbed, then: asked.Then) -> None:
        """A worker is busy, something happens to its update or to head, and it goes on as if nothing had."""
        self.take(name, owner)
        if not self.claims:
            return
        name, late = self.claims[-1].plain.model, 0
        match disturbed:
            case "rollback":
                self.rollback(name, None, 1, None)
            case "move":
                self.move(name, "head", 1, None)
            case "cancel":
                self.cancel(name, 0)
            case "park":
                self.park(name, [0])
            case "silence" | "another":
                self.wait(SILENCE_SECONDS)
                if disturbed == "another":
                    known = len(self.claims)
                    self.claim("another")
                    late = len(self.claims) - known
        calls = {
            "publish": lambda: self.publish(late),
            "renew": lambda: self.renew(late, 3),
            "release": lambda: self.release(late),
            "fail": lambda: self.fail(late, is_final=False),
            "park": lambda: self.park_as_worker(late),
        }
        calls[then]()

    @rule(name=asked.NAMES, owner=asked.OWNERS)
    def fall_silent(self, name: str, owner: str) -> None:
        """An update whose workers fall silent, one after another, until nobody tries any more."""
        self.take(name, owner)
        for _ in range(asked.ATTEMPTS_MAX):
            self.wait(SILENCE_SECONDS)
            self.claim(owner)

    @rule(name=asked.NAMES, owner=asked.OWNERS)
    def fail_again(self, name: str, owner: str) -> None:
        """An update whose attempts fail, one after another, until nobody tries any more."""
        self.take(name, owner)
        for failures in range(asked.ATTEMPTS_MAX):
            if self.claims:
                self.fail(0, is_final=False)
            self.wait(asked.TIMES["retry_seconds"] * 2**failures)
            self.claim(owner)

    @rule(name=asked.NAMES, owner=asked.OWNERS, backs=asked.BACKS, then=asked.TAKEN_BACK)
    def take_back(self, name: str, owner: str, backs: list[int], then: asked.TakenBack) -> None:
        """Head's line is learned anew without some batches, and something happens meanwhile."""
        for _ in range(2):
            self.learn(name, owner)
        if then == "older":
            self.queue(name)
        self.forget(name, backs)
        match then:
            case "rolled back":
                self.rollback(name, None, 1, None)
            case "cancelled":
                self.cancel_forget(name, 0)
            case "newer":
                self.queue(name)
            case "parked":
                self.park(name, [0, 1])
                self.discard(name, backs)
                self.let_in(name, backs)
            case "again":
                self.forget(name, [0])
        for _ in range(3):
            known = len(self.claims)
            self.claim(owner)
            if len(self.claims) == known:
                return
            if then == "fails":
                self.fail(0, is_final=True)
            elif then == "overtaken":
                self.rollback(name, None, 1, None)
            elif then == "silence":
                self.wait(SILENCE_SECONDS)
                self.claim("another")
            self.publish(late=0)

    @rule(name=asked.NAMES, owner=asked.OWNERS, backs=asked.BACKS)
    def pick(self, name: str, owner: str, backs: list[int]) -> None:
        """Rows are parked before a worker comes for their chunk, and let in after it."""
        self.fresh += 1
        for part in "abc":
            self.accept(name, (f"new {self.fresh} {part}", "", 1))
        self.park(name, backs)
        self.close(name)
        self.claim(owner)
        self.let_in(name, backs)
        if self.claims:
            self.publish(late=0)

    @rule(name=asked.NAMES, owner=asked.OWNERS)
    def forth(self, name: str, owner: str) -> None:
        """A chunk waits to be learned again while head goes back to a version that has learned from it."""
        self.learn(name, owner)
        self.rollback(name, None, 1, None)
        self.replay(name, [0])
        self.move(name, "head", 0, None)
        self.claim(owner)

    @rule(name=asked.NAMES, owner=asked.OWNERS)
    def forth_in_part(self, name: str, owner: str) -> None:
        """As `forth`, to a version that has learned from a part of the chunk."""
        self.pick(name, owner, [0])
        self.claim(owner)
        if self.claims:
            self.publish(late=0)
        self.rollback(name, None, 2, None)
        self.replay(name, [0])
        self.move(name, "head", 1, None)
        self.claim(owner)

    @rule(name=asked.NAMES, owner=asked.OWNERS, how=asked.SET_ASIDE)
    def bring_back(self, name: str, owner: str, how: asked.SetAside) -> None:
        """Head is sent to a version that has learned from what was set aside since, and perhaps let in again."""
        self.learn(name, owner)
        self.rollback(name, None, 1, None)
        if how == "discarded":
            self.discard(name, [0])
        else:
            self.park(name, [0])
        if how == "let in":
            self.let_in(name, [0])
        self.move(name, "head", 0, None)
        self.claim(owner)

    @rule(name=asked.NAMES)
    def call_off(self, name: str) -> None:
        """An alias is pointed at the newest version, and removed."""
        self.move(name, "champion", 0, None)
        self.remove(name, "champion", None)

    @rule(name=asked.NAMES)
    def fill(self, name: str) -> None:
        """Rows that fill a chunk come in parked, and are let in together."""
        self.fresh += 1
        for part in "ab":
            self.accept(name, (f"new {self.fresh} {part}", "", 3))
            self.park(name, [0])
        self.let_in(name, [0, 1])

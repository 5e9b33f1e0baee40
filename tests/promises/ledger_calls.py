"""Each call that clients and workers make of the ledger, as a rule: the plain ledger is asked the same."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from sqlalchemy import Engine

from store.accepting import Posted
from store.aliases import Aliases
from store.leases import Leases
from store.ledger import Ledger
from store.values import Accepted, Claim, Progress
from tests.conftest import FakeClock
from tests.promises import asked
from tests.promises import ledger_rows as plain
from tests.promises.agreement import Both, Tally, a_batch, accepted, outcome_of
from tests.promises.ledger_books import empty, look
from tests.promises.ledger_model import PlainLedger
from tests.promises.ledger_steps import Expected
from tests.store.given import digest

any_claim = precondition(lambda machine: machine.claims)


class LedgerCalls(RuleBasedStateMachine):
    """The class is bound to an engine and a tally by `tests.promises.machine.walk`."""

    engine: ClassVar[Engine]
    tally: ClassVar[Tally]

    def __init__(self) -> None:
        super().__init__()
        empty(self.engine)
        self.clock = FakeClock()
        self.ledger = Ledger(self.engine, clock=self.clock)
        self.aliases = Aliases(self.engine, clock=self.clock)
        self.leases = Leases(self.engine, attempts_max=asked.ATTEMPTS_MAX, clock=self.clock, **asked.TIMES)
        self.plain = PlainLedger(attempts_max=asked.ATTEMPTS_MAX, **asked.TIMES)
        self.plain.now = self.clock.seconds
        self.seen = look(self.engine)
        self.claims: list[Both[Claim, plain.Claim]] = []
        self.fresh = 0
        self.tally.walks += 1

    def teardown(self) -> None:
        self.tally.happened += self.plain.happened

    @rule(name=st.sampled_from(("one", "two", "three")), rows=asked.SIZES, seconds=asked.AGES, publish=asked.POLICIES)
    def create(self, name: str, rows: int, seconds: float | None, publish: str) -> None:
        description = {"chunk": {"rows": rows, "seconds": seconds}, "publish": publish}
        self.tally.agree(
            "create",
            lambda: self.ledger.create_model(name, description, digest("root"))[1],
            lambda: self.plain.create(name, rows=rows, seconds=seconds, publish=publish, root=digest("root")),
        )

    @rule(name=asked.NAMES, posted=asked.POSTED)
    def accept(self, name: str, posted: tuple[str, str, int]) -> None:
        one = a_batch(posted)
        self.tally.agree(
            "accept",
            lambda: accepted(self.ledger.accept(name, **vars(one))),
            lambda: self.plain.accept(name, one.key, one.digest, one.rows),
        )

    @rule(name=asked.NAMES, posted=st.lists(asked.POSTED, min_size=1, max_size=8))
    def accept_all(self, name: str, posted: list[tuple[str, str, int]]) -> None:
        """Several in one transaction are answered as if they had come one after the other."""
        wanted = [a_batch(one) for one in posted]
        answers = outcome_of(lambda: self.ledger.accept_all(name, wanted))
        for number, one in enumerate(wanted):
            self._agree_on(answers if isinstance(answers, Exception) else answers[number], name, one)

    @rule(name=asked.NAMES)
    def close(self, name: str) -> None:
        self.tally.agree("close", lambda: self.ledger.close(name), lambda: self.plain.close(name), "number", "chunk")

    @rule()
    def close_due(self) -> None:
        self.tally.agree("close due", lambda: sorted(self.ledger.close_due()), lambda: sorted(self.plain.close_due()))

    @rule(owner=asked.OWNERS)
    def claim(self, owner: str) -> None:
        known = ("model", "update", "attempt", "failures", "chunk", "prior")
        facts = (*known, "batches", "rows", "head_seq", "forget")
        both = self.tally.agree("claim", lambda: self.leases.claim(owner), lambda: self.plain.claim(owner), *facts)
        if both is None or both.real is None or both.plain is None:
            return
        real, claim = both.real, both.plain
        model = self.plain.models[claim.model]
        assert real.prior_digest == model.versions[real.prior].digest
        assert real.batch_digests == tuple(model.batches[number - 1].digest for number in real.batches)
        self.claims.append(Both(real, claim))

    @any_claim
    @rule(late=asked.LATE, steps=st.none() | st.integers(1, 9))
    def renew(self, late: int, steps: int | None) -> None:
        claim = self._claim(late)
        progress = None if steps is None else (steps, 9, -0.5 * steps)
        self.tally.agree(
            "renew",
            lambda: self.leases.renew(claim.real, progress and Progress(*progress)),
            lambda: self.plain.renew(claim.plain, progress),
        )

    @any_claim
    @rule(late=asked.LATE, is_held=st.sampled_from((False, False, False, True)))
    def publish(self, late: int, is_held: bool = False) -> None:
        """A version is published, and perhaps held back from head."""
        claim = self._claim(late)
        posterior = digest(f"{claim.real.model} {claim.real.update} {claim.real.attempt}")
        self.tally.agree(
            "publish",
            lambda: self.leases.publish(
                claim.real, digest=posterior, kl_nats=1.5, report={"steps": 3}, held="worse" if is_held else None
            ),
            lambda: self.plain.publish(claim.plain, posterior, is_held=is_held),
            *("number", "parent", "chunk", "update", "digest", "publication"),
        )

    @any_claim
    @rule(late=asked.LATE, is_final=st.sampled_from((False, False, True)))
    def fail(self, late: int, is_final: bool) -> None:
        claim = self._claim(late)
        self.tally.agree(
            "fail",
            lambda: self.leases.fail(claim.real, code="any", message="any", is_final=is_final),
            lambda: self.plain.fail(claim.plain, "any", is_final=is_final),
        )

    @any_claim
    @rule(late=asked.LATE)
    def release(self, late: int) -> None:
        claim = self._claim(late)
        self.tally.agree("release", lambda: self.leases.release(claim.real), lambda: self.plain.release(claim.plain))

    @rule(name=asked.NAMES, back=asked.BACK)
    def cancel(self, name: str, back: int) -> None:
        number = len(self.plain.models[name].updates) - back if name in self.plain.models else 1
        facts = ("number", "chunk", "state")
        self.tally.agree(
            "cancel", lambda: self.ledger.cancel(name, number), lambda: self.plain.cancel(name, number), *facts
        )

    @rule(name=asked.NAMES, backs=st.lists(asked.BACK, min_size=1, max_size=3))
    def replay(self, name: str, backs: list[int]) -> None:
        newest = len(self.plain.models[name].chunks) if name in self.plain.models else 1
        numbers = [newest - back for back in backs]
        facts = ("number", "chunk", "state")
        self.tally.agree(
            "replay", lambda: self.ledger.replay(name, numbers), lambda: self.plain.replay(name, numbers), *facts
        )

    @rule(name=asked.NAMES, alias=asked.ALIASES, back=asked.BACK, wish=asked.WISHES)
    def move(self, name: str, alias: str, back: int, wish: asked.Wish) -> None:
        version, expected = self._version(name, back), self._expected(name, alias, wish)
        self.tally.agree(
            "move",
            lambda: self.aliases.move(name, alias, version, actor="ada", expected_seq=expected),
            lambda: self.plain.move(name, alias, version, by="ada", expected=expected),
            *("alias", "seq", "version", "kind"),
        )

    @rule(name=asked.NAMES, alias=asked.ALIASES, wish=asked.WISHES)
    def remove(self, name: str, alias: str, wish: asked.Wish) -> None:
        expected = self._expected(name, alias, wish)
        self.tally.agree(
            "remove",
            lambda: self.aliases.remove(name, alias, actor="ada", expected_seq=expected),
            lambda: self.plain.remove(name, alias, by="ada", expected=expected),
            *("alias", "seq", "version", "kind"),
        )

    @rule(name=asked.NAMES, back=asked.BACK | st.none(), steps=st.integers(0, 3), wish=asked.WISHES)
    def rollback(self, name: str, back: int | None, steps: int, wish: asked.Wish) -> None:
        """To the version that is so far back, or by so many steps."""
        to = None if back is None else self._version(name, back)
        expected = self._expected(name, "head", wish)
        self.tally.agree(
            "rollback",
            lambda: self.aliases.rollback(name, to=to, steps=steps, actor="ada", expected_seq=expected),
            lambda: self.plain.rollback(name, to=to, steps=steps, by="ada", expected=expected),
            *("alias", "seq", "version", "kind"),
        )

    @rule(seconds=st.sampled_from((1.0, 4.0, 10.0, 10.5, 30.0)))
    def wait(self, seconds: float) -> None:
        self.clock.pass_by(seconds)
        self.plain.now = self.clock.seconds
        self.tally.outcomes["wait", "answered"] += 1

    def _agree_on(self, answer: Accepted | Exception, name: str, one: Posted) -> None:
        self.tally.agree(
            "accept together",
            lambda: accepted(answer),
            lambda: self.plain.accept(name, one.key, one.digest, one.rows),
        )

    def _claim(self, late: int) -> Both[Claim, plain.Claim]:
        return self.claims[max(0, len(self.claims) - 1 - late)]

    def _version(self, name: str, back: int) -> int:
        return len(self.plain.models[name].versions) - 1 - back if name in self.plain.models else 0

    def _expected(self, name: str, alias: str, wish: asked.Wish) -> Expected:
        if wish != "now" and wish != "before":  # noqa: PLR1714 - mypy follows it in this form
            return wish
        seq = len(self.plain.models[name].moves.get(alias, [])) if name in self.plain.models else 0
        return seq if wish == "now" else seq - 1

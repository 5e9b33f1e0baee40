"""What the guards of parts, branches and forgets are for, each told as the shortest story in which it matters."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from store.errors import (
    BatchAbsorbed,
    BatchForgotten,
    ForgetBusy,
    HeadMoved,
    HeadUndecided,
    LeaseLost,
    NothingPending,
    VersionForgotten,
    VersionParked,
)
from store.kinds import HEAD, ForgetState
from store.values import Scored
from tests.promises.stories import Given, refused, sound
from tests.store.given import ROOT, a_chunk, accept, claimed, learn, publish


def parked_while_it_waits(engine: Engine, patience: float) -> None:
    """The claim leaves it out."""
    given = Given(engine)
    a_chunk(given.ledger, "ab")
    given.parking.park("digits", [1], actor="ada")

    assert claimed(given.leases).batches == (2,)


def parked_while_it_is_learned(engine: Engine, patience: float) -> None:
    """The worker that has read it cannot publish."""
    given = Given(engine)
    a_chunk(given.ledger, "ab")
    claim = claimed(given.leases)
    given.parking.park("digits", [1], actor="ada")

    refused(lambda: publish(given.leases, claim), LeaseLost)


def parked_too_late(engine: Engine, patience: float) -> None:
    """What head has learned from is not set aside."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a")

    refused(lambda: given.parking.park("digits", [1], actor="ada"), BatchAbsorbed)


def parked_before_its_chunk(engine: Engine, patience: float) -> None:
    """Nobody closes a chunk for it."""
    given = Given(engine)
    accept(given.ledger, "a")
    given.parking.park("digits", [1], actor="ada")

    refused(lambda: given.ledger.close("digits"), NothingPending)


def all_of_a_chunk_parked(engine: Engine, patience: float) -> None:
    """Its update ends, and no version has learned from nothing."""
    given = Given(engine)
    a_chunk(given.ledger, "a")
    given.parking.park("digits", [1], actor="ada")

    assert given.leases.claim("worker") is None
    assert given.history.update("digits", 1).error_code == "set-aside"


def released_while_it_waits(engine: Engine, patience: float) -> None:
    """It waits once."""
    given = Given(engine)
    a_chunk(given.ledger, "ab")
    given.parking.park("digits", [1], actor="ada")
    given.parking.release("digits", [1], actor="ada")

    sound(engine)
    assert len(given.history.updates("digits")) == 1


def let_in_after_a_forget(engine: Engine, patience: float) -> None:
    """What was forgotten does not come back."""
    given = Given(engine)
    accept(given.ledger, "a")
    given.forgetting.forget("digits", [1], actor="ada")

    refused(lambda: given.parking.park("digits", [1], actor="bob"), BatchForgotten)
    refused(lambda: given.parking.release("digits", [1], actor="bob"), BatchForgotten)


def replayed_in_part(engine: Engine, patience: float) -> None:
    """Only what head has not learned from is absorbed."""
    given = Given(engine)
    a_chunk(given.ledger, "ab")
    given.parking.park("digits", [2], actor="ada")
    given.leases.fail(claimed(given.leases), code="any", message="any", is_final=True)
    given.parking.release("digits", [2], actor="ada")
    publish(given.leases, claimed(given.leases))
    given.ledger.replay("digits", [1])

    assert claimed(given.leases).batches == (1,)
    sound(engine)


def older_rows_during_a_forget(engine: Engine, patience: float) -> None:
    """They wait until it is done, and are learned from then."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a", "b")
    a_chunk(given.ledger, "c")
    given.forgetting.forget("digits", [1], actor="ada")
    publish(given.leases, claimed(given.leases))

    assert given.history.alias("digits", HEAD).version == 3
    publish(given.leases, claimed(given.leases))
    assert given.history.evidence("digits", 4).batches == [2, 3]
    sound(engine)


def looked_at_during_a_forget(engine: Engine, patience: float) -> None:
    """Head stays where it is until the last step."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a", "b", "c")
    given.forgetting.forget("digits", [1], actor="ada")
    publish(given.leases, claimed(given.leases))

    assert given.history.alias("digits", HEAD).version == 3
    sound(engine)


def rolled_back_before_a_step(engine: Engine, patience: float) -> None:
    """The forget was asked of another line, and moves nothing."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a", "b", "c")
    given.forgetting.forget("digits", [1], actor="ada")
    given.aliases.rollback("digits", actor="bob")

    assert given.leases.claim("worker") is None
    assert given.forgetting.find("digits", 1).error_code == "forget-overtaken"
    sound(engine)


def rolled_back_during_the_last_step(engine: Engine, patience: float) -> None:
    """The last step cannot be published."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a", "b")
    given.forgetting.forget("digits", [1], actor="ada")
    claim = claimed(given.leases)
    given.aliases.rollback("digits", actor="bob")

    refused(lambda: publish(given.leases, claim), HeadMoved)
    assert given.history.alias("digits", HEAD).version == 1


def forgetting_twice_at_once(engine: Engine, patience: float) -> None:
    """The second has to wait for the first."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a", "b", "c")
    given.forgetting.forget("digits", [1], actor="ada")

    refused(lambda: given.forgetting.forget("digits", [2], actor="bob"), ForgetBusy)
    sound(engine)


def a_forget_cancelled(engine: Engine, patience: float) -> None:
    """What is left of its steps is cancelled with it."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a", "b", "c")
    given.forgetting.forget("digits", [1], actor="ada")

    assert given.forgetting.cancel("digits", 1).state is ForgetState.CANCELLED
    sound(engine)


def waiting_for_an_answer(engine: Engine, patience: float) -> None:
    """Where head is moved by hand, nothing more is learned before it was."""
    given = _by_hand(engine)
    publish(given.leases, claimed(given.leases))

    assert given.leases.claim("worker") is None


def answered_before_the_question(engine: Engine, patience: float) -> None:
    """A move of head answers what was published before it."""
    given = _by_hand(engine)
    claim = claimed(given.leases)
    given.aliases.move("by hand", HEAD, 0, actor="ada")
    publish(given.leases, claim)

    assert given.leases.claim("worker") is None


def _by_hand(engine: Engine) -> Given:
    given = Given(engine)
    given.ledger.create_model("by hand", {"chunk": {"rows": 9, "seconds": None}, "publish": "manual"}, ROOT)
    for key in "ab":
        accept(given.ledger, key, model="by hand")
        given.ledger.close("by hand")
    return given


def back_to_what_was_forgotten(engine: Engine, patience: float) -> None:
    """Head goes to no version that has learned from it."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a", "b")
    given.forgetting.forget("digits", [2], actor="ada")
    sound(engine)

    refused(lambda: given.aliases.move("digits", HEAD, 2, actor="bob"), VersionForgotten)
    sound(engine)


def forth_to_what_is_parked(engine: Engine, patience: float) -> None:
    """Head goes to no version that has learned from it before it is released, and then it is not learned again."""
    given = _by_hand(engine)
    publish(given.leases, claimed(given.leases))
    given.parking.park("by hand", [1], actor="ada")
    refused(lambda: given.aliases.move("by hand", HEAD, 1, actor="bob"), VersionParked)
    sound(engine)

    given.parking.release("by hand", [1], actor="ada")
    given.aliases.move("by hand", HEAD, 1, actor="bob")
    publish(given.leases, claimed(given.leases))
    given.aliases.move("by hand", HEAD, 2, actor="bob")
    assert given.leases.claim("worker") is None
    assert given.history.update("by hand", 3).error_code == "already-absorbed"
    sound(engine)


def forgetting_before_an_answer(engine: Engine, patience: float) -> None:
    """No forget declines a version that nobody has declined."""
    given = _by_hand(engine)
    publish(given.leases, claimed(given.leases))

    refused(lambda: given.forgetting.forget("by hand", [2], actor="ada"), HeadUndecided)


def surprised_and_left(engine: Engine, patience: float) -> None:
    """What surprised a version that head has left is not parked."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a")
    a_chunk(given.ledger, "b")
    claim = claimed(given.leases)
    given.aliases.rollback("digits", actor="ada")
    refused(lambda: given.leases.park(claim, [Scored(2, None, {})], reason="surprising"), HeadMoved)

    assert given.parking.parked("digits") == []


def released_and_full(engine: Engine, patience: float) -> None:
    """A worker learns from a chunk that released rows fill."""
    given = Given(engine)
    accept(given.ledger, "a", rows=60)
    given.parking.park("digits", [1], actor="ada")
    accept(given.ledger, "b", rows=60)
    given.parking.release("digits", [1], actor="ada")

    assert claimed(given.leases).batches == (1, 2)


def a_second_child(engine: Engine, patience: float) -> None:
    """It begins a branch."""
    given = Given(engine)
    learn(given.ledger, given.leases, "a")
    given.aliases.rollback("digits", actor="ada")
    learn(given.ledger, given.leases, "b")

    sound(engine)
    assert given.history.evidence("digits", 2).batches == [2]


ASIDE_STORIES: dict[str, Callable[[Engine, float], None]] = {
    "a batch that is parked while its chunk waits": parked_while_it_waits,
    "a batch that is parked while it is learned": parked_while_it_is_learned,
    "a batch that is parked too late": parked_too_late,
    "a batch that is parked before its chunk": parked_before_its_chunk,
    "a chunk that is parked as a whole": all_of_a_chunk_parked,
    "a batch that is released while its chunk waits": released_while_it_waits,
    "a batch that was forgotten, parked and released": let_in_after_a_forget,
    "a replay of what head has learned in part": replayed_in_part,
    "older rows that wait during a forget": older_rows_during_a_forget,
    "a look at head during a forget": looked_at_during_a_forget,
    "a rollback before a step of a forget": rolled_back_before_a_step,
    "a rollback during the last step of a forget": rolled_back_during_the_last_step,
    "two forgets of one model": forgetting_twice_at_once,
    "a forget that is cancelled": a_forget_cancelled,
    "a version that waits for a move of head": waiting_for_an_answer,
    "a move of head before the version it would answer": answered_before_the_question,
    "a second child of a version": a_second_child,
    "a move of head to what was forgotten": back_to_what_was_forgotten,
    "a move of head to what is parked": forth_to_what_is_parked,
    "a forget before the answer of who moves head": forgetting_before_an_answer,
    "a batch that surprises a version which head has left": surprised_and_left,
    "a release that fills a chunk": released_and_full,
}

"""Every guard of the ledger, each as what is left when it is taken out of the running code or out of the database.

An edit names the words of the source that are the guard; where they are no longer there, taking them out fails.
"""

from __future__ import annotations

from store import accepting, aliases, claims, engine, labeling, leases, writes
from store.leases import Leases
from store.ledger import Ledger
from tests.conftest import ENGINES
from tests.promises.aside_mutants import ASIDE_MUTANTS
from tests.promises.mutation import BORN, KEY, LABELS, MOVES, RUNNING, Edit, Mutant

SQLITE, POSTGRESQL = (ENGINES[0],), (ENGINES[1],)

ROW_LOCK: Edit = (writes.lock_model, ".with_for_update(key_share=True)", "")
WRITE_LOCK: Edit = (engine._begin_sqlite, '"BEGIN IMMEDIATE" if writes else "BEGIN"', '"BEGIN"')
LOOK: Edit = (accepting.accept_in_order, "batches_named(connection, model.id, [one.key for one in posted])", "{}")
FREE: Edit = (claims._oldest, ".where(*waiting, is_free)", ".where(*waiting)")

MEETINGS = ("one key posted twice at once", "rows that come in during a close", "two movers who read the same state")
ONE_AFTER_ANOTHER = "calls one after another never meet it"
UNLABELED = "the walk keeps and labels no predictions"

MUTANTS = (
    # 1. The idempotency key of a batch is unique per model.
    Mutant("the look for known keys", (LOOK,), directed="a key posted twice", leaves="sound"),
    Mutant("known keys, and their constraint", (LOOK,), (KEY,), directed="a key posted twice", leaves="wrong"),
    Mutant(
        "the key's constraint",
        dropped=(KEY,),
        directed="the database refuses a second batch of a key",
        covered_by="the model's lock and the look for known keys",
    ),
    Mutant(
        "the model's lock, while one key is posted twice",
        (ROW_LOCK,),
        directed="one key posted twice at once",
        covered_by=ONE_AFTER_ANOTHER,
        leaves="sound",
        engines=POSTGRESQL,
    ),
    Mutant(
        "the model's lock, and the key's constraint",
        (ROW_LOCK,),
        (KEY,),
        directed="one key posted twice at once",
        covered_by=ONE_AFTER_ANOTHER,
        leaves="wrong",
        engines=POSTGRESQL,
    ),
    Mutant(
        "other rows under a known key are told",
        ((accepting._again, "if batch.digest != posted.digest:", "if False:"),),
        directed="other rows under a known key",
    ),
    # 2. One update of a model runs at most.
    Mutant(
        "the second look for a running update",
        (FREE,),
        directed="two workers who looked at the same moment",
        covered_by="the first look, without locks",
        leaves="sound",
    ),
    Mutant(
        "the index of running updates",
        dropped=(RUNNING,),
        directed="the database refuses a second running update",
        covered_by="both looks",
    ),
    Mutant(
        "the second look, and the index of running updates",
        (FREE,),
        (RUNNING,),
        directed="two workers who looked at the same moment",
        covered_by="the first look, without locks",
        leaves="wrong",
    ),
    # 3. Publish is conditional on the update's running in the very attempt that publishes.
    Mutant(
        "the state of what its holder writes",
        (
            (
                Leases._write_as_holder,
                ".where(_is(claim), updates.c.state == UpdateState.RUNNING)",
                ".where(_is(claim))",
            ),
        ),
        directed="a publish after a cancel",
    ),
    Mutant(
        "the fencing token",
        ((leases._is, "updates.c.attempt == claim.attempt,", ""),),
        directed="a worker that comes back late",
    ),
    Mutant(
        "the count of what its holder wrote",
        ((Leases._write_as_holder, "if result.rowcount != 1:", "if False:"),),
        directed="a publish after a cancel",
    ),
    Mutant(
        "the constraint that an update is published once",
        dropped=(BORN,),
        directed="the database refuses a second version of an update",
        covered_by="the state, and the comparison of head",
    ),
    # 4. Publish compares head with the prior that it started from.
    Mutant(
        "the comparison of head in publish",
        ((Leases.publish, "if _has_moved(claim, head):", "if False:"),),
        directed="a publish after head moved",
    ),
    Mutant(
        "the comparison of head in renew",
        ((Leases.renew, "if _has_moved(claim, head):", "if False:"),),
        directed="a heartbeat after head moved",
    ),
    # 5. A chunk that is on the line of head is never absorbed again.
    Mutant(
        "the lineage in claim",
        ((claims.take_oldest, "if batch not in learned]", "]"),),
        directed="a chunk that head learned while it waited",
    ),
    Mutant(
        "the lineage in replay",
        ((Ledger._replay, "if learned and not chosen:", "if False:"),),
        directed="a replay of what head has learned",
    ),
    Mutant(
        "the open update in replay",
        ((Ledger._replay, "if busy is not None:", "if False:"),),
        directed="a replay of what waits",
    ),
    # The order of writers.
    Mutant(
        "the model's lock, while a batch is parked during a claim",
        (ROW_LOCK,),
        directed="a batch that is parked in the middle of a claim",
        covered_by=ONE_AFTER_ANOTHER,
        engines=POSTGRESQL,
    ),
    Mutant(
        "the model's lock, while two workers claim",
        (ROW_LOCK,),
        directed="two workers in the middle of a claim",
        covered_by=ONE_AFTER_ANOTHER,
        leaves="sound",
        engines=POSTGRESQL,
    ),
    Mutant(
        "the model's lock, while two move an alias",
        (ROW_LOCK,),
        directed="two movers who read the same state",
        covered_by=ONE_AFTER_ANOTHER,
        leaves="sound",
        engines=POSTGRESQL,
    ),
    Mutant(
        "the model's lock, and the moves' primary key",
        (ROW_LOCK,),
        (MOVES,),
        directed="two movers who read the same state",
        covered_by=ONE_AFTER_ANOTHER,
        leaves="wrong",
        engines=POSTGRESQL,
    ),
    *(
        Mutant(
            f"SQLite's write lock from the start, in: {check}",
            (WRITE_LOCK,),
            directed=check,
            covered_by=ONE_AFTER_ANOTHER,
            leaves="sound",
            engines=SQLITE,
        )
        for check in (
            "one key posted twice at once",
            "rows that come in during a close",
            "two movers who read the same state",
        )
    ),
    Mutant(
        "the moves' primary key",
        dropped=(MOVES,),
        directed="the database refuses a second move of a number",
        covered_by="the model's lock",
    ),
    Mutant(
        "the expected move",
        ((aliases._expect, "if not is_met:", "if False:"),),
        directed="a move with another one in mind",
    ),
    Mutant(
        "the second look of a close by age",
        ((Ledger.close_due, "if overdue(connection, self.clock(connection), models.c.id == model.id):", "if True:"),),
        directed="a chunk that somebody else closed meanwhile",
        covered_by=ONE_AFTER_ANOTHER,
        leaves="sound",
    ),
    # A row of a kept prediction has one label.
    Mutant(
        "the labels' primary key",
        dropped=(LABELS,),
        directed="two who label a row at the same moment",
        covered_by=UNLABELED,
        leaves="wrong",
    ),
    Mutant(
        "the count of the rows that took their label",
        ((labeling._insert, "if inserted < len(rows):", "if False:"),),
        directed="two who label a row at the same moment",
        covered_by=UNLABELED,
        leaves="wrong",
    ),
    # When an update is tried, and how often.
    Mutant(
        "the pause after a failed attempt",
        ((claims._is_due, ".not_before <= now", ".not_before > 0"),),
        directed="a worker that fails again and again",
    ),
    Mutant(
        "the growth of the pause",
        ((Leases.fail, " * 2**claim.failures", ""),),
        directed="a worker that fails again and again",
    ),
    Mutant(
        "the most attempts, of those that failed",
        ((Leases.fail, " or failures >= self.attempts_max", ""),),
        directed="a worker that fails again and again",
    ),
    Mutant(
        "the most attempts, of those that fell silent",
        ((claims.expire, "row.failures + 1 >= attempts_max", "False"),),
        directed="a worker that falls silent again and again",
    ),
    Mutant(
        "the end of a lease",
        ((claims._is_expired, "updates.c.lease_until < now", "updates.c.lease_until < 0"),),
        directed="a worker that falls silent again and again",
    ),
    Mutant(
        "the open state in cancel",
        ((Ledger.cancel, ", updates.c.state.in_(open_)", ""),),
        directed="a cancel that comes too late",
    ),
    Mutant(
        "the line in rollback",
        (
            (
                aliases.Aliases.rollback,
                "if to == head.number or not is_on_line(connection, model.id, to, head.number):",
                "if False:",
            ),
        ),
        directed="a rollback off the line",
    ),
    *ASIDE_MUTANTS,
)

"""The guards of parts, branches and forgets, each as what is left when it is taken out."""

from __future__ import annotations

from store import accepting, claims, forgets, given_up, leases, parking, publishing, tree
from store.aliases import Aliases
from store.forgetting import Forgetting
from store.leases import Leases
from store.ledger import Ledger
from store.parking import Parking
from tests.promises.mutation import BRANCH, FORGETS, Edit, Mutant

BUSY: Edit = (
    Forgetting.forget,
    "if (busy := going_on(connection, model, head, now=now)) is not None:",
    "if (busy := None) is not None:",
)
NEW_BRANCH: Edit = (
    tree.place_of_child,
    "if connection.execute(select(versions.c.number).where(*of_branch)).scalar() is None:",
    "if True:",
)

ASIDE_MUTANTS = (
    # Nothing learns from a batch that is set aside.
    Mutant(
        "the look for batches that were set aside, in claim",
        ((claims._to_learn, "if kind != ParkingKind.RELEASE} - omitted", "if False} - omitted"),),
        directed="a batch that is parked while its chunk waits",
    ),
    Mutant(
        "the end of a lease whose batch is set aside",
        ((Parking._set_aside, "give_back(connection, model, _learns_from(batch))", "pass"),),
        directed="a batch that is parked while it is learned",
    ),
    Mutant(
        "the lineage in park",
        ((Parking._set_aside, "raise BatchAbsorbed(batch=number, model=name, head=head)", "pass"),),
        directed="a batch that is parked too late",
    ),
    Mutant(
        "the count of rows that are to be learned from",
        (
            (
                accepting.pending_rows,
                "PENDING",
                "batch_totals(MODEL_ID).where(batches.c.number > last_closed(MODEL_ID))",
            ),
        ),
        directed="a batch that is parked before its chunk",
    ),
    Mutant(
        "the end of an update without batches",
        ((claims.take_oldest, "if not left:", "if chosen and not left:"),),
        directed="a chunk that is parked as a whole",
    ),
    Mutant(
        "the look for updates that wait for what is released",
        ((Parking._queue, "own -= _waited_for(connection, model, own, chunk=number)", "pass"),),
        directed="a batch that is released while its chunk waits",
        leaves="wrong",
    ),
    Mutant(
        "the last word of a forget",
        ((parking._must_not_be_forgotten, "if batch.aside == ParkingKind.FORGET:", "if False:"),),
        directed="a batch that was forgotten, parked and released",
    ),
    Mutant(
        "the part that head has learned, in replay and in claim",
        (
            (Ledger._replay, "omitted=sorted(learned)", "omitted=()"),
            (claims.take_oldest, "left = [batch for batch in chosen if batch not in learned]", "left = chosen"),
        ),
        directed="a replay of what head has learned in part",
    ),
    # A forget moves head once, at its end, and only where head has stayed.
    Mutant(
        "the order of a forget's steps and all others",
        ((claims._oldest, ".where(of_forget)", ""),),
        directed="older rows that wait during a forget",
    ),
    Mutant(
        "the place aside of a forget's steps",
        ((publishing.publication_of, "if claim.forget is not None:", "if False:"),),
        directed="a look at head during a forget",
        leaves="wrong",
    ),
    Mutant(
        "the comparison of head before a step",
        ((forgets.going_on, "if forget is None or forget.head_seq == head.seq:", "if True:"),),
        directed="a rollback before a step of a forget",
    ),
    Mutant(
        "the comparison of head at the end of a step",
        ((leases._has_moved, "return head is None or head.seq != claim.head_seq", "return False"),),
        directed="a rollback during the last step of a forget",
    ),
    Mutant("the look for another forget", (BUSY,), directed="two forgets of one model", leaves="sound"),
    Mutant(
        "the look for another forget, and the index of running ones",
        (BUSY,),
        (FORGETS,),
        directed="two forgets of one model",
        leaves="sound",
    ),
    Mutant(
        "the end of a forget's steps with it",
        ((forgets.abandon, "connection.execute(update(updates).where(*left).values(values | error))", "pass"),),
        directed="a forget that is cancelled",
        leaves="wrong",
    ),
    # Where head is moved by hand, the queue waits for it.
    Mutant(
        "the wait for a move of head",
        (
            (
                claims.take_oldest,
                "if forget is None and undecided_of(connection, model, head) is not None:",
                "if False:",
            ),
        ),
        directed="a version that waits for a move of head",
    ),
    Mutant(
        "the move of head that a version was published after",
        ((Leases.publish, "head_seq=head.seq", "head_seq=claim.head_seq"),),
        directed="a move of head before the version it would answer",
    ),
    Mutant(
        "the wait of a forget for that move",
        ((Forgetting.forget, "must_be_decided(connection, model, head)", "pass"),),
        directed="a forget before the answer of who moves head",
    ),
    # What was set aside for good stays out, and what was let in is learned.
    Mutant(
        "the look for what was forgotten, in a move of head",
        ((Aliases.move, "if alias == HEAD:", "if False:"),),
        directed="a move of head to what was forgotten",
    ),
    Mutant(
        "the look for what is parked, in a move of head",
        ((given_up._aside, "if kind != ParkingKind.RELEASE}", "if kind in GIVEN_UP}"),),
        directed="a move of head to what is parked",
    ),
    Mutant(
        "the comparison of head before a worker parks",
        ((Leases.park, "for one in () if has_moved else surprising:", "for one in surprising:"),),
        directed="a batch that surprises a version which head has left",
    ),
    Mutant(
        "the close of what released rows fill",
        ((Parking.release, "if (full := close_if_full(connection, model, now=now)) is not None:", "if full := None:"),),
        directed="a release that fills a chunk",
    ),
    # A branch is a run of versions.
    Mutant("the branch of a second child", (NEW_BRANCH,), directed="a second child of a version", leaves="sound"),
    Mutant(
        "the branch of a second child, and the index of places",
        (NEW_BRANCH,),
        (BRANCH,),
        directed="a second child of a version",
        leaves="wrong",
    ),
)

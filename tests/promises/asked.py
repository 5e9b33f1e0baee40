"""What the random walk over the ledger draws its questions from; the commonest things are there more than once."""

from __future__ import annotations

from typing import Literal, get_args

from hypothesis import strategies as st

TIMES = {"lease_seconds": 10.0, "retry_seconds": 4.0}
ATTEMPTS_MAX = 3

Wish = Literal["any", "none", "now", "before"] | None

Disturbed = Literal["rollback", "move", "cancel", "silence", "another", "park"]
TakenBack = Literal[
    "done", "rolled back", "overtaken", "fails", "cancelled", "older", "newer", "parked", "again", "silence"
]
SetAside = Literal["discarded", "parked", "let in"]
Then = Literal["publish", "renew", "release", "fail", "park"]

NAMES = st.sampled_from((*5 * ("one",), *3 * ("two",), "nowhere"))
OWNERS = st.sampled_from(("worker-1", "worker-2", "worker-3"))
POSTED = st.tuples(st.sampled_from("abcdefghijkl"), st.sampled_from(("", "", "", "other ")), st.integers(1, 3))
BACK = st.sampled_from((0, 1, 1, 2, 2, 3, -1))
"""The newest is 0, the one before it 1; -1 does not exist yet."""
SIZES = st.sampled_from((4, 9, 1000))
POLICIES = st.sampled_from(("always", "always", "always", "always", "manual"))
AGES = st.sampled_from((None, 30.0))
LATE = st.sampled_from((0, 0, 0, 0, 0, 1, 2, 4))
"""How many claims were given since the one that is used; those that are over come back late."""
WISHES: st.SearchStrategy[Wish] = st.sampled_from((None, None, None, None, "any", "none", "now", "before"))
ALIASES = st.sampled_from(("head", "head", "champion", "champion", "champion", "Champion"))
BACKS = st.lists(st.sampled_from((0, 0, 1, 1, 2, 3, 4, -1)), min_size=1, max_size=3)
TAKEN_BACK: st.SearchStrategy[TakenBack] = st.sampled_from(get_args(TakenBack))
DISTURBED: st.SearchStrategy[Disturbed] = st.sampled_from(get_args(Disturbed))
SET_ASIDE: st.SearchStrategy[SetAside] = st.sampled_from(get_args(SetAside))
THEN: st.SearchStrategy[Then] = st.sampled_from(get_args(Then))

"""Whatever clients and workers ask of the ledger, in whatever order, it answers as the same in plain Python does.

POSTERITY_TEST_EXAMPLES and POSTERITY_TEST_SEED make it longer, or another walk; `python -m tests.promises.machine` is
the long form.
"""

from __future__ import annotations

import os

from sqlalchemy import Engine

from tests.promises.agreement import HAPPENINGS, OUTCOMES
from tests.promises.machine import STEPS, walk

EXAMPLES = int(os.environ.get("POSTERITY_TEST_EXAMPLES", "20"))
SEED = int(os.environ.get("POSTERITY_TEST_SEED", "0"))
OFTEN = 400
"""With as many examples, everything that can occur does."""


def test_a_random_walk_over_the_ledger_agrees_with_the_same_in_plain_python(engine: Engine) -> None:
    print(f"POSTERITY_TEST_SEED={SEED} POSTERITY_TEST_EXAMPLES={EXAMPLES}")  # noqa: T201

    tally = walk(engine, examples=EXAMPLES, steps=STEPS, seed_=SEED)

    assert tally.walks >= EXAMPLES
    assert {rule for rule, _ in tally.outcomes} == {rule for rule, _ in OUTCOMES}
    assert len(tally.outcomes) > 0.75 * len(OUTCOMES)
    if EXAMPLES >= OFTEN:
        assert tally.never == []
        assert set(tally.outcomes) == OUTCOMES
        assert set(tally.happened) == HAPPENINGS

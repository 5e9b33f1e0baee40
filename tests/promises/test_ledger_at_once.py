"""A crowd of threads at one ledger: what anyone was told is so, once, and nobody ever sees unsound books."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from tests.promises.at_once import NAMES, Crowd
from tests.promises.ledger_books import look
from tests.promises.mutants import ROW_LOCK, WRITE_LOCK
from tests.promises.mutation import Mutant

SECONDS = float(os.environ.get("POSTERITY_TEST_SECONDS", "3"))
SEED = int(os.environ.get("POSTERITY_TEST_SEED", "0"))


def test_a_crowd_is_told_the_truth_and_leaves_sound_books(engine: Engine) -> None:
    print(f"POSTERITY_TEST_SEED={SEED} POSTERITY_TEST_SECONDS={SECONDS:g}")  # noqa: T201
    crowd = Crowd(engine, seed=SEED)

    crowd.gather(seconds=SECONDS)
    crowd.settle(seconds=60.0)

    print(f"{crowd.looks} looks, {dict(crowd.told.counts)}")  # noqa: T201
    now = look(engine)
    assert now.wrong == []
    told, books = crowd.told, now.books
    stored = {(name, row["key"]): (row["number"], row["digest"]) for name in NAMES for row in books[name]["batches"]}
    assert stored == told.batches
    assert sum(len(books[name]["batches"]) for name in NAMES) == told.counts["accepted"]
    born = {(name, row["number"]): row["digest"] for name in NAMES for row in books[name]["versions"] if row["number"]}
    assert born == {key: version.digest for key, version in told.versions.items()}
    moved = {(name, row["alias"], row["seq"]) for name in NAMES for row in books[name]["moves"]}
    assert moved >= set(told.moves)
    assert crowd.is_enough, told.counts


def test_without_the_lock_of_writers_the_crowd_breaks(engine: Engine) -> None:
    crowd = Crowd(engine, seed=SEED)
    lock = WRITE_LOCK if engine.dialect.name == "sqlite" else ROW_LOCK

    with Mutant("the lock of writers", (lock,)).taken_out(engine), pytest.raises((DBAPIError, AssertionError)):
        crowd.gather(seconds=30.0)

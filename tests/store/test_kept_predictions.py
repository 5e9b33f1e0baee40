"""Predictions that are kept: for as long as they are to be, under names that nobody guesses, and then no longer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from store.engine import connect
from store.errors import ModelNotFound, PredictionExpired, PredictionNotFound
from store.kept_predictions import SWEPT, KeptPredictions, Named, ToKeep, is_past, named
from store.ledger import Ledger
from store.schema.beside import predictions
from store.writes import lock_model
from tests.conftest import FakeClock
from tests.postgres import PostgresServer
from tests.store.given import a_model, digest


def answered(model: str = "digits", **other: Any) -> ToKeep:  # noqa: ANN401 - any of its parts
    facts: dict[str, Any] = {"version": 0, "digest": digest("root"), "rows": 2, "inputs": b"\x00\xff"}
    facts |= {"answer": b"{}", "predicted_by": "ada", "seconds": 60.0}
    return ToKeep(model=model, **(facts | other))


@pytest.fixture
def kept(engine: Engine, ledger: Ledger, clock: FakeClock) -> KeptPredictions:
    a_model(ledger)
    return KeptPredictions(engine, clock=clock)


def test_what_is_kept_is_read_back_by_its_name_and_by_that_of_each_row(kept: KeptPredictions, clock: FakeClock) -> None:
    [(id_, until)] = kept.keep([answered(inputs=bytes(range(256)))])

    found = kept.find("digits", id_)

    assert (found.id, found.inputs, found.answer, found.rows) == (id_, bytes(range(256)), b"{}", 2)
    assert (found.predicted_at, found.kept_until, until) == (clock.seconds, clock.seconds + 60, clock.seconds + 60)
    assert (found.predicted_by, found.labels) == ("ada", ())
    assert kept.find("digits", f"{id_}.0") == kept.find("digits", f"{id_}.1") == found


@pytest.mark.parametrize("end", [".2", ".01", ".", "x", ".-1", ".0.0", "\n"])
def test_names_of_no_row_name_nothing(kept: KeptPredictions, end: str) -> None:
    [(id_, _)] = kept.keep([answered()])

    with pytest.raises(PredictionNotFound):
        kept.find("digits", id_ + end)


def test_a_prediction_belongs_to_one_model(kept: KeptPredictions, ledger: Ledger) -> None:
    a_model(ledger, "letters")
    (of_digits, _), (of_letters, _) = kept.keep([answered(), answered("letters")])

    assert kept.find("letters", of_letters).id == of_letters
    for model, id_ in (("letters", of_digits), ("digits", of_letters)):
        with pytest.raises(PredictionNotFound):
            kept.find(model, id_)
    with pytest.raises(ModelNotFound):
        kept.find("none", of_digits)


@pytest.mark.parametrize("is_swept", [False, True])
def test_a_prediction_is_expired_from_its_last_moment_on(
    kept: KeptPredictions, clock: FakeClock, is_swept: bool
) -> None:
    [(id_, _), (longer, _)] = kept.keep([answered(seconds=1.0005), answered(seconds=2.0)])

    clock.pass_by(1.0)
    assert kept.sweep() == 0
    assert kept.find("digits", id_).id == id_
    clock.pass_by(0.0005)
    if is_swept:
        assert kept.sweep() == 1

    with pytest.raises(PredictionExpired):
        kept.find("digits", id_)
    assert kept.find("digits", longer).id == longer


def test_a_sweep_removes_all_whose_time_is_over_however_many(
    kept: KeptPredictions, clock: FakeClock, engine: Engine
) -> None:
    kept.keep([answered(seconds=1.0)] * (2 * SWEPT + 1))
    kept.keep([answered(seconds=9.0)] * 3)
    clock.pass_by(2.0)

    assert (kept.sweep(), kept.sweep()) == (2 * SWEPT + 1, 0)
    with engine.begin() as connection:
        assert connection.execute(select(func.count()).select_from(predictions)).scalar_one() == 3


def test_ids_are_of_one_form_and_never_the_same_twice(kept: KeptPredictions, clock: FakeClock) -> None:
    ids = [id_ for id_, _ in kept.keep([answered()] * 300)]

    assert len(set(ids)) == 300
    assert {len(id_) for id_ in ids} == {34}
    assert all(named(id_) == Named(id_, None) and named(f"{id_}.17") == Named(id_, 17) for id_ in ids)
    assert not any(is_past(id_, clock.seconds + 59.998) for id_ in ids)
    assert all(is_past(id_, clock.seconds + 60) for id_ in ids)


def test_two_predictions_of_one_id_are_refused_by_the_database(engine: Engine, ledger: Ledger) -> None:
    a_model(ledger)
    numbers = count()
    same = KeptPredictions(engine, clock=FakeClock(), token=lambda: f"{next(numbers) // 2:022}")

    with pytest.raises(Exception, match=r"(?i)unique"):
        same.keep([answered(), answered()])


def test_to_keep_one_does_not_wait_for_who_writes_to_the_model(postgres: PostgresServer, migrated: str) -> None:
    """SQLite has one lock for all writers, and there it has to."""
    url = postgres.create_database(template=migrated)
    engine = connect(url)
    a_model(Ledger(engine))
    kept = KeptPredictions(engine)

    with ThreadPoolExecutor(1) as other, engine.begin() as connection:
        lock_model(connection, "digits")
        [(id_, _)] = other.submit(kept.keep, [answered()]).result(timeout=10.0)

    assert kept.find("digits", id_).rows == 2
    engine.dispose()
    postgres.drop_database(url)

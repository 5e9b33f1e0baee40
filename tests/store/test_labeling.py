"""Rows of kept predictions get their labels once, whoever asks at the same time; the books agree with it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, delete, insert, select, update

from store.accepting import Posted
from store.engine import connect
from store.errors import BlobBuried, IdempotencyKeyReused, ModelNotFound
from store.history import History
from store.invariants import violations
from store.kept_predictions import KeptPredictions
from store.labeling import ASKED, READ_BYTES, LabeledBatch, Labeling, LabelsTaken, Place
from store.ledger import Ledger
from store.schema.beside import labels
from store.schema.learning import batches
from store.tombstones import bury
from tests.conftest import FakeClock
from tests.store.given import a_model, accept, digest
from tests.store.test_kept_predictions import answered

SEED = 20_261


@pytest.fixture
def kept(engine: Engine, ledger: Ledger, clock: FakeClock) -> KeptPredictions:
    a_model(ledger, rows=1000)
    return KeptPredictions(engine, clock=clock)


@pytest.fixture
def labeling(ledger: Ledger) -> Labeling:
    return Labeling(ledger)


def a_batch(places: Sequence[Place], *, key: str, label: object = 3) -> LabeledBatch:
    posted = Posted(key=key, digest=digest(key), rows=len(places), label_counts={"3": len(places)})
    return LabeledBatch(posted, places, [label] * len(places))


def ids_of(kept: KeptPredictions, count: int) -> list[str]:
    return [id_ for id_, _ in kept.keep([answered(rows=1)] * count)]


def books(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return violations(connection)


def test_rows_with_their_labels_are_a_batch_like_any_other(
    kept: KeptPredictions, labeling: Labeling, history: History, engine: Engine
) -> None:
    first, second = ids_of(kept, 2)

    [batch] = labeling.record("digits", [a_batch([(second, 0), (first, 0)], key="late")])

    assert history.batch("digits", batch.number) == batch
    assert (batch.key, batch.rows, batch.label_counts) == ("late", 2, {"3": 2})
    found = labeling.look("digits", [first, second]).labels
    assert {place: (row.batch, row.batch_row, row.label) for place, row in found.items()} == {
        (second, 0): (batch.number, 0, 3),
        (first, 0): (batch.number, 1, 3),
    }
    assert kept.find("digits", first).labels == (found[first, 0],)
    assert books(engine) == []


def test_a_row_that_has_its_label_gets_no_other_and_takes_the_whole_batch_back(
    kept: KeptPredictions, labeling: Labeling, engine: Engine
) -> None:
    first, second = ids_of(kept, 2)
    labeling.record("digits", [a_batch([(first, 0)], key="early")])

    with pytest.raises(LabelsTaken):
        labeling.record("digits", [a_batch([(second, 0)], key="b"), a_batch([(first, 0)], key="c", label=4)])

    assert list(labeling.look("digits", [first, second]).labels) == [(first, 0)]
    with engine.begin() as connection:
        assert connection.execute(select(batches.c.key)).scalars().all() == ["early"]
    assert labeling.record("digits", [a_batch([(second, 0)], key="b")])[0].number == 2
    assert books(engine) == []


@pytest.mark.parametrize("content", ["late", "other"])
def test_a_key_that_names_a_batch_labels_nothing_also_where_its_rows_are_the_same(
    kept: KeptPredictions, labeling: Labeling, ledger: Ledger, content: str
) -> None:
    [id_] = ids_of(kept, 1)
    accept(ledger, "late")
    asked = a_batch([(id_, 0)], key="late")
    posted = Posted("late", digest(content), 1, {})

    with pytest.raises(IdempotencyKeyReused):
        labeling.record("digits", [LabeledBatch(posted, asked.places, asked.labels)])

    assert labeling.look("digits", [id_]).labels == {}


def test_a_request_that_is_sent_again_at_once_finds_its_rows_taken_and_not_its_key(
    kept: KeptPredictions, labeling: Labeling
) -> None:
    [id_] = ids_of(kept, 1)
    asked = a_batch([(id_, 0)], key="late")
    labeling.record("digits", [asked])

    for content in ("late", "other"):
        again = LabeledBatch(Posted("late", digest(content), 1, {}), asked.places, asked.labels)
        with pytest.raises(LabelsTaken):
            labeling.record("digits", [again])


def test_labels_close_the_chunk_that_they_fill(
    labeling: Labeling, ledger: Ledger, engine: Engine, clock: FakeClock, history: History
) -> None:
    a_model(ledger, rows=3)
    places = [(id_, 0) for id_ in ids_of(KeptPredictions(engine, clock=clock), 4)]

    labeling.record(
        "digits", [a_batch(places[:2], key="a"), a_batch(places[2:3], key="b"), a_batch(places[3:], key="c")]
    )

    assert [history.batch("digits", number).chunk for number in (1, 2, 3)] == [1, 1, None]
    assert books(engine) == []


def test_a_look_finds_what_is_kept_of_this_model_and_in_time(
    kept: KeptPredictions, labeling: Labeling, ledger: Ledger, clock: FakeClock
) -> None:
    a_model(ledger, "letters")
    many = ids_of(kept, 2 * ASKED + 3)
    [(short, _), (of_letters, _)] = kept.keep([answered(seconds=1.0), answered("letters")])
    clock.pass_by(1.0)

    standing = labeling.look("digits", [*many, short, of_letters, "never"])

    assert standing.kept.keys() == set(many)
    assert {(one.rows, one.nbytes) for one in standing.kept.values()} == {(1, 2)}
    assert (standing.now, standing.labels) == (clock.seconds, {})
    with pytest.raises(ModelNotFound):
        labeling.look("none", many)


def test_inputs_are_read_in_parts_and_those_that_went_are_left_out(
    kept: KeptPredictions, labeling: Labeling, clock: FakeClock
) -> None:
    large = [answered(inputs=bytes([number]) * (READ_BYTES // 2)) for number in range(3)]
    ids = [id_ for id_, _ in kept.keep([*large, answered(seconds=1.0, inputs=b"gone"), answered(inputs=b"here")])]
    standing = labeling.look("digits", ids)
    clock.pass_by(2.0)
    assert kept.sweep() == 1

    found = dict(labeling.inputs(standing.kept))

    assert found.keys() == {id_ for id_ in ids if id_ != ids[3]}
    assert [found[id_][:1] for id_ in ids[:3]] == [b"\x00", b"\x01", b"\x02"]
    assert found[ids[4]] == b"here"


def test_bytes_that_are_being_removed_label_nothing(
    kept: KeptPredictions, labeling: Labeling, engine: Engine, clock: FakeClock
) -> None:
    [id_] = ids_of(kept, 1)
    with labeling.engine.begin() as connection:
        bury(connection, [digest("late")], clock.seconds)

    with pytest.raises(BlobBuried):
        labeling.record("digits", [a_batch([(id_, 0)], key="late")])

    assert labeling.look("digits", [id_]).labels == {}


def test_many_who_label_the_same_rows_at_once_label_each_once(
    kept: KeptPredictions, engine: Engine, clock: FakeClock
) -> None:
    clients, rows = 6, 60
    ids = ids_of(kept, rows)

    def label(client: int) -> None:
        """Every row, in an order of its own, a few at a time; what others took is left out at the next look."""
        own = connect(engine.url.render_as_string(hide_password=False))
        labeling, choose = Labeling(Ledger(own, clock=clock)), random.Random(SEED + client)
        left = choose.sample(ids, len(ids))
        while left:
            part, left = left[:7], left[7:]
            while free := [id_ for id_ in part if (id_, 0) not in labeling.look("digits", part).labels]:
                places, key = [(id_, 0) for id_ in free], f"{client} {len(left)} {len(free)} {choose.random()}"
                try:
                    labeling.record("digits", [a_batch(places, key=key, label=client)])
                except LabelsTaken:
                    continue
        own.dispose()

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(label, range(clients)))

    with engine.begin() as connection:
        given = Counter(connection.execute(select(labels.c.prediction)).scalars())
        held = sum(connection.execute(select(batches.c.rows)).scalars())
    assert given == dict.fromkeys(ids, 1)
    assert held == rows
    assert books(engine) == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("lost", "digits: batch 1 has 2 rows, and 1 labels became 1 of them"),
        ("more", "digits: batch 1 has 2 rows, and 3 labels became 2 of them"),
        ("same row", "digits: batch 1 has 2 rows, and 2 labels became 1 of them"),
        ("beyond", "digits: batch 1 has 2 rows, and 2 labels became 2 of them"),
    ],
)
def test_labels_that_do_not_fit_their_batch_are_named(
    kept: KeptPredictions, labeling: Labeling, engine: Engine, harm: str, said: str
) -> None:
    first, second, third = ids_of(kept, 3)
    labeling.record("digits", [a_batch([(first, 0), (second, 0)], key="late")])
    of_second = labels.c.prediction == second

    with labeling.engine.begin() as connection:
        match harm:
            case "lost":
                connection.execute(delete(labels).where(of_second))
            case "more":
                row = dict(connection.execute(select(labels).where(of_second)).one()._mapping)
                connection.execute(insert(labels).values(row | {"prediction": third}))
            case "same row":
                connection.execute(update(labels).where(of_second).values(batch_row=0))
            case _:
                connection.execute(update(labels).where(of_second).values(batch_row=2))

    assert books(engine) == [said]

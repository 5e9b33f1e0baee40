"""Faults of the service itself: told apart, answered as problems, and silent about what is inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from store.engine import close
from tests.service.expected import expect_problem
from tests.service.live import INPUTS, ROWS, Json, Live, running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Live]:
    """A service of this test alone, to be broken."""
    with running(tmp_path) as live:
        yield live


def test_stored_bytes_that_are_damaged_or_gone_are_told_apart(own: Live) -> None:
    model = own.create()
    path = own.folder.path(own.client.get(f"{model}/versions/0").json()["digest"])

    path.write_bytes(b"damaged")
    expect_problem(own.client.post(f"{model}/predictions", json=INPUTS), "blob-corrupt")
    path.unlink()
    expect_problem(own.client.get(f"{model}/versions/0/posterior"), "blob-missing")


def test_a_database_without_its_tables_makes_the_service_not_ready(own: Live) -> None:
    with own.house.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")

    answer = own.client.get("/readyz")

    expect_problem(answer, "database-not-current")
    assert own.client.get("/livez").json() == {"status": "ok"}


def test_a_database_that_does_not_answer_is_unavailable_and_its_words_stay_inside(
    own: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError("SELECT secret", {}, Exception("password of the database"))

    monkeypatch.setattr(own.house.history, "models", fail)

    answer = own.client.get("/v1/models")

    body = expect_problem(answer, "unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert "secret" not in json.dumps(body)
    assert "password" not in json.dumps(body)


def test_blobs_that_cannot_be_written_refuse_the_batch_and_make_the_service_not_ready(own: Live) -> None:
    model = own.create()
    blobs = own.folder.root
    blobs.rename(blobs.with_name("gone"))
    blobs.write_text("not a folder")

    posted = own.client.post(f"{model}/batches", json=ROWS, headers={"Idempotency-Key": "k"})

    expect_problem(posted, "unavailable")
    expect_problem(own.client.get("/readyz"), "unavailable")
    assert own.client.get(model).json()["rows"] == 0


@pytest.mark.parametrize("asked", [{}, {"samples": 4}], ids=["of moments", "of draws"])
def test_a_service_that_is_stopping_begins_no_prediction(own: Live, asked: Json) -> None:
    model = own.create()
    own.house.stopping.set()

    answer = own.client.post(f"{model}/predictions", json=INPUTS | asked)

    assert "The service is stopping" in expect_problem(answer, "unavailable")["detail"]
    assert answer.headers["Retry-After"] == "1"


def test_a_service_that_is_closed_takes_no_prediction_of_any_size(own: Live) -> None:
    model = own.create()
    for _ in range(3):
        assert own.client.post(f"{model}/predictions", json=INPUTS).status_code == 200

    own.house.predicting.close()

    for inputs in (INPUTS["inputs"], [[1, 2]] * 50):
        answer = own.client.post(f"{model}/predictions", json={"inputs": inputs})
        assert "The service is stopping" in expect_problem(answer, "unavailable")["detail"]


def test_an_unexpected_error_is_answered_without_its_words(own: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(own.house.history, "model", fail)

    answer = own.client.get("/v1/models/any")

    assert "secret" not in json.dumps(expect_problem(answer, "internal"))


def test_a_database_that_is_not_there_at_all_is_unavailable(tmp_path: Path) -> None:
    with running(tmp_path) as live:
        (tmp_path / "ledger.sqlite").unlink()
        close(live.house.engine)

        expect_problem(live.client.get("/v1/models"), "unavailable")

"""More rows than a service takes go in parts, and each is counted once, however often and wherever it is cut short."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from client import AsyncClient, Client, ServiceProblem, Unreachable, UnusableArray, UnusableKey
from client.demo.process import running_service
from tests.client.given import description, empty_config, rows
from tests.client.line import Line, accepted, drop, problem
from tests.client.test_cli import run

X, Y = rows(25)
ROWS_MAX = 8


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that takes eight rows at once."""
    directory: Path = tmp_path_factory.mktemp("small")
    own = {"POSTERITY_DATA_DIR": str(directory), "POSTERITY_CONFIG": str(empty_config(directory))}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    most = {"POSTERITY_ROWS_MAX": str(ROWS_MAX), "POSTERITY_ROWS_PREDICT_MAX": str(ROWS_MAX), "POSTERITY_THREADS": "1"}
    with running_service(kept | own | most, log=directory / "service.log") as url:
        yield url


def too_many(_: httpx.Request) -> httpx.Response:
    return problem(413, "batch-too-large", "Too many rows.")


def test_rows_are_posted_in_parts_whose_keys_follow_from_the_first(client: Client, model: str) -> None:
    batches = client.ingest_all(model, X, Y, key="monday", rows_per_batch=10)

    assert [(one.key, one.rows) for one in batches] == [("monday", 10), ("monday/2", 10), ("monday/3", 5)]
    assert client.model(model).rows == 25


def test_the_same_again_counts_nothing_twice(client: Client, model: str) -> None:
    first = client.ingest_all(model, X, Y, rows_per_batch=10)
    again = client.ingest_all(model, X, Y, rows_per_batch=10)

    assert [one.batch for one in again] == [one.batch for one in first]
    assert [one.is_replay for one in again] == [True] * 3
    assert client.model(model).rows == 25


def test_what_was_cut_short_goes_on_behind_what_was_accepted(client: Client, model: str) -> None:
    client.ingest(model, X[:10], Y[:10], key="monday")

    batches = client.ingest_all(model, X, Y, key="monday", rows_per_batch=10)

    assert [one.is_replay for one in batches] == [True, False, False]
    assert client.model(model).rows == 25


@pytest.mark.parametrize("size", [5, 12, 25, None])
def test_the_same_key_in_parts_of_another_size_is_refused_before_anything_is_stored(
    client: Client, model: str, size: int | None
) -> None:
    client.ingest_all(model, X, Y, key="monday", rows_per_batch=10)

    with pytest.raises(ServiceProblem) as caught:
        client.ingest_all(model, X, Y, key="monday", rows_per_batch=size)

    assert caught.value.code == "idempotency-key-reused"
    assert client.model(model).rows == 25


def test_equal_parts_are_rows_of_their_own(client: Client, model: str) -> None:
    client.ingest_all(model, np.zeros((6, 2)), np.zeros(6, int), rows_per_batch=2)

    assert (client.model(model).rows, client.model(model).batches) == (6, 3)


def test_weights_go_with_their_rows(client: Client, model: str) -> None:
    weights = np.arange(1, 7) / 2
    client.ingest_all(model, X[:6], Y[:6], weights, key="weighed", rows_per_batch=3)

    again = client.ingest(model, X[3:6], Y[3:6], weights[3:6], key="weighed/2")

    assert again.is_replay


def test_what_a_service_takes_is_found_and_found_again(small: str) -> None:
    with Client(small) as client:
        name = client.create_model(description("small")).name
        batches = client.ingest_all(name, X, Y)
        again = client.ingest_all(name, X, Y)

        assert [one.rows for one in batches] == [6, 6, 6, 6, 1]
        assert all(one.is_replay for one in again)
        assert client.model(name).rows == 25


def test_more_rows_than_a_service_predicts_at_once_have_one_answer_of_one_version(small: str) -> None:
    with Client(small) as client:
        name = client.create_model(description("asked")).name
        whole = client.predict_all(name, X)
        parts = [client.predict(name, X[start : start + 6]) for start in range(0, 25, 6)]

        assert (len(whole), whole.version, len(whole.names)) == (25, 0, 25)
        assert whole.probabilities.tolist() == [row for part in parts for row in part.probabilities.tolist()]
        assert len(set(client.predict_all(name, X, keep=True).row_ids)) == 25


def test_a_stated_size_that_is_too_large_is_the_callers_to_change(small: str) -> None:
    with Client(small) as client:
        name = client.create_model(description("stated")).name
        with pytest.raises(ServiceProblem, match="Next: post it in parts"):
            client.ingest_all(name, X, Y, rows_per_batch=9)

        assert client.model(name).rows == 0


def test_a_part_that_is_sent_again_has_its_key_again() -> None:
    line = Line(accepted, drop, accepted)

    with line.client() as client:
        client.ingest_all("m", X[:2], Y[:2], key="k", rows_per_batch=1)

    assert line.keys() == ['"k"', '"k/2"', '"k/2"']


def test_halving_ends_at_one_row() -> None:
    line = Line(too_many, too_many, too_many)

    with line.client() as client, pytest.raises(ServiceProblem):
        client.ingest_all("m", X[:4], Y[:4])

    assert len(line.asked) == 3


@pytest.mark.parametrize(
    ("y", "weights", "said"),
    [(Y[:3], None, "4 inputs, 3 labels"), (Y[:4], [1.0], "1 weights"), (Y[:4], 2.0, "0 weights")],
)
def test_rows_without_their_labels_are_refused_here(y: NDArray[np.int64], weights: ArrayLike | None, said: str) -> None:
    with Line().client() as client, pytest.raises(UnusableArray, match=said):
        client.ingest_all("m", X[:4], y, weights)


def test_a_key_without_room_for_a_number_is_refused_before_anything_is_posted() -> None:
    with Line().client() as client, pytest.raises(UnusableKey, match="at most 245"):
        client.ingest_all("m", X, Y, key="k" * 250, rows_per_batch=1)


def test_the_asynchronous_client_posts_the_same_parts(url: str, client: Client, model: str) -> None:
    async def post() -> list[str]:
        async with AsyncClient(url) as asynchronous:
            return [one.key for one in await asynchronous.ingest_all(model, X, Y, key="k", rows_per_batch=10)]

    assert asyncio.run(post()) == ["k", "k/2", "k/3"]
    assert all(one.is_replay for one in client.ingest_all(model, X, Y, key="k", rows_per_batch=10))


def test_what_was_cut_short_says_how_much_is_stored_and_to_go_on() -> None:
    line = Line(accepted, accepted, drop)

    with line.client(attempts_max=1) as client, pytest.raises(Unreachable) as cut:
        client.ingest_all("m", X[:4], Y[:4], key="k", rows_per_batch=1)

    assert cut.value.__notes__ == ["2 of 4 parts are stored; run this again: nothing is counted twice."]


def test_a_part_that_is_refused_says_which_rows_are_counted_already() -> None:
    line = Line(accepted, lambda _: problem(422, "label-out-of-range", "There is no class 9."))

    with line.client() as client, pytest.raises(ServiceProblem) as cut:
        client.ingest_all("m", X[:4], Y[:4], key="k", rows_per_batch=2)

    assert "1 of 2 parts are stored, with the first 2 rows" in cut.value.__notes__[0]


def test_an_interrupt_says_how_much_is_stored() -> None:
    def interrupt(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    with Line(accepted, interrupt).client() as client, pytest.raises(KeyboardInterrupt) as cut:
        client.ingest_all("m", X[:4], Y[:4], key="k", rows_per_batch=1)

    assert cut.value.__notes__ == ["1 of 4 parts are stored; run this again: nothing is counted twice."]


def test_parts_that_were_stored_before_are_one_line(url: str, model: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.npz"
    np.savez(file, x=X, y=Y)
    posting = ("ingest", model, str(file), "--key", "k", "--rows-per-batch", "5")

    with Client(url) as client:
        client.ingest_all(model, X[:10], Y[:10], key="k", rows_per_batch=5)
    half, again = run(url, *posting), run(url, *posting)

    assert len(half.stderr.splitlines()) == len(again.stderr.splitlines()) == 1
    assert "2 of 5 parts were posted before, as batches 1 to 2: nothing is counted twice" in half.stderr
    assert "these rows were posted before, as batches 1 to 5" in again.stderr


def test_a_command_that_is_cut_short_prints_what_is_stored(url: str, model: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.npz"
    np.savez(file, x=X, y=np.where(np.arange(25) < 20, Y, 9))

    refused = run(url, "ingest", model, str(file), "--rows-per-batch", "5")
    told = json.loads(run(url, "ingest", model, str(file), "--rows-per-batch", "5", "--json").stderr)

    assert refused.exit_code == 1
    assert "4 of 5 parts are stored, with the first 20 rows" in refused.stderr
    assert "4 of 5 parts" in told["notes"][0]

"""The whole chain through the Python client, against a real service and its worker."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from safetensors.numpy import load

from client import AsyncClient, Client, ServiceProblem, Update
from tests.client.given import CHUNK_ROWS, description, rows

X, Y = rows(CHUNK_ROWS)


def absorb(client: Client, model: str, *, seed: int = 0) -> int:
    """Ten rows became a version; its number."""
    batch = client.ingest(model, *rows(CHUNK_ROWS, seed=seed))
    version = client.wait(model, batch=batch.batch, timeout_seconds=60).version
    assert version is not None
    return version


def test_a_model_reads_back_as_described_with_its_defaults_resolved(client: Client, model: str) -> None:
    found = client.model(model)

    assert found.net == {"kind": "mlp", "hidden": [4]}
    assert (found.head, found.family, found.recipe["epochs"]) == (0, "ffg", 5)
    assert found.recipe["batch_rows"] > 0
    assert found in client.models()


def test_creating_a_model_again_is_the_same_and_creating_another_of_its_name_is_refused(
    client: Client, model: str
) -> None:
    assert client.create_model(description(model)) == client.model(model)
    with pytest.raises(ServiceProblem) as caught:
        client.create_model(description(model, family="point"))

    assert (caught.value.code, caught.value.status) == ("model-exists", 409)


def test_a_batch_that_fills_a_chunk_becomes_a_version_with_it_as_evidence(client: Client, model: str) -> None:
    looks: list[Update] = []

    batch = client.ingest(model, X, Y)
    update = client.wait(model, batch=batch.batch, progress=looks.append, timeout_seconds=60)

    version = client.version(model, 1)
    assert (update.state, update.version, looks[-1]) == ("published", 1, update)
    assert (version.parent, version.evidence.batches, version.evidence.rows) == (0, (batch.batch,), CHUNK_ROWS)
    assert version.kl_nats is not None
    assert version.kl_nats > 0
    assert client.model(model).head == 1
    assert client.batch(model, batch.batch).absorbed_in == (1,)


def test_the_same_key_and_rows_are_one_batch_and_other_rows_are_refused(client: Client, model: str) -> None:
    first = client.ingest(model, X[:3], Y[:3], key='a "quoted" \\ key')
    again = client.ingest(model, X[:3], Y[:3], key='a "quoted" \\ key')

    assert (first.is_replay, again.is_replay) == (False, True)
    assert again.batch == first.batch
    assert client.model(model).rows == 3
    with pytest.raises(ServiceProblem) as caught:
        client.ingest(model, X[:4], Y[:4], key='a "quoted" \\ key')
    assert caught.value.code == "idempotency-key-reused"


def test_pending_rows_are_closed_on_demand(client: Client, model: str) -> None:
    client.ingest(model, X[:3], Y[:3], [1.0, 2.0, 0.5])
    assert client.model(model).pending.rows == 3

    update = client.update(model)

    assert client.wait(model, update.update, timeout_seconds=60).rows == 3
    assert client.settle(model, timeout_seconds=60).pending.rows == 0
    assert [one.update for one in client.updates(model)] == [update.update]
    with pytest.raises(ServiceProblem) as caught:
        client.update(model)
    assert caught.value.code == "nothing-pending"


def test_a_prediction_has_probabilities_that_sum_to_one_and_an_entropy_in_two_parts(client: Client, model: str) -> None:
    answer = client.predict(model, X, version=0, samples=8, seed=3)

    assert (len(answer), answer.version, answer.samples, answer.seed) == (CHUNK_ROWS, 0, 8, 3)
    assert answer.probabilities.sum(axis=1) == pytest.approx(np.ones(CHUNK_ROWS), abs=1e-6)
    assert answer.aleatoric + answer.mutual_information == pytest.approx(answer.entropy, abs=1e-6)
    assert set(answer.names) <= {"left", "right"}
    with pytest.raises(AttributeError, match="no mean"):
        _ = answer.mean


def test_a_prediction_says_by_which_method_it_was_made(client: Client, model: str) -> None:
    def made_by(
        method: str | None = None, *, samples: int | None = None, seed: int | None = None
    ) -> tuple[str, int | None, int | None, str | None]:
        answer = client.predict(model, X, method=method, samples=samples, seed=seed)
        return answer.method, answer.samples, answer.seed, answer.instead_of

    assert made_by() == made_by("moments") == ("moments", None, None, None)
    assert made_by(samples=4) == made_by("ensemble", samples=4) == ("ensemble", 4, 0, None)
    assert made_by(seed=2) == ("ensemble", 16, 2, None)
    assert made_by("mean") == ("mean", None, None, None)


def test_an_ensemble_that_stands_for_moments_says_so_and_why(client: Client) -> None:
    client.create_model(description("without-moments", family="mnf"))

    meant, chosen = client.predict("without-moments", X), client.predict("without-moments", X, method="ensemble")

    assert (meant.method, meant.samples, meant.seed, meant.instead_of) == ("ensemble", 16, 0, "moments")
    assert meant.because is not None
    assert "mnf" in meant.because
    assert (chosen.instead_of, chosen.because) == (None, None)
    assert chosen.probabilities.tolist() == meant.probabilities.tolist()


def test_a_model_of_numbers_predicts_means_and_spreads(client: Client) -> None:
    output = {"kind": "gaussian", "dims": 1, "noise": 0.5}
    client.create_model(description("numbers", output=output))
    batch = client.ingest("numbers", X, X[:, :1] * 2.0)
    client.wait("numbers", batch=batch.batch, timeout_seconds=60)

    answer, wide = client.predict("numbers", X), client.predict("numbers", X, interval=0.99)

    assert answer.mean.shape == answer.std.shape == (CHUNK_ROWS, 1)
    assert answer.noise_std == pytest.approx(np.full((CHUNK_ROWS, 1), 0.5), abs=1e-6)
    assert (answer.interval, wide.interval) == (0.9, 0.99)
    assert answer.upper - answer.mean == pytest.approx(answer.mean - answer.lower)
    assert bool(((wide.lower < answer.lower) & (answer.lower < answer.upper) & (answer.upper < wide.upper)).all())
    with pytest.raises(AttributeError, match="no probabilities"):
        _ = answer.probabilities


def test_a_rollback_is_seen_by_the_next_request_and_changes_no_version(client: Client, model: str) -> None:
    first, second = absorb(client, model), absorb(client, model, seed=1)
    old, new = client.predict(model, X, version=first), client.predict(model, X)

    moved = client.rollback(model, steps=1, reason="a drill")

    assert (moved.head, moved.previous) == (first, second)
    assert client.predict(model, X).raw == old.raw
    assert client.predict(model, X, version=second).raw == new.raw
    assert old.raw["outputs"] != new.raw["outputs"]
    last = client.history(model)[-1]
    assert (last.kind, last.previous, last.version, last.reason) == ("rollback", second, first, "a drill")


def test_an_alias_moves_only_while_its_seq_is_the_one_seen(client: Client, model: str) -> None:
    first = absorb(client, model)
    seen = client.set_alias(model, "champion", 0, reason="first")

    moved = client.set_alias(model, "champion", first, if_match=seen.seq)

    assert (moved.version, client.alias(model, "champion").version) == (first, first)
    assert client.predict(model, X, alias="champion").version == first
    with pytest.raises(ServiceProblem) as caught:
        client.set_alias(model, "champion", 0, if_match=seen.seq)
    assert (caught.value.code, caught.value.status) == ("alias-moved", 412)
    assert {alias.alias for alias in client.aliases(model)} == {"head", "champion"}


def test_a_removed_alias_is_gone_and_its_history_stays(client: Client, model: str) -> None:
    client.set_alias(model, "champion", 0)

    client.remove_alias(model, "champion")

    assert client.history(model, "champion")[-1].version is None
    with pytest.raises(ServiceProblem) as caught:
        client.predict(model, X, alias="champion")
    assert caught.value.code == "alias-not-found"


def test_a_posterior_downloads_as_safetensors_with_means_and_log_sigmas(client: Client, model: str) -> None:
    tensors = load(client.posterior(model, 0))

    assert {name.rsplit(".", 1)[-1] for name in tensors} == {"mu", "log_sigma"}


def test_versions_compare_by_their_divergence_in_nats(client: Client, model: str) -> None:
    version = absorb(client, model)

    apart = client.compare(model, version, 0)

    assert apart.kl_nats.total == pytest.approx(sum(apart.kl_nats.layers.values()), rel=1e-6)
    assert client.compare(model, version, version).kl_nats.total == 0.0


def test_a_chunk_left_behind_by_a_rollback_is_absorbed_again_by_a_replay(client: Client, model: str) -> None:
    absorb(client, model)
    second = absorb(client, model, seed=1)
    chunk = client.version(model, second).chunk
    assert chunk is not None
    client.rollback(model, to=0)

    (update,) = client.replay(model, chunk)
    replayed = client.version(model, client.wait(model, update.update, timeout_seconds=60).version or 0)

    assert (replayed.parent, replayed.evidence.chunks) == (0, (chunk,))


def test_a_finished_update_cannot_be_cancelled(client: Client, model: str) -> None:
    absorb(client, model)

    with pytest.raises(ServiceProblem) as caught:
        client.cancel(model, 1)

    assert caught.value.code == "update-finished"


def test_the_asynchronous_client_runs_the_same_chain(url: str, model: str) -> None:
    async def chain() -> tuple[int | None, int]:
        async with AsyncClient(url) as client:
            assert (await client.ready()).is_ready
            batch = await client.ingest(model, X, Y)
            update = await client.wait(model, batch=batch.batch, timeout_seconds=60)
            answers = await asyncio.gather(*(client.predict(model, X, version=version) for version in (0, 1, 0)))
            assert answers[0].raw == answers[2].raw
            return update.version, answers[1].version

    assert asyncio.run(chain()) == (1, 1)


def test_unknown_things_are_named_by_their_code(client: Client, model: str) -> None:
    def code(ask: object, *arguments: object) -> str:
        assert callable(ask)
        with pytest.raises(ServiceProblem) as caught:
            ask(*arguments)
        return caught.value.code

    assert code(client.model, "nobody") == "model-not-found"
    assert code(client.version, model, 9) == "version-not-found"
    assert code(client.batch, model, 9) == "batch-not-found"
    assert code(client.read_update, model, 9) == "update-not-found"
    assert code(client.alias, model, "nobody") == "alias-not-found"


def test_batches_are_listed_in_the_order_in_which_they_were_accepted(client: Client, model: str) -> None:
    for row in range(3):
        client.ingest(model, X[row : row + 1], Y[row : row + 1], key=f"row {row}")

    assert [batch.key for batch in client.batches(model)] == ["row 0", "row 1", "row 2"]

"""kill -9 at any moment: the update is published once, with the posterior of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess

from sqlalchemy import Engine, select

from client.client import Client
from client.values import Update
from store.schema.learning import updates
from tests.promises.house import DIGITS, House, digits, until_too_late

LONG = {"epochs": 300}
"""Long enough to be killed in the middle of, on any machine."""


def served(installation: House) -> str:
    """The URL of a service without workers, with two models that hold the same pending rows."""
    images, labels = digits()
    _, url = installation.serve(workers=0)
    with Client(url) as client:
        for name in ("disturbed", "undisturbed"):
            client.create_model(DIGITS | {"name": name, "recipe": LONG, "chunk": {"rows": 10_000, "seconds": None}})
            client.ingest(name, images[:300], labels[:300])
    return url


def half_way(client: Client, model: str) -> Update:
    for _ in until_too_late("the update is half way"):
        update = client.read_update(model, 1)
        assert update.state in {"queued", "running"}, f"the update was over before it could be disturbed: {update}"
        if update.progress is not None and update.progress.step > 0:
            return update
    raise AssertionError


def test_an_update_whose_worker_was_killed_is_published_once_and_equals_an_undisturbed_one(
    installation: House,
) -> None:
    with Client(served(installation)) as client:
        killed = installation.work()
        client.update("disturbed")
        half_way(client, "disturbed")
        killed.kill()
        killed.wait()
        assert client.read_update("disturbed", 1).version is None

        installation.work()
        client.settle("disturbed")
        client.update("undisturbed")
        client.settle("undisturbed")

        update = client.read_update("disturbed", 1)
        assert (update.state, update.attempt) == ("published", 2)
        assert [version.version for version in client.versions("disturbed")] == [0, 1]
        assert client.version("disturbed", 1).digest == client.version("undisturbed", 1).digest
        assert client.posterior("disturbed", 1) == client.posterior("undisturbed", 1)


def test_a_worker_told_to_stop_gives_its_update_back_and_another_finishes_it(embedded: House) -> None:
    with Client(served(embedded)) as client:
        first = embedded.work()
        client.update("disturbed")
        half_way(client, "disturbed")
        first.send_signal(signal.SIGTERM)
        assert first.wait(30) == 0
        assert client.read_update("disturbed", 1).state == "queued"

        embedded.work()
        client.settle("disturbed")

        assert client.read_update("disturbed", 1).version == 1


def test_a_service_starts_another_worker_when_its_own_is_killed(embedded: House, embedded_engine: Engine) -> None:
    served(embedded)
    _, other = embedded.serve(workers=1)
    with Client(other) as client:
        client.update("disturbed")
        half_way(client, "disturbed")
        os.kill(worker_of(embedded_engine), signal.SIGKILL)

        client.settle("disturbed")

        update = client.read_update("disturbed", 1)
        assert (update.state, update.version) == ("published", 1)
        assert update.attempt > 1


def test_a_service_stops_cleanly_and_takes_its_worker_along(embedded: House, embedded_engine: Engine) -> None:
    url = served(embedded)
    service, other = embedded.serve(workers=1)
    with Client(other) as client:
        client.update("disturbed")
        half_way(client, "disturbed")
    worker = worker_of(embedded_engine)

    service.send_signal(signal.SIGTERM)

    assert service.wait(30) == 0
    assert not is_running(worker)
    with Client(url) as client:
        assert client.read_update("disturbed", 1).state == "queued"


def test_a_killed_service_leaves_no_worker_behind(embedded: House, embedded_engine: Engine) -> None:
    served(embedded)
    service, other = embedded.serve(workers=1)
    with Client(other) as client:
        client.update("disturbed")
        half_way(client, "disturbed")
    worker = worker_of(embedded_engine)

    service.kill()

    for _ in until_too_late("the worker is gone"):
        if not is_running(worker):
            break


def test_two_workers_share_the_models_and_learn_the_same_from_the_same_rows(embedded: House) -> None:
    with Client(served(embedded)) as client:
        for _ in range(2):
            embedded.work()
        for model in ("disturbed", "undisturbed"):
            client.update(model)
        for model in ("disturbed", "undisturbed"):
            client.settle(model)

        assert client.read_update("disturbed", 1).attempt == 1
        assert client.version("disturbed", 1).digest == client.version("undisturbed", 1).digest


def worker_of(engine: Engine) -> int:
    """The process id of the worker that holds the running update."""
    with engine.begin() as connection:
        owner = connection.execute(select(updates.c.owner).where(updates.c.state == "running")).scalar_one()
    return int(owner.rpartition(":")[2])


def is_running(pid: int) -> bool:
    """False for a process that has ended, also when nobody has asked for its exit code yet."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")

"""Times on the command line: printed in UTC with their zone, and read back as they were printed, in whatever zone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from client import Client, ServiceProblem
from tests.client.given import CHUNK_ROWS, rows
from tests.client.test_cli import NOBODY, POSTERITY, answer, run


@pytest.fixture(params=["America/New_York", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """This process and its children are in another zone than UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        assert datetime(2026, 11, 28).astimezone().utcoffset()
        yield request.param
    time.tzset()


@pytest.fixture
def moved(client: Client, model: str) -> str:
    """A model whose head has moved from version 0 to 1, back and forth."""
    client.ingest(model, *rows(CHUNK_ROWS))
    client.settle(model, timeout_seconds=60)
    client.rollback(model, to=0)
    client.set_alias(model, "head", 1)
    return model


def times_of(printed: str) -> list[str]:
    """The words that are times in UTC and say so."""
    return [word for line in printed.splitlines() for word in line.split() if word[:2] == "20" and word[-1] == "Z"]


def was_live(url: str, model: str, *moment: str) -> int:
    return int(answer(url, "was-live", model, *moment)["version"])


def test_the_printed_time_of_a_move_asks_for_that_move(url: str, moved: str, zone: str) -> None:
    printed = times_of(run(url, "history", moved).stdout)

    assert [was_live(url, moved, when) for when in printed] == [0, 1, 0, 1], zone
    assert [was_live(url, moved, when.removesuffix("Z")) for when in printed] == [0, 1, 0, 1]
    assert [was_live(url, moved, when.replace("T", " ")) for when in printed] == [0, 1, 0, 1]
    assert printed[2] in run(url, "was-live", moved, printed[2]).stdout


def test_a_process_of_its_own_prints_and_reads_the_same(url: str, moved: str, zone: str) -> None:
    environment = os.environ | {"POSTERITY_URL": url, "TZ": zone}

    def said(*words: str) -> str:
        done = subprocess.run([*POSTERITY, *words], env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    when = times_of(said("history", moved))[1]

    assert f"was version 1 at {when}" in said("was-live", moved, when)


def test_every_command_prints_the_times_of_the_service(client: Client, url: str, moved: str, zone: str) -> None:
    client.park(moved, client.ingest(moved, *rows(2, seed=1)).batch)
    client.forget(moved, 1)

    named = dict.fromkeys(("versions", "updates", "forgets"), "created_at")
    for command, name in (named | {"batches": "accepted_at", "parked": "parked_at"}).items():
        told = {datetime.fromisoformat(one[name]) for one in answer(url, command, moved)}
        printed = times_of(run(url, command, moved).stdout)
        assert told, command
        assert set(map(datetime.fromisoformat, printed)) == told, (command, zone)


def test_events_are_printed_with_the_times_that_ask_for_them(url: str, moved: str, zone: str) -> None:
    listening = [*POSTERITY, "events", moved, "--after", "0", "--kinds", "published", "--url", url]
    with subprocess.Popen(listening, env=os.environ | {"TZ": zone}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)

    assert was_live(url, moved, *times_of(line)) == 1


def test_a_time_with_another_zone_is_that_moment(url: str, moved: str, zone: str) -> None:
    printed = times_of(run(url, "history", moved).stdout)

    for when, version in zip(printed, [0, 1, 0, 1], strict=True):
        assert was_live(url, moved, datetime.fromisoformat(when).astimezone().isoformat()) == version, zone


def test_times_do_not_fold_in_a_narrow_terminal(url: str, moved: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.tables.PIPE_COLUMNS", 80)

    assert len(times_of(run(url, "history", moved).stdout)) == 4


@pytest.mark.parametrize("word", ["yesterday", "2026-11-31", "9999-12-31T23:59:59-12:00"])
def test_what_is_no_time_is_a_wrong_command_line(word: str) -> None:
    result = run(NOBODY, "was-live", "m", word)

    assert result.exit_code == 2
    assert "is no time;" in " ".join(result.stderr.split())


def test_the_client_refuses_a_time_without_a_zone(client: Client, moved: str) -> None:
    naive = datetime(2999, 1, 1)  # noqa: DTZ001 - what is refused

    with pytest.raises(ServiceProblem) as refused:
        client.alias_at(moved, "head", naive)
    assert refused.value.code == "query-invalid"
    with pytest.raises(ServiceProblem) as refused:
        client.create_key("naive", ["predict"], expires_at=naive)
    assert refused.value.code == "body-invalid"

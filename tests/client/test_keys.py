"""Keys from the client's side: shown to the service, to nobody else; and what a refusal looks like."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import subprocess
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from client import AsyncClient, Client, KeyNotAllowed, KeyRefused, RateLimited, ServiceProblem, UnusableApiKey
from client.cli import app
from client.demo.process import running_service
from tests.client.given import description, empty_config
from tests.client.line import URL, Line, answered, model, problem

SECRET = "c2VjcmV0IG9mIHRoZSBob3VzZSBhbmQgb2Ygbm9ib2R5"  # noqa: S105 - the random part of a key that opens nothing.
KEY = f"posterity_{SECRET}"


def test_the_key_is_shown_with_every_request() -> None:
    line = Line(*answered(model(), {"models": []}))

    with Client(URL, key=KEY, transport=httpx.MockTransport(line.answer)) as client:
        client.model("m")
        client.models()

    assert [request.headers["Authorization"] for request in line.asked] == [f"Bearer {KEY}"] * 2


def test_the_asynchronous_client_shows_it_too() -> None:
    line = Line(*answered(model()))

    async def ask() -> None:
        async with AsyncClient(URL, key=KEY, transport=httpx.MockTransport(line.answer)) as client:
            await client.model("m")

    asyncio.run(ask())

    assert line.asked[0].headers["Authorization"] == f"Bearer {KEY}"


def test_without_a_key_nothing_is_shown() -> None:
    line = Line(*answered(model()))

    with line.client() as client:
        client.model("m")

    assert "Authorization" not in line.asked[0].headers


def test_the_key_is_in_no_log_no_representation_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    script = [lambda _: problem(500, "internal", "a fault"), lambda _: problem(401, "key-invalid", "not known")]
    line = Line(*script)
    said = []

    with Client(URL, key=KEY, transport=httpx.MockTransport(line.answer)) as client:
        said += [repr(client), str(client), repr(vars(client)), repr(client._http.headers)]
        for _ in script:
            try:
                client.model("m")
            except ServiceProblem as error:
                said += ["".join(traceback.format_exception(error)), repr(error), str(error)]
    with (
        Client("http://127.0.0.1:9", key=KEY, attempts_max=1) as client,
        pytest.raises(Exception, match="refused") as no,
    ):
        client.model("m")
    said += ["".join(traceback.format_exception(no.value))]

    assert SECRET not in caplog.text + "".join(said)


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "caf\u00e9", f"{KEY}\n", "a\0"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(UnusableApiKey) as refused:
        Client(URL, key=key)

    assert not key.strip() or key.strip() not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [(401, "key-missing", KeyRefused), (403, "key-not-allowed", KeyNotAllowed), (429, "rate-limited", RateLimited)],
)
def test_a_refusal_is_an_error_of_its_own_with_the_services_words(
    status: int, code: str, kind: type[ServiceProblem]
) -> None:
    line = Line(lambda _: problem(status, code, "The door says why."))

    with line.client(attempts_max=1) as client, pytest.raises(kind, match=r"The door says why\.") as refused:
        client.model("m")

    assert (refused.value.code, refused.value.status) == (code, status)
    assert ("POSTERITY_KEY" in str(refused.value)) == (status == 401)


def test_any_request_is_sent_again_when_the_rate_was_exceeded_after_the_wait_it_was_told() -> None:
    slow = httpx.Response(429, headers={"Retry-After": "23"}, json={"code": "rate-limited", "detail": "wait"})
    moved = {
        "model": "m",
        "head": 0,
        "previous": 1,
        "seq": 3,
        "reason": "",
        "moved_by": "ada",
        "moved_at": "2026-01-01T00:00:00Z",
    }
    line = Line(lambda _: slow, lambda _: slow, *answered(moved))

    with line.client() as client:
        assert client.rollback("m", to=0).head == 0

    assert line.slept == [23.0, 23.0]
    assert len({request.content for request in line.asked}) == 1


@pytest.mark.parametrize(("status", "code"), [(401, "key-invalid"), (403, "key-not-allowed"), (429, "of-a-proxy")])
def test_other_refusals_of_a_write_are_not_sent_again(status: int, code: str) -> None:
    line = Line(lambda _: problem(status, code, "no"))

    with line.client() as client, pytest.raises(ServiceProblem):
        client.rollback("m", to=0)

    assert line.slept == []


@dataclass
class House:
    """A service with keys, and the environment of this machine's settings."""

    url: str
    environment: dict[str, str]
    operator: str

    def run(self, *words: str, **variables: str) -> Result:
        environment = {"POSTERITY_URL": self.url, "POSTERITY_KEY": "", "POSTERITY_KEY_FILE": "", "NO_COLOR": "1"}
        return CliRunner().invoke(app, list(words), env=environment | variables)


def local(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """A command that becomes another process, as `posterity` on the machine itself."""
    command = [sys.executable, "-m", "client.cli", "keys", *words, "--local"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    directory = tmp_path_factory.mktemp("keyed")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    own = {"POSTERITY_DATA_DIR": str(directory), "POSTERITY_CONFIG": str(empty_config(directory))}
    own["POSTERITY_LOG_LEVEL"] = "debug"
    made = local(kept | own, "create", "operator", "--scope", "admin")
    assert made.returncode == 0, made.stderr
    with running_service(kept | own | {"POSTERITY_THREADS": "1"}, log=directory / "service.log") as url:
        yield House(url, kept | own, made.stdout.strip())


def test_the_first_key_is_made_where_the_database_is_before_the_service_ever_ran(house: House) -> None:
    assert house.operator.startswith("posterity_")
    listed = local(house.environment, "list").stdout
    assert "operator: admin; models *; made by local" in listed
    assert house.operator not in listed


def test_commands_show_the_key_of_the_environment_or_of_a_file(house: House, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{house.operator}\n")
    file.chmod(stat.S_IRUSR)

    assert house.run("models", POSTERITY_KEY=house.operator).exit_code == 0
    assert house.run("models", POSTERITY_KEY_FILE=str(file)).exit_code == 0

    without = house.run("models")
    assert without.exit_code == 1
    assert "(key-missing)" in without.stderr
    assert "POSTERITY_KEY" in without.stderr
    assert without.stderr.count("\n") == 1
    nowhere = house.run("models", POSTERITY_KEY_FILE=str(tmp_path / "nothing"))
    assert "nothing: No such file" in nowhere.stderr
    unusable = house.run("models", POSTERITY_KEY=f"{SECRET} {SECRET}")
    assert "cannot travel in a header" in unusable.stderr
    assert SECRET not in unusable.stderr


def test_a_key_is_made_listed_used_and_revoked_from_the_command_line(house: House) -> None:
    operator = {"POSTERITY_KEY": house.operator}

    made = house.run("keys", "create", "reader", "--scope", "predict", "--models", "team-*", "--days", "2", **operator)
    assert made.exit_code == 0, made.stderr
    key = made.stdout.strip()
    assert key.startswith("posterity_")
    assert key not in made.stderr

    with Client(house.url, key=key) as client:
        assert client.models() == ()
        with pytest.raises(KeyNotAllowed, match=r"has the scope predict; POST /v1/models needs admin"):
            client.create_model(description("team-1"))
        with pytest.raises(KeyNotAllowed, match=r"is for the models 'team-\*'"):
            client.model("digits")
    listed = json.loads(house.run("keys", "--json", **operator).stdout)
    assert [(one["name"], one["created_by"], one["scopes"]) for one in listed] == [
        ("operator", "local", ["admin"]),
        ("reader", "operator", ["predict"]),
    ]
    table = house.run("keys", "list", **operator).stdout
    assert "team-*" in table
    assert key not in table

    assert house.run("keys", "revoke", "reader", **operator).exit_code == 0
    assert "key-invalid" in house.run("models", POSTERITY_KEY=key).stderr
    again = house.run("keys", "create", "reader", "--scope", "predict", **operator)
    assert (again.exit_code, "key-exists" in again.stderr) == (1, True)


def test_a_key_that_is_given_instead_of_its_name_is_sent_nowhere_and_on_the_machine_is_named(house: House) -> None:
    key = local(house.environment, "create", "--scope", "predict", "leaked").stdout.strip()

    sent = house.run("keys", "revoke", key, POSTERITY_KEY=house.operator)
    named = local(house.environment, "revoke", key)

    assert sent.exit_code == 2
    assert "was sent nowhere" in " ".join(sent.stderr.replace("│", " ").split())
    assert named.returncode == 1
    assert "the key named 'leaked'" in named.stderr
    assert key not in sent.stderr + named.stderr
    assert house.run("models", POSTERITY_KEY=key).exit_code == 0


def test_a_key_made_and_revoked_on_the_machine_counts_at_once(house: House) -> None:
    made = local(house.environment, "create", "--scope", "predict", "--requests-per-minute", "1", "local-1")
    assert "1 requests per minute" in made.stderr
    key = made.stdout.strip()

    assert house.run("models", POSTERITY_KEY=key).exit_code == 0
    with Client(house.url, key=key, attempts_max=1) as client, pytest.raises(RateLimited) as limited:
        client.models()
    assert limited.value.retry_after_seconds is not None
    assert 1 <= limited.value.retry_after_seconds <= 61
    assert local(house.environment, "revoke", "local-1").returncode == 0

    assert "key-invalid" in house.run("models", POSTERITY_KEY=key).stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("create", "operator", "--scope", "admin"), "A key named 'operator' was made before"),
        (("create", "client", "--scope", "admin"), "'client' cannot name a key"),
        (("create", "new", "--scope", "root"), "invalid Scope value: 'root'"),
        (("revoke", "nobody"), "There is no key named 'nobody'"),
    ],
)
def test_what_cannot_be_done_on_the_machine_is_said_in_words(house: House, words: tuple[str, ...], reason: str) -> None:
    done = local(house.environment, *words)

    assert done.returncode in {1, 2}
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_no_key_is_in_the_files_of_the_house(house: House) -> None:
    """Runs last: the service has met every key above, and logged at debug level."""
    directory = Path(house.environment["POSTERITY_DATA_DIR"])
    log = (directory / "service.log").read_text()

    assert "Posterity" in log or "posterity" in log
    for file in directory.rglob("*"):
        if file.is_file():
            assert house.operator.removeprefix("posterity_").encode() not in file.read_bytes(), file

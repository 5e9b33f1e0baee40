"""`posterity` as a person or a script uses it: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from client import Client
from client.cli import app
from tests.client.given import CHUNK_ROWS, description, empty_config, rows

X, Y = rows(CHUNK_ROWS)
NOBODY = "http://127.0.0.1:9"
POSTERITY = (sys.executable, "-m", "client.cli")


def run(url: str, *arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin, env={"POSTERITY_URL": url, "NO_COLOR": "1"})


def answer(url: str, *arguments: str, stdin: bytes | None = None) -> Any:  # noqa: ANN401
    """The JSON that a command prints which is to succeed."""
    result = run(url, *arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def npz(tmp_path: Path) -> str:
    path = tmp_path / "rows.npz"
    np.savez(path, x=X, y=Y)
    return str(path)


def test_the_chain_runs_from_the_command_line(url: str, model: str, npz: str) -> None:
    assert answer(url, "ingest", model, npz, "--wait")["absorbed_in"] == [1]
    assert answer(url, "predict", model, npz)["version"] == 1
    assert [one["version"] for one in answer(url, "versions", model)] == [0, 1]
    assert answer(url, "rollback", model, "--to", "0", "--reason", "a drill")["head"] == 0
    assert answer(url, "predict", model, npz)["version"] == 0
    assert [move["kind"] for move in answer(url, "history", model)] == ["create", "publish", "rollback"]
    assert answer(url, "aliases", "set", model, "champion", "1")["version"] == 1
    assert {alias["alias"] for alias in answer(url, "aliases", "list", model)} == {"head", "champion"}


def test_every_table_shows_what_the_service_knows(url: str, model: str, npz: str) -> None:
    run(url, "ingest", model, npz, "--wait", "--key", "monday")
    run(url, "rollback", model, "--steps", "1", "--reason", "a drill")

    def shown(*arguments: str) -> str:
        result = run(url, *arguments)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    assert model in shown("models")
    assert "monday" in shown("batches", model)
    assert "published" in shown("updates", model)
    assert "sha256:" in shown("versions", model)
    assert "a drill" in shown("history", model)
    assert "head" in shown("aliases", "list", model)
    assert "entropy" in shown("predict", model, npz)
    assert json.loads(shown("models", "show", model))["name"] == model


def test_a_model_is_created_from_a_file(url: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(description("from-a-file")))

    created = answer(url, "models", "create", "--file", str(path))

    assert (created["name"], created["head"]) == ("from-a-file", 0)


def test_a_file_that_is_ingested_again_is_counted_once_and_it_says_so(url: str, model: str, npz: str) -> None:
    first = run(url, "ingest", model, npz, "--json")
    again = run(url, "ingest", model, npz, "--json")

    assert (json.loads(again.stdout)["batch"], again.exit_code) == (json.loads(first.stdout)["batch"], 0)
    assert first.stderr == ""
    assert "posted before, as batch 1: nothing is counted twice" in again.stderr
    assert json.loads(run(url, "models", "show", model).stdout)["rows"] == CHUNK_ROWS


def test_a_file_is_posted_once_more_on_purpose_under_another_key(url: str, model: str, npz: str) -> None:
    first, more = answer(url, "ingest", model, npz), answer(url, "ingest", model, npz, "--key", "once more")

    assert (first["batch"], more["batch"], more["key"]) == (1, 2, "once more")


def test_other_files_and_the_same_file_of_another_model_have_their_own_batches(url: str, model: str, npz: str) -> None:
    answer(url, "models", "create", "--file", "-", stdin=json.dumps(description("another")).encode())
    Path(npz).with_name("more.npz").write_bytes(Path(npz).read_bytes() + b"\0")

    for name, file in ((model, npz), ("another", npz), (model, str(Path(npz).with_name("more.npz")))):
        posted = run(url, "ingest", name, file, "--json")
        assert (posted.exit_code, posted.stderr) == (0, "")

    assert len(answer(url, "batches", model)) == 2


def test_rows_come_from_a_pipe_and_classes_by_their_names(url: str, model: str) -> None:
    posted = answer(url, "ingest", model, "-", "--close", "--wait", stdin=b"a,b,label\n1,2,right\n-1,0,left\n")
    predicted = answer(url, "predict", model, "-", "--samples", "4", "--seed", "2", stdin=b"[[1, 2]]")

    assert (posted["rows"], posted["state"]) == (2, "absorbed")
    assert (predicted["samples"], predicted["seed"], len(predicted["outputs"])) == (4, 2, 1)


def test_a_prediction_prints_how_it_was_made(url: str, model: str) -> None:
    def made(*how: str) -> str:
        result = run(url, "predict", model, "-", *how, stdin=b"[[1, 2]]")
        assert result.exit_code == 0, result.stderr
        return " ".join(result.stdout.split())

    assert "version 0, moments;" in made()
    assert "version 0, ensemble;" in made("--samples", "4")
    assert "version 0, mean;" in made("--method", "mean")


def test_a_model_without_moments_prints_what_stands_for_them(url: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(description("without-moments-printed", family="mnf")))
    answer(url, "models", "create", "--file", str(path))

    result = run(url, "predict", "without-moments-printed", "-", stdin=b"[[1, 2]]")

    assert "ensemble instead of moments" in " ".join(result.stdout.split())


def test_a_model_of_numbers_prints_its_intervals(url: str, tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(json.dumps(description("numbers-printed", output={"kind": "gaussian"})))
    answer(url, "models", "create", "--file", str(path))

    result = run(url, "predict", "numbers-printed", "-", "--interval", "0.8", stdin=b"[[1, 2]]")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.split("\n")[0].split()[:4] == ["row", "mean", "lower", "upper"]
    assert "with probability 0.8" in " ".join(result.stdout.split())


def test_pending_rows_are_closed_and_waited_for(url: str, model: str) -> None:
    run(url, "ingest", model, "-", stdin=b"1,2,0\n")

    assert answer(url, "update", model, "--wait")["state"] == "published"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("versions", "nobody"), "model-not-found"),
        (("history", "{model}", "--alias", "nobody"), "alias-not-found"),
        (("update", "{model}"), "nothing-pending"),
        (("rollback", "{model}", "--to", "9"), "version-not-found"),
        (("aliases", "set", "{model}", "champion", "0", "--if-match", "7"), "alias-moved"),
        (("ingest", "{model}", "-"), "empty"),
        (("ingest", "{model}", "no-such-file"), "no-such-file: No such file"),
        (("versions", "{model}", "--url", "notaurl"), "'notaurl' is no URL"),
        (("models", "--url", "http://"), "'http://' is no URL"),
        (("models", "--url", "http://[::1"), "'http://[::1' is no URL"),
    ],
)
def test_what_goes_wrong_is_one_line_on_stderr_and_exit_code_1(
    url: str, model: str, arguments: tuple[str, ...], said: str
) -> None:
    result = run(url, *(part.format(model=model) for part in arguments))

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("posterity: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"junk", b"a,b,label\n", b"PK\x03\x04", bytes(range(256)), b"\x93NUMPY\x01"])
def test_a_file_that_holds_no_rows_is_one_line_and_exit_code_1(url: str, model: str, content: bytes) -> None:
    result = run(url, "ingest", model, "-", stdin=content)

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("posterity: ")


def test_whole_numbers_kept_as_floats_suit_a_uint8_model(client: Client) -> None:
    name = client.create_model(description("pixels", input={"shape": [2], "dtype": "uint8"})).name

    assert client.ingest(name, np.array([[0.0, 16.0]]), [0]).rows == 1
    assert client.predict(name, np.array([[0.0, 16.0]])).version == 0


def test_a_service_that_does_not_answer_is_said_in_one_line() -> None:
    result = run(NOBODY, "models")

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert f"No answer from {NOBODY}" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("rollback", "m"),
        ("rollback", "m", "--to", "1", "--steps", "1"),
        ("predict", "m", "-", "--version", "1", "--alias", "head"),
        ("ingest", "m"),
        ("migrate", "everything"),
        ("fly",),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(NOBODY, *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("ingest", "the last one"),
        ("predict", "is left aside"),
        ("migrate", "POSTERITY_DATABASE_URL"),
        ("worker", "until it is stopped"),
    ],
)
def test_help_is_that_of_posterity_and_no_error(command: str, said: str) -> None:
    done = subprocess.run([*POSTERITY, command, "--help"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"{command} [OPTIONS]" in done.stdout
    assert said in " ".join(done.stdout.split())


def test_the_version_is_that_of_the_installed_package() -> None:
    assert run(NOBODY, "--version").stdout == f"posterity {version('posterity')}\n"


def test_doctor_finds_nothing_wrong_with_a_fresh_ledger(url: str, tmp_path: Path) -> None:
    environment = surroundings(tmp_path)
    subprocess.run([*POSTERITY, "migrate"], env=environment, check=True, capture_output=True)

    done = doctor(url, environment)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "torch" in done.stdout
    assert f"ready at {url}" in done.stdout


def test_doctor_says_what_is_wrong_and_exits_1(tmp_path: Path) -> None:
    done = doctor(NOBODY, surroundings(tmp_path))

    assert done.returncode == 1
    assert f"No answer from {NOBODY}" in done.stdout
    assert "There is no ledger at" in done.stdout


def test_serve_becomes_the_service_and_ends_on_sigterm(tmp_path: Path) -> None:
    command = [*POSTERITY, "serve", "--port", "0", "--workers", "0"]
    with subprocess.Popen(command, env=surroundings(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        greeting = next(line for line in process.stdout if line.startswith("Posterity listens on "))
        with Client(greeting.split()[-1]) as client:
            is_ready = client.ready().is_ready
        process.send_signal(signal.SIGTERM)
        process.stdout.read()

    assert is_ready
    assert process.returncode == 0


def doctor(url: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [*POSTERITY, "doctor", "--url", url]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def surroundings(directory: Path) -> dict[str, str]:
    """An environment whose ledger and blobs are in the directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POSTERITY_")}
    return kept | {"POSTERITY_DATA_DIR": str(directory), "POSTERITY_CONFIG": str(empty_config(directory))}

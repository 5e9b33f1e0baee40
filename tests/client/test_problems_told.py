"""Every problem that a service answers with ends in what to do next: for people a line, for programs a JSON object."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import service.rejected  # noqa: F401 - so that all problems are there.
from client import ClientProblem
from client.cli import app
from client.commands.ending import Commands
from client.hints import HINTS, of_status
from store.errors import Problem
from tests.client.line import Line, problem
from tests.client.test_cli import NOBODY, run


def problems(root: type[Problem] = Problem) -> Iterator[type[Problem]]:
    for child in root.__subclasses__():
        yield child
        yield from problems(child)


HOUSE = ("store", "service")
CODES = sorted({one.code for one in problems() if one.__module__.split(".")[0] in HOUSE and "code" in vars(one)})


def test_every_problem_of_the_service_has_its_next_step_and_every_next_step_its_problem() -> None:
    assert sorted(HINTS) == CODES


def test_every_command_that_a_next_step_names_is_one() -> None:
    named = {found for hint in HINTS.values() for found in re.findall(r"`posterity ([a-z-]+(?: [a-z-]+)?)", hint)}

    for words in sorted(named):
        done = CliRunner().invoke(app, [*words.split(), "--help"])
        assert done.exit_code == 0, words


@pytest.mark.parametrize("code", CODES)
def test_a_problem_says_what_to_do_in_its_message_and_by_itself(code: str) -> None:
    line = Line(lambda _: problem(409, code, "It is so.", title="So"))

    with line.client() as client, pytest.raises(ClientProblem) as caught:
        client.model("m")

    assert (caught.value.code, caught.value.detail, caught.value.next) == (code, "It is so.", HINTS[code])
    assert str(caught.value).endswith(f"Next: {HINTS[code]}.")


@pytest.mark.parametrize("status", [418, 500])
def test_an_answer_of_something_else_says_what_to_do_as_well(status: int) -> None:
    line = Line(lambda _: problem(status, "teapot", "Short and stout."))

    with line.client() as client, pytest.raises(ClientProblem) as caught:
        client.model("m")

    assert caught.value.next == of_status(status)


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("versions", "nobody"), "model-not-found", 1),
        (("ingest", "{model}", "no-such-file"), "file-unreadable", 1),
        (("ingest", "{model}", "-"), "array-unusable", 1),
        (("models", "create", "--file", "-"), "description-unreadable", 1),
        (("models", "--url", "nowhere"), "url-unusable", 1),
        (("models", "--url", NOBODY), "unreachable", 1),
        (("rollback", "{model}"), "usage", 2),
        (("fly",), "usage", 2),
        (("predict",), "usage", 2),
    ],
)
def test_under_json_an_error_is_an_object_on_stderr(
    url: str, model: str, arguments: tuple[str, ...], code: str, exit_code: int
) -> None:
    result = run(url, *(word.format(model=model) for word in arguments), "--json")

    told = json.loads(result.stderr)
    assert (result.exit_code, result.stdout, told["code"]) == (exit_code, "", code)
    assert all(told[field] for field in ("code", "title", "detail", "next"))


def test_a_refusal_of_the_service_also_says_its_status_and_where(url: str) -> None:
    result = run(url, "models", "create", "--file", "-", "--json", stdin=b'{"name": "m", "net": {"kind": "none"}}')

    told = json.loads(result.stderr)
    assert (told["code"], told["status"]) == ("description-invalid", 422)
    assert {"where", "message"} == set(told["errors"][0])


def test_a_service_that_is_not_there_is_to_be_started() -> None:
    assert "Next: start a service with `posterity serve`" in run(NOBODY, "models").stderr


def failing() -> typer.Typer:
    broken = typer.Typer(cls=Commands)

    @broken.command("settle")
    def settle(*, as_json: bool = typer.Option(False, "--json")) -> None:
        raise ZeroDivisionError("of ours")

    @broken.command("update")
    def update() -> None:
        raise KeyboardInterrupt

    return broken


@pytest.mark.parametrize("as_json", [True, False])
def test_a_fault_of_ours_is_one_line_that_names_a_file_with_the_traceback(as_json: bool) -> None:
    result = CliRunner().invoke(failing(), ["settle", *(["--json"] if as_json else [])])

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1)
    said = json.loads(result.stderr)["next"] if as_json else result.stderr.strip().rstrip(".")
    file = Path(said.rpartition(" ")[2])
    assert "ZeroDivisionError: of ours" in file.read_text()
    assert "Traceback" not in result.stderr
    file.unlink()


def test_who_interrupts_is_told_that_nothing_was_lost() -> None:
    result = CliRunner().invoke(failing(), ["update"])

    assert (result.exit_code, result.stderr.count("\n")) == (130, 1)
    assert "stays accepted" in result.stderr


@pytest.mark.parametrize("columns", ["20", "200"])
def test_help_and_errors_are_plain_words_where_colour_is_not_wanted(columns: str) -> None:
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": columns, "TERM": "xterm-256color"}

    for words in (["ingest", "--help"], ["models", "--url", NOBODY]):
        done = subprocess.run(
            [sys.executable, "-m", "client.cli", *words], env=environment, capture_output=True, text=True, check=False
        )
        assert "\x1b[3" not in done.stdout + done.stderr
        assert done.stdout or done.stderr

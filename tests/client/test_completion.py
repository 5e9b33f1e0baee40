"""The shell completes commands, options and the names of models and aliases; and is never held up by it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from client import Client
from client.commands.completing import SECONDS_MAX

NOBODY = "http://127.0.0.1:9"


def completed(typed: str, *, url: str, **more: str) -> list[str]:
    """What bash is offered behind these words."""
    words = typed.split(" ")
    environment = {
        **os.environ,
        **more,
        "POSTERITY_URL": url,
        "_POSTERITY_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    program = "import sys; from client.cli import app; sys.argv[0] = 'posterity'; app(prog_name='posterity')"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def silent() -> Iterator[str]:
    """Something that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_names_of_models_and_of_their_aliases_are_completed(url: str, client: Client, model: str) -> None:
    client.set_alias(model, "champion", 0)

    assert model in completed("posterity versions mod", url=url)
    assert model not in completed("posterity versions nod", url=url)
    assert completed(f"posterity aliases remove {model} ch", url=url) == ["champion"]


def test_commands_and_options_are_completed_without_any_service() -> None:
    assert completed("posterity rol", url=NOBODY) == ["rollback"]
    assert "--rows-per-batch" in completed("posterity ingest --ro", url=NOBODY)


@pytest.mark.parametrize("url", [NOBODY, "nowhere"])
def test_a_service_that_is_not_there_offers_nothing_and_says_nothing(url: str) -> None:
    assert completed("posterity versions mod", url=url) == []


def test_a_service_that_does_not_answer_offers_nothing(silent: str) -> None:
    assert completed("posterity versions mod", url=silent) == []
    assert SECONDS_MAX <= 0.5


def test_a_key_that_a_header_cannot_carry_is_no_matter_of_the_shell(url: str) -> None:
    assert completed("posterity versions mod", url=url, POSTERITY_KEY="no key") == []


@pytest.mark.parametrize(("shell", "mark"), [("bash", "COMPREPLY"), ("zsh", "compdef"), ("fish", "complete")])
def test_the_script_for_a_shell_is_shown_without_a_service(shell: str, mark: str) -> None:
    environment = {"POSTERITY_URL": NOBODY, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    program = "from client.cli import app; app(prog_name='posterity')"

    done = subprocess.run(
        [sys.executable, "-c", program, "--show-completion", shell],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert mark in done.stdout

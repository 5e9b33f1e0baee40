"""Lines of the log: one each, whatever is in them; what exceptions say is not."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import IntegrityError

from store import logs
from store.engine import connect
from store.settings import Settings

SECRET = "s3cr3t-7f"  # noqa: S105 - what a client might have sent
HOSTILE = [
    "\n2026 info posterity: forged",
    "\r\n",
    "\x1b[2J\x1b[31m",
    "\x00",
    "\x85",
    "\u2028",
    "\udc80",
    "\x7f",
    "\x9b1m",
]


class Numbers(BaseModel):
    numbers: list[int]


def line(record: logging.LogRecord, log_format: Literal["plain", "json"] = "plain") -> str:
    return logs.formatter(Settings(log_format=log_format)).format(record)


def record(message: str = "it happened", **fields: Any) -> logging.LogRecord:  # noqa: ANN401
    made = logging.LogRecord("posterity.test", logging.INFO, __file__, 1, message, None, None)
    vars(made).update(fields)
    return made


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_in_a_line_ends_it_or_moves_the_cursor(hostile: str) -> None:
    made = line(record(f"asked for {hostile}", path=hostile))

    assert made.isprintable()
    assert made.isascii()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_json_says_exactly_what_it_was_in_one_line(hostile: str) -> None:
    made = line(record(f"asked for {hostile}", path=hostile), "json")

    assert made.isprintable()
    assert json.loads(made)["path"] == hostile
    assert json.loads(made)["event"] == f"asked for {hostile}"


def test_a_plain_line_is_for_people_and_leaves_out_what_says_nothing() -> None:
    made = line(record(status=200, path="/v1/models/a b", model=None))

    assert made.endswith(' info posterity.test: it happened status=200 path="/v1/models/a b"')


def test_the_request_that_the_code_works_for_is_named() -> None:
    token = logs.REQUEST_ID.set("mine")
    try:
        assert json.loads(line(record(), "json"))["request_id"] == "mine"
    finally:
        logs.REQUEST_ID.reset(token)
    assert "request_id" not in json.loads(line(record(), "json"))


def raised_by_pydantic() -> None:
    Numbers.model_validate({"numbers": [SECRET]})


def raised_by_the_database() -> None:
    with TemporaryDirectory() as folder, connect(f"sqlite:///{folder}/t").begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a TEXT PRIMARY KEY)")
        for _ in range(2):
            connection.exec_driver_sql("INSERT INTO t VALUES (?)", (SECRET,))


def raised_by_numbers() -> None:
    float(SECRET)


@pytest.mark.parametrize("raising", [raised_by_pydantic, raised_by_the_database, raised_by_numbers])
@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_of_an_exception_its_kind_and_place_are_told_and_not_its_words(
    raising: Any,  # noqa: ANN401
    log_format: Literal["plain", "json"],
) -> None:
    with pytest.raises((ValidationError, IntegrityError, ValueError)) as caught:
        raising()

    made = line(record(exc_info=(caught.type, caught.value, caught.tb)), log_format)

    assert SECRET not in made
    assert caught.type.__qualname__ in made
    assert f"in {raising.__name__}" in made


def test_an_error_of_the_database_does_not_say_what_the_statement_was_about() -> None:
    with pytest.raises(IntegrityError) as caught:
        raised_by_the_database()

    assert SECRET not in str(caught.value)


def test_what_the_system_says_is_told_and_what_led_to_an_exception_too() -> None:
    try:
        try:
            Path("/nowhere/at/all").read_bytes()
        except OSError as error:
            raise RuntimeError(SECRET) from error
    except RuntimeError:
        made = line(record(exc_info=sys.exc_info()))

    assert "RuntimeError" in made
    assert "FileNotFoundError: No such file or directory" in made
    assert SECRET not in made


ENDING = """
import sys, threading
from store import logs
from store.settings import Settings

logs.configure(Settings(log_format="json"))
def end():
    float(sys.argv[1])
thread = threading.Thread(target=end, name="watch")
thread.start()
thread.join()
end()
"""


def test_what_nobody_caught_is_a_line_without_its_words_in_the_main_thread_and_in_others() -> None:
    ended = subprocess.run([sys.executable, "-c", ENDING, SECRET], capture_output=True, text=True, check=False)

    in_thread, in_main = map(json.loads, ended.stderr.splitlines())
    assert ended.returncode == 1
    assert SECRET not in ended.stderr
    assert "thread watch ends" in in_thread["event"]
    assert "the process ends" in in_main["event"]
    for said in (in_thread, in_main):
        assert said["level"] == "critical"
        assert said["exception"][0] == "builtins.ValueError"
        assert said["exception"][-1].endswith(" in end")


SHOWN = "posterity_" + "Zx-9_" * 8 + "abc"


@pytest.mark.parametrize("log_format", ["plain", "json"])
@pytest.mark.parametrize("left", [43, 42, 32])
def test_a_key_is_in_no_line_whatever_brought_it_there_and_no_more_of_one_than_is_of_no_use(
    log_format: Literal["plain", "json"], left: int
) -> None:
    key = SHOWN[: len("posterity_") + left]
    token = logs.REQUEST_ID.set(f"id:{key}")
    try:
        made = line(record(f"asked for /v1/keys/{key}", path=f"/v1/models/{key}", caller=key, model=None), log_format)
    finally:
        logs.REQUEST_ID.reset(token)

    assert SHOWN[len("posterity_") :][:32] not in made
    assert made.count("posterity_***") == 4
    assert log_format == "plain" or json.loads(made)["caller"] == "posterity_***"


def test_what_only_begins_like_a_key_is_said() -> None:
    named = "posterity_production_image_classifier_v2"
    assert line(record(f"into {named}")).endswith(f"into {named}")


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_the_secret_of_a_webhook_is_masked_wherever_it_stands(log_format: Literal["plain", "json"]) -> None:
    secret = f"whsec_{'aB3/' * 8}+A=="

    made = line(record(f"sent with {secret} to it"), log_format)

    assert "sent with whsec_*** to it" in made
    assert "aB3/" not in made

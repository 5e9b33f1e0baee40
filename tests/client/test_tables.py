"""Tables fit the terminal that they are printed on, and nothing that names or counts is cut in them."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from client import Client
from client.columns import Fitted, extra, prose, table, times
from client.prediction import Prediction
from client.tables_of_predictions import ROWS_SHOWN, prediction_table
from tests.client.given import CHUNK_ROWS, description, rows
from tests.client.test_cli import POSTERITY

MOMENT = "2026-11-28T12:00:00.123456Z"
NAME = "a-model-with-a-name-of-some-length"


def printed(found: Fitted, width: int, *, is_terminal: bool = True) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=is_terminal, color_system=None).print(found, crop=False)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def wide(*, reason: str = "why") -> Fitted:
    titles = ("model", "rows that are pending", extra("digest"), prose("reason"), times("created"), extra("key"))
    return table(titles, [(NAME, 1_234_567, "sha256:0123456789ab", reason, MOMENT, "k" * 30)])


def test_a_narrow_terminal_leaves_out_from_the_right_what_is_extra_and_cuts_nothing() -> None:
    lines = printed(wide(), 80)

    assert max(map(len, lines)) <= 80
    assert lines[-1].split() == [NAME, "1234567", "sha256:0123456789ab", "why"]
    assert "created" not in " ".join(lines)


def test_times_are_told_to_the_second_on_a_narrow_terminal_alone() -> None:
    found = table(("model", times("created")), [(NAME, MOMENT)])

    assert printed(found, 119)[-1].split() == [NAME, "2026-11-28T12:00:00Z"]
    assert printed(found, 120)[-1].split() == [NAME, MOMENT]
    assert printed(found, 80, is_terminal=False)[-1].split() == [NAME, MOMENT]


def test_a_pipe_gets_every_column() -> None:
    assert printed(wide(), 200, is_terminal=False)[-1].split()[-2:] == [MOMENT, "k" * 30]
    assert printed(wide(), 20, is_terminal=False)[-1].split()[-2:] == [MOMENT, "k" * 30]


def test_what_has_to_be_wider_than_the_terminal_is_whole() -> None:
    assert printed(table(("model", "rows"), [(NAME, 1_234_567)]), 20)[-1].split() == [NAME, "1234567"]


def test_sentences_fold_where_numbers_may_not() -> None:
    lines = printed(wide(reason="it was worse on the shop floor than what was there before"), 80)

    assert lines[-1].split()[0] != NAME
    assert any(NAME in line and "1234567" in line for line in lines)
    assert max(map(len, lines)) <= 80


def answered(mean: list[float]) -> Prediction:
    column = np.array(mean)[:, np.newaxis]
    arrays = {"mean": column, "lower": column / 4, "upper": column * 2}
    raw = {"outputs": [{"mean": [one]} for one in mean]}
    nothing = dict.fromkeys(("samples", "seed", "instead_of", "because", "interval", "prediction", "kept_until"))
    return Prediction(model="m", version=1, digest="sha256:0", method="moments", arrays=arrays, raw=raw, **nothing)


@pytest.mark.parametrize(
    ("mean", "row"),
    [
        ([303_440.0, 84_572.4], ["1", "84,572", "21,143", "169,145"]),
        ([0.5, 0.25], ["1", "0.25000", "0.06250", "0.5000"]),
        ([3e14, 1.0], ["1", "1.0000e+00", "2.5000e-01", "2.0000e+00"]),
    ],
)
def test_the_numbers_of_a_column_are_in_one_notation(mean: list[float], row: list[str]) -> None:
    assert printed(prediction_table(answered(mean)), 100)[2].split() == row


def test_no_more_rows_are_shown_than_were_asked_for() -> None:
    found = prediction_table(answered([1.0] * 50), rows_max=7)

    assert len(found.cells) == 7


def on_a_terminal(width: int, *words: str, **environment: str) -> list[str]:
    """The lines that the command writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    said = b""
    surroundings = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": str(width), **environment}
    with subprocess.Popen([*POSTERITY, *words], stdout=theirs, stderr=subprocess.STDOUT, env=surroundings):
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            said += piece
            if not piece:
                break
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m", "", said.decode()).splitlines()


def test_the_models_of_a_service_can_be_read_in_eighty_columns(url: str, client: Client) -> None:
    name = client.create_model(description(NAME)).name
    client.ingest(name, *rows(CHUNK_ROWS))

    lines = on_a_terminal(80, "models", POSTERITY_URL=url)

    assert max(map(len, lines)) <= 80
    assert any(line.split()[0] == NAME for line in lines if line)
    assert "…" not in "".join(lines)


def test_a_terminal_gets_a_thousand_rows_and_where_to_find_the_others(url: str, client: Client, tmp_path: Path) -> None:
    name = client.create_model(description("long")).name
    file = tmp_path / "long.csv"
    file.write_text("a,b,c,d\n" + "1,2,3,4\n" * (ROWS_SHOWN + 1))

    lines = on_a_terminal(80, "predict", name, str(file), "--columns", "a,b", POSTERITY_URL=url)

    assert sum(line.startswith(("999 ", "1000 ")) for line in lines) == 1
    assert "1,000 of 1,001 rows are shown; --output FILE" in " ".join(lines)
    assert "only the first 3 of 4 columns" in " ".join(" ".join(lines).split())

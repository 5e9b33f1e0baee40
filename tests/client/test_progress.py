"""Progress is drawn on a terminal for whoever asked, told to whoever gave a function, and kept out of all else."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import numpy as np
import pytest

from client import AsyncClient, Client
from client.values import Model, Update
from client.wire import PIECE_BYTES
from tests.client.given import CHUNK_ROWS, description, rows
from tests.client.line import Line, accepted, answered, drop, update

X, Y = rows(CHUNK_ROWS)
LARGE = np.random.default_rng(0).normal(size=(40_000, 4)).astype(np.float32)
"""Of several pieces."""


def on_a_terminal(program: str) -> str:
    """All that the program writes to the terminal that its stderr is."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen([sys.executable, "-c", program], stderr=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    assert process.returncode == 0, said.decode()
    return said.decode()


def learning(url: str, name: str) -> str:
    return (
        f"from client import Client; from tests.client.given import description, rows\n"
        f"client = Client({url!r}); x, y = rows(10)\n"
        f"client.create_model(description({name!r}, recipe={{'epochs': 4000}}))\n"
        f"client.ingest({name!r}, x, y, progress=True)\n"
        f"client.settle({name!r}, progress=True)\n"
    )


def test_a_terminal_shows_the_steps_of_an_update_and_its_bound(url: str) -> None:
    said = on_a_terminal(learning(url, "seen-learning"))

    assert "seen-learning: update 1 running" in said
    assert "step " in said


def test_a_terminal_shows_how_many_rows_of_a_chunk_wait_and_says_how_to_close_it(url: str, client: Client) -> None:
    name = client.create_model(description("seen-waiting", chunk={"rows": 500, "seconds": 2})).name
    client.ingest(name, X, Y)
    said = on_a_terminal(f"from client.cli import main; import sys; sys.argv[1:] = {waiting(url, name)!r}; main()")

    assert "seen-waiting: 20 of 500 rows pending" in said
    told = "20 of the 500 rows of a chunk are pending: it closes by itself with the last of them, or 2 seconds"
    assert said.count(told) == 1
    assert "--close closes it now" in said


def waiting(url: str, name: str) -> list[str]:
    """The words of a command that posts ten more rows and waits until they are absorbed."""
    file = Path(tempfile.mkdtemp()) / "rows.npz"
    x, y = rows(CHUNK_ROWS, seed=1)
    np.savez(file, x=x, y=y)
    return ["ingest", name, str(file), "--wait", "--url", url]


def test_a_pipe_gets_nothing(url: str) -> None:
    for colour in ({}, {"FORCE_COLOR": "1"}):
        done = subprocess.run(
            [sys.executable, "-c", learning(url, "unseen" + "".join(colour).lower().replace("_", "-"))],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **colour},
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_function_is_told_of_every_byte_of_all_parts(client: Client) -> None:
    name = client.create_model(description("wide", input={"shape": [4]})).name
    told: list[tuple[int, int | None]] = []

    client.ingest_all(name, LARGE, np.zeros(len(LARGE), int), rows_per_batch=15_000, progress=told.append)

    done = [one for one, _ in told]
    whole = LARGE.nbytes + len(LARGE) * 8
    assert {size for _, size in told} == {whole}
    assert (done, done[-1]) == (sorted(done), whole)
    assert len(done) > 3


def test_a_body_in_pieces_is_the_same_body_again_after_a_broken_connection() -> None:
    bodies: list[bytes] = []

    def taken(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        return accepted(request)

    line, told = Line(drop, taken, taken), list[tuple[int, int | None]]()
    with line.client() as client:
        client.ingest("m", LARGE, np.zeros(len(LARGE), int), key="k", progress=told.append)
        client.ingest("m", LARGE, np.zeros(len(LARGE), int), key="k")

    assert bodies[0] == bodies[1]
    assert len(bodies[0]) > PIECE_BYTES
    assert [request.headers["Content-Length"] for request in line.asked] == [str(len(bodies[0]))] * 3
    assert "Transfer-Encoding" not in line.asked[0].headers


def test_a_download_is_told_as_it_comes_and_is_the_same(client: Client, model: str) -> None:
    told: list[tuple[int, int | None]] = []

    watched = client.export(model, 0, progress=told.append)

    assert watched == client.export(model, 0)
    assert told[-1] == (len(watched), len(watched))
    assert client.posterior(model, 0, progress=told.append) == client.posterior(model, 0)


def test_the_asynchronous_client_tells_the_same(url: str, client: Client, model: str) -> None:
    sent: list[tuple[int, int | None]] = []
    came: list[tuple[int, int | None]] = []

    async def both() -> bytes:
        async with AsyncClient(url) as asynchronous:
            await asynchronous.ingest(model, X, Y, key="k", progress=sent.append)
            return await asynchronous.export(model, 0, progress=came.append)

    archive = asyncio.run(both())

    assert archive == client.export(model, 0)
    assert sent[-1][0] == sent[-1][1]
    assert came[-1] == (len(archive), len(archive))
    assert client.ingest(model, X, Y, key="k").is_replay


def test_functions_are_told_of_updates_and_models() -> None:
    seen: list[Update] = []
    line = Line(*answered(update("running", progress={"step": 3, "steps": 9, "elbo": -1.5}), update("published")))
    with line.client() as client:
        client.wait("m", 3, progress=seen.append)

    assert [one.state for one in seen] == ["running", "published"]


def test_a_model_is_told_each_time_it_was_looked_at(client: Client, model: str) -> None:
    seen: list[Model] = []
    client.ingest(model, X, Y)

    client.settle(model, progress=seen.append)

    assert seen[-1].head == 1


@pytest.mark.parametrize("words", [("ingest", "{model}", "{file}", "--wait"), ("settle", "{model}")])
def test_commands_draw_nothing_into_pipes(url: str, model: str, tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "rows.npz"
    np.savez(file, x=X, y=Y)

    done = subprocess.run(
        [sys.executable, "-m", "client.cli", *(word.format(model=model, file=file) for word in words), "--json"],
        env={**os.environ, "POSTERITY_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")

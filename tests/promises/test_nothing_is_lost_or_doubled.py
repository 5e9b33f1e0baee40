"""Eight clients at once, each batch posted twice: every row is learned from exactly once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from client.client import Client
from tests.promises.house import DIGITS, House, digits

CLIENTS = 8
BATCHES = 48
ROWS = 5


def test_eight_clients_posting_at_once_lose_none_and_double_none(installation: House) -> None:
    images, labels = digits()
    _, url = installation.serve(workers=1)
    with Client(url) as client:
        client.create_model(DIGITS | {"recipe": {"epochs": 1}, "chunk": {"rows": 60, "seconds": None}})

    def post(turn: int) -> tuple[int, bool]:
        number = turn % BATCHES
        rows = slice(number * ROWS, (number + 1) * ROWS)
        with Client(url) as client:
            batch = client.ingest("digits", images[rows], labels[rows], key=f"batch-{number}")
        return batch.batch, batch.is_replay

    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(post, range(2 * BATCHES)))

    with Client(url) as client:
        client.settle("digits")
        model = client.model("digits")
        batches = client.batches("digits")
        evidence = client.version("digits", model.head).evidence

    assert sum(not is_replay for _, is_replay in answers) == BATCHES
    assert {number for number, _ in answers} == set(range(1, BATCHES + 1))
    assert sorted(batch.key for batch in batches) == sorted(f"batch-{number}" for number in range(BATCHES))
    assert (model.rows, model.pending.rows) == (BATCHES * ROWS, 0)
    assert evidence.batches == tuple(range(1, BATCHES + 1))
    assert evidence.rows == BATCHES * ROWS

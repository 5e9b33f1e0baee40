"""Whatever is refused has changed nothing: not a row of any table, not a blob; and its key is still free."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from benchmarks.fuzzing.mutations import bent, mutated
from benchmarks.fuzzing.seeds import BOUNDARY, seeds
from service import models
from store.accepting import Posted
from store.schema.columns import metadata
from store.values import Accepted
from tests.service.expected import expect_problem
from tests.service.live import IMAGES, NAMED, ROWS, TINY, Json, Live, running

SEEDS = {name: seeds(name) for name in ("safetensors", "npy", "base64", "raw", "forms")}
TYPES = {
    "safetensors": "application/x-safetensors",
    "npy": "application/x-npz",
    "base64": "application/json",
    "raw": "application/octet-stream",
}
FREE: Json = {"inputs": [[1, 2]], "labels": [0]}
OTHER: Json = {"inputs": [[7, 8]], "labels": [1]}
NUMBERS = st.one_of(st.integers(-2, 3), st.integers(2**31 - 1, 2**64), st.none(), st.booleans(), st.floats(), st.text())
WORDS = st.one_of(st.text(max_size=20), st.sampled_from(["head", "review", "a\0", "\ud800", "é" * 70, ".."]))
_numbers = count(1)


@dataclass(frozen=True)
class Books:
    """A service, and all that it has written down."""

    live: Live
    blobs: Path

    def written(self) -> tuple[dict[str, list[str]], list[str]]:
        """Every row of every table, and the names of all blobs."""
        with self.live.house.engine.connect() as connection:
            rows = {
                name: sorted(map(repr, connection.execute(select(table)).all()))
                for name, table in metadata.tables.items()
            }
        return rows, self.blob_names()

    def blob_names(self) -> list[str]:
        return sorted(str(path.relative_to(self.blobs)) for path in self.blobs.rglob("*") if path.is_file())

    def post(self, model: str, rows: Json, *, key: str) -> httpx.Response:
        return self.live.client.post(f"/v1/models/{model}/batches", json=rows, headers={"Idempotency-Key": key})


@pytest.fixture
def books(database_url: str, tmp_path: Path) -> Iterator[Books]:
    """On each engine: models of flat rows, of named classes and of images; the first has a version and pending rows."""
    with running(tmp_path / "data", database_url=database_url, rows_max=64) as live:
        for name, description in {"flat": TINY, "named": NAMED, "images": IMAGES}.items():
            assert live.client.post("/v1/models", json={"name": name} | description).status_code == 201
        live.learn("/v1/models/flat")
        live.post_rows("/v1/models/flat", FREE, key="pending")
        yield Books(live, tmp_path / "data" / "blobs")


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A media type, and a body that is nearly of it."""
    decoder = draw(st.sampled_from(list(SEEDS)))
    random = Random(draw(st.integers(0, 2**32)))
    body = random.choice(SEEDS[decoder])
    for _ in range(draw(st.integers(0, 3))):
        body = mutated(decoder, body, seeds=SEEDS[decoder], random=random, bend=lambda of, size: bent(of, size, random))
    if decoder == "forms":
        return f"multipart/form-data; boundary={BOUNDARY.decode()}", body.partition(b"\n")[2]
    return TYPES[decoder], body


FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(
    sent=bodies(),
    model=st.sampled_from(["flat", "named", "images", "nobody"]),
    length=st.sampled_from(["0", "10", "256", "-1"]),
)
def test_a_refused_batch_leaves_nothing_and_its_key_is_free(
    books: Books, sent: tuple[str, bytes], model: str, length: str
) -> None:
    (media_type, body), key = sent, f"posted-{next(_numbers)}"
    if media_type == TYPES["raw"]:
        length, body = str(int.from_bytes(body[:2], "little")), body[2:]
    headers = {"Content-Type": media_type, "Idempotency-Key": key, "Inference-Header-Content-Length": length}
    before = books.written()

    answer = books.live.client.post(f"/v1/models/{model}/batches", content=body, headers=headers)

    assert answer.status_code == 202 or 400 <= answer.status_code < 500, answer.text
    if answer.status_code != 202:
        assert books.written() == before
        free = books.live.client.post("/v1/models/flat/batches", json=FREE, headers={"Idempotency-Key": key})
        assert free.status_code == 202
        assert "Idempotent-Replayed" not in free.headers


@FEW
@given(sent=bodies())
def test_a_refused_blob_leaves_nothing(books: Books, sent: tuple[str, bytes]) -> None:
    before = books.written()

    answer = books.live.client.post("/v1/blobs", content=sent[1], headers={"Content-Type": sent[0]})

    assert answer.status_code in {200, 201, 413, 415, 422}, answer.text
    if answer.status_code >= 400:
        assert books.written() == before


@FEW
@given(
    call=st.sampled_from(
        [
            ("POST", "/v1/models"),
            ("PUT", "/v1/models/flat/aliases/{word}"),
            ("DELETE", "/v1/models/flat/aliases/{word}"),
            ("DELETE", "/v1/models/flat/updates/{number}"),
            ("DELETE", "/v1/models/flat/batches/{number}"),
            ("POST", "/v1/models/flat/rollback"),
            ("POST", "/v1/models/flat/replays"),
            ("POST", "/v1/models/images/updates"),
        ]
    ),
    body=st.dictionaries(
        st.sampled_from(["name", "net", "input", "output", "version", "reason", "to", "steps", "chunks", "more"]),
        st.one_of(NUMBERS, WORDS, st.lists(NUMBERS, max_size=2), st.just(TINY["net"]), st.just(TINY["input"])),
        max_size=4,
    ),
    word=WORDS,
    number=NUMBERS,
    if_match=st.sampled_from([None, "*", '"0"', '"1"', '"2"', '"x"', "1"]),
)
def test_whatever_is_refused_leaves_nothing(
    books: Books, *, call: tuple[str, str], body: Json, word: str, number: object, if_match: str | None
) -> None:
    method, path = call
    before = books.written()
    url = path.format(word=_quoted(word), number=_quoted(str(number)))
    headers = {"Content-Type": "application/json"} | ({} if if_match is None else {"If-Match": if_match})

    answer = books.live.client.request(method, url, content=json.dumps(body).encode(), headers=headers)

    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert books.written() == before


def test_other_rows_under_a_known_key_write_nothing(books: Books) -> None:
    before = books.written()

    for model, rows in (("flat", OTHER), ("flat", ROWS | {"weights": [2, 1]})):
        answer = books.post(model, rows, key="pending")

        expect_problem(answer, "idempotency-key-reused")
        assert books.written() == before


def test_other_rows_under_a_key_that_somebody_used_since_the_look_do_not_stay(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = books.blob_names()
    unaware(monkeypatch, books)

    expect_problem(books.post("flat", OTHER, key="pending"), "idempotency-key-reused")

    assert books.blob_names() == before
    assert books.post("flat", OTHER, key="another").status_code == 202


def test_where_removals_take_long_what_was_refused_since_the_look_may_be_posted_again_at_once(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(books.live.house.blobs), "settle_seconds", 3600.0)
    with monkeypatch.context() as patched:
        unaware(patched, books)
        expect_problem(books.post("flat", OTHER, key="pending"), "idempotency-key-reused")

    assert books.post("flat", OTHER, key="another").status_code == 202


def test_bytes_that_went_between_their_writing_and_their_naming_are_written_again(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were there; somebody had them removed, and somebody else had them readmitted, and wrote nothing yet."""
    live = books.live
    accept_all = live.house.ledger.accept_all

    def after_the_others(name: str, posted: Sequence[Posted]) -> Sequence[Accepted | Exception]:
        digests = [one.digest for one in posted]
        live.house.collecting.discard(digests)
        assert not any(map(live.house.blobs.holds, digests))
        live.house.ledger.readmit(digests, settle_seconds=0.0)
        return accept_all(name, posted)

    monkeypatch.setattr(live.house.ledger, "accept_all", after_the_others)

    answer = books.post("flat", OTHER, key="other")

    assert answer.status_code == 202
    live.house.blobs.verify(answer.json()["digest"])


def test_rows_that_another_batch_has_stay_though_they_were_refused_under_a_key(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = books.post("flat", OTHER, key="other").json()["digest"]
    unaware(monkeypatch, books)

    expect_problem(books.post("flat", OTHER, key="pending"), "idempotency-key-reused")

    assert books.live.house.blobs.get(digest)


def test_a_late_retry_of_deleted_rows_writes_nothing(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    key = books.live.client.get("/v1/models/flat/batches/1").json()["key"]
    books.live.client.delete("/v1/models/flat/batches/1").raise_for_status()
    before = books.written()

    assert books.post("flat", ROWS, key=key).headers["Idempotent-Replayed"] == "true"
    assert books.written() == before

    unaware(monkeypatch, books)
    assert books.post("flat", ROWS, key=key).headers["Idempotent-Replayed"] == "true"
    assert books.blob_names() == before[1]


def test_rows_whose_removal_may_still_be_carried_out_are_refused_before_they_are_written(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.live.client.delete("/v1/models/flat/batches/1").raise_for_status()
    before = books.written()
    monkeypatch.setattr(type(books.live.house.blobs), "settle_seconds", 3600.0)

    answer = books.post("flat", ROWS, key="another")

    seconds = int(answer.headers["Retry-After"])
    assert 3000 < seconds <= 3600
    assert f"again in {seconds} s" in expect_problem(answer, "blob-buried")["detail"]
    assert books.written() == before


def test_a_replay_heals_bytes_that_are_damaged_and_counts_nothing_twice(books: Books) -> None:
    stored = books.live.client.get("/v1/models/flat/batches/2").json()
    path, rows = books.live.folder.path(stored["digest"]), books.live.client.get("/v1/models/flat").json()["rows"]
    before = books.written()
    path.write_bytes(b"damaged")

    answer = books.post("flat", FREE, key="pending")

    assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (202, "true")
    books.live.house.blobs.verify(stored["digest"])
    assert books.written() == before
    assert books.live.client.get("/v1/models/flat").json()["rows"] == rows


def test_another_description_under_a_known_name_writes_no_root(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    before = books.written()
    other = TINY | {"name": "flat", "net": {"kind": "mlp", "hidden": [5]}}

    expect_problem(books.live.client.post("/v1/models", json=other), "model-exists")
    assert books.written() == before

    monkeypatch.setattr(models, "_must_not_be_another", lambda *_: None)
    expect_problem(books.live.client.post("/v1/models", json=other), "model-exists")
    assert books.blob_names() == before[1]


def unaware(monkeypatch: pytest.MonkeyPatch, books: Books) -> None:
    """Whoever looks for a key finds it free, as a moment before somebody else used it."""
    monkeypatch.setattr(books.live.house.history, "batches_named", lambda *_: {})


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass")) or "%20"

"""What the tests of the pages that show a model have in common: models with a past, and where their pages are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect

import bayes
from store.leases import Leases
from store.values import Claim
from tests.console.browsing import Theme, Visit, visiting
from tests.service.live import TINY, Json, Live

expect.set_options(timeout=20_000)
"""Two cores may have other work; what is waited for comes at once otherwise."""

OTHER: Json = {"inputs": [[5, 1], [0, 2], [1, 1]], "labels": [1, 1, 0]}
FIVE: Json = {"inputs": [[1, 2], [3, 4], [0, 1], [2, 2], [4, 0]], "labels": [0, 1, 2, 0, 1]}


def name_of(model: str) -> str:
    return model.removeprefix("/v1/models/")


def at(model: str, *parts: object) -> str:
    """The path of a page about the model, whose calls are at this path."""
    return "/".join(["/console/models", name_of(model), *map(str, parts)])


@contextmanager
def looking(browser: Browser, live: Live, *, theme: Theme = "light", width: int = 1440) -> Iterator[tuple[Visit, Page]]:
    with visiting(browser, str(live.client.base_url), theme=theme, width=width) as visit:
        yield visit, visit.page


def connected(page: Page) -> None:
    """The page hears what happens from here on."""
    expect(page.get_by_text("Connected: this page follows what happens")).to_be_visible()


def check_but_for_refusals(visit: Visit, *statuses: int) -> None:
    """As `visit.check`; a browser notes every answer of 400 and above, whatever the page makes of it."""
    noted = [f"the server responded with a status of {status}" for status in statuses]
    visit.complaints[:] = [one for one in visit.complaints if not any(note in one for note in noted)]
    visit.check()


def claimed(live: Live) -> tuple[Leases, Claim]:
    """The update that waits, taken by a worker that will not come to an end by itself."""
    leases = Leases(live.house.engine, lease_seconds=600.0, attempts_max=1, retry_seconds=0.0)
    claim = leases.claim("test")
    assert claim is not None
    return leases, claim


def learned(live: Live, model: str, rows: Json = FIVE) -> None:
    """A worker has learned the rows, scores and all."""
    live.post_rows(model, rows)
    live.close(model)
    live.work()


def branched(live: Live) -> str:
    """300 versions: a long line, ten short branches of it, and head back at version 290."""
    model = live.create()
    posterior = bayes.Posterior.from_bytes(live.house.blobs.get(live.house.history.resolve(name_of(model)).digest))
    for number in range(1, 301):
        assert live.publish(model, posterior) == number
        if number % 30 == 0:
            move = {"version": number - 4, "reason": f"version {number} was worse"}
            live.client.put(f"{model}/aliases/head", json=move).raise_for_status()
    live.client.put(f"{model}/aliases/stable", json={"version": 17}).raise_for_status()
    live.client.put(f"{model}/aliases/head", json={"version": 290, "reason": "the last ones too"}).raise_for_status()
    return model


def parking(live: Live) -> str:
    """A model with an absorbed batch, a parked one, one that is discarded and deleted, and one that is pending."""
    model = live.create(TINY)
    learned(live, model)
    for _ in range(3):
        live.post_rows(model, OTHER)
    for batch, how, why in ((2, "park", "looks odd"), (3, "discard", "labels of another day")):
        live.client.post(f"{model}/batches/{batch}/{how}", json={"reason": why}).raise_for_status()
    live.client.delete(f"{model}/batches/3").raise_for_status()
    return model

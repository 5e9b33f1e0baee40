"""Pages under keys: who may not see something is told so, calmly, and nothing else on the page is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.browsing import Visit
from tests.console.seen import at, check_but_for_refusals, connected, learned, looking
from tests.service.keyed import make_key, shown
from tests.service.live import Live, running


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A service of the file's own, as keys close the door to everyone; its client has all rights."""
    folder: Path = tmp_path_factory.mktemp("keys")
    with running(folder) as live, shown(live, make_key(live, "operator", "admin")):
        yield live


@pytest.fixture(scope="module")
def model(own: Live) -> str:
    model = own.create()
    learned(own, model)
    own.post_rows(model)
    own.client.post(f"{model}/batches/2/park", json={"reason": "odd"}).raise_for_status()
    return model


@contextmanager
def looking_with(browser: Browser, own: Live, name: str, *scopes: str) -> Iterator[tuple[Visit, Page]]:
    """A visitor whose tab has a key of these scopes."""
    key = make_key(own, name, *scopes)["Authorization"].removeprefix("Bearer ")
    own.house.known_keys.ring.forget()
    with looking(browser, own) as (visit, page):
        page.add_init_script(f"sessionStorage.setItem('posterity-key', '{key}')")
        yield visit, page


def test_who_may_only_predict_sees_the_model_and_is_told_what_is_not_for_them(
    browser: Browser, own: Live, model: str
) -> None:
    with looking_with(browser, own, "dashboard", "predict") as (visit, page):
        visit.go(at(model))
        connected(page)

        expect(page.get_by_role("link", name="Version 1", exact=True)).to_be_visible()
        expect(page.get_by_role("figure")).to_have_count(3)
        expect(page.get_by_role("region", name="Now")).to_contain_text("Not with this key.")
        expect(page.get_by_role("alert")).to_have_count(0)
        check_but_for_refusals(visit, 403)


@pytest.mark.parametrize(("path", "told"), [("batches", 1), ("history", 0), ("versions/1", 0)])
def test_no_page_breaks_for_who_may_only_predict(browser: Browser, own: Live, model: str, path: str, told: int) -> None:
    with looking_with(browser, own, f"reader-{path.replace('/', '-')}", "predict") as (visit, page):
        visit.go(at(model, path))
        connected(page)

        expect(page.get_by_text("Not with this key.")).to_have_count(told)
        expect(page.get_by_text("Loading …")).to_have_count(0)
        expect(page.get_by_role("alert")).to_have_count(0)
        check_but_for_refusals(visit, 403)


def test_who_may_only_predict_is_told_that_the_posterior_and_labels_are_not_for_them(
    browser: Browser, own: Live, model: str
) -> None:
    with looking_with(browser, own, "curious", "predict") as (visit, page):
        visit.go(at(model, "versions", 1))
        page.get_by_role("button", name="Download posterior").click()
        expect(page.get_by_text("Not with this key.")).to_have_count(1)

        page.get_by_role("textbox", name="or on batch").fill("1")
        page.get_by_role("textbox", name="or on batch").press("Enter")

        expect(page.get_by_text("Not with this key.")).to_have_count(2)
        check_but_for_refusals(visit, 403)


def test_who_may_only_post_rows_sees_batches_and_is_told_that_versions_are_not_for_them(
    browser: Browser, own: Live, model: str
) -> None:
    with looking_with(browser, own, "sensor", "ingest") as (visit, page):
        visit.go(at(model, "batches"))
        expect(page.get_by_role("checkbox", name="Choose batch 1")).to_be_visible()
        expect(page.get_by_role("region", name="Parked: a decision is waited for")).to_contain_text("odd")
        check_but_for_refusals(visit, 403)

        visit.go(at(model))

        expect(page.get_by_role("region", name="Versions")).to_contain_text("Not with this key.")
        expect(page.get_by_role("region", name="Now")).to_contain_text("update 1, published")
        check_but_for_refusals(visit, 403)


def test_who_shows_no_key_is_asked_for_one(browser: Browser, own: Live, model: str) -> None:
    with looking(browser, own) as (visit, page):
        for path in ("", "/versions/1", "/history", "/batches"):
            visit.go(at(model) + path)

            expect(page.get_by_role("alert")).to_have_count(1)
            expect(page.get_by_role("button", name="Give a key")).to_be_visible()
            check_but_for_refusals(visit, 401)

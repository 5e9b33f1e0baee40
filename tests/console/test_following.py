"""Pages that follow a model: many at once, unseen ones, and ones whose key was revoked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.acting import console, url_of
from tests.console.browsing import visiting
from tests.console.seen import at, check_but_for_refusals, connected, learned, looking
from tests.service.keyed import make_key, shown
from tests.service.live import Live, running

FOLLOWS = re.compile("this page follows what happens|Answers follow head when it moves")
HIDE = """(isHidden) => {
  Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_eight_pages_of_one_browser_all_load_and_follow_what_happens(browser: Browser, live: Live) -> None:
    model = live.create()
    with looking(browser, live) as (visit, first):
        pages = [first, *(visit.page.context.new_page() for _ in range(7))]
        for page in pages:
            page.goto(f"{visit.url}{at(model)}", wait_until="commit")
        for page in pages:
            connected(page)
        learned(live, model)

        for page in pages:
            expect(page.get_by_role("link", name="Version 1", exact=True)).to_have_attribute("aria-current", "true")
        visit.check()


def test_a_page_that_asks_takes_over_the_stream_of_one_that_was_closed(browser: Browser, live: Live) -> None:
    model = live.create()
    with looking(browser, live) as (visit, first):
        pages = [first, *(visit.page.context.new_page() for _ in range(2))]
        for page in pages:
            page.goto(f"{visit.url}{at(model)}")
            connected(page)
        last = pages[2]

        with last.expect_response(
            lambda answer: answer.url.endswith("/events") and "last-event-id" in answer.request.headers
        ):
            pages[1].close()
        learned(live, model)

        expect(last.get_by_role("link", name="Version 1", exact=True)).to_have_attribute("aria-current", "true")


def test_a_page_that_nobody_sees_closes_its_stream_and_misses_nothing(browser: Browser, live: Live) -> None:
    model = live.create()
    with looking(browser, live) as (visit, page):
        visit.go(at(model))
        connected(page)
        with page.expect_event("requestfailed", lambda request: request.url.endswith("/events")):
            page.evaluate(HIDE, True)
        learned(live, model)

        with page.expect_request(lambda request: request.url.endswith("/events")) as opened:
            page.evaluate(HIDE, False)

        assert int(opened.value.headers["last-event-id"]) >= 0
        expect(page.get_by_role("link", name="Version 1", exact=True)).to_have_attribute("aria-current", "true")
        connected(page)
        visit.check()


def test_without_locks_a_page_asks_and_follows_all_the_same(browser: Browser, live: Live) -> None:
    model = live.create()
    with looking(browser, live) as (visit, page):
        page.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
        visit.go(at(model))
        connected(page)
        learned(live, model)

        expect(page.get_by_role("link", name="Version 1", exact=True)).to_have_attribute("aria-current", "true")
        visit.check()


@pytest.mark.parametrize("path", ["", "/versions/0", "/history", "/batches", "/predict"])
def test_who_looks_at_a_page_while_the_key_is_revoked_is_told_so_and_asked_for_one(
    browser: Browser, tmp_path: Path, path: str
) -> None:
    with running(tmp_path) as live, shown(live, make_key(live, "operator", "admin")):
        model = live.create()
        key = make_key(live, "guest", "predict")["Authorization"].removeprefix("Bearer ")
        live.house.known_keys.ring.forget()
        with visiting(browser, url_of(live)) as visit:
            page: Page = visit.page
            page.add_init_script(f"sessionStorage.setItem('posterity-key', '{key}')")
            visit.go(console(model) + path)
            expect(page.get_by_text(FOLLOWS)).to_be_visible()
            expect(page.locator(".winner")).to_have_count(2 if path == "/predict" else 0)

            live.house.keys.revoke("guest")

            told = page.get_by_role("alert")
            expect(told).to_have_count(1)
            expect(told).to_contain_text("key")
            told.get_by_role("button", name="Give a key").press("Enter")
            expect(page.get_by_role("dialog", name="Key")).to_be_visible()
            check_but_for_refusals(visit, 401, 403)

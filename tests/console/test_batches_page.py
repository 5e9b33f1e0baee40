"""The batches: where each of them stands, what was decided, and what waits for a decision."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.browsing import THEMES, WIDTHS, Theme
from tests.console.seen import FIVE, OTHER, at, connected, learned, looking, parking
from tests.service.live import Live

WORDS = {"accepted": "pending", "in-chunk": "in a chunk"}


def row_of(page: Page, batch: int) -> Locator:
    rows = page.get_by_role("region", name="Batches, the newest first").get_by_role("row")
    return rows.filter(has=page.get_by_role("checkbox", name=f"Choose batch {batch}", exact=True))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_batch_stands_where_the_api_says(browser: Browser, live: Live, theme: Theme, width: int) -> None:
    model = parking(live)
    batches = live.client.get(f"{model}/batches").json()["batches"]
    with looking(browser, live, theme=theme, width=width) as (visit, page):
        visit.go(at(model, "batches"))
        connected(page)

        for one in batches:
            row = row_of(page, one["batch"])
            expect(row).to_contain_text(WORDS.get(one["state"], one["state"]))
            expect(row).to_contain_text(one["key"])
            expect(row.get_by_text("rows deleted")).to_have_count(0 if one["deleted_at"] is None else 1)
            expect(row.get_by_role("cell").nth(2)).to_have_text(str(one["rows"]))
            for version in one["absorbed_in"]:
                expect(row.get_by_role("link", name=f"version {version}")).to_be_visible()
        visit.check()


def test_a_model_without_batches_says_so(browser: Browser, live: Live) -> None:
    model = live.create()
    with looking(browser, live, width=390) as (visit, page):
        visit.go(at(model, "batches"))
        connected(page)

        expect(page.get_by_text("No rows have come yet.")).to_be_visible()
        visit.check()
        live.post_rows(model)

        expect(row_of(page, 1)).to_contain_text("pending")


def test_what_is_parked_comes_first_and_is_released_there(browser: Browser, live: Live) -> None:
    model = parking(live)
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "batches"))
        connected(page)
        waiting = page.get_by_role("region", name="Parked: a decision is waited for")
        expect(waiting.get_by_role("listitem")).to_contain_text("looks odd")
        visit.check()

        waiting.get_by_role("button", name="Release").click()
        page.get_by_role("dialog").get_by_role("button", name="Release it").click()

        expect(waiting).to_have_count(0)
        expect(row_of(page, 2)).to_contain_text("pending")
        assert live.client.get(f"{model}/batches/2").json()["state"] == "accepted"


def test_what_was_decided_about_a_batch_is_shown_where_one_asks(browser: Browser, live: Live) -> None:
    model = parking(live)
    with looking(browser, live, width=390) as (visit, page):
        visit.go(at(model, "batches"))
        page.get_by_role("button", name="Decisions about batch 3").press("Enter")

        expect(page.get_by_text("labels of another day")).to_be_visible()
        visit.check()
        page.get_by_role("button", name="Decisions about batch 1").press("Enter")

        expect(page.get_by_text("Nothing was decided about it.")).to_be_visible()
        expect(page.get_by_text("labels of another day")).to_have_count(0)


def test_chosen_batches_are_forgotten_and_the_page_shows_how_far_it_is(browser: Browser, live: Live) -> None:
    model = live.create()
    for rows in (FIVE, OTHER, FIVE):
        learned(live, model, rows)
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "batches"))
        connected(page)
        page.get_by_role("checkbox", name="Choose batch 2").press("Space")
        page.get_by_role("button", name="Forget 1 batch").click()
        page.get_by_role("dialog").get_by_role("button", name="Forget for good").click()

        forget = page.get_by_role("region", name="Forgets").get_by_role("listitem")
        expect(forget).to_contain_text("Forget 1")
        expect(forget).to_contain_text("0 of 1 update learned again")
        expect(forget.get_by_role("progressbar")).to_be_visible()
        expect(row_of(page, 2)).to_contain_text("forgotten")
        visit.check()
        live.work()

        expect(forget).to_contain_text("done")
        head = live.client.get(model).json()["head"]
        expect(forget.get_by_role("link", name=f"version {head}")).to_be_visible()
        expect(row_of(page, 3)).to_contain_text(f"version {head}")
        visit.check()


def test_batches_that_follow_a_page_are_shown_by_themselves(browser: Browser, live: Live) -> None:
    model = live.create()
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "batches"))
        connected(page)
        learned(live, model)

        expect(row_of(page, 1)).to_contain_text("absorbed")
        expect(row_of(page, 1)).to_contain_text("version 1")
        live.client.post(f"{model}/rollback", json={"to": 0}).raise_for_status()

        expect(row_of(page, 1)).to_contain_text("not on head's line")
        visit.check()


def test_of_many_batches_the_newest_are_shown_and_earlier_ones_asked_for(browser: Browser, live: Live) -> None:
    model = live.create()
    for _ in range(120):
        live.post_rows(model)
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "batches"))
        pager = page.get_by_role("navigation", name="Older and newer batches")
        expect(pager).to_contain_text("batches 71 to 120 of 120")

        pager.get_by_role("button", name="Earlier").press("Enter")
        expect(pager).to_contain_text("batches 21 to 70 of 120")
        pager.get_by_role("button", name="Earlier").press("Enter")

        expect(pager).to_contain_text("batches 1 to 20 of 120")
        expect(row_of(page, 1)).to_be_visible()
        visit.check()


def test_how_a_batch_surprised_is_what_the_metrics_say(browser: Browser, live: Live) -> None:
    model = live.create()
    for _ in range(2):
        learned(live, model)
    first = live.client.get(f"{model}/metrics").json()["batches"][0]
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "batches"))

        expect(row_of(page, 1).get_by_role("cell").nth(5)).to_have_text(f"{first['surprise']['z']:.1f}")
        visit.check()

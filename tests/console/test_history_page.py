"""The history: every move of every alias, what was live when, and what happened."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.browsing import THEMES, WIDTHS, Theme
from tests.console.seen import at, branched, check_but_for_refusals, connected, learned, looking
from tests.service.live import Live


@pytest.fixture(scope="module")
def model(live: Live) -> str:
    """Two versions, a rollback, an alias that moved and one that was removed."""
    model = live.create()
    learned(live, model)
    learned(live, model)
    live.client.post(f"{model}/rollback", json={"to": 1, "reason": "mislabeled rows"}).raise_for_status()
    for version in (2, 1):
        live.client.put(f"{model}/aliases/stable", json={"version": version}).raise_for_status()
    live.client.put(f"{model}/aliases/trial", json={"version": 2, "reason": "tried out"}).raise_for_status()
    live.client.delete(f"{model}/aliases/trial").raise_for_status()
    return model


def rows_of(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True).get_by_role("row")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_moves_of_head_are_those_of_the_api_the_newest_first(
    browser: Browser, live: Live, model: str, theme: Theme, width: int
) -> None:
    moves = live.client.get(f"{model}/aliases/head/history").json()["moves"]
    with looking(browser, live, theme=theme, width=width) as (visit, page):
        visit.go(at(model, "history"))
        connected(page)
        rows = rows_of(page, "Moves, the newest first")

        expect(rows).to_have_count(len(moves) + 1)
        for row, move in zip(rows.all()[1:], reversed(moves), strict=True):
            previous = "\u2013" if move["previous"] is None else f"version {move['previous']}"
            expect(row).to_contain_text(f"{previous} → version {move['version']}")
            expect(row).to_contain_text(move["reason"])
            expect(row).to_contain_text(move["moved_by"])
            expect(row.get_by_role("time")).to_have_attribute("datetime", move["moved_at"])
        expect(rows.nth(1)).to_contain_text("rolled back")
        visit.check()


def test_other_aliases_have_their_moves_also_those_that_were_removed(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "history"))
        rows = rows_of(page, "Moves, the newest first")
        page.get_by_role("radio", name="stable").check(force=True)
        expect(rows).to_have_count(3)

        page.get_by_label("or a removed one").fill("trial")
        page.get_by_label("or a removed one").press("Enter")

        expect(rows.nth(1)).to_contain_text("version 2 → nothing")
        expect(rows.nth(2)).to_contain_text("tried out")
        visit.check()


def test_an_alias_that_never_was_is_said_not_to_be(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "history"))
        page.get_by_label("or a removed one").fill("nobody")
        page.get_by_label("or a removed one").press("Enter")

        expect(page.get_by_role("alert")).to_contain_text("alias-not-found")
        check_but_for_refusals(visit, 404)


def test_what_was_live_at_a_moment_is_told(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "history"))
        live_at = page.get_by_role("region", name="What was live at", exact=True)
        live_at.get_by_role("textbox", name="at").fill("2099-01-01T00:00:00")
        live_at.get_by_role("button", name="Ask").click()
        expect(live_at).to_contain_text("head pointed at version 1: since")
        expect(live_at).to_contain_text("mislabeled rows")
        visit.check()

        live_at.get_by_role("textbox", name="at").fill("2001-01-01T00:00:00")
        live_at.get_by_role("button", name="Ask").click()

        expect(live_at.get_by_role("alert")).to_contain_text("alias-not-found")
        check_but_for_refusals(visit, 404)


def test_events_are_told_in_sentences_and_new_ones_come_by_themselves(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "history"))
        connected(page)
        events = page.get_by_role("region", name="Events, the newest first").get_by_role("listitem")
        expect(events.first).to_contain_text("Alias trial was removed")
        expect(events.filter(has_text="was published").first).to_contain_text(
            "Version 2 was published: 5 rows learned on version 1"
        )
        told = live.client.get(f"{model}/events/history", params={"limit": 100}).json()["events"]
        expect(events).to_have_count(len(told))

        live.client.put(f"{model}/aliases/head", json={"version": 1, "reason": "to be sure"}).raise_for_status()

        expect(events.first).to_contain_text("head moved from version 1 to version 1 by client: “to be sure”")
        expect(rows_of(page, "Moves, the newest first").nth(1)).to_contain_text("to be sure")
        visit.check()


def test_only_some_kinds_of_events_are_shown(browser: Browser, live: Live, model: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(model, "history"))
        page.get_by_role("combobox", name="Only").select_option("published")
        events = page.get_by_role("region", name="Events, the newest first").get_by_role("listitem")

        expect(events).to_have_count(2)
        page.get_by_role("combobox", name="Only").select_option("failed")
        expect(page.get_by_text("Nothing of this kind has happened.")).to_be_visible()
        visit.check()


@pytest.mark.parametrize("width", WIDTHS)
def test_of_hundreds_of_moves_and_events_the_newest_are_shown_and_earlier_ones_asked_for(
    browser: Browser, live: Live, width: int
) -> None:
    model = branched(live)
    newest = live.client.get(f"{model}/aliases/head").json()["seq"]
    with looking(browser, live, width=width) as (visit, page):
        visit.go(at(model, "history"))
        moves = page.get_by_role("navigation", name="Older and newer moves")
        expect(moves).to_contain_text(f"moves {newest - 49} to {newest} of {newest}")
        moves.get_by_role("button", name="Earlier").click()
        expect(moves).to_contain_text(f"moves {newest - 99} to {newest - 50} of {newest}")

        events = page.get_by_role("region", name="Events, the newest first").get_by_role("listitem")
        expect(events).to_have_count(50)
        last = int(events.last.inner_text().split()[0])
        page.get_by_role("navigation", name="Older and newer events").get_by_role("button", name="Earlier").click()
        expect(events.first).to_contain_text(str(last - 1))
        page.get_by_role("combobox", name="Only").select_option("published")
        expect(events.first).to_contain_text("Version 300 was published")
        expect(events).to_have_count(50)
        visit.check()

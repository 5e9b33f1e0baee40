"""The overview of a model: what it shows is what the API says, and it follows what happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from store.scoring import BEGINNING
from store.values import Progress, Scored
from tests.console.browsing import THEMES, WIDTHS, Theme
from tests.console.seen import FIVE, at, branched, claimed, connected, learned, looking, name_of, parking
from tests.service.live import REAL, TINY, Live, running

NUMBERS = {"inputs": [[1, 2], [3, 4.5]], "labels": [[0.5, 1.0], [2.0, -1.0]]}


@pytest.fixture(scope="module")
def tree(live: Live) -> str:
    return branched(live)


def part(page_or: Locator, name: str) -> Locator:
    return page_or.get_by_role("region", name=name, exact=True)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_where_a_model_stands_is_what_the_api_says(browser: Browser, live: Live, theme: Theme, width: int) -> None:
    model = live.create(TINY | {"chunk": {"rows": 8, "seconds": None}})
    learned(live, model)
    live.client.put(f"{model}/aliases/stable", json={"version": 0}).raise_for_status()
    live.post_rows(model)

    with looking(browser, live, theme=theme, width=width) as (visit, page):
        visit.go(at(model))
        connected(page)

        standing = part(page.locator("main"), "Where it stands")
        expect(standing.get_by_role("link", name="version 1")).to_be_visible()
        expect(standing.get_by_role("listitem")).to_have_text("stable version 0")
        expect(standing).to_contain_text("2 rows of 8 in 1 batch · 25 %")
        expect(part(page.locator("main"), "The model")).to_contain_text("mlp, hidden 3")
        expect(part(page.locator("main"), "The model")).to_contain_text("at 8 rows")
        expect(page.get_by_role("figure")).to_have_count(3)
        visit.check()


@pytest.mark.parametrize("theme", THEMES)
def test_a_model_without_rows_says_what_comes_next(browser: Browser, live: Live, theme: Theme) -> None:
    model = live.create()

    with looking(browser, live, theme=theme, width=390) as (visit, page):
        visit.go(at(model))
        connected(page)

        expect(part(page.locator("main"), "Now").get_by_role("link", name="Post rows")).to_have_attribute(
            "href", at(model, "post")
        )
        expect(part(page.locator("main"), "Versions, the newest first").get_by_role("listitem")).to_have_count(1)
        expect(page.get_by_text("No batch has been predicted and learned yet")).to_be_visible()
        visit.check()


def test_a_model_that_is_not_there_is_said_not_to_be(browser: Browser, live: Live) -> None:
    with looking(browser, live) as (visit, page):
        visit.go("/console/models/nobody")

        expect(page.get_by_role("alert")).to_contain_text("model-not-found")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("theme", THEMES)
def test_of_300_versions_in_branches_the_newest_are_shown_with_what_they_hang_on(
    browser: Browser, live: Live, tree: str, theme: Theme, width: int
) -> None:
    with looking(browser, live, theme=theme, width=width) as (visit, page):
        visit.go(at(tree))
        rows = part(page.locator("main"), "Versions, the newest first").get_by_role("listitem")

        expect(rows.first).to_contain_text("Version 300")
        shown = [int(row.get_by_role("link").inner_text().split()[1]) for row in rows.all()]
        assert shown == sorted(shown, reverse=True)
        assert set(shown) >= set(range(241, 301)) | {17}
        forks = {one["fork"] for one in live.client.get(f"{tree}/branches").json()["branches"]} - {None}
        assert forks & set(shown) == forks
        head = rows.filter(has=page.get_by_role("link", name="Version 290", exact=True))
        expect(head.get_by_role("link")).to_have_attribute("aria-current", "true")
        expect(rows.filter(has_text="stable")).to_contain_text("Version 17")
        expect(rows.filter(has_text="versions between").first).to_be_visible()
        visit.check()


def test_versions_that_head_was_rolled_back_from_are_dimmed_but_there(browser: Browser, live: Live, tree: str) -> None:
    branches = live.client.get(f"{tree}/branches").json()["branches"]
    line = {290}
    while (version := min(line)) != 0:
        line.add(live.client.get(f"{tree}/versions/{version}").json()["parent"])

    with looking(browser, live) as (visit, page):
        visit.go(at(tree))
        rows = part(page.locator("main"), "Versions, the newest first").get_by_role("listitem")
        expect(rows.first).to_contain_text("Version 300")

        for row in rows.all():
            number = int(row.get_by_role("link").inner_text().split()[1])
            assert ("not on head's line" in row.inner_text()) == (number not in line), number
    assert len(branches) > 9


def test_one_pages_to_earlier_versions_and_back_by_keyboard(browser: Browser, live: Live, tree: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(tree))
        pager = page.get_by_role("navigation", name="Older and newer versions")
        first = part(page.locator("main"), "Versions, the newest first").get_by_role("listitem").first
        expect(first).to_contain_text("Version 300")

        pager.get_by_role("button", name="Earlier").press("Enter")
        expect(first).to_contain_text("Version 240")
        expect(pager).to_contain_text("versions 181 to 240 of 300")
        pager.get_by_role("button", name="Later").press("Enter")

        expect(first).to_contain_text("Version 300")
        visit.check()


def test_a_version_of_the_tree_is_a_link_to_its_page(browser: Browser, live: Live, tree: str) -> None:
    with looking(browser, live) as (visit, page):
        visit.go(at(tree))
        page.get_by_role("link", name="Version 289", exact=True).press("Enter")

        expect(page).to_have_url(f"{visit.url}{at(tree, 'versions', 289)}")
        expect(page.get_by_role("heading", name="Version 289", exact=True)).to_be_visible()


def test_the_page_follows_what_happens_without_being_loaded_again(browser: Browser, live: Live) -> None:
    model = live.create()
    with looking(browser, live) as (visit, page):
        visit.go(at(model))
        connected(page)
        page.evaluate("window.isTheSamePage = true")
        learned(live, model)

        expect(part(page.locator("main"), "Where it stands").get_by_role("link", name="version 1")).to_be_visible()
        expect(page.get_by_role("link", name="Version 1", exact=True)).to_have_attribute("aria-current", "true")
        expect(page.get_by_role("figure", name="").first).to_be_visible()
        live.client.post(f"{model}/rollback", json={"to": 0, "reason": "worse"}).raise_for_status()

        expect(page.get_by_role("link", name="Version 0", exact=True)).to_have_attribute("aria-current", "true")
        assert page.evaluate("window.isTheSamePage")
        visit.check()


def test_a_page_whose_service_goes_away_says_that_it_is_not_connected(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as own, looking(browser, own) as (visit, page):
        visit.go(at(own.create()))
        connected(page)
        own.server.should_exit = True

        expect(page.get_by_text("Not connected: trying again")).to_be_visible()
        expect(page.get_by_role("link", name="Version 0", exact=True)).to_be_visible()


def test_the_numbers_of_a_chart_are_told_where_the_pointer_is(browser: Browser, live: Live) -> None:
    model = live.create()
    for _ in range(3):
        learned(live, model)
    last = live.client.get(f"{model}/metrics").json()["batches"][-1]
    with looking(browser, live) as (visit, page):
        visit.go(at(model))
        plot = page.locator("figure").filter(has_text="NLL, nats per row").locator(".u-over")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 30)

        expect(page.locator(".tip")).to_contain_text("batch 3")
        expect(page.locator(".tip")).to_contain_text(f"{last['running']['nll']:.3f}")
        visit.check()


def test_the_running_update_is_shown_as_it_goes(browser: Browser, live: Live) -> None:
    model = live.create()
    for _ in range(2):
        live.post_rows(model, FIVE)
        live.close(model)
    with looking(browser, live) as (visit, page):
        visit.go(at(model))
        connected(page)
        now = part(page.locator("main"), "Now")
        expect(now).to_contain_text("2 updates waiting")

        leases, claim = claimed(live)
        expect(now).to_contain_text("Update 1")
        expect(now).to_contain_text("attempt 1 · 5 rows of batch 1")
        for step, elbo in ((10, -90.5), (25, -40.25)):
            leases.renew(claim, Progress(step, 40, elbo))
            expect(now).to_contain_text(f"step {step} of 40")
        expect(now.get_by_role("progressbar")).to_have_js_property("value", 25)
        expect(now.get_by_role("img", name="ELBO: from -90.5 to -40.3 so far")).to_be_visible()
        expect(now.get_by_role("listitem")).to_contain_text("Update 2")
        visit.check()
        leases.publish(claim, digest=claim.prior_digest, kl_nats=0.0, report={})

        expect(now).to_contain_text("update 1, published")
        live.work()
        visit.check()


def test_an_update_that_failed_says_why_and_what_to_do(browser: Browser, live: Live) -> None:
    model = live.create(TINY | {"recipe": {"epochs": 20, "lr": 1e20}})
    learned(live, model)
    (update,) = live.client.get(f"{model}/updates").json()["updates"]
    assert update["state"] == "failed"

    with looking(browser, live, width=390) as (visit, page):
        visit.go(at(model))
        failed = part(page.locator("main"), "Failed updates")

        expect(failed).to_contain_text(f"{update['error']['message']} update-diverged")
        expect(failed).to_contain_text("create the model anew with a lower lr")
        failed.get_by_text("The same as a command").click()
        expect(failed).to_contain_text(f"/v1/models/{name_of(model)}/replays")
        expect(failed).to_contain_text('{"chunks":[1]}')
        visit.check()


def test_a_version_that_waits_for_a_decision_is_accepted_on_the_page(browser: Browser, live: Live) -> None:
    model = live.create(TINY | {"publish": "manual"})
    learned(live, model)
    with looking(browser, live) as (visit, page):
        visit.go(at(model))
        connected(page)
        waiting = part(page.locator("main"), "A decision is waited for")
        expect(waiting).to_contain_text("Version 1 waits for a decision.")
        visit.check()

        waiting.get_by_role("button", name="Accept: head to version 1").click()
        page.get_by_role("dialog").get_by_role("button", name="Point it there").click()

        expect(waiting).to_have_count(0)
        assert live.client.get(model).json()["head"] == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_the_scores_are_those_of_the_metrics_with_their_bands(browser: Browser, live: Live, width: int) -> None:
    model = live.create()
    for _ in range(3):
        learned(live, model)
    batches = live.client.get(f"{model}/metrics").json()["batches"]
    with looking(browser, live, width=width) as (visit, page):
        visit.go(at(model))
        chart = page.get_by_role("figure").filter(has_text="NLL, nats per row")
        chart.get_by_text("The numbers").click()
        rows = chart.get_by_role("row")

        expect(rows).to_have_count(4)
        for row, one in zip(rows.all()[1:], batches, strict=True):
            cells = row.locator("th, td").all_inner_texts()
            value, error = one["windowed"]["nll"], one["windowed_standard_errors"]["nll"]
            low, high = value - 1.96 * error, value + 1.96 * error
            assert cells[0] == str(one["batch"])
            assert cells[1] == f"{value:.3f} ({low:.3f} to {high:.3f})"
            assert cells[2] == f"{one['running']['nll']:.3f}"
            assert cells[3].startswith(f"{one['metrics']['nll']:.3f}")
        visit.check()


def test_the_scores_are_shown_over_versions_too(browser: Browser, live: Live) -> None:
    model = live.create()
    for _ in range(2):
        learned(live, model)
    versions = live.client.get(f"{model}/metrics").json()["versions"]
    with looking(browser, live) as (visit, page):
        visit.go(at(model))
        page.get_by_text("Over versions").click()
        chart = page.get_by_role("figure").filter(has_text="Accuracy")
        chart.get_by_text("The numbers").click()

        expect(chart.get_by_role("row")).to_have_count(len(versions) + 1)
        expect(chart.get_by_role("row").last).to_contain_text(f"{versions[-1]['metrics']['accuracy']:.3f}")
        visit.check()


def test_surprising_batches_are_marked_and_noticed(browser: Browser, live: Live) -> None:
    model = live.create()
    learned(live, model)
    live.post_rows(model)
    live.close(model)
    leases, claim = claimed(live)
    first = next(iter(live.house.scoring.series(name_of(model), after=BEGINNING, limit=1)))
    told = [Scored(2, first.scores, {"is_surprising": True, "z": 9.0})]
    leases.publish(claim, digest=claim.prior_digest, kl_nats=0.0, report={}, scores=told)
    with looking(browser, live) as (visit, page):
        visit.go(at(model))

        expect(page.get_by_role("figure").first).to_contain_text("surprising")
        expect(part(page.locator("main"), "Notices")).to_contain_text("Surprise")
        visit.check()


@pytest.mark.parametrize("theme", THEMES)
def test_a_model_of_numbers_has_the_scores_of_numbers(browser: Browser, live: Live, theme: Theme) -> None:
    model = live.create(REAL)
    learned(live, model, NUMBERS)
    with looking(browser, live, theme=theme, width=390) as (visit, page):
        visit.go(at(model))

        for title in ("RMSE, in label units", "NLL, nats per row", "Coverage of 90 % intervals"):
            expect(page.get_by_role("figure").filter(has_text=title)).to_be_visible()
        expect(part(page.locator("main"), "The model")).to_contain_text("2 numbers, noise 0.5")
        visit.check()


def test_parked_batches_are_pointed_at(browser: Browser, live: Live) -> None:
    model = parking(live)
    with looking(browser, live) as (visit, page):
        visit.go(at(model))

        notice = part(page.locator("main"), "Parked batches")
        expect(notice).to_contain_text("Batch 2 is parked")
        expect(notice.get_by_role("link", name="Look at it")).to_have_attribute("href", at(model, "batches"))
        visit.check()

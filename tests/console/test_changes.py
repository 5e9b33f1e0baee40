"""The dialogs of change: what they say beforehand is what happens, and what is refused is told with a way on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.acting import button_on, learned, refused, url_of
from tests.console.browsing import THEMES, WIDTHS, Theme, Visit, visiting
from tests.service.live import ROWS, TINY, Json, Live

OTHER: Json = {"inputs": [[5, 6], [7, 8], [0, 1]], "labels": [1, 1, 0]}


def name_of(model: str) -> str:
    return model.removeprefix("/v1/models/")


@pytest.fixture
def model(live: Live) -> str:
    """Three versions of two, three and two rows."""
    return learned(live, TINY, [ROWS, OTHER, ROWS | {"labels": [1, 1]}])


@contextmanager
def opened(
    browser: Browser, live: Live, button: str, *, theme: Theme = "light", width: int = 1440, **props: object
) -> Iterator[tuple[Visit, Page, Locator]]:
    """The dialog of such a button, opened by keyboard."""
    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go("/console/nothing")
        expect(page.get_by_role("heading", name="No such page")).to_be_visible()
        button_on(page, button, **props).press("Enter")
        yield visit, page, page.get_by_role("dialog")


def done(page: Page) -> None:
    """The button has told its page that the change was made."""
    expect(page).to_have_title(re.compile("^done"))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_rollback_says_what_will_change_and_that_happens(
    browser: Browser, live: Live, model: str, theme: Theme, width: int
) -> None:
    live.post_rows(model)
    live.client.put(f"{model}/aliases/stable", json={"version": 2})
    with opened(browser, live, "RollbackButton", theme=theme, width=width, model=name_of(model), head=3, version=1) as (
        visit,
        page,
        dialog,
    ):
        expect(dialog).to_contain_text("Head moves from version 3 to version 1.")
        expect(dialog).to_contain_text("2 versions stay queryable by their numbers")
        expect(dialog).to_contain_text("head no longer knows the 5 rows learned since")
        expect(dialog).to_contain_text("2 pending rows are learned on top of version 1")
        expect(dialog).to_contain_text("Other aliases stay where they are: stable at 2.")
        dialog.get_by_text("The same as a command").click()
        expect(dialog.locator("pre")).to_contain_text("If-Match")
        visit.check()

        dialog.get_by_label("Reason").fill("mislabeled")
        dialog.get_by_role("button", name="Roll back to version 1").click()

        done(page)
        expect(dialog).to_have_count(0)
        visit.check()
    head = live.client.get(f"{model}/aliases/head").json()
    assert (head["version"], head["reason"]) == (1, "mislabeled")


def test_a_rollback_after_somebody_elses_move_is_refused_read_again_and_confirmed_anew(
    browser: Browser, live: Live, model: str
) -> None:
    with opened(browser, live, "RollbackButton", model=name_of(model), head=3, version=1) as (visit, page, dialog):
        expect(dialog).to_contain_text("Head moves from version 3 to version 1.")
        live.client.post(f"{model}/rollback", json={"to": 2})

        with refused(visit, 412):
            dialog.get_by_role("button", name="Roll back to version 1").click()
            expect(dialog).to_contain_text("Somebody moved it meanwhile")
        expect(dialog).to_contain_text("Head moves from version 2 to version 1.")
        assert live.client.get(model).json()["head"] == 2

        dialog.get_by_role("button", name="Roll back to version 1").click()

        done(page)
        visit.check()
    assert live.client.get(model).json()["head"] == 1


def test_a_rollback_to_another_branch_is_refused_with_the_way_there(browser: Browser, live: Live, model: str) -> None:
    live.client.post(f"{model}/rollback", json={"to": 1})
    with opened(browser, live, "RollbackButton", model=name_of(model), head=1, version=3) as (visit, _, dialog):
        with refused(visit, 409):
            dialog.get_by_role("button", name="Roll back to version 3").click()
            expect(dialog).to_contain_text("To another branch, point the alias head at the version.")
        visit.check()
    assert live.client.get(model).json()["head"] == 1


def test_the_version_of_a_rollback_is_chosen_in_the_dialog(browser: Browser, live: Live, model: str) -> None:
    with opened(browser, live, "RollbackButton", model=name_of(model), head=3) as (visit, page, dialog):
        dialog.get_by_label("To version").fill("0")
        expect(dialog).to_contain_text("Head moves from version 3 to version 0.")

        dialog.get_by_role("button", name="Roll back to version 0").press("Enter")

        done(page)
        visit.check()
    assert live.client.get(model).json()["head"] == 0


def test_an_alias_is_made_moved_and_removed(browser: Browser, live: Live, model: str) -> None:
    with opened(browser, live, "AliasButton", model=name_of(model), version=2, aliases={"head": 3}) as (
        visit,
        page,
        dialog,
    ):
        dialog.get_by_label("Name").fill("shop-floor")
        expect(dialog).to_contain_text("The new alias shop-floor points at version 2.")
        dialog.get_by_role("button", name="Point it there").click()
        done(page)
        visit.check()
    assert live.client.get(model).json()["aliases"] == {"head": 3, "shop-floor": 2}

    aliases = {"head": 3, "shop-floor": 2}
    with opened(browser, live, "AliasButton", model=name_of(model), version=1, aliases=aliases) as (
        visit,
        page,
        dialog,
    ):
        expect(dialog).to_contain_text("shop-floor moves from version 2 to version 1.")
        dialog.get_by_label("Remove it instead").check()
        expect(dialog).to_contain_text("are refused (404) from the next one on")
        dialog.get_by_role("button", name="Remove it").click()
        done(page)
        visit.check()
    assert live.client.get(model).json()["aliases"] == {"head": 3}


def test_an_alias_that_moved_meanwhile_stays_until_it_is_confirmed_anew(
    browser: Browser, live: Live, model: str
) -> None:
    live.client.put(f"{model}/aliases/stable", json={"version": 1})
    with opened(browser, live, "AliasButton", model=name_of(model), version=3, aliases={"stable": 1}) as (
        visit,
        page,
        dialog,
    ):
        expect(dialog).to_contain_text("stable moves from version 1 to version 3.")
        live.client.put(f"{model}/aliases/stable", json={"version": 2})

        with refused(visit, 412):
            dialog.get_by_role("button", name="Point it there").click()
            expect(dialog).to_contain_text("stable moves from version 2 to version 3.")
        assert live.client.get(f"{model}/aliases/stable").json()["version"] == 2

        dialog.get_by_role("button", name="Point it there").click()
        done(page)
    assert live.client.get(f"{model}/aliases/stable").json()["version"] == 3


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_forget_says_from_where_heads_line_is_learned_anew(
    browser: Browser, live: Live, model: str, theme: Theme, width: int
) -> None:
    with opened(browser, live, "ForgetButton", theme=theme, width=width, model=name_of(model), batches=[2]) as (
        visit,
        page,
        dialog,
    ):
        expect(dialog).to_contain_text("Batch 2 (3 rows): head's line goes back to version 1")
        expect(dialog).to_contain_text("what the 2 versions since have learned is learned again without them")
        visit.check()

        dialog.get_by_label("Reason").fill("asked by its owner")
        dialog.get_by_role("button", name="Forget for good").click()

        done(page)
        visit.check()
    live.work()
    [forget] = live.client.get(f"{model}/forgets").json()["forgets"]
    assert (forget["base"], forget["state"], forget["reason"]) == (1, "done", "asked by its owner")
    assert live.client.get(f"{model}/versions/{forget['head']}").json()["evidence"]["batches"] == [1, 3]


def test_head_is_divided_where_that_is_chosen(browser: Browser, live: Live, model: str) -> None:
    with opened(browser, live, "ForgetButton", model=name_of(model), batches=[2]) as (visit, page, dialog):
        dialog.get_by_role("radio", name="Approximately").check()
        expect(dialog).to_contain_text("head, version 3, is divided by what its line learned of them")
        dialog.get_by_role("button", name="Forget for good").click()
        done(page)
        visit.check()
    assert live.client.get(f"{model}/versions/4").json()["publication"] == "approximate"


def test_a_pending_batch_is_parked_released_and_discarded(browser: Browser, live: Live, model: str) -> None:
    batch = int(live.post_rows(model)["batch"])
    path = f"{model}/batches/{batch}"
    for button, verb, said, state in (
        ("ParkButton", "Park it", "waits for a decision: nothing learns from it", "parked"),
        ("ReleaseButton", "Release it", "It was parked by", "accepted"),
        ("DiscardButton", "Discard it", "is never learned from", "discarded"),
    ):
        with opened(browser, live, button, model=name_of(model), batch=batch) as (visit, page, dialog):
            expect(dialog).to_contain_text(said)
            dialog.get_by_label("Reason").fill(f"to see it {state}")
            dialog.get_by_role("button", name=verb).click()
            done(page)
            visit.check()
        assert live.client.get(path).json()["state"] == state
    decisions = live.client.get(f"{path}/decisions").json()["decisions"]
    assert [one["reason"] for one in decisions] == ["to see it parked", "to see it accepted", "to see it discarded"]


def test_what_head_has_learned_from_is_not_parked_and_the_way_on_is_told(
    browser: Browser, live: Live, model: str
) -> None:
    with opened(browser, live, "ParkButton", model=name_of(model), batch=2) as (visit, _, dialog):
        with refused(visit, 409):
            dialog.get_by_role("button", name="Park it").click()
            expect(dialog).to_contain_text("it can no longer be kept out: forget it instead")
        visit.check()


def test_a_queued_update_is_cancelled_and_its_chunk_stays(browser: Browser, live: Live, model: str) -> None:
    live.post_rows(model)
    update = live.close(model)
    with opened(browser, live, "CancelUpdateButton", model=name_of(model), update=update) as (visit, page, dialog):
        expect(dialog).to_contain_text(f"Update {update}, queued, ends without a version. Head stays at version 3.")
        expect(dialog).to_contain_text("The 2 rows of chunk 4 stay")
        dialog.get_by_role("button", name="Cancel the update").click()
        done(page)
        visit.check()
    assert live.client.get(f"{model}/updates/{update}").json()["state"] == "cancelled"


def test_an_update_that_has_ended_is_not_offered_to_be_cancelled(browser: Browser, live: Live, model: str) -> None:
    with opened(browser, live, "CancelUpdateButton", model=name_of(model), update=1) as (visit, _, dialog):
        expect(dialog).to_contain_text("It has ended already: published, version 1.")
        expect(dialog.get_by_role("button", name="Cancel the update")).to_be_disabled()
        visit.check()


def test_pending_rows_that_were_closed_meanwhile_are_told(browser: Browser, live: Live, model: str) -> None:
    live.post_rows(model)
    pending = {"batches": 1, "rows": 2}
    with opened(browser, live, "CloseNowButton", model=name_of(model), pending=pending) as (visit, _, dialog):
        expect(dialog).to_contain_text("2 pending rows of 1 batch become a chunk")
        live.close(model)
        with refused(visit, 409):
            dialog.get_by_role("button", name="Close it").click()
            expect(dialog).to_contain_text("They were closed meanwhile")
        expect(dialog).to_contain_text("No rows are pending any more.")
        visit.check()


def test_leaving_a_dialog_changes_nothing_and_gives_the_focus_back(browser: Browser, live: Live, model: str) -> None:
    with opened(browser, live, "RollbackButton", model=name_of(model), head=3, version=1) as (visit, page, dialog):
        expect(dialog).to_contain_text("Head moves from version 3 to version 1.")
        page.keyboard.press("Escape")

        expect(dialog).to_have_count(0)
        expect(page.get_by_role("button", name="Roll back to version 1")).to_be_focused()
        visit.check()
    assert live.client.get(model).json()["head"] == 3

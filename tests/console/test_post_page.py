"""Posting rows in the browser: looked through before they are sent, counted once, and followed into a version."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from client.files import key_of, read_rows
from tests.console.acting import DIGITS, console, digits, refused, url_of
from tests.console.browsing import THEMES, WIDTHS, Theme, visiting
from tests.service.keyed import make_key, shown
from tests.service.live import NAMED, REAL, TINY, Json, Live, running

GOOD = "left,right,label\n1,2,0\n3,4.5,2\n-1,0.25,1\n"
NUMBERS = TINY | {"chunk": {"rows": 1000, "seconds": None}}


def csv(content: str, name: str = "rows.csv") -> FilePayload:
    return {"name": name, "mimeType": "text/csv", "buffer": content.encode()}


def png(name: str, pixels: object) -> FilePayload:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(file, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": file.getvalue()}


def batches(live: Live, model: str) -> list[Json]:
    found: list[Json] = live.client.get(f"{model}/batches").json()["batches"]
    return found


def digest_of(live: Live, description: Json, rows: Json) -> str:
    """That of the same rows where they are posted as JSON, to another model."""
    model = live.create(description)
    return str(live.post_rows(model, rows)["digest"])


def choose(page: Page, content: str, name: str = "rows.csv") -> None:
    page.get_by_label("A CSV file").set_input_files(csv(content, name))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_rows_are_posted_and_followed_until_a_version_has_learned_from_them(
    browser: Browser, live: Live, theme: Theme, width: int
) -> None:
    model = live.create(NUMBERS)
    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go(console(model, "post"))

        choose(page, GOOD)
        page.get_by_role("button", name="Post 3 rows").click()

        followed = page.get_by_role("region", name="Batch 1")
        expect(followed).to_contain_text("3 rows of 1,000 are pending")
        visit.check()

        followed.get_by_role("button", name="Close now").click()
        dialog = page.get_by_role("dialog", name="Close the chunk now")
        expect(dialog).to_contain_text("3 pending rows of 1 batch become a chunk")
        dialog.get_by_role("button", name="Close it").click()
        expect(followed).to_contain_text("In chunk 1.")
        live.work()

        expect(followed.get_by_role("link", name="version 1")).to_have_attribute(
            "href", console(model, "versions", "1")
        )
        expect(followed).to_contain_text("Head has learned from it.")
        visit.check()


def test_by_keyboard_the_focus_goes_to_the_accepted_batch_and_it_is_announced(browser: Browser, live: Live) -> None:
    model = live.create(NUMBERS)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))
        choose(page, GOOD)
        heading = page.get_by_role("heading", name="Batch 1 3 rows")
        for _ in range(2):
            page.get_by_role("button", name="Post 3 rows").press("Enter")

            expect(heading).to_be_focused()
            expect(page.get_by_role("status").filter(has_text="Batch 1 is accepted: 3 rows.")).to_have_count(1)
            expect(page.get_by_role("button", name="Close now")).to_be_visible()
            page.keyboard.press("Tab")
            expect(page.get_by_role("button", name="Close now")).to_be_focused()
        visit.check()


def test_where_posting_is_refused_the_focus_stays_on_the_button(browser: Browser, live: Live) -> None:
    model = live.create(NUMBERS)
    live.post_rows(model, {"inputs": [[9, 9]], "labels": [1]}, key=key_of(GOOD.encode()))
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))
        choose(page, GOOD)
        with refused(visit, 422):
            page.get_by_role("button", name="Post 3 rows").press("Enter")
            expect(page.get_by_role("alert")).to_contain_text("idempotency-key-reused")

        expect(page.get_by_role("button", name="Post 3 rows")).to_be_focused()
        visit.check()


def test_the_same_file_posted_twice_and_by_the_command_line_counts_once(browser: Browser, live: Live) -> None:
    model = live.create(NUMBERS)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))
        choose(page, GOOD)
        page.get_by_role("button", name="Post 3 rows").click()
        expect(page.get_by_role("region", name="Batch 1")).to_be_visible()

        page.get_by_role("button", name="Post 3 rows").click()

        expect(page.get_by_role("region", name="Batch 1")).to_contain_text("posted before: counted once")
        visit.check()
    [batch] = batches(live, model)
    rows = read_rows(GOOD.encode(), is_labeled=True)
    assert rows.y is not None
    assert batch["key"] == key_of(GOOD.encode())
    by_hand = {"inputs": rows.x.tolist(), "labels": [int(label) for label in rows.y]}
    assert live.post_rows(model, by_hand, key=batch["key"])["batch"] == batch["batch"]


def test_a_file_that_begins_with_a_byte_order_mark_has_the_key_of_its_bytes(browser: Browser, live: Live) -> None:
    model = live.create(NUMBERS)
    content = "\ufeff" + GOOD
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))
        choose(page, content)
        page.get_by_role("button", name="Post 3 rows").click()
        expect(page.get_by_role("region", name="Batch 1")).to_be_visible()
        visit.check()
    assert [one["key"] for one in batches(live, model)] == [key_of(content.encode())]


def test_a_batch_whose_answer_was_lost_is_sent_again_and_counts_once(browser: Browser, live: Live) -> None:
    model = live.create(NUMBERS)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))
        lost: list[int] = []

        def lose(route: Route) -> None:
            lost.append(route.fetch().status)
            route.abort("connectionreset")

        page.route("**/batches", lose, times=1)
        choose(page, GOOD)

        page.get_by_role("button", name="Post 3 rows").click()

        expect(page.get_by_role("region", name="Batch 1")).to_contain_text("posted before: counted once")
        assert lost == [202]
        assert [one for one in visit.complaints if "ERR_CONNECTION_RESET" not in one] == []
    assert [one["rows"] for one in batches(live, model)] == [3]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_bad_row_is_named_before_anything_is_sent(browser: Browser, live: Live, theme: Theme, width: int) -> None:
    model = live.create(NUMBERS)
    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go(console(model, "post"))

        choose(page, "left,right,label\n1,2,0\n3,,2\n4,five,1\n6,7,3\n8,9\n")

        told = page.get_by_role("alert")
        expect(told).to_contain_text("Nothing is sent yet: 4 things are wrong")
        expect(told).to_contain_text("line 3, column “right” is empty")
        expect(told).to_contain_text("line 4, column “right” “five” is not a number")
        expect(told).to_contain_text("line 5, column “label” “3” is no class: there are 0 to 2")
        expect(told).to_contain_text("line 6 has 2 cells, the others have 3")
        expect(page.get_by_role("button", name="Post")).to_have_count(0)
        visit.check()
    assert batches(live, model) == []


def test_words_of_a_file_are_mapped_to_the_models_classes(browser: Browser, live: Live) -> None:
    model = live.create(NAMED)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))
        choose(page, "animal;left;right\nCAT;1;2\nhound;3;4.5\n")
        page.get_by_label("Label column").select_option("animal")
        expect(page.get_by_role("alert")).to_contain_text("“hound” is no class of this model")

        page.get_by_label("“hound”").select_option("dog")
        expect(page.get_by_text("Rows by class: cat: 1 and dog: 1.")).to_be_visible()
        page.get_by_role("button", name="Post 2 rows").click()

        expect(page.get_by_role("region", name="Batch 1")).to_be_visible()
        visit.check()
    [batch] = batches(live, model)
    rows = {"inputs": [[1, 2], [3, 4.5]], "labels": ["cat", "dog"]}
    assert batch["digest"] == digest_of(live, NAMED, rows)


def test_columns_are_left_out_and_weights_and_several_labels_are_taken(browser: Browser, live: Live) -> None:
    model = live.create(REAL)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))
        choose(page, "id,left,right,weight,up,down\n1001,1,2,0.5,10,-1\n1002,3,4.5,2,20,-2\n")
        expect(page.get_by_role("alert")).to_contain_text("3 columns are chosen as input, the model takes 2 numbers")

        page.get_by_role("combobox", name="id", exact=True).select_option("left out")
        page.get_by_role("button", name="Post 2 rows").click()

        expect(page.get_by_role("region", name="Batch 1")).to_be_visible()
        visit.check()
    [batch] = batches(live, model)
    rows = {"inputs": [[1, 2], [3, 4.5]], "labels": [[10, -1], [20, -2]], "weights": [0.5, 2]}
    assert batch["digest"] == digest_of(live, REAL, rows)


def test_a_file_that_was_posted_with_other_labels_is_posted_as_well_only_when_asked(
    browser: Browser, live: Live
) -> None:
    model = live.create(NUMBERS)
    live.post_rows(model, {"inputs": [[9, 9]], "labels": [1]}, key=key_of(GOOD.encode()))
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))
        choose(page, GOOD)

        with refused(visit, 422):
            page.get_by_role("button", name="Post 3 rows").click()
            expect(page.get_by_role("alert")).to_contain_text("idempotency-key-reused")
        page.get_by_role("button", name="Post these rows as well").click()

        expect(page.get_by_role("region", name="Batch 2")).to_be_visible()
        visit.check()
    assert [one["rows"] for one in batches(live, model)] == [1, 3]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_pictures_are_labeled_by_their_names_and_one_by_one(
    browser: Browser, live: Live, theme: Theme, width: int
) -> None:
    model = live.create(DIGITS)
    rows = digits(0, 4)
    images = [np.array(row)[0] for row in rows["inputs"]]
    with visiting(browser, url_of(live), theme=theme, width=width) as visit:
        page = visit.go(console(model, "post"))
        page.get_by_text("Pixels from 0 to 16").click()
        page.get_by_label("Full").fill("255")

        files = [png(f"{label}_{at}.png", image) for at, (label, image) in enumerate(zip("01x3", images, strict=True))]
        page.get_by_label("PNG or JPEG files").set_input_files(files)

        expect(page.get_by_role("alert")).to_contain_text("x_2.png “x” is no class: there are 0 to 9")
        visit.check()
        field = page.get_by_role("listitem").filter(has_text="x_2.png").get_by_role("combobox")
        field.focus()
        page.keyboard.press("2")
        page.keyboard.press("Enter")
        expect(field).to_have_value("2")
        page.get_by_role("button", name="Post 4 rows").press("Enter")

        expect(page.get_by_role("region", name="Batch 1")).to_be_visible()
        visit.check()
    [batch] = batches(live, model)
    by_path = {"inputs": [rows["inputs"][at] for at in (0, 1, 3, 2)], "labels": [0, 1, 3, 2]}
    assert batch["digest"] == digest_of(live, DIGITS, by_path)


def test_a_folder_of_pictures_is_labeled_by_the_folders_in_it(browser: Browser, live: Live, tmp_path: Path) -> None:
    model = live.create(DIGITS)
    rows = digits(10, 13)
    for at, (row, label) in enumerate(zip(rows["inputs"], rows["labels"], strict=True)):
        folder = tmp_path / "scans" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"scan-{at}.png").write_bytes(png("", np.array(row)[0])["buffer"])
    (tmp_path / "scans" / "notes.txt").write_text("no picture")
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))
        page.get_by_text("Pixels from 0 to 16").click()
        page.get_by_label("Full").fill("255")

        page.get_by_label("A folder of them").set_input_files(tmp_path / "scans")

        expect(page.get_by_text("Pictures by class: 0: 1, 1: 1 and 2: 1.")).to_be_visible()
        page.get_by_role("button", name="Post 3 rows").click()
        expect(page.get_by_role("region", name="Batch 1")).to_be_visible()
        visit.check()
    [batch] = batches(live, model)
    assert batch["digest"] == digest_of(live, DIGITS, rows)


def test_a_file_that_is_no_picture_is_named(browser: Browser, live: Live) -> None:
    model = live.create(DIGITS)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))

        page.get_by_label("PNG or JPEG files").set_input_files(
            FilePayload(name="3_broken.png", mimeType="image/png", buffer=b"\x89PNG\r\n\x1a\nnothing")
        )

        expect(page.get_by_role("alert")).to_contain_text("3_broken.png: is damaged, or no picture")
        expect(page.get_by_role("button", name="Post ", exact=False)).to_have_count(0)
        visit.check()


def test_what_is_too_much_for_one_batch_is_posted_in_parts(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path, rows_max=2) as live:
        model = live.create(NUMBERS)
        with visiting(browser, url_of(live)) as visit:
            page = visit.go(console(model, "post"))
            choose(page, GOOD)
            with refused(visit, 413):
                page.get_by_role("button", name="Post 3 rows").click()
                expect(page.get_by_role("alert")).to_contain_text("batch-too-large")

            page.get_by_role("button", name="Post in 2 parts").click()

            expect(page.get_by_role("region", name="Batch 2")).to_be_visible()
            visit.check()
        assert sorted(one["rows"] for one in batches(live, model)) == [1, 2]


def test_a_key_that_may_only_predict_is_told_so(browser: Browser, tmp_path: Path) -> None:
    with running(tmp_path) as live:
        operator, reader = make_key(live, "operator", "admin"), make_key(live, "reader", "predict")
        with shown(live, operator):
            model = live.create(NUMBERS)
        with visiting(browser, url_of(live)) as visit:
            page = visit.go("/console/nothing")
            page.get_by_role("button", name="Key").click()
            page.get_by_label("API key").fill(reader["Authorization"].removeprefix("Bearer "))
            page.get_by_role("button", name="Use it").click()
            expect(page.get_by_role("button", name="Key set")).to_be_visible()
            page.goto(f"{url_of(live).rstrip('/')}{console(model, 'post')}")
            choose(page, GOOD)

            with refused(visit, 403):
                page.get_by_role("button", name="Post 3 rows").click()
                expect(page.get_by_role("alert")).to_contain_text("key-not-allowed")

            expect(page.get_by_text("Your key may not post rows")).to_be_visible()
            visit.check()
        with shown(live, operator):
            assert batches(live, model) == []


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 1000])
def test_where_the_browser_has_no_digests_the_same_ones_are_computed(browser: Browser, live: Live, length: int) -> None:
    content = bytes(at % 251 for at in range(length))
    with visiting(browser, url_of(live)) as visit:
        page = visit.go("/console")
        said = page.evaluate(
            "async (bytes) => Array.from((await import('/console/assets/sha256.js')).digestOf(Uint8Array.from(bytes)))",
            list(content),
        )
    assert bytes(said) == hashlib.sha256(content).digest()


def test_columns_are_found_by_the_names_that_the_model_keeps(browser: Browser, live: Live) -> None:
    described = NUMBERS | {"input": {"shape": [2], "names": ["left", "right"]}}
    model = live.create(described)
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))

        choose(page, "kind,right,day,left\n0,2,7,1\n2,4.5,8,3\n")
        page.get_by_label("Label column").select_option("kind")
        page.get_by_role("button", name="Post 2 rows").click()
        expect(page.get_by_role("heading", name="Batch 1")).to_be_visible()

        assert batches(live, model)[0]["digest"] == digest_of(
            live, described, {"inputs": [[1, 2], [3, 4.5]], "labels": [0, 2]}
        )
        visit.check()


def test_a_csv_without_a_column_of_the_model_is_not_sent(browser: Browser, live: Live) -> None:
    model = live.create(NUMBERS | {"input": {"shape": [2], "names": ["left", "right"]}})
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))

        choose(page, "left,wrong,label\n1,2,0\n")

        expect(page.get_by_text("has no column “right”")).to_be_visible()
        assert batches(live, model) == []
        visit.check()


@pytest.mark.parametrize(
    "content",
    [
        "1,2,0\n3,4.5,2\n",
        "left;right;label\n1;2;0\n3;4.5;2\n",
        "target\tleft\tright\n0\t1\t2\n2\t3\t4.5\n",
        "class,left,y\n1,2,0\n3,4.5,2\n",
    ],
    ids=["plain", "semicolons", "the label first", "two that could be labels"],
)
def test_a_file_has_the_key_that_the_command_line_gives_it(browser: Browser, live: Live, content: str) -> None:
    model = live.create(NUMBERS)
    read = read_rows(content.encode(), is_labeled=True)
    assert read.y is not None
    with visiting(browser, url_of(live)) as visit:
        page = visit.go(console(model, "post"))

        choose(page, content)
        page.get_by_role("button", name="Post 2 rows").click()
        expect(page.get_by_role("heading", name="Batch 1")).to_be_visible()

        [batch] = batches(live, model)
        rows = {"inputs": read.x.tolist(), "labels": [int(one) for one in read.y.tolist()]}
        assert (batch["key"], batch["digest"]) == (key_of(content.encode()), digest_of(live, NUMBERS, rows))

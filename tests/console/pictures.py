"""`make pictures`: every page of the console as it looks, of a service with something to show, into docs/pictures."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, expect

from client import Client
from client.demo.data import Dataset, DatasetName, LabeledImages, load_dataset
from client.demo.place import CONFIG_NAME, service_environment
from client.demo.process import running_service
from tests.console.acting import first, second, stroke
from tests.console.browsing import THEMES, WIDTHS, Theme, chromium, visiting

Pixels = NDArray[np.uint8]

OUT = Path("docs/pictures")
MODEL = "digits"
ROLLED_BACK_TO = 7
BYTES_MAX = 150_000
COLOURS = (256, 96, 32)
SETTLE_MILLISECONDS = 1200
"""Charts and answers that are loaded by parts are there by then."""
DOUBTFUL = ((0.34, 0.2), (0.32, 0.48), (0.5, 0.54), (0.66, 0.44), (0.68, 0.2), (0.66, 0.5), (0.6, 0.86))
"""A digit between a 4 and a 9."""
TABLE = """length,width,depth,kind
5.1,3.5,1.4,reed
4.9,3.0,1.4,bell
6.3,3.3,6.0,lily
5.8,2.7,5.1,lily
7.0,3.2,4.7,bell
6.4,3.2,4.5,bell
"""


def learn(client: Client, dataset: Dataset) -> None:
    """Ten batches became versions, the last two on two branches; an alias, a parked batch, some rows that wait."""
    client.create_model(dataset.description(MODEL))
    for rows in dataset.batches[:-1]:
        _absorb(client, rows)
    client.rollback(MODEL, to=ROLLED_BACK_TO, reason="batches 8 and 9 came from the scanner that was being repaired")
    _absorb(client, dataset.batches[-1])
    client.set_alias(MODEL, "stable", 5, reason="passed the review")
    held_out = dataset.held_out
    odd = client.ingest(MODEL, held_out.images[:60], (held_out.labels[:60] + 3) % 10)
    client.park(MODEL, odd.batch, reason="its labels look shifted")
    client.ingest(MODEL, held_out.images[60:108], held_out.labels[60:108])


def _absorb(client: Client, rows: LabeledImages) -> None:
    batch = client.ingest(MODEL, rows.images, rows.labels)
    client.wait(MODEL, batch=batch.batch, timeout_seconds=600)


def pages(dataset: Dataset) -> dict[str, tuple[str, Callable[[Page], None]]]:
    """Each page's path, and what is done on it before its picture is taken."""
    model = f"/console/models/{MODEL}"

    def shows(text: str) -> Callable[[Page], None]:
        return lambda page: expect(page.get_by_role("main")).to_contain_text(text)

    return {
        "models": ("/console", shows(MODEL)),
        "model": (model, shows("version 10")),
        "version": (f"{model}/versions/{ROLLED_BACK_TO}", shows("Wilson")),
        "predict": (f"{model}/predict", _draw),
        "post": (f"{model}/post", lambda page: _drop(page, dataset.held_out)),
        "batches": (f"{model}/batches", shows("parked")),
        "history": (f"{model}/history", shows("passed the review")),
        "create": ("/console/new", _describe),
    }


def _draw(page: Page) -> None:
    first(page).get_by_role("combobox").select_option("number")
    first(page).get_by_role("spinbutton").fill("1")
    stroke(page, DOUBTFUL)
    expect(second(page).locator(".winner")).to_be_visible()
    expect(page.get_by_role("region", name="What differs")).to_be_visible()


def _drop(page: Page, rows: LabeledImages) -> None:
    files = [_png(f"{label}-{at:03}.png", image[0]) for at, (image, label) in enumerate(_some(rows))]
    page.get_by_label("PNG or JPEG files").set_input_files(files)
    expect(page.get_by_role("button", name=f"Post {len(files)} rows")).to_be_visible()


def _some(rows: LabeledImages) -> list[tuple[Pixels, int]]:
    return [(image * 15, int(label)) for image, label in zip(rows.images[120:150], rows.labels[120:150], strict=True)]


def _png(name: str, pixels: Pixels) -> FilePayload:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return FilePayload(name=name, mimeType="image/png", buffer=file.getvalue())


def _describe(page: Page) -> None:
    table = FilePayload(name="flowers.csv", mimeType="text/csv", buffer=TABLE.encode())
    page.get_by_label("A CSV file").set_input_files(table)
    expect(page.get_by_text("6 rows, 3 columns as input.")).to_be_visible()


def take(browser: Browser, url: str, dataset: Dataset, out: Path, *, theme: Theme, width: int) -> None:
    """A picture of every page in this theme and window is in the folder."""
    for name, (path, act) in pages(dataset).items():
        with visiting(browser, url, theme=theme, width=width) as visit:
            page = visit.go(path)
            act(page)
            page.wait_for_timeout(SETTLE_MILLISECONDS)
            page.evaluate("document.activeElement.blur()")
            small = "" if width == WIDTHS[0] else f"-{width}"
            save(page.screenshot(full_page=True), out / f"{name}-{theme}{small}.png")
            visit.check()


def save(screenshot: bytes, path: Path) -> None:
    """The picture in colours few enough to keep it small."""
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
    for colours in COLOURS:
        file = io.BytesIO()
        palette = palette_of(np.asarray(picture).reshape(-1, 3), colours)
        picture.quantize(palette=palette, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        if file.tell() <= BYTES_MAX:
            break
    path.write_bytes(file.getvalue())
    print(f"{path}: {picture.width} x {picture.height}, {file.tell() // 1024} KiB")


def palette_of(pixels: Pixels, colours: int) -> Image.Image:
    """Half of them the commonest, as they are; half for the rest, where thin lines have theirs."""
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    found, counts = np.unique(packed, return_counts=True)
    commonest = found[np.argsort(-counts, kind="stable")][: colours // 2]
    rest = pixels[~np.isin(packed, commonest)]
    levels = np.stack([commonest >> 16, commonest >> 8 & 255, commonest & 255], axis=1).ravel().tolist()
    if len(rest):
        others = Image.fromarray(rest[np.newaxis]).quantize(colours // 2, Image.Quantize.FASTOCTREE)
        levels += others.getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(levels[: 3 * colours])
    return palette


def main() -> None:
    parser = argparse.ArgumentParser(prog="make pictures", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the pictures")
    parser.add_argument("--seed", type=int, default=1, help="of the shuffle of the digits")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="posterity-pictures-") as directory:
        folder = Path(directory)
        (folder / CONFIG_NAME).touch()
        dataset = load_dataset(DatasetName.DIGITS, folder, np.random.default_rng(asked.seed), announce=print)
        environment = service_environment(folder, is_temporary=True)
        with running_service(environment, log=folder / "service.log") as url:
            with Client(url) as client:
                learn(client, dataset)
            with chromium() as browser:
                for theme in THEMES:
                    for width in WIDTHS:
                        take(browser, url, dataset, asked.out, theme=theme, width=width)


if __name__ == "__main__":
    main()

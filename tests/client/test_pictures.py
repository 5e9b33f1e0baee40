"""Images on the command line: one, several, folders of them, a CSV that names them, stdin."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client import Client
from tests.client.given import description
from tests.client.test_cli import answer, run

SIDE = 4


def drawn(level: int) -> Image.Image:
    """A grey square of about this brightness."""
    generator = np.random.default_rng(level)
    return Image.fromarray(generator.integers(level, level + 20, size=(SIDE, SIDE)).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three dark and three bright images, in a folder for each class, and a hidden one."""
    for name, levels in (("bright", (200, 210, 220)), ("dark", (0, 10, 20))):
        (tmp_path / name).mkdir()
        for level in levels:
            drawn(level).save(tmp_path / name / f"{level}.png")
    (tmp_path / ".cache").mkdir()
    drawn(100).save(tmp_path / ".cache" / "thumbnail.png")
    return tmp_path


@pytest.fixture
def shades(client: Client, request: pytest.FixtureRequest) -> str:
    output = {"kind": "categorical", "classes": ["bright", "dark"]}
    image = {"shape": [1, SIDE, SIDE], "dtype": "uint8"}
    name = f"shades-{hashlib.sha256(request.node.name.encode()).hexdigest()[:16]}"
    return client.create_model(description(name, input=image, output=output)).name


def test_a_folder_of_folders_is_labeled_by_their_names_and_counted_once(url: str, shades: str, folder: Path) -> None:
    posted = answer(url, "ingest", shades, str(folder), "--close", "--wait")
    again = run(url, "ingest", shades, str(folder))

    assert (posted["rows"], posted["state"]) == (6, "absorbed")
    assert "posted before" in again.stderr


def test_images_are_predicted_one_by_one_and_by_folders_and_named(url: str, shades: str, folder: Path) -> None:
    one, other = folder / "dark" / "0.png", folder / "bright" / "200.png"

    single = run(url, "predict", shades, str(one))
    several = answer(url, "predict", shades, str(one), str(other))
    whole = answer(url, "predict", shades, str(folder))
    piped = answer(url, "predict", shades, "-", stdin=one.read_bytes())

    assert single.exit_code == 0, single.stderr
    assert "0.png" in single.stdout
    assert (len(several["outputs"]), len(whole["outputs"])) == (2, 6)
    assert piped["outputs"] == answer(url, "predict", shades, str(one))["outputs"]


def test_predictions_of_images_are_written_with_their_files(url: str, shades: str, folder: Path) -> None:
    result = run(url, "predict", shades, str(folder / "dark"), "--output", "-")

    lines = result.stdout.splitlines()
    assert lines[0].startswith("file,predicted,probability,entropy")
    assert [Path(line.split(",")[0]).name for line in lines[1:]] == ["0.png", "10.png", "20.png"]


def test_a_csv_names_images_beside_it(url: str, shades: str, folder: Path) -> None:
    (folder / "rows.csv").write_text("file,label\ndark/0.png,dark\nbright/200.png,bright\n")

    posted = answer(url, "ingest", shades, str(folder / "rows.csv"))

    assert posted["rows"] == 2
    assert len(answer(url, "predict", shades, str(folder / "rows.csv"))["outputs"]) == 2


def test_images_of_one_class_are_posted_by_saying_it(url: str, shades: str, folder: Path) -> None:
    assert answer(url, "ingest", shades, str(folder / "dark"), "--class", "dark")["rows"] == 3


def test_a_model_is_made_for_a_folder_of_images(url: str, folder: Path) -> None:
    created = answer(url, "models", "create", "seen", "--from", str(folder))

    assert created["input"]["shape"] == [1, SIDE, SIDE]
    assert created["output"]["classes"] == ["bright", "dark"]


def test_images_are_scaled_where_that_is_asked_for(url: str, shades: str, tmp_path: Path) -> None:
    drawn(5).resize((9, 7)).convert("RGB").save(tmp_path / "large.jpg")

    refused = run(url, "predict", shades, str(tmp_path / "large.jpg"))
    scaled = answer(url, "predict", shades, str(tmp_path / "large.jpg"), "--resize", f"{SIDE}x{SIDE}")

    assert refused.exit_code == 1
    assert "9 pixels wide and 7 high" in refused.stderr
    assert "--resize" in refused.stderr
    assert len(scaled["outputs"]) == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("ingest", "{model}", "{folder}/dark/0.png"), "no labels. Next: "),
        (("ingest", "{model}", "{folder}/dark"), "in no folder of a class. Next: "),
        (("ingest", "{model}", "{folder}/dark", "--class", "grey"), "no class called 'grey'"),
        (("predict", "{model}", "{folder}/.cache/nothing"), "No such file"),
        (("predict", "{model}", "{folder}/broken.png"), "cannot be read as an image"),
        (("predict", "{model}", "{folder}/empty"), "has no images. Next: "),
        (("predict", "{model}", "{folder}/dark", "--resize", "large"), "is no size of an image. Next: "),
        (("describe", "{folder}/sizes"), "different sizes: .* Next: scale them"),
    ],
)
def test_what_is_wrong_with_images_is_one_line_with_what_to_do(
    url: str, shades: str, folder: Path, command: tuple[str, ...], said: str
) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "empty").mkdir()
    for place, side in enumerate((3, 5)):
        (folder / "sizes" / str(place)).mkdir(parents=True)
        Image.new("L", (side, side)).save(folder / "sizes" / str(place) / "one.png")

    result = run(url, *(word.format(model=shades, folder=folder) for word in command))

    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert re.search(said, result.stderr)


def test_several_files_of_rows_are_a_batch_each(url: str, shades: str, tmp_path: Path) -> None:
    for place in range(2):
        stream = io.BytesIO()
        np.savez(stream, x=np.full((2, 1, SIDE, SIDE), place, np.uint8), y=[0, 1])
        (tmp_path / f"{place}.npz").write_bytes(stream.getvalue())

    posted = answer(url, "ingest", shades, str(tmp_path / "0.npz"), str(tmp_path / "1.npz"))

    assert [one["rows"] for one in posted] == [2, 2]

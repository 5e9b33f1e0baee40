"""From a CSV of one's own to predictions in a few commands, whatever the CSV looks like."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client import Client, UnusableArray
from client.csv_tables import Chosen
from client.describing import describe
from client.files import Rows, read_rows
from tests.client.test_cli import answer, run

FLOWERS = {"iris": (5.0, 1.0), "rose": (2.0, 4.0), "tulip, red": (8.0, 7.0)}
HEADER = ["petal length", 'width "mm"', "species"]


def flowers(count: int = 60, *, seed: int = 3) -> list[list[str]]:
    """Rows of three flowers that are easy to tell apart; one of them has a comma in its name."""
    generator = np.random.default_rng(seed)
    names = sorted(FLOWERS)
    picked = [names[place % 3] for place in range(count)]
    drawn = [[f"{value:.3f}" for value in generator.normal(FLOWERS[name], 0.3)] for name in picked]
    return [[*row, name] for row, name in zip(drawn, picked, strict=True)]


def written(
    rows: list[list[str]], header: list[str] | None, *, mark: str = ",", end: str = "\n", bom: bool = False
) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, delimiter=mark, lineterminator=end).writerows([*([header] if header else []), *rows])
    return (b"\xef\xbb\xbf" if bom else b"") + stream.getvalue().encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my flowers.csv"
    path.write_bytes(written(flowers(), HEADER))
    return path


def test_a_csv_becomes_a_model_a_version_and_predictions(url: str, client: Client, file: Path, tmp_path: Path) -> None:
    new, out = tmp_path / "new.csv", tmp_path / "out.csv"
    asked = flowers(9, seed=4)
    new.write_bytes(written([row[:2] for row in asked], HEADER[:2]))

    created = run(url, "models", "create", "--from", str(file), "--label", "species")
    posted = answer(url, "ingest", "my-flowers", str(file), "--label", "species", "--wait")
    shown = run(url, "predict", "my-flowers", str(new), "--output", str(out))
    printed = run(url, "predict", "my-flowers", str(new))

    assert created.exit_code == 0, created.stderr
    assert (posted["rows"], posted["absorbed_in"]) == (60, [1])
    assert shown.exit_code == 0, shown.stderr
    assert f"{out}: 9 rows, predicted by version 1" in shown.stderr
    table = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["predicted"] for row in table] == [row[2] for row in asked]
    assert [row["petal length"] for row in table] == [row[0] for row in asked]
    assert all(0.4 < float(row["probability"]) <= 1 and float(row["entropy"]) >= 0 for row in table)
    assert printed.stdout.split("\n")[0].split("  ")[0] == "row"
    assert all(word in printed.stdout for word in ("petal length", 'width "mm"', "label", "probability", "entropy"))
    assert client.model("my-flowers").output["classes"] == sorted(FLOWERS)


def test_the_same_file_again_changes_nothing(url: str, file: Path, client: Client) -> None:
    for _ in range(2):
        answer(url, "models", "create", "again", "--from", str(file), "--label", "species")
        answer(url, "ingest", "again", str(file), "--label", "species")

    assert (client.model("again").rows, client.model("again").batches) == (60, 1)


def test_what_is_described_is_what_is_created(url: str, file: Path, client: Client) -> None:
    printed = run(url, "describe", str(file), "--label", "species", "--name", "described")

    created = client.create_model(json.loads(printed.stdout))

    x = np.array([[float(cell) for cell in row[:2]] for row in flowers()])
    assert created.input["mean"] == pytest.approx(x.mean(0).tolist(), rel=1e-5)
    assert created.input["std"] == pytest.approx(x.std(0).tolist(), rel=1e-5)
    assert created.chunk["rows"] == 60
    assert (
        answer(url, "models", "create", "described", "--from", str(file), "--label", "species")["name"] == "described"
    )


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize(("end", "bom"), [("\n", False), ("\r\n", True)])
def test_every_way_of_writing_a_csv_gives_the_same_rows(mark: str, end: str, bom: bool) -> None:
    chosen = Chosen(label="species")
    plain = read_rows(written(flowers(), HEADER), is_labeled=True, chosen=chosen)

    other = read_rows(written(flowers(), HEADER, mark=mark, end=end, bom=bom), is_labeled=True, chosen=chosen)

    assert plain.y is not None
    assert other.y is not None
    assert (other.x.tolist(), other.y.tolist()) == (plain.x.tolist(), plain.y.tolist())


def test_columns_are_found_by_their_names_wherever_they_stand() -> None:
    turned = [[row[2], row[1], row[0], "note"] for row in flowers()]
    content = written(turned, ["Species", 'width "mm"', "petal length", "remark"])

    rows = read_rows(content, is_labeled=True, chosen=Chosen(label="species", columns=("petal length", 'width "mm"')))

    assert (
        rows.x.tolist() == read_rows(written(flowers(), HEADER), is_labeled=True, chosen=Chosen("species")).x.tolist()
    )


def test_what_pandas_writes_as_an_index_is_left_aside() -> None:
    rows = read_rows(b",a,b,label\n7,1,2,x\n9,3,4,y\n", is_labeled=True)

    assert rows.x.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("content", "chosen", "said"),
    [
        (
            b"a,b,label\n1,,x\n2,3,y\n",
            Chosen(),
            "Column 'b' misses its value in 1 of 2 rows.* line 2.* Next: fill",
        ),
        (b"a,b,label\n1,NaN,x\n", Chosen(), "Column 'b' misses its value"),
        (b"a;b;label\n1,5;2;x\n", Chosen(), "Column 'a' has '1,5' in line 2.* Next: write decimals with a point"),
        (b"1,5;2;x\n2,5;3;y\n", Chosen(), "Column 1 has '1,5' in line 1.* Next: write decimals with a point"),
        (b"a;b;label\n1.234,5;2;x\n", Chosen(), "Next: write decimals with a point"),
        (b"a,colour,label\n1,red,x\n", Chosen(), "Column 'colour' has 'red' in line 2.* Next: turn words into columns"),
        (b"a,b,label\n1,2,x\n1,2\n", Chosen(), "line 3 has 2. Next: "),
        (b"size,species\n1,x\n", Chosen(label="specie"), "no column called 'specie'; is 'species' meant"),
        (b"1,2,x\n", Chosen(label="species"), "no header, and so no column called 'species'. Next: "),
        (b"label\nx\n", Chosen(), "no inputs beside label and weight. Next: "),
    ],
)
def test_what_does_not_fit_is_named_by_column_and_line_with_what_to_do(
    content: bytes, chosen: Chosen, said: str
) -> None:
    with pytest.raises(UnusableArray, match=said):
        read_rows(content, is_labeled=True, chosen=chosen)


def described(content: bytes, chosen: Chosen = Chosen(), **how: Any) -> Any:  # noqa: ANN401, B008
    return describe(read_rows(content, is_labeled=True, chosen=chosen), "m", chosen=chosen, **how)


def lines(*columns: list[object]) -> bytes:
    return written([[str(cell) for cell in row] for row in zip(*columns, strict=True)], ["a", "b", "label"])


COUNT = 30
NOISE = [f"{value:.3f}" for value in np.random.default_rng(0).normal(size=COUNT)]
OTHER = [f"{value:.3f}" for value in np.random.default_rng(1).normal(size=COUNT)]
TWO = ["x", "y"] * (COUNT // 2)


@pytest.mark.parametrize(
    ("labels", "how", "output"),
    [
        (TWO, {}, {"kind": "categorical", "classes": ["x", "y"]}),
        (["True", "False"] * 15, {}, {"kind": "categorical", "classes": ["False", "True"]}),
        ([0, 1, 4] * 10, {}, {"kind": "categorical", "classes": 5}),
        ([-1, 1] * 15, {}, {"kind": "gaussian"}),
        ([-1, 1] * 15, {"kind": "classes"}, {"kind": "categorical", "classes": ["-1", "1"]}),
        ([0, 1, 4] * 10, {"kind": "numbers"}, {"kind": "gaussian"}),
        ([0.5, 1.5] * 15, {}, {"kind": "gaussian"}),
        (list(range(100, 130)), {}, {"kind": "gaussian"}),
    ],
)
def test_labels_are_classes_or_numbers_by_what_they_look_like(
    labels: list[object], how: dict[str, Any], output: dict[str, Any]
) -> None:
    assert described(lines([*NOISE], [*OTHER], labels), **how).description["output"] == output


@pytest.mark.parametrize(
    ("first", "labels", "said"),
    [
        (list(range(COUNT)), TWO, "Column 'a' numbers the rows.* Next: leave it out .--drop a."),
        (NOISE, ["x"] * COUNT, "Every label is 'x'. Next: "),
        (NOISE, [1] * COUNT, "Every label is 1. Next: "),
        (NOISE, [f"name {n}" for n in range(COUNT)], "30 values in 30 rows .* names rows and no classes. Next: "),
        (NOISE, ["x", ""] * 15, "15 of 30 rows have no label. Next: "),
    ],
)
def test_what_no_model_learns_from_is_refused_with_what_to_do(
    first: list[object], labels: list[object], said: str
) -> None:
    with pytest.raises(UnusableArray, match=said):
        described(lines([*first], [*OTHER], [*labels]))


def test_a_column_that_numbers_the_rows_is_kept_for_whoever_names_it() -> None:
    content = lines(list(range(COUNT)), [*OTHER], [*TWO])

    assert described(content, Chosen(columns=("a", "b"), label="label")).columns == ("a", "b")
    assert described(content, Chosen(drop=("a",))).columns == ("b",)


def test_what_looks_wrong_is_remarked() -> None:
    constant = described(lines([7] * COUNT, [*OTHER], [0, 2] * 15))

    assert constant.description["input"]["std"][0] == 1
    told = "; ".join(constant.remarks)
    assert "column 'a' is 7 in every row" in told
    assert "not seen: 1" in told
    assert "--as numbers" in told
    assert "3 rows are few" in "; ".join(described(b"a,label\n1.5,x\n2.5,y\n4,x\n").remarks)


def test_the_column_that_was_taken_as_the_label_is_named_where_nobody_named_one(url: str, tmp_path: Path) -> None:
    file = tmp_path / "taken.csv"
    file.write_bytes(b"a,kind\n1,left\n2.5,right\n4,left\n")

    guessed = run(url, "models", "create", "--from", str(file))
    named = run(url, "models", "create", "--from", str(file), "--label", "kind")

    assert (guessed.exit_code, named.exit_code) == (0, 0)
    assert "the last column, 'kind', was taken as the label; --label names another" in guessed.stderr
    assert "taken as the label" not in named.stderr
    assert not any("taken as the label" in one for one in described(lines([*OTHER], [*NOISE], [*TWO])).remarks)


def test_a_file_of_many_rows_says_how_it_is_posted() -> None:
    x = np.random.default_rng(0).normal(size=(6_000, 2))
    found = describe(Rows(x, (x[:, 0] > 0).astype(int)), "m", chosen=Chosen())

    assert found.description["chunk"]["rows"] == 5_000
    assert any("--rows-per-batch 5000" in remark for remark in found.remarks)


def test_arrays_are_described_by_their_shape_and_type() -> None:
    pixels = np.random.default_rng(0).integers(0, 17, size=(40, 1, 28, 28)).astype(np.uint8)

    found = describe(Rows(pixels, np.arange(40) % 10), "scans", chosen=Chosen()).description

    assert found["net"] == {"kind": "lenet5"}
    assert found["input"] == {"shape": [1, 28, 28], "dtype": "uint8", "std": 16.0}


def test_a_csv_of_another_width_says_which_columns_it_has(url: str, model: str) -> None:
    result = run(url, "predict", model, "-", stdin=b"a,b,colour\n1,2,3\n")

    assert result.exit_code == 1
    assert "The CSV (a, b, colour) has 3 columns of inputs" in result.stderr
    assert "--columns" in result.stderr


def test_numbers_are_learned_and_written_beside_their_rows(url: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    file = tmp_path / "heat.csv"
    file.write_bytes(lines([*x[:, 0]], [*x[:, 1]], [*(3 * x[:, 0] + 0.1)]))

    created = answer(url, "models", "create", "heat", "--from", str(file))
    answer(url, "ingest", "heat", str(file), "--wait")
    out = run(url, "predict", "heat", str(file), "--output", "-")

    assert created["output"]["kind"] == "gaussian"
    table = list(csv.DictReader(io.StringIO(out.stdout)))
    assert list(table[0])[:3] == ["a", "b", "label"]
    assert {"mean", "std", "lower", "upper"} <= set(table[0])
    assert all(float(row["lower"]) < float(row["mean"]) < float(row["upper"]) for row in table)


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [(("models", "create", "m"), 2), (("describe", "no-such.csv"), 1), (("describe", "-"), 1)],
)
def test_nothing_to_describe_is_said(url: str, words: tuple[str, ...], exit_code: int) -> None:
    result = run(url, *words)

    assert result.exit_code == exit_code
    assert result.stderr


def test_columns_are_found_by_the_names_that_the_model_keeps(
    url: str, client: Client, file: Path, tmp_path: Path
) -> None:
    assert run(url, "models", "create", "named", "--from", str(file), "--label", "species").exit_code == 0
    assert run(url, "ingest", "named", str(file), "--wait").exit_code == 0
    turned, asked = tmp_path / "turned.csv", [row[:2] for row in flowers(9, seed=4)]
    turned.write_bytes(
        written([["7", "?", width, length] for length, width in asked], ["id", "remark", HEADER[1], HEADER[0]])
    )

    predicted = answer(url, "predict", "named", str(turned))

    assert client.model("named").input_names == tuple(HEADER[:2])
    assert predicted["outputs"] == client.predict("named", np.array(asked, dtype=np.float32)).raw["outputs"]


def test_a_file_without_a_column_of_the_model_is_refused_by_its_name(url: str, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes(written(flowers(5), ["petal length", "depth", "species"]))
    assert run(url, "models", "create", "lacking", "--from", str(file), "--label", "species").exit_code == 0

    refused = run(url, "ingest", "lacking", str(other))

    assert refused.exit_code == 1
    assert "no column called 'width \"mm\"'" in refused.stderr


def test_which_column_is_the_label_is_asked_where_it_cannot_be_told(url: str, file: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.csv"
    more.write_bytes(written([[*row, "7"] for row in flowers(5)], [*HEADER, "day"]))
    assert run(url, "models", "create", "asking", "--from", str(file), "--label", "species").exit_code == 0

    refused = run(url, "ingest", "asking", str(more))
    posted = run(url, "ingest", "asking", str(more), "--label", "species")

    assert (refused.exit_code, posted.exit_code) == (1, 0)
    assert "species, day" in refused.stderr


def test_data_frames_are_matched_by_name(url: str, client: Client, file: Path) -> None:
    assert run(url, "models", "create", "framed", "--from", str(file), "--label", "species").exit_code == 0
    frame = pd.DataFrame(np.array([[1.0, 2.0], [3.0, 4.0]]), columns=HEADER[:2])
    expected = client.predict("framed", frame.to_numpy()).raw["outputs"]

    assert client.predict("framed", frame[HEADER[1::-1]].assign(day=3)).raw["outputs"] == expected
    assert client.predict("framed", pd.DataFrame(frame.to_numpy())).raw["outputs"] == expected
    with pytest.raises(UnusableArray, match="no column called 'petal length'"):
        client.predict("framed", frame.rename(columns=str.upper))

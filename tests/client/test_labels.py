"""Labels that arrive later, from Python and from the command line, against a real service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from client import AsyncClient, Client, ServiceProblem
from client.commands import labels as commands
from tests.client.given import description, rows
from tests.client.test_cli import answer, run

X, Y = rows(6)


def kept(client: Client, model: str) -> list[str]:
    return client.predict(model, X, keep=True).row_ids


def test_a_kept_prediction_is_labeled_by_the_names_of_its_rows(client: Client, model: str) -> None:
    prediction = client.predict(model, X, keep=True)
    ids = prediction.row_ids

    first = client.label(model, zip(ids[:4], Y, strict=False))
    second = client.label(
        model,
        [
            (ids[0], Y[0]),
            (ids[1], 1 - Y[1]),
            {"prediction": ids[4], "label": "left", "weight": np.float32(2)},
            ("x", 0),
        ],
    )

    assert (first.batch, first.rows, first.labeled) == (1, 4, tuple(ids[:4]))
    assert (second.already, second.conflicting, second.labeled) == ((ids[0],), (ids[1],), (ids[4],))
    assert second.unknown == ("x",)
    shown = client.kept_prediction(model, str(prediction.prediction))
    assert [(one.row, one.label, one.batch) for one in shown.labels] == [
        *((row, int(label), 1) for row, label in enumerate(Y[:4])),
        (4, 0, 2),
    ]
    assert shown.inputs == X.tolist()
    assert (shown.kept_until, shown.raw["outputs"]) == (prediction.kept_until, prediction.raw["outputs"])
    assert prediction.probabilities.shape == (6, 2)


def test_a_label_that_is_none_of_the_models_is_told_with_its_place(client: Client, model: str) -> None:
    ids = kept(client, model)

    found = client.label(model, [(ids[0], "left"), (ids[1], "up"), (ids[2], None)])

    assert found.labeled == (ids[0],)
    assert [(one.where, one.prediction) for one in found.refused] == [("labels[1]", ids[1]), ("labels[2]", ids[2])]
    assert found.refused[0].code == "label-out-of-range"


def test_the_batch_of_labels_bears_the_key_that_is_given(client: Client, model: str) -> None:
    ids = kept(client, model)

    client.label(model, [(ids[0], 0)], key="monday")

    assert client.batch(model, 1).key == "monday"
    with pytest.raises(ServiceProblem, match="monday") as refused:
        client.label(model, [(ids[1], 0)], key="monday")
    assert refused.value.code == "idempotency-key-reused"


def test_what_is_not_kept_has_no_names(client: Client, model: str) -> None:
    prediction = client.predict(model, X)

    assert (prediction.prediction, prediction.kept_until) == (None, None)
    with pytest.raises(AttributeError, match="keep=True"):
        prediction.row_ids  # noqa: B018 - it raises.
    with pytest.raises(ServiceProblem) as unknown:
        client.kept_prediction(model, "nothing")
    assert unknown.value.code == "prediction-not-found"


def test_a_model_that_keeps_may_be_told_not_to(client: Client) -> None:
    client.create_model(description("keeps", predictions={"keep": True, "seconds": 60}))

    assert client.predict("keeps", X[:1]).prediction
    assert client.predict("keeps", X[:1], keep=False).prediction is None


def test_the_same_calls_are_awaited(url: str, client: Client, model: str) -> None:
    async def label() -> None:
        async with AsyncClient(url) as own:
            prediction = await own.predict(model, X[:1], keep=True)
            assert (await own.label(model, [(prediction.row_ids[0], 1)])).rows == 1
            assert len((await own.kept_prediction(model, prediction.row_ids[0])).labels) == 1

    asyncio.run(label())


def a_file(folder: Path, form: str, ids: list[str]) -> Path:
    words = ["left" if label == 0 else "right" for label in Y]
    lines = [f"{id_},{word}" for id_, word in zip(ids, words, strict=True)]
    match form:
        case "json":
            text = json.dumps([{"prediction": id_, "label": word} for id_, word in zip(ids, words, strict=True)])
        case "csv of numbers":
            text = "\n".join(f"{id_},{label}" for id_, label in zip(ids, Y, strict=True))
        case "csv with a header":
            text = "\n".join(
                ["label,weight,note,prediction", *(f"{line.split(',')[1]},2,x,{line.split(',')[0]}" for line in lines)]
            )
        case _:
            text = "\n".join(lines)
    path = folder / "labels"
    path.write_text(text)
    return path


@pytest.mark.parametrize("form", ["json", "csv", "csv of numbers", "csv with a header"])
def test_a_file_of_labels_is_posted_in_parts(
    url: str, client: Client, model: str, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "POSTED_AT_ONCE", 4)
    ids = kept(client, model)
    path = a_file(tmp_path, form, ids)

    first, again = (answer(url, "label", model, str(path)) for _ in range(2))

    assert (first["batches"], first["rows"], first["labeled"]) == ([1, 2], 6, ids)
    assert (again["batches"], again["rows"], again["already"]) == ([], 0, ids)
    labels = client.kept_prediction(model, ids[0]).labels
    assert [one.label for one in labels] == Y.tolist()


def test_one_label_is_posted_from_the_command_line_and_shown(url: str, client: Client, model: str) -> None:
    predicted = run(url, "predict", model, "-", "--keep", stdin=b"0.5,0.5\n0.1,0.2\n")
    assert predicted.exit_code == 0, predicted.stderr
    ids = [line.split()[-1] for line in predicted.stdout.splitlines()[1:3]]

    done = run(url, "label", model, "--prediction", ids[0], "--label", "right")
    refused = run(url, "label", model, "--prediction", ids[1], "--label", "up")
    shown = run(url, "kept", model, ids[0])

    assert (done.exit_code, refused.exit_code, shown.exit_code) == (0, 1, 0)
    assert "labeled" in done.stdout
    assert ids[0] in done.stdout
    assert "batches: 1" in done.stdout
    assert "no new rows" in refused.stdout
    assert "'up'" in refused.stdout
    assert "row 0: 1 (batch 1)" in shown.stdout


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "[1]", '[{"label": 1}]', "only", "a,", ",1", "a,1,heavy", "[", "prediction,label"]
)
def test_a_file_without_labels_is_refused_in_a_line(url: str, model: str, tmp_path: Path, content: str) -> None:
    path = tmp_path / "labels"
    path.write_text(content)

    result = run(url, "label", model, str(path))

    assert result.exit_code == 1
    assert result.stderr.startswith("posterity: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["--prediction", "a"], ["--label", "1"], ["a.csv", "--prediction", "a"]])
def test_half_a_command_is_refused(url: str, model: str, arguments: list[str]) -> None:
    assert run(url, "label", model, *arguments).exit_code == 2


def test_a_single_prediction_that_is_unknown_fails(url: str, client: Client, model: str) -> None:
    known = kept(client, model)[0]

    unknown = run(url, "label", model, "--prediction", "nope", "--label", "left")
    labeled = [run(url, "label", model, "--prediction", known, "--label", "left").exit_code for _ in range(2)]

    assert unknown.exit_code == 1
    assert "unknown" in unknown.stdout
    assert labeled == [0, 0]

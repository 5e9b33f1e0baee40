"""Exported versions over HTTP: the blob itself and what belongs to it, and the plain weights."""

from __future__ import annotations

import io
import json
import zipfile

import torch
from torch import nn

from bayes import digest_of, load_export
from tests.service.expected import expect_problem
from tests.service.live import REAL, Json, Live
from tests.service.moved import exported, learn, rows, taught

FILES = ["export.json", "posterior.safetensors", "root.safetensors", "state_dict.pt"]


def files(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_an_export_holds_the_very_blobs_and_what_they_are(live: Live) -> None:
    model = taught(live)
    versions = [live.client.get(f"{model}/versions/{number}").json() for number in range(3)]

    held = files(exported(live, model, 2))

    assert sorted(held) == FILES
    assert held["posterior.safetensors"] == live.client.get(f"{model}/versions/2/posterior").content
    assert held["root.safetensors"] == live.client.get(f"{model}/versions/0/posterior").content
    told = json.loads(held["export.json"])
    assert (told["format"], told["version"], told["model"]) == (1, 2, model.rpartition("/")[2])
    assert told["digest"] == digest_of(held["posterior.safetensors"]) == versions[2]["digest"]
    assert told["report"] == versions[2]["report"]
    assert told["torch"] == torch.__version__
    batches = live.client.get(f"{model}/batches").json()["batches"]
    for number, ancestor in enumerate(told["lineage"]):
        version: Json = versions[number]
        assert ancestor["digest"] == version["digest"]
        assert (ancestor["parent"], ancestor["chunk"]) == (version["parent"], version["chunk"])
        assert (ancestor["kl_nats"], ancestor["rows"]) == (version["kl_nats"], version["rows"])
        absorbed = [batch for batch in batches if batch["chunk"] == version["chunk"] and number]
        assert ancestor["batches"] == [{key: batch[key] for key in ("batch", "rows", "digest")} for batch in absorbed]


def test_an_export_says_what_the_description_resolves_to_and_what_was_posted(live: Live) -> None:
    model = taught(live, 1)

    told = json.loads(exported(live, model, 1, format="json"))

    resource = live.client.get(model).json()
    shown = told["description"].keys() & resource.keys()
    assert {key: resource[key] for key in shown} == {key: told["description"][key] for key in shown}
    assert {"net", "input", "output", "family", "prior", "recipe", "chunk", "retention"} <= told["description"].keys()
    assert told["posted"]["recipe"] == {"epochs": 1}


def test_a_version_is_exported_as_the_same_bytes_each_time(live: Live) -> None:
    model = taught(live)

    first = exported(live, model, 2)
    learn(live, model, 2)

    assert exported(live, model, 2) == first
    assert exported(live, model, 2, format="zip") == first


def test_a_root_is_exported_alone(live: Live, model: str) -> None:
    held = files(exported(live, model, 0))

    assert sorted(held) == ["export.json", "posterior.safetensors", "state_dict.pt"]
    assert [one["version"] for one in json.loads(held["export.json"])["lineage"]] == [0]


def test_the_line_of_an_export_is_that_of_its_version(live: Live) -> None:
    model = taught(live)
    live.client.post(f"{model}/rollback", json={"to": 1}).raise_for_status()
    learn(live, model, 5)

    told = json.loads(exported(live, model, 3, format="json"))

    assert [one["version"] for one in told["lineage"]] == [0, 1, 3]


def test_the_plain_weights_predict_as_the_mean_in_plain_torch(live: Live) -> None:
    model = taught(live, output=REAL["output"] | {"dims": 1})
    module = nn.Sequential()
    for name, layer in {"dense1": nn.Linear(2, 3), "relu": nn.ReLU(), "dense2": nn.Linear(3, 1)}.items():
        module.add_module(name, layer)

    answer = live.client.get(f"{model}/versions/2/export", params={"format": "state_dict"})

    module.load_state_dict(torch.load(io.BytesIO(answer.content), weights_only=True), strict=True)
    asked = {"inputs": rows(9)["inputs"], "method": "mean"}
    outputs = live.client.post(f"{model}/predictions", json=asked).json()["outputs"]
    with torch.no_grad():
        mean = module(torch.tensor(asked["inputs"]))
    torch.testing.assert_close(mean, torch.tensor([row["mean"] for row in outputs]))
    assert files(exported(live, model, 2))["state_dict.pt"] == answer.content
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].endswith('-2.pt"')


def test_where_no_plain_weights_predict_the_labels_that_is_said_and_the_rest_is_exported(live: Live) -> None:
    squeezenet = {
        "net": {"kind": "torchvision", "name": "squeezenet1_1"},
        "input": {"shape": [3, 32, 32]},
        "output": {"kind": "gaussian", "dims": 1},
        "family": "point",
    }
    model = live.create(squeezenet)

    answer = live.client.get(f"{model}/versions/0/export", params={"format": "state_dict"})

    expect_problem(answer, "plain-weights-impossible")
    archive = exported(live, model, 0)
    assert sorted(files(archive)) == ["export.json", "posterior.safetensors"]
    assert load_export(archive).about.version == 0


def test_what_is_not_there_cannot_be_exported(live: Live, model: str) -> None:
    expect_problem(live.client.get(f"{model}/versions/9/export"), "version-not-found")
    expect_problem(live.client.get("/v1/models/none/versions/0/export"), "model-not-found")
    expect_problem(live.client.get(f"{model}/versions/0/export?format=tar"), "query-invalid")

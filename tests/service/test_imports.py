"""A version of one installation in another: the same to the bit, learned on from, and nothing else let in."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from bayes import Posterior, digest_of, load_export
from bayes.exports import ABOUT, POSTERIOR, ROOT
from store.doctor import examine
from tests.bayes.exported import Files, spoiled, told_otherwise
from tests.service.bombs import MIB
from tests.service.expected import expect_problem
from tests.service.keyed import make_key
from tests.service.live import REAL, TINY, Json, Live, running
from tests.service.moved import ZIP, exported, imported, learn, rows, said, send, taught

WAYS: list[dict[str, object]] = [
    {"method": "moments"},
    {"method": "mean"},
    {"samples": 8, "seed": 3},
    {"method": "ensemble", "samples": 2, "seed": 11},
]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Another installation: another service, on another data folder."""
    with running(tmp_path_factory.mktemp("other")) as other:
        yield other


@pytest.fixture
def archive(live: Live) -> bytes:
    """Version 2 of a model that has learned two chunks."""
    return exported(live, taught(live), 2)


def held(live: Live) -> set[str]:
    return {listed.digest for listed in live.folder.listed()}


def named(live: Live) -> list[str]:
    return [model["name"] for model in live.client.get("/v1/models", params={"limit": 100}).json()["models"]]


@pytest.mark.parametrize(
    "changes",
    [{}, {"family": "mnf"}, {"family": "cfg"}, {"family": "point"}, {"output": REAL["output"] | {"dims": 1}}],
    ids=lambda changes: str(next(iter(changes.values()), "ffg")),
)
def test_an_imported_version_has_the_same_digest_and_predicts_the_same_bytes(
    live: Live, other: Live, changes: Json
) -> None:
    model = taught(live, **changes)
    version = live.client.get(f"{model}/versions/2").json()

    there = imported(other, exported(live, model, 2))

    assert other.client.get(f"{there}/versions/1").json()["digest"] == version["digest"]
    assert other.client.get(f"{there}/versions/1/posterior").content == (
        live.client.get(f"{model}/versions/2/posterior").content
    )
    for way in WAYS:
        assert said(other, there, **way) == said(live, model, **way)
    assert said(other, there, version=0) == said(live, model, version=0)


@pytest.mark.parametrize(
    "changes", [{}, {"recipe": {"epochs": 1, "prior_power": 0.9}}, {"family": "mnf"}], ids=["as ever", "forgets", "mnf"]
)
def test_learning_goes_on_to_the_same_digest_as_where_the_version_comes_from(
    live: Live, other: Live, changes: Json
) -> None:
    model = taught(live, **changes)
    there = imported(other, exported(live, model, 2))

    at_home, away = learn(live, model, 2), learn(other, there, 2)

    assert away["digest"] == at_home["digest"]
    assert (away["version"], away["parent"], at_home["version"]) == (2, 1, 3)
    assert said(other, there, seed=5) == said(live, model, seed=5)
    assert examine(other.house.engine, other.house.blobs).wrong == ()


def test_an_imported_model_says_where_it_was_learned_and_from_how_much(live: Live, other: Live) -> None:
    model = taught(live)
    name, digests = (
        model.rpartition("/")[2],
        [live.client.get(f"{model}/versions/{version}").json()["digest"] for version in range(3)],
    )

    there = imported(other, exported(live, model, 2), name="from-afar")
    learn(other, there, 2)

    resource = other.client.get(there).json()
    assert resource["name"] == "from-afar"
    assert resource["imported"] == {
        "model": name,
        "version": 2,
        "digest": digests[2],
        "root_digest": digests[0],
        "rows": 24,
        "chunks": 2,
        "posterity": resource["imported"]["posterity"],
        "divided": [],
    }
    assert (resource["head"], resource["versions"], resource["rows"]) == (2, 2, 12)
    root, first, second = (other.client.get(f"{there}/versions/{number}").json() for number in range(3))
    assert [one["evidence"]["elsewhere"] for one in (root, first, second)] == [0, 24, 24]
    assert [one["evidence"]["rows"] for one in (root, first, second)] == [0, 24, 36]
    assert [one["evidence"]["batches"] for one in (root, first, second)] == [[], [], [1]]
    assert (first["rows"], first["chunk"], first["update"], first["parent"]) == (24, None, None, 0)
    assert first["kl_nats"] > 0
    history = other.client.get(f"{there}/aliases/head/history").json()
    assert f"imported: version 2 of '{name}'" in str(history)
    assert live.client.get(model).json()["imported"] is None


def test_the_lineage_goes_on_over_installations(live: Live, other: Live) -> None:
    model = taught(live)
    there = imported(other, exported(live, model, 2), name="passed-on")
    third = learn(other, there, 2)

    back = imported(live, exported(other, there, 2), name="come-back")

    told = json.loads(exported(live, back, 1, format="json"))
    assert [(one["model"], one["version"], one["rows"]) for one in told["lineage"]] == [
        (model.rpartition("/")[2], 0, 0),
        (model.rpartition("/")[2], 1, 12),
        (model.rpartition("/")[2], 2, 12),
        ("passed-on", 2, 12),
    ]
    assert told["lineage"][-1]["digest"] == told["digest"] == third["digest"]
    assert told["report"]["prequential"] == third["prequential"]
    assert live.client.get(back).json()["imported"]["rows"] == 36


def test_the_same_rows_learned_again_elsewhere_under_the_same_name_and_number_come_back(
    live: Live, other: Live
) -> None:
    there = imported(other, exported(live, taught(live, 1), 1))
    learn(other, there, 0)

    back = imported(live, exported(other, there, 2), name="learned-twice")

    first, second = json.loads(exported(live, back, 1, format="json"))["lineage"][1:]
    assert (first["model"], first["batches"]) == (second["model"], second["batches"])


def test_a_chunk_learned_in_parts_and_forgotten_from_is_imported(live: Live, other: Live) -> None:
    model = live.create()
    for turn in range(3):
        live.post_rows(model, rows(turn))
    park(live, model, 1, "park")
    live.close(model)
    live.work()
    park(live, model, 1, "release")
    live.work()
    live.client.post(f"{model}/forget", json={"batches": [2]}).raise_for_status()
    live.work()

    head = live.client.get(model).json()["head"]
    told = json.loads(exported(live, model, head, format="json"))
    assert [[batch["batch"] for batch in one["batches"]] for one in told["lineage"]] == [[], [3], [1]]
    assert [one["chunk"] for one in told["lineage"]] == [None, 1, 1]
    for version in range(head + 1):
        imported(other, exported(live, model, version), name=f"parts-{version}")


def park(live: Live, model: str, batch: int, kind: str) -> None:
    live.client.post(f"{model}/batches/{batch}/{kind}", json={}).raise_for_status()


def test_a_second_line_from_the_root_of_an_imported_model_has_learned_nothing_elsewhere(
    live: Live, other: Live
) -> None:
    there = imported(other, exported(live, taught(live), 2), name="forked")
    other.client.post(f"{there}/rollback", json={"to": 0}).raise_for_status()

    fork = learn(other, there, 7)

    assert (fork["parent"], fork["evidence"]["elsewhere"]) == (0, 0)
    told = json.loads(exported(other, there, fork["version"], format="json"))
    assert [one["version"] for one in told["lineage"]] == [0, 2]
    assert load_export(exported(other, there, fork["version"])).about.digest == fork["digest"]


def test_a_root_is_imported_as_version_0(live: Live, other: Live) -> None:
    model = live.create()

    there = imported(other, exported(live, model, 0))

    assert other.client.get(there).json()["head"] == 0
    assert learn(other, there, 0)["digest"] == learn(live, model, 0)["digest"]


def test_the_same_import_again_is_the_same_model(live: Live, other: Live, archive: bytes) -> None:
    there = imported(other, archive)
    learn(other, there, 3)

    again = send(other, archive)

    assert (again.status_code, again.headers["Location"]) == (200, there)
    assert again.json()["head"] == 2


def test_a_name_that_something_else_has_is_refused_and_nothing_is_stored(
    live: Live, other: Live, archive: bytes
) -> None:
    own = other.create()
    before = held(other)

    answer = send(other, archive, name=own.rpartition("/")[2])

    expect_problem(answer, "model-exists")
    assert held(other) == before
    there = imported(other, archive)
    expect_problem(send(other, exported(live, taught(live, 1), 1), name=there.rpartition("/")[2]), "model-exists")
    assert other.client.get(there).json()["head"] == 1


def test_where_it_comes_from_the_name_is_taken_by_the_model_itself(live: Live) -> None:
    expect_problem(send(live, exported(live, taught(live, 1), 1)), "model-exists")


def test_a_script_that_posts_its_models_finds_the_imported_one(live: Live, other: Live) -> None:
    model = taught(live, 1)
    name = model.rpartition("/")[2]
    imported(other, exported(live, model, 1))

    posted = other.client.post("/v1/models", json={"name": name} | TINY)
    resolved = other.client.post("/v1/models", json=described(live, model))
    different = other.client.post("/v1/models", json={"name": name} | TINY | {"family": "point"})

    assert (posted.status_code, resolved.status_code) == (200, 200)
    assert posted.json()["imported"]["version"] == 1
    assert posted.headers["Location"] == f"/v1/models/{name}"
    expect_problem(different, "model-exists")


def described(live: Live, model: str) -> Json:
    """What a model's description resolves to, with nothing around it."""
    told = json.loads(exported(live, model, 0, format="json"))
    return dict(told["description"])


def star(live: Live) -> str:
    stream = torch.Generator().manual_seed(1)
    shapes = {"dense1.weight": (3, 2), "dense1.bias": (3,), "dense2.weight": (3, 3), "dense2.bias": (3,)}
    data = save({name: torch.randn(shape, generator=stream) for name, shape in shapes.items()})
    answer = live.client.post("/v1/blobs", content=data, headers={"Content-Type": "application/x-safetensors"})
    return str(answer.json()["blob"])


def test_a_model_whose_prior_names_weights_learns_on_without_them(live: Live, other: Live) -> None:
    blob = star(live)
    prior = {"kind": "weights", "blob": blob, "sigma": 0.3}
    model = taught(live, 1, prior=prior)
    name = model.rpartition("/")[2]

    there = imported(other, exported(live, model, 1))

    assert not other.folder.holds(blob)
    assert learn(other, there, 1)["digest"] == learn(live, model, 1)["digest"]
    other.client.post(f"{there}/rollback", json={"to": 0}).raise_for_status()
    live.client.post(f"{model}/rollback", json={"to": 0}).raise_for_status()
    assert learn(other, there, 2)["digest"] == learn(live, model, 2)["digest"]
    assert other.client.post("/v1/models", json={"name": name} | TINY | {"prior": prior}).status_code == 200
    assert examine(other.house.engine, other.house.blobs).wrong == ()
    fresh = other.client.post("/v1/models", json={"name": "fresh"} | TINY | {"prior": prior})
    expect_problem(fresh, "blob-unknown")


def test_weights_that_the_first_chunk_chooses_around_come_along(live: Live, other: Live) -> None:
    prior = {"kind": "weights", "blob": star(live), "sigmas": [0.1, 1.0]}
    model = live.create(TINY | {"prior": prior})

    there = imported(other, exported(live, model, 0))

    assert learn(other, there, 1)["digest"] == learn(live, model, 1)["digest"]
    assert load_export(exported(other, there, 1)).weights is not None
    assert examine(other.house.engine, other.house.blobs).wrong == ()


def test_a_key_imports_models_of_its_names_only(tmp_path: Path, archive: bytes) -> None:
    with running(tmp_path) as keyed:
        for_team = make_key(keyed, "team", "admin", models="team-*")
        reader = make_key(keyed, "reader", "predict")

        def ask(headers: dict[str, str], **query: str) -> int:
            return keyed.client.post("/v1/imports", content=archive, params=query, headers=ZIP | headers).status_code

        assert ask(reader, name="team-1") == 403
        assert ask(for_team, name="mine") == 403
        assert ask(for_team) == 403
        assert ask(for_team, name="team-1") == 201
        assert keyed.client.get("/v1/models/team-1/versions/1/export", headers=reader).status_code == 403
        history = keyed.client.get("/v1/models/team-1/aliases/head/history", headers=reader).json()
        assert {move["moved_by"] for move in history["moves"]} == {"team"}


def put(key: str, value: object) -> Callable[[Json], object]:
    return lambda told: told.update({key: value})


def of_description(key: str, value: object) -> Callable[[Json], object]:
    return lambda told: told["description"].update({key: value})


def of_last(key: str, value: object) -> Callable[[Json], object]:
    return lambda told: told["lineage"][-1].update({key: value})


def renamed(told: Json) -> None:
    for one in (told, *told["lineage"]):
        one["model"] = "../etc"


def batch_again(told: Json) -> None:
    batches = told["lineage"][-1]["batches"]
    batches.append(batches[0])


def bomb(_: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(POSTERIOR, b"\0" * (256 * MIB))
        packed.writestr(ABOUT, b"{}")
    return stream.getvalue()


def many(_: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for number in range(5000):
            packed.writestr(str(number), b"")
    return stream.getvalue()


def elsewhere(_: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("../../posterior.safetensors", b"")
    return stream.getvalue()


def infinitely_far(archive: bytes) -> bytes:
    """A posterior of finite numbers whose divergence is not."""
    posterior = load_export(archive).posterior
    tensors = {
        name: torch.full_like(tensor, 3e38) if name.endswith("log_sigma") else tensor
        for name, tensor in posterior.tensors.items()
    }
    return with_posterior(
        archive, Posterior(posterior.family, posterior.net, posterior.input, posterior.output, tensors, 2).to_bytes()
    )


def with_posterior(archive: bytes, data: bytes) -> bytes:
    before = load_export(archive).about.digest.encode()

    def spoil(files: Files) -> None:
        files[POSTERIOR] = data
        files[ABOUT] = files[ABOUT].replace(before, digest_of(data).encode())

    return spoiled(archive, spoil)


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no zip": (lambda _: b"PK", "export-invalid"),
    "nothing": (lambda _: b"", "export-invalid"),
    "a bomb": (bomb, "export-invalid"),
    "very many files": (many, "export-invalid"),
    "a path out of the archive": (elsewhere, "export-invalid"),
    "half of it": (lambda archive: archive[: len(archive) // 2], "export-invalid"),
    "the root as posterior": (
        lambda archive: spoiled(archive, lambda files: files.update({POSTERIOR: files[ROOT]})),
        "export-invalid",
    ),
    "a bit fell over in the root": (
        lambda archive: spoiled(archive, lambda files: files.update({ROOT: files[ROOT][:-1] + b"\x01"})),
        "export-invalid",
    ),
    "no safetensors": (lambda archive: with_posterior(archive, b"no tensors"), "export-invalid"),
    "a huge header": (
        lambda archive: with_posterior(archive, (2**40).to_bytes(8, "little") + b"{}"),
        "export-invalid",
    ),
    "not a number": (
        lambda archive: with_posterior(archive, load_export(archive).posterior_bytes[:-4] + b"\x00\x00\xc0\x7f"),
        "export-invalid",
    ),
    "infinitely far": (infinitely_far, "export-invalid"),
    "another digest": (
        lambda archive: told_otherwise(archive, put("digest", f"sha256:{'0' * 64}")),
        "export-invalid",
    ),
    "another family": (lambda archive: told_otherwise(archive, of_description("family", "cfg")), "export-invalid"),
    "another net": (
        lambda archive: told_otherwise(archive, of_description("net", {"kind": "mlp", "hidden": [4]})),
        "export-invalid",
    ),
    "code for a net": (
        lambda archive: told_otherwise(archive, of_description("net", {"kind": "python", "code": "1"})),
        "export-invalid",
    ),
    "an unknown field": (lambda archive: told_otherwise(archive, of_description("more", 1)), "export-invalid"),
    "no limits of chunks": (lambda archive: told_otherwise(archive, of_description("chunk", {})), "export-invalid"),
    "limits that are none": (
        lambda archive: told_otherwise(archive, of_description("chunk", {"rows": 5, "seconds": -1.0})),
        "description-invalid",
    ),
    "a retention that is none": (
        lambda archive: told_otherwise(archive, of_description("retention", {"kind": "never"})),
        "description-invalid",
    ),
    "a description of very much": (
        lambda archive: told_otherwise(archive, of_description("retention", {str(n): n for n in range(5000)})),
        "export-invalid",
    ),
    "a name with a path": (lambda archive: told_otherwise(archive, renamed), "description-invalid"),
    "another name than its last version": (
        lambda archive: told_otherwise(archive, put("model", "another")),
        "export-invalid",
    ),
    "another version than the last": (lambda archive: told_otherwise(archive, put("version", 3)), "export-invalid"),
    "another parent": (lambda archive: told_otherwise(archive, of_last("parent", 0)), "export-invalid"),
    "a version before its parent": (lambda archive: told_otherwise(archive, of_last("version", 1)), "export-invalid"),
    "more rows than its batches": (lambda archive: told_otherwise(archive, of_last("rows", 13)), "export-invalid"),
    "a batch twice": (lambda archive: told_otherwise(archive, batch_again), "export-invalid"),
    "a later format": (lambda archive: told_otherwise(archive, put("format", 2)), "export-invalid"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_export_is_refused_and_nothing_is_stored(live: Live, other: Live, kind: str) -> None:
    spoil, code = HOSTILE[kind]
    archive = spoil(exported(live, taught(live), 2))
    blobs, models = held(other), named(other)

    answer = send(other, archive)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert (held(other), named(other)) == (blobs, models)


def test_an_archive_of_a_release_that_could_say_less_is_read_with_the_defaults(live: Live, other: Live) -> None:
    def say_less(told: Json) -> None:
        for key in ("publish", "gate", "surprise"):
            del told["description"][key]

    there = imported(other, told_otherwise(exported(live, taught(live, 1), 1), say_less))

    assert other.house.history.model(there.rpartition("/")[2]).description["publish"] == "always"


def test_what_was_posted_there_counts_only_where_it_could_have_been(live: Live, other: Live) -> None:
    model = taught(live, 1)
    name, of_another = model.rpartition("/")[2], TINY | {"family": "point"}
    archive = told_otherwise(exported(live, model, 1), put("posted", {"name": "x"} | of_another))

    imported(other, archive)

    expect_problem(other.client.post("/v1/models", json={"name": name} | of_another), "model-exists")
    assert other.house.history.model(name).posted is None


def test_an_import_that_is_too_large_or_of_another_type_is_refused(live: Live, narrow: Live, archive: bytes) -> None:
    assert len(archive) > 4000
    expect_problem(send(narrow, archive), "body-too-large")
    answer = live.client.post("/v1/imports", content=archive, headers={"Content-Type": "application/json"})
    expect_problem(answer, "media-type-unsupported")
    assert send(live, archive, name="a b").json()["code"] == "query-invalid"

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch

from bayes import (
    CategoricalPrediction,
    Chunk,
    Method,
    Model,
    Posterior,
    UnreadableExport,
    absorb,
    digest_of,
    load_export,
    predict,
    root,
)
from bayes.about import BYTES_MAX, read_about
from bayes.exports import ABOUT, POSTERIOR, ROOT, STATE_DICT, WEIGHTS
from bayes.zips import pack
from tests.bayes import test_grid as grid
from tests.bayes.exported import DIGEST, Files, Json, about_of, exported, files_of, spoiled, told_otherwise

ALONE = """
import sys, torch, bayes
export = bayes.load_export(sys.argv[1])
inputs = torch.load(sys.argv[2], weights_only=True)
for method in ("moments", "ensemble"):
    torch.save(bayes.predict(export.posterior, inputs, method=method).probabilities, f"{sys.argv[2]}.{method}")
assert [ancestor.version for ancestor in export.lineage] == [0, 1]
house = {"store", "service", "worker", "client", "migrations", "sqlalchemy", "fastapi", "pydantic"}
assert not house & {name.partition(".")[0] for name in sys.modules}, house & set(sys.modules)
"""


@pytest.fixture
def archive(images: Model, learned: Posterior) -> bytes:
    return exported(images, [root(images), learned])


def test_an_exported_version_reads_back_to_the_bit(images: Model, learned: Posterior, archive: bytes) -> None:
    export = load_export(archive)

    assert export.posterior_bytes == learned.to_bytes()
    assert export.posterior.digest == learned.digest == export.about.digest
    assert export.root.digest == root(images).digest == export.about.root_digest
    assert export.model == images
    assert export.about == about_of(images, [root(images), learned])


def test_the_same_version_is_exported_as_the_same_bytes(images: Model, learned: Posterior, archive: bytes) -> None:
    again = Posterior.from_bytes(learned.to_bytes())

    assert exported(Model.from_description(images.to_description()), [root(images), again]) == archive


def test_a_root_is_exported_alone_and_is_its_own_root(images: Model) -> None:
    archive = exported(images, [root(images)])

    assert files_of(archive).keys() == {ABOUT, POSTERIOR, STATE_DICT}
    assert load_export(archive).root.digest == load_export(archive).posterior.digest == root(images).digest


def test_a_notebook_predicts_with_bayes_alone_and_the_same_to_the_bit(
    learned: Posterior, image_chunk: Chunk, archive: bytes, tmp_path: Path
) -> None:
    (tmp_path / "images.zip").write_bytes(archive)
    torch.save(image_chunk.inputs, tmp_path / "inputs")

    subprocess.run([sys.executable, "-c", ALONE, str(tmp_path / "images.zip"), str(tmp_path / "inputs")], check=True)

    methods: tuple[Method, ...] = ("moments", "ensemble")
    for method in methods:
        expected = predict(learned, image_chunk.inputs, method=method)
        assert isinstance(expected, CategoricalPrediction)
        assert torch.equal(torch.load(tmp_path / f"inputs.{method}", weights_only=True), expected.probabilities)


def test_learning_goes_on_from_an_export_as_it_would_have_where_it_comes_from(
    images: Model, learned: Posterior, image_chunk: Chunk
) -> None:
    forgetful = replace(images, recipe=replace(images.recipe, prior_power=0.9))
    export = load_export(exported(forgetful, [root(images), learned]))

    here = absorb(export.posterior, image_chunk, export.model.recipe, root=export.root)[0]

    assert here.digest == absorb(learned, image_chunk, forgetful.recipe, root=root(images))[0].digest


def test_weights_come_along_where_the_first_chunk_chooses_a_sigma() -> None:
    model, star = grid.model(0.01, 10.0), grid.star()
    line = [root(model, star)]

    assert load_export(exported(model, line, star.weights)).weights == star.weights
    with pytest.raises(UnreadableExport, match=r"weights\.safetensors must be there"):
        load_export(exported(model, line))
    with pytest.raises(UnreadableExport, match=r"weights\.safetensors has the digest"):
        load_export(exported(model, line, star.weights + b" "))


def test_weights_stay_behind_where_no_update_reads_them() -> None:
    model, star = grid.model(0.01), grid.star()

    assert load_export(exported(model, [root(model, star)])).weights is None
    with pytest.raises(UnreadableExport, match="only there"):
        load_export(exported(model, [root(model, star)], star.weights))


BATCH = {"batch": 1, "rows": 10, "digest": DIGEST}


def drop(name: str) -> Callable[[Files], object]:
    return lambda files: files.pop(name)


def append(name: str, data: bytes) -> Callable[[Files], object]:
    return lambda files: files.update({name: files[name] + data})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop(ABOUT), "no export.json"),
        (drop(POSTERIOR), "no posterior.safetensors"),
        (drop(ROOT), "must be there for every version but a root"),
        (append(POSTERIOR, b" "), "posterior.safetensors has the digest"),
        (append(ROOT, b" "), "root.safetensors has the digest"),
        (lambda files: files.update({POSTERIOR: files[ROOT]}), "posterior.safetensors has the digest"),
        (lambda files: files.update({"other": b""}), "'other' is none of the files"),
        (lambda files: files.update({ABOUT: b"{}" + b" " * BYTES_MAX}), "more than"),
        (lambda files: files.update({ABOUT: b"\xff"}), "no JSON"),
        (lambda files: files.update({ABOUT: b'{"format": 1, "format": 1}'}), "two members of one name"),
        (lambda files: files.update({ABOUT: b'{"format": NaN}'}), "NaN is no number"),
        (lambda files: files.update({ABOUT: b'{"format": 1e999}'}), "1e999 is no number"),
        (lambda files: files.update({ABOUT: b'{"format": "\\ud800"}'}), "no JSON"),
        (lambda files: files.update({ABOUT: b"[" * 100_000}), "no JSON"),
        (lambda files: files.update({ABOUT: b"[]"}), "must be an object"),
        (lambda files: files.update({ABOUT: b'{"format": ' + b"1" * 401 + b"}"}), "more than 400 digits"),
        (lambda files: files.update({ABOUT: b'{"format": 0.' + b"1" * 401 + b"}"}), "more than 400 digits"),
    ],
)
def test_an_archive_of_other_files_is_refused(archive: bytes, spoil: Callable[[Files], object], message: str) -> None:
    with pytest.raises(UnreadableExport, match=message):
        load_export(spoiled(archive, spoil))


@pytest.mark.parametrize(
    "inside", [b"[]," * 230_000, b"0," * 2_000_000, b'"a":0,' * 1_000_001], ids=["lists", "numbers", "members"]
)
def test_an_export_of_too_many_values_is_refused_before_its_json_is_read(
    archive: bytes, inside: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowded = spoiled(archive, lambda files: files.update({ABOUT: b'{"report": ' + inside}))

    def read(*_: object, **_named: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(json, "loads", read)
    with pytest.raises(UnreadableExport, match=r"more than \d+ (values|colons)"):
        load_export(crowded)


def test_the_longest_line_that_fits_into_an_export_is_read() -> None:
    about: Json = {"description": {}, "posted": None, "report": {}, "posterity": "0.0.1", "torch": "2", "format": 1}
    told = {"model": "images", "version": 40_000, "digest": DIGEST, "root_digest": DIGEST}
    lineage = [lineage_step(number) for number in range(40_001)]

    read = read_about(json.dumps(about | told | {"lineage": lineage}).encode())

    assert len(read.lineage) == 40_001


def lineage_step(number: int) -> Json:
    step = {"model": "images", "version": number, "digest": DIGEST, "created_at": "2026-11-28T00:00:00.123456+00:00"}
    if not number:
        return step | {"parent": None, "chunk": None, "kl_nats": 0.0, "rows": 0, "batches": []}
    batches = [{"batch": number, "rows": 20, "digest": DIGEST}]
    return step | {"parent": number - 1, "chunk": number, "kl_nats": 123.45678901234, "rows": 20, "batches": batches}


def put(key: str, value: object) -> Callable[[Json], object]:
    return lambda told: told.update({key: value})


def of_first(key: str, value: object) -> Callable[[Json], object]:
    return lambda told: told["lineage"][0].update({key: value})


def of_last(key: str, value: object) -> Callable[[Json], object]:
    return lambda told: told["lineage"][-1].update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("format", 2), "format"),
        (put("model", ""), "model: must be 1 to 128"),
        (put("model", "a\nb"), "model: must be 1 to 128"),
        (put("model", "a" * 129), "model: must be 1 to 128"),
        (put("version", -1), "version"),
        (put("digest", "sha256:0"), "digest: must be sha256"),
        (put("digest", f"sha256:{'b' * 64}"), "does not lead from root_digest to digest"),
        (put("root_digest", f"sha256:{'b' * 64}"), "does not lead"),
        (put("description", []), "description: must be an object"),
        (put("description", {}), "its description is not readable: net: is missing"),
        (put("posted", 1), "posted: must be an object"),
        (put("report", None), "report: must be an object"),
        (put("report", {"": [{}] * 10_000}), "report: has more than 10000 values"),
        (put("report", {str(number): 0 for number in range(2001)}), "more than 2000 members"),
        (put("posted", {"": [[0]] * 60_000}), "posted: has more than 110000 values"),
        (put("description", {"": [[0]] * 60_000}), "description: has more than 110000 values"),
        (put("more", 1), "more: is not a known key"),
        (put("lineage", []), "lineage: has no versions"),
        (put("lineage", {}), "lineage: must be a list"),
        (lambda told: told.pop("torch"), "torch: is missing"),
        (lambda told: told["lineage"].pop(0), "lineage.0: must be a root"),
        (lambda told: told["lineage"].insert(0, told["lineage"][0]), "lineage.1: has absorbed nothing"),
        (put("version", 2), "version: must be the last of the lineage, version 1 of 'images'"),
        (put("version", 0), "version: must be the last of the lineage"),
        (of_first("version", 1), "lineage.0: must be a root"),
        (of_last("parent", None), "lineage.1.parent: must be the version before it"),
        (of_last("parent", 1), "lineage.1.parent: must be the version before it"),
        (of_last("version", 0), "lineage.1.version: must be a later one"),
        (of_last("batches", []), "lineage.1.batches: must be there where a chunk is"),
        (of_last("chunk", None), "lineage.1.batches: must be there where a chunk is"),
        (of_last("rows", 21), "lineage.1.rows: must be the 20 rows of its batches"),
        (of_last("batches", [BATCH, BATCH]), "lineage.1.batches: has a batch twice"),
        (lambda told: told["lineage"].pop(), "does not lead"),
        (of_last("divided", [1]), "lineage.1.divided: must be batches"),
        (of_last("divided", ["1"]), "divided"),
        (of_last("kl_nats", "much"), "lineage.1.kl_nats"),
        (of_last("rows", -1), "lineage.1.rows"),
        (of_last("created_at", "yesterday"), "lineage.1.created_at: must be a time"),
        (of_last("batches", [{"batch": 1, "rows": 1}]), "lineage.1.batches.0.digest: is missing"),
        (of_last("seen", True), "lineage.1.seen: is not a known key"),
    ],
)
def test_an_export_that_says_something_else_is_refused(
    archive: bytes, change: Callable[[Json], object], message: str
) -> None:
    with pytest.raises(UnreadableExport, match=message):
        load_export(told_otherwise(archive, change))


@pytest.mark.parametrize("key", ["recipe", "input", "family", "prior"])
def test_a_description_that_leaves_something_to_the_reader_is_refused(archive: bytes, key: str) -> None:
    def leave_out(told: Json) -> None:
        part = told["description"]
        if isinstance(part[key], dict) and len(part[key]) > 1:
            part[key].pop(next(name for name in part[key] if name not in {"kind", "shape"}))
        else:
            part.pop(key)

    with pytest.raises(UnreadableExport, match="leaves something"):
        load_export(told_otherwise(archive, leave_out))


def test_posteriors_of_another_net_than_the_description_are_refused(images: Model, learned: Posterior) -> None:
    other = Model.from_description(images.to_description() | {"family": "cfg"})

    with pytest.raises(UnreadableExport, match="of another family, net, input or output"):
        load_export(exported(other, [root(images), learned]))


def test_a_posterior_that_is_none_is_refused_whatever_its_digest_says(images: Model, learned: Posterior) -> None:
    data = learned.to_bytes().replace(b'"F32"', b'"I32"')
    archive = exported(images, [root(images), learned])

    def spoil(files: Files) -> None:
        files[POSTERIOR] = data
        files[ABOUT] = files[ABOUT].replace(learned.digest.encode(), digest_of(data).encode())

    with pytest.raises(UnreadableExport, match=r"posterior\.safetensors: tensor"):
        load_export(spoiled(archive, spoil))


def test_a_root_that_has_learned_is_refused(images: Model, learned: Posterior, image_chunk: Chunk) -> None:
    later = absorb(learned, image_chunk, images.recipe)[0]

    with pytest.raises(UnreadableExport, match="more or fewer chunks"):
        load_export(exported(images, [learned, later]))


def test_a_root_that_is_exported_as_something_learned_is_refused(images: Model) -> None:
    with pytest.raises(UnreadableExport, match="more or fewer chunks"):
        load_export(exported(images, [root(images), root(images)]))


def test_the_plain_weights_of_an_export_are_not_read(archive: bytes) -> None:
    files = files_of(archive) | {STATE_DICT: b"no pickle"}

    assert load_export(pack(files)).about.version == 1
    assert json.loads(files[ABOUT])["version"] == 1
    assert WEIGHTS not in files


def test_archives_that_are_nearly_sound_are_refused_or_say_the_same(archive: bytes) -> None:
    told, random = load_export(archive).about, Random(20)
    kinds = Counter[str]()

    for _ in range(1500):
        raw = bytearray(archive)
        for _ in range(random.randint(1, 3)):
            start = random.randrange(len(raw))
            match random.randrange(4):
                case 0:
                    raw[start] ^= 1 << random.randrange(8)
                case 1:
                    del raw[start : start + random.randrange(1, 50)]
                case 2:
                    raw[start:start] = random.randbytes(random.randrange(1, 50))
                case _:
                    raw[start : start + 4] = random.choice([b"\xff" * 4, b"\0" * 4, b"PK\x01\x02", b"PK\x05\x06"])
        try:
            read = load_export(bytes(raw))
        except UnreadableExport:
            kinds["refused"] += 1
        else:
            # What lies between the files, or in the plain weights, nobody reads.
            assert (read.about, read.posterior.digest, read.root.digest) == (told, told.digest, told.root_digest)
            kinds["the same"] += 1
    assert kinds["refused"] > 1000, kinds

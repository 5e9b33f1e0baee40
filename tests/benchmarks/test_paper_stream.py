from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.transforms.functional import rotate

from benchmarks.paper.images import Rows, read
from benchmarks.paper.stream import StreamName, stream
from tests.benchmarks import given


def contents(rows: Rows) -> list[bytes]:
    """The images as bytes; those of the data sets here differ from each other."""
    return [bytes(image.numpy()) for image in rows.images]


def test_validation_rows_are_the_last_of_the_training_set_and_in_no_part() -> None:
    dataset = given.dataset()

    seen = stream(dataset, "all", "validation", parts=4, part_rows=100, seed=1)

    assert torch.equal(seen.held_out.images, dataset.train.images[given.TRAIN_ROWS :])
    parts = torch.cat([part.images for part in seen.parts])
    assert sorted(contents(Rows(parts, parts))) == sorted(contents(dataset.train.at(slice(0, given.TRAIN_ROWS))))


def test_joint_training_has_the_rows_of_all_parts() -> None:
    dataset = given.dataset()

    parts = stream(dataset, "all", "test", parts=5, part_rows=30, seed=3).parts
    (joint,) = stream(dataset, "all", "test", parts=1, part_rows=150, seed=3).parts

    assert torch.equal(torch.cat([part.images for part in parts]), joint.images)
    assert torch.equal(torch.cat([part.labels for part in parts]), joint.labels)


def test_another_seed_gives_other_rows() -> None:
    first, second = (stream(given.dataset(), "all", "test", parts=1, part_rows=50, seed=seed) for seed in (1, 2))

    assert not torch.equal(first.parts[0].images, second.parts[0].images)


def test_new_classes_are_numbered_anew_and_shared_with_no_old_row() -> None:
    dataset = given.dataset()
    label_of = dict(zip(contents(dataset.train), dataset.train.labels.tolist(), strict=True))

    seen = stream(dataset, "new-classes", "test", parts=2, part_rows=100, seed=1)

    assert seen.old is not None
    old, new = ({label_of[image] for image in contents(rows)} for rows in (seen.old, seen.parts[0]))
    assert (len(old), len(new), old & new) == (5, 5, set())
    assert seen.classes == 5
    assert set(seen.held_out.labels.tolist()) == {0, 1, 2, 3, 4}
    pairs = {
        (label_of[image], int(label))
        for image, label in zip(contents(seen.parts[1]), seen.parts[1].labels, strict=True)
    }
    assert len(pairs) == 5


def test_images_turn_from_the_first_part_to_the_last_and_the_rows_held_out_with_them() -> None:
    seen = stream(given.dataset(), "rotation", "test", parts=3, part_rows=20, seed=1)
    still = stream(given.dataset(), "all", "test", parts=3, part_rows=20, seed=1)

    assert torch.equal(seen.parts[0].images, still.parts[0].images)
    assert torch.equal(seen.parts[2].images, rotate(still.parts[2].images, 90))
    assert torch.equal(seen.held_out_at(2).images, rotate(still.held_out.images, 90))


def test_labels_are_the_next_ones_from_the_middle_on() -> None:
    seen = stream(given.dataset(), "relabeling", "test", parts=4, part_rows=20, seed=1)
    still = stream(given.dataset(), "all", "test", parts=4, part_rows=20, seed=1)

    moved = [
        set(((after.labels - before.labels) % 10).tolist())
        for after, before in zip(seen.parts, still.parts, strict=True)
    ]
    assert moved == [{0}, {0}, {1}, {1}]
    assert torch.equal(seen.held_out_at(3).labels, (still.held_out.labels + 1) % 10)


@pytest.mark.parametrize("name", ["all", "new-classes"])
def test_the_world_of_other_streams_stays_as_it_is(name: StreamName) -> None:
    seen = stream(given.dataset(), name, "test", parts=2, part_rows=20, seed=1)

    assert torch.equal(seen.held_out_at(1).images, seen.held_out.images)


def test_the_jpeg_copy_of_cifar10_is_read_once_and_shuffled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = given.cifar10_archive(tmp_path)

    read("cifar10", tmp_path)
    (tmp_path / "cifar10-jpeg.tar.xz").write_bytes(b"never read again")
    dataset = read("cifar10", tmp_path)

    assert dataset.source == "CIFAR-10, a copy that went through JPEG once"
    order = dataset.train.images[:, 0, 0, 0].argsort()
    assert torch.equal(dataset.train.labels[order], made.labels)
    assert torch.equal(dataset.train.images[order], made.images)
    assert not torch.equal(dataset.train.labels, made.labels)


def test_mnist_is_read_from_its_files(tmp_path: Path) -> None:
    dataset = read("mnist", given.mnist(tmp_path))

    assert torch.equal(dataset.train.images, given.rows(given.TRAIN_ROWS).images)
    assert torch.equal(dataset.test.labels, given.rows(given.TEST_ROWS).labels)

"""What the demo computes and reads by itself; the demo as a whole is among the promises."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from client.demo.data import DatasetName, DataUnavailable, load_dataset, read_idx
from client.demo.place import data_directory, service_environment
from client.demo.report import DemoFailed, Report, calibration_error


def load_digits(seed: int) -> list[bytes]:
    generator = np.random.default_rng(seed)
    dataset = load_dataset(DatasetName.DIGITS, Path(), generator, announce=str)
    return [rows.images.tobytes() for rows in (*dataset.batches, dataset.held_out)]


def test_the_digits_are_posted_or_held_out_each_exactly_once() -> None:
    dataset = load_dataset(DatasetName.DIGITS, Path(), np.random.default_rng(0), announce=str)

    assert [len(rows) for rows in dataset.batches] == [144] * 10
    assert sum(map(len, dataset.batches)) + len(dataset.held_out) == 1797
    assert dataset.held_out.images.shape == (357, 1, 8, 8)


def test_the_seed_alone_decides_the_order_of_the_rows() -> None:
    assert load_digits(1) == load_digits(1)
    assert load_digits(1) != load_digits(2)


def test_a_temporary_demo_reads_no_settings_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTERITY_DATABASE_URL", "postgresql+psycopg://production")
    monkeypatch.setenv("POSTERITY_CONFIG", "/etc/posterity.toml")

    with data_directory(None) as directory:
        environment = service_environment(directory, is_temporary=True)
        config = Path(environment["POSTERITY_CONFIG"])

        assert (config.parent, config.read_text()) == (directory, "")
        assert "POSTERITY_DATABASE_URL" not in environment


def test_noise_covers_the_whole_range_of_the_pixels() -> None:
    dataset = load_dataset(DatasetName.DIGITS, Path(), np.random.default_rng(0), announce=str)

    noise = dataset.noise(100, np.random.default_rng(0))

    assert sorted(np.unique(noise).tolist()) == list(range(17))


def test_calibration_error_is_the_mean_gap_of_confidence_and_accuracy() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    labels = np.array([0, 0, 1, 0])

    # The bin of 0.9 holds three rows, two of them right; the bin of 0.6 holds one, which is right.
    assert calibration_error(probabilities, labels) == pytest.approx((abs(2 - 2.7) + abs(1 - 0.6)) / 4, abs=1e-15)


def test_certainty_that_is_always_right_has_no_calibration_error() -> None:
    assert calibration_error(np.eye(3), np.arange(3)) == 0.0


def test_an_idx_file_is_read_in_the_shape_its_header_states(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(b"\x00\x00\x08\x03" + struct.pack(">3I", 2, 1, 3) + bytes(range(6)))

    assert read_idx(path).tolist() == [[[0, 1, 2]], [[3, 4, 5]]]


@pytest.mark.parametrize("content", [b"", b"<html>", b"\x00\x00\x08\x01" + struct.pack(">I", 3) + b"ab"])
def test_an_idx_file_that_is_none_or_cut_short_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)

    with pytest.raises(DataUnavailable, match="no whole IDX file"):
        read_idx(path)


def test_a_claim_that_does_not_hold_ends_the_demo() -> None:
    with pytest.raises(DemoFailed, match="the moon is cheese"):
        Report(Console(quiet=True)).check(holds=False, claim="the moon is cheese")

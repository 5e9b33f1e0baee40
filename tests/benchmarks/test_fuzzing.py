"""Decoders under the fuzzer for a short time; and that the fuzzer would notice."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import fuzz
from benchmarks.fuzzing import child, watch
from benchmarks.fuzzing.decoders import ACCEPTED, DECODERS
from benchmarks.fuzzing.mutations import bent, mutated
from benchmarks.fuzzing.seeds import seeds
from benchmarks.fuzzing.watch import TooMuchError, Watch
from service.rejected import BatchEmpty, Internal

EXECUTIONS = 5000
SEEDS = {name: seeds(name) for name in DECODERS}


def test_every_decoder_is_fuzzed_and_has_seeds_that_it_accepts() -> None:
    assert tuple(DECODERS) == fuzz.DECODERS

    for name, decoder in DECODERS.items():
        accepted = [body for body in SEEDS[name] if ACCEPTED in decoder(body)]
        assert accepted, name
        assert len(accepted) < len(SEEDS[name]), name


@pytest.mark.parametrize("decoder", DECODERS)
def test_no_body_is_a_fault(decoder: str, tmp_path: Path) -> None:
    found = child.fuzz(decoder, tmp_path, executions=EXECUTIONS, seed=1)

    assert not found["fault"], (found["found"], found["fault"])
    assert found["executions"] == EXECUTIONS
    assert found["accepted"]
    assert found["peak_mib"] - found["peak_mib_before"] < 200
    if (sys.platform, child.ENGINE) == ("linux", "atheris"):
        assert found["edges"] > 100


@pytest.mark.parametrize("decoder", DECODERS)
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 4))
def test_bodies_that_are_nearly_valid_are_read_or_refused(decoder: str, seed: int, steps: int) -> None:
    random = Random(seed)
    body = random.choice(SEEDS[decoder])

    for _ in range(steps):
        body = mutated(decoder, body, seeds=SEEDS[decoder], random=random, bend=lambda of, size: bent(of, size, random))
        assert DECODERS[decoder](body)


def test_where_atheris_has_no_wheel_bodies_are_made_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "ENGINE", "chance")

    found = child.fuzz("images", tmp_path, executions=500, seed=1)

    assert (found["engine"], found["fault"], found["executions"]) == ("chance", "", 500)


def test_a_fuzzer_that_ends_badly_is_a_fault(tmp_path: Path) -> None:
    found = child.fuzz("breaks", tmp_path, executions=10, seed=1)

    assert "KeyError: 'breaks'" in found["fault"]
    assert "**no**" in fuzz.claims({"executions": 10, "decoders": {"breaks": found}})[0].cells


def reads(_body: bytes) -> list[str]:
    return [ACCEPTED]


def test_too_much_time_or_memory_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = watch.peak_bytes()
    peaks = iter([peak, peak, peak + watch.GROWTH_BYTES_MAX + 1])
    monkeypatch.setattr(watch, "peak_bytes", lambda: next(peaks))
    with pytest.raises(TooMuchError, match=r"6 bytes took .* and 64 MiB more"):
        Watch(reads)(b"hungry")
    monkeypatch.undo()

    monkeypatch.setattr(watch, "SECONDS_MAX", -1.0)
    with pytest.raises(TooMuchError, match="4 bytes took"):
        Watch(reads)(b"slow")


@pytest.mark.parametrize("problem", [Internal(), ValueError("any")])
def test_what_is_no_refusal_is_raised(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_raw: bytes, **_rest: object) -> None:
        raise problem

    monkeypatch.setattr("benchmarks.fuzzing.decoders.batch_posted", breaks)
    with pytest.raises(type(problem)):
        DECODERS["base64"](b"{}")


def test_a_refusal_is_told_by_its_words_without_what_it_quotes() -> None:
    def refuses(_body: bytes) -> list[str]:
        return [f"{BatchEmpty.code} 'quoted' and \"quoted\", 12 bytes"]

    assert Watch(refuses)(b"") == ["batch-empty  and   bytes"]

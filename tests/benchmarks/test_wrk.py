from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from benchmarks.live import wrk

SAID = {
    "requests": 5000,
    "microseconds": 2_000_000,
    "refused": 0,
    "broken": 0,
    "p50": 390,
    "p99": 1250,
    "most": 8000,
}


def output(said: Mapping[str, int]) -> str:
    return f"Running 2s test @ http://127.0.0.1:1\n  5000 requests in 2.00s\n{json.dumps(said)}\n"


def test_what_wrk_says_is_read_in_milliseconds_and_per_second() -> None:
    assert wrk.read(output(SAID)) == wrk.Measured(5000, 2500.0, 0.39, 1.25, 8.0)


@pytest.mark.parametrize("fault", [{"refused": 1}, {"broken": 1}, {"requests": 0}])
def test_a_measurement_with_an_error_has_no_figure(fault: Mapping[str, int]) -> None:
    with pytest.raises(AssertionError):
        wrk.read(output({**SAID, **fault}))


def test_without_wrk_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(SystemExit, match="apt-get install wrk"):
        wrk.require()

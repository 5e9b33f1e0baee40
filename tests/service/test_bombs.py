"""Bodies that say or hold far more than they are: refused with a code before they are unpacked, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.service.bombs import BOMBS, CONTROL, CONTROL_MIB

BODIES, BESIDE_MIB = 3, 24
"""A body may be copied so often, and so much may be taken beside."""


@pytest.fixture(scope="module")
def seen() -> dict[str, tuple[str, float, float]]:
    """What a process of its own saw of each: the code, the MiB that it took, and those of the body."""
    command = [sys.executable, "-m", "tests.service.bombs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return {name: (code, took, size) for name, code, took, size in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_goes_off(seen: dict[str, tuple[str, float, float]], name: str) -> None:
    code, took_mib, body_mib = seen[name]

    assert code == BOMBS[name][0]
    assert took_mib < BODIES * body_mib + BESIDE_MIB


def test_memory_that_is_taken_is_seen(seen: dict[str, tuple[str, float, float]]) -> None:
    assert seen[CONTROL][1] > CONTROL_MIB

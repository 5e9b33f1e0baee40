from __future__ import annotations

from typing import Any

import pytest

from benchmarks.footprint import claims


@pytest.mark.parametrize(("ready", "holds"), [([3.0, 4.0, 9.0], True), ([3.0, 4.1, 5.0], False)])
def test_a_start_is_held_to_its_median_and_memory_is_that_of_both(ready: list[float], holds: bool) -> None:
    kinds: dict[str, Any] = {
        f"{name}_{kind}_mib": [100.0, 110.0, 120.0] for name in ("service", "worker") for kind in ("rss", "pss")
    }

    start, memory = claims({"ready_seconds": ready, "worker_seconds": [5.0], "torch_alone_rss_mib": 90.0, **kinds})

    assert (start.holds, memory.holds) == (holds, None)
    assert memory.figure.startswith("PSS 220 (200 to 240) MiB; RSS 220 (200 to 240) MiB")

"""A decoder under watch: how often it ran, what came of it, and that no body costs more time or memory than its due."""

from __future__ import annotations

import re
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.fuzzing.decoders import ACCEPTED, Decoder

BODY_BYTES_MAX = 16 * 2**10
"""Bodies are short, so that there can be many; what grows out of all proportion does so with short ones too."""

SECONDS_MAX = 1.0
"""Of processor time, for one body."""

GROWTH_BYTES_MAX = 64 * 2**20
"""By so much one body may raise the most memory that the process ever had resident."""

ROOM_BYTES = 2**30
"""Address space beyond what the process has at first: more than that is a MemoryError, resident or not."""

FIGURES = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|[^A-Za-z -]+")
"""What the words of a refusal quote of a body, and its numbers."""


class TooMuchError(Exception):
    """A body took more time or memory than any may; the message says how much."""


class Watch:
    """Calls the decoder, and raises what is a fault: an error that is no declared refusal, or too much of anything."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._began = time.monotonic()
        self._peak_first = peak_bytes()
        self.executions = 0
        self.accepted = 0
        self.outcomes: set[str] = set()
        self.seconds_max = 0.0
        self.growth_max = 0

    def __call__(self, body: bytes) -> list[str]:
        """What came of the body, in words without figures.

        Raises:
            TooMuchError: it took too long, or too much memory.
        """
        peak, began = peak_bytes(), time.process_time()
        came = [_words(outcome) for outcome in self._decoder(body)]
        seconds, growth = time.process_time() - began, peak_bytes() - peak
        self.executions += 1
        self.accepted += ACCEPTED in came
        self.outcomes.update(came)
        self.seconds_max, self.growth_max = max(self.seconds_max, seconds), max(self.growth_max, growth)
        if seconds > SECONDS_MAX or growth > GROWTH_BYTES_MAX:
            raise TooMuchError(
                f"{len(body)} bytes took {seconds:.2f} s and {growth / 2**20:.0f} MiB more than any before"
            )
        return came

    def figures(self) -> dict[str, Any]:
        """What was seen so far; memory in MiB, resident."""
        return {
            "executions": self.executions,
            "seconds": round(time.monotonic() - self._began, 1),
            "accepted": self.accepted,
            "outcomes": len(self.outcomes),
            "slowest_seconds": round(self.seconds_max, 4),
            "peak_mib": round(peak_bytes() / 2**20, 1),
            "peak_mib_before": round(self._peak_first / 2**20, 1),
            "most_growth_of_one_mib": round(self.growth_max / 2**20, 1),
        }


def limit_address_space() -> None:
    """No more memory can be had than a little more than there is now, whether it is used or not."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def peak_bytes() -> int:
    """The most memory that this process ever had resident."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _words(outcome: str) -> str:
    return FIGURES.sub("", outcome)[:100]

"""Listeners in a process of their own: `python -m benchmarks.live.ears <port> <path> <count>`.

It says "ready" on stdout once all are told where they begin. A line with a number on stdin is the last event to wait
for; then it says, as JSON, how many events each has heard, and how many of them missed one, heard one twice or out of
order, and ends. It steps back where others want the processor, as listeners are on machines of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from contextlib import suppress

ID = re.compile(rb"^id: (\d+)$", re.MULTILINE)
EVENT = re.compile(rb"^event: (?!progress)", re.MULTILINE)
NICE = 19
SECONDS_MAX = 60.0


class Ear:
    """One listener: the event that it began after, and those that it heard, as they came."""

    def __init__(self) -> None:
        self.start: int | None = None
        self.heard: list[int] = []

    async def listen(self, port: int, path: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        with suppress(asyncio.IncompleteReadError):
            while True:
                frame = await reader.readuntil(b"\n\n")
                if (found := ID.search(frame)) is not None:
                    if EVENT.search(frame):
                        self.heard.append(int(found[1]))
                    elif self.start is None:
                        self.start = int(found[1])


async def main(port: int, path: str, count: int) -> None:
    os.nice(NICE)
    ears = [Ear() for _ in range(count)]
    listening = [asyncio.create_task(ear.listen(port, path)) for ear in ears]
    while any(ear.start is None for ear in ears):
        await asyncio.sleep(0.01)
    say("ready")
    last = int(await asyncio.to_thread(sys.stdin.readline))
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS_MAX):
            while any(last not in ear.heard[-1:] for ear in ears):
                await asyncio.sleep(0.01)
    for task in listening:
        task.cancel()
    say(json.dumps({"heard": [len(ear.heard) for ear in ears], "wrong": sum(is_wrong(ear, last) for ear in ears)}))


def is_wrong(ear: Ear, last: int) -> bool:
    """True unless it heard each event once and in order."""
    return ear.start is None or ear.heard != list(range(ear.start + 1, last + 1))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))

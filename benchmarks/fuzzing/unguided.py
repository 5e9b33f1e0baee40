"""One decoder without a guide, where atheris has no wheel: what benchmarks/fuzzing/guided.py does, by chance alone.

Takes the same, and leaves the same in the folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

from benchmarks.fuzzing.decoders import DECODERS
from benchmarks.fuzzing.mutations import bent, mutated
from benchmarks.fuzzing.seeds import seeds
from benchmarks.fuzzing.watch import BODY_BYTES_MAX, Watch


def main() -> None:
    """DECODER EXECUTIONS SEED FOLDER."""
    decoder, executions, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    watch, bodies, random = Watch(DECODERS[decoder]), seeds(decoder), Random(seed)  # noqa: S311
    body = b""
    try:
        for number in range(executions):
            body = bodies[number] if number < len(bodies) else _next(decoder, bodies, random)
            watch(body)
    except BaseException:
        (folder / "crash").write_bytes(body)
        raise
    finally:
        (folder / "figures.json").write_text(json.dumps(watch.figures()))


def _next(decoder: str, bodies: list[bytes], random: Random) -> bytes:
    body = random.choice(bodies)
    for _ in range(random.randint(1, 3)):
        body = mutated(decoder, body, seeds=bodies, random=random, bend=lambda bytes_, size: bent(bytes_, size, random))
    return body[:BODY_BYTES_MAX]


if __name__ == "__main__":
    main()

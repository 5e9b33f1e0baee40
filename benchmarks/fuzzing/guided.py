"""One decoder under atheris, in a process of its own: `python -m benchmarks.fuzzing.guided` and what `main` takes.

libFuzzer guides it by the branches of the Python code that decodes. What is decoded by native code (Rust, libjpeg,
numpy) says in the words of its refusals where it got to, so each new text counts as a branch as well. The folder
receives the figures as figures.json; a body that is a fault ends the process, and is left there too.
"""

from __future__ import annotations

import atexit
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["service", "safetensors", "PIL", "python_multipart", "zipfile", "base64"]):
    from benchmarks.fuzzing.decoders import DECODERS
    from benchmarks.fuzzing.mutations import mutated
    from benchmarks.fuzzing.seeds import seeds
    from benchmarks.fuzzing.watch import BODY_BYTES_MAX, Watch, limit_address_space

RSS_MIB_MAX, SECONDS_MAX = 2048, 60
DEPTH = 2
"""Mutations at a time; more leave little of a structure."""
WORDS = 1024
"""Texts of refusals that are told apart."""


def main() -> None:
    """DECODER EXECUTIONS SEED FOLDER. Does not return: atheris ends the process, with 0 after so many executions."""
    decoder, executions, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    corpus = folder / "corpus"
    corpus.mkdir()
    bodies = seeds(decoder)
    for number, body in enumerate(bodies):
        (corpus / f"{number:03}").write_bytes(body)
    watch, said = Watch(DECODERS[decoder]), [_branch() for _ in range(WORDS)]

    def one(body: bytes) -> None:
        for outcome in watch(body):
            said[zlib.crc32(outcome.encode()) % WORDS]()

    def mutate(body: bytes, size: int, its_seed: int) -> bytes:
        random = Random(its_seed)  # noqa: S311
        return mutated(decoder, body, seeds=bodies, random=random, bend=atheris.Mutate)[:size]

    atexit.register(lambda: (folder / "figures.json").write_text(json.dumps(watch.figures())))
    options = [
        f"-atheris_runs={executions}",
        f"-seed={seed}",
        f"-mutate_depth={DEPTH}",
        f"-max_len={BODY_BYTES_MAX}",
        f"-rss_limit_mb={RSS_MIB_MAX}",
        f"-timeout={SECONDS_MAX}",
        f"-artifact_prefix={folder}/",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=mutate)
    limit_address_space()
    atheris.Fuzz()


def _branch() -> Callable[[], None]:
    """A function that counts as a branch of its own."""

    def branch() -> None:
        pass

    atheris.instrument_func(branch)
    return branch


if __name__ == "__main__":
    main()

"""Randomness from content, and arithmetic that repeats itself."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

import torch
from torch import Tensor

_lock = Lock()
_inside = 0
_before: tuple[bool, bool, bool] = (False, False, False)


def seed_of(*content: str) -> int:
    """A seed of 64 bits that only this content gives: the first 8 bytes of its sha256."""
    return int.from_bytes(hashlib.sha256("\n".join(content).encode()).digest()[:8], "big")


def generator(device: torch.device | str, *content: str) -> torch.Generator:
    """A stream of random numbers of its own, on the device, that only this content gives."""
    return torch.Generator(device).manual_seed(seed_of(*content))


def standard_normal(stream: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Noise that gives, for any tensor, standard normal numbers of its shape from the stream."""

    def noise(like: Tensor) -> Tensor:
        # In one piece, whatever the layout of `like`: torch fills strided tensors ten times slower.
        numbers = torch.randn(like.numel(), generator=stream, device=like.device, dtype=like.dtype)
        return numbers.as_strided(like.shape, torch.empty_like(like, requires_grad=False).stride())

    return noise


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """While inside, the same operations give the same bytes; on CUDA, all is as before at the end.

    On the CPU they do so for the same number of threads. Threads may be inside together.
    """
    # A new thread multiplies with as many threads as there are cores until torch is asked how many were set.
    torch.get_num_threads()
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _before  # noqa: PLW0603
    with _lock:
        if _inside == 0:
            _before = (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
                torch.backends.cudnn.benchmark,
            )
            torch.use_deterministic_algorithms(True)
            torch.backends.cudnn.benchmark = False
        _inside += 1


def _leave() -> None:
    global _inside  # noqa: PLW0603
    with _lock:
        _inside -= 1
        if _inside == 0:
            enabled, warn_only, benchmark = _before
            torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
            torch.backends.cudnn.benchmark = benchmark

"""Results as they are kept: one JSON for each line, whole at every moment."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import record
from benchmarks.paper.lines import Line, Result

FOLDER = record.RESULTS / "paper"


def path_of(folder: Path, line: Line) -> Path:
    return folder / f"{line.dataset}-{line.key}.json"


def read(folder: Path, line: Line) -> Result | None:
    """The line's result, where the folder has one."""
    path = path_of(folder, line)
    return Result.from_json(path.read_text()) if path.exists() else None


def write(folder: Path, result: Result) -> None:
    """The folder has the result; a crash at any moment leaves the one before or this one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, result.line)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("w") as file:
        file.write(replace(result, surroundings=surroundings(result.device)).to_json())
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def surroundings(device: str) -> dict[str, Any]:
    """Commit, machine and versions, and what computed."""
    processor = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    return {**record.surroundings(), "processor": processor, "threads": torch.get_num_threads()}


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())

"""Which packages are installed, and whether they are of the versions that this release asks for."""

import operator
import re
from importlib.metadata import PackageNotFoundError, requires, version

REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*\(?([^;)]*)\)?\s*(?:;\s*(.*))?")
BOUND = re.compile(r"(>=|<=|==|!=|~=|<|>)\s*([0-9][0-9A-Za-z.+*-]*)")
COMPARED = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "!=": operator.ne
}  # fmt: skip


def version_of(name: str) -> str | None:
    """The installed version; None: there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def missing_and_misfits(name: str) -> tuple[list[str], list[str]]:
    """What the package needs and is not installed, and what is in a version that does not fit; in words."""
    missing: list[str] = []
    misfits: list[str] = []
    for requirement in _needed(name):
        found = REQUIREMENT.match(requirement)
        assert found is not None, requirement
        package, bounds, marker = found[1], found[2].strip(), found[3] or ""
        installed = version_of(package)
        if "extra" in marker or ("win32" in marker and installed is None):
            continue
        if installed is None:
            missing.append(f"{package} is not installed, and {bounds} is needed")
        elif not is_within(installed, bounds):
            misfits.append(f"{package} is {installed}, and {bounds} is needed")
    return missing, misfits


def _needed(name: str) -> list[str]:
    """The requirements that the package came with; none where it is not installed."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def is_within(installed: str, bounds: str) -> bool:
    """Whether the version is within all of the bounds, such as `>=2.2,<3`; only its numbers are read."""
    found = _numbers(installed)
    return all(_holds(found, sign, _numbers(limit)) for sign, limit in BOUND.findall(bounds))


def _holds(found: tuple[int, ...], sign: str, limit: tuple[int, ...]) -> bool:
    width = max(len(found), len(limit))
    left, right = (numbers + (0,) * (width - len(numbers)) for numbers in (found, limit))
    if sign == "~=":
        return left >= right and left[: len(limit) - 1] == right[: len(limit) - 1]
    return bool(COMPARED[sign](left, right))


def _numbers(word: str) -> tuple[int, ...]:
    release = re.match(r"\d+(\.\d+)*", word)
    assert release is not None, word
    return tuple(int(part) for part in release[0].split("."))

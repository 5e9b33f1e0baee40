"""The settings of a process, or a sentence that says why it has none."""

from __future__ import annotations

import tomllib
from typing import Any

from pydantic import ValidationError

from store.settings import Settings, config_file


class SettingsUnusable(Exception):  # noqa: N818 - named for what is unusable
    """A setting cannot be used; the message says which, and why."""


def configured(**stated: Any) -> Settings:  # noqa: ANN401 - each field has its own type
    """The settings of this process; what is stated here beats the environment and the file.

    Raises:
        SettingsUnusable: one of them is none, or the file cannot be read.
    """
    try:
        return Settings(**stated)
    except ValidationError as error:
        faults = [": ".join([*map(str, fault["loc"][:1]), fault["msg"]]) for fault in error.errors(include_url=False)]
        raise SettingsUnusable("; ".join(faults)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise SettingsUnusable(f"{config_file()} cannot be read: {error}") from None

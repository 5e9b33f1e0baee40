"""Files and folders that are their user's alone, as rows may be about people."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def make_folder(folder: Path) -> None:
    """The folder is there; what had to be made for it may be entered as `access_in` says, and what was there as before.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=access_in(folder.parent), exist_ok=True)


def create(path: Path) -> None:
    """The file is there; if it had to be made it is empty, and may be opened as `access_in` says.

    Raises:
        OSError: it cannot be made.
    """
    try:
        # Never one that was there: closing it would take the locks from SQLite's other connections in this process.
        os.close(opener(str(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return


def opener(path: str, flags: int) -> int:
    """As `open` wants it: the file, if it is made, may be opened as `access_in` says.

    Raises:
        OSError: it cannot be opened.
    """
    return os.open(path, flags, access_in(Path(path).parent) & 0o666)


def access_in(folder: Path) -> int:
    """Who may use what is made in this folder, as a mode before the umask: its user, and whom the folder lets write.

    They could put something else in its place anyway: whoever made a folder for several users to write to shares it,
    as far as an umask lets them write to the folders in it.
    Not so in a folder like /tmp, where everybody writes and nobody removes what is another's.
    """
    mode = folder.stat().st_mode
    is_shared = not mode & stat.S_ISVTX
    of_group = 0o070 if is_shared and mode & stat.S_IWGRP else 0
    of_others = 0o007 if is_shared and mode & stat.S_IWOTH else 0
    return 0o700 | of_group | of_others

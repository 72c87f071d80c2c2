"""What an entry of a folder is, whatever its links do."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

__all__ = ["is_folder", "is_regular"]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one; a link that leads to itself (``ln -s a a``) is none.

    Raises:
        OSError: It may not be looked at, or the disk fails.
    """
    return _ends_somewhere(entry.is_dir)


def is_regular(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a file, or a link to one; pipes, sockets and links that lead nowhere are none.

    Raises:
        OSError: It may not be looked at, or the disk fails.
    """
    return _ends_somewhere(entry.is_file)


def _ends_somewhere(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False

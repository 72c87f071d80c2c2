"""What an entry of a folder is, whatever its links do."""

from __future__ import annotations

import os

__all__ = ["is_folder", "is_regular"]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder, or a link to one; a link that leads to itself (``ln -s a a``) is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_regular(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a file, or a link to one; pipes, sockets and links that lead nowhere are none."""
    try:
        return entry.is_file()
    except OSError:
        return False

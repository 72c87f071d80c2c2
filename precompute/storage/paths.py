"""Names of files: `pathlib.Path` for local ones, `RemotePath` for URLs of object stores."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeGuard, cast
from urllib.parse import urlsplit

from precompute.errors import UsageError, on_one_line
from precompute.storage.remote_path import URL, RemotePath
from precompute.text.format import is_unicode

__all__ = ["RemotePath", "absolute", "as_path", "check_path_text", "common_folder", "is_remote", "is_url", "local_path"]

MANGLED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]")  # one letter would be a drive


def is_url(path: Any) -> bool:
    """Whether a text is a URL; file:// does not count, for it names a local path."""
    return isinstance(path, str) and URL.match(path) is not None


def is_remote(path: object) -> TypeGuard[RemotePath]:
    """Whether a path is in an object store."""
    return isinstance(path, RemotePath)


def as_path(path: str | os.PathLike[str]) -> Path:
    """Return the path that a user gave: a `RemotePath` for a URL, else a `Path`.

    Raises:
        UsageError: It is a URL that went through pathlib, which drops a slash, or one without a bucket.
    """
    if isinstance(path, RemotePath):
        return cast(Path, path)
    if is_url(path):
        text = str(path)
        if text.lower().startswith("file://"):
            from urllib.request import url2pathname  # here, for it loads what speaks HTTP

            return Path(url2pathname(urlsplit(text).path))
        return cast(Path, RemotePath.of(text))
    if not isinstance(path, str) and MANGLED.match(str(path)):
        raise UsageError(f"{path}: this was a URL before pathlib.Path left out a slash; give it as text.")
    return Path(path)


def local_path(path: str | os.PathLike[str], option: str) -> Path:
    """Return the path that a user gave where a URL cannot be used.

    Raises:
        UsageError: It is a URL.
    """
    found = as_path(path)
    if is_remote(found):
        raise UsageError(f"{option}: expected a path on this machine's disks, got {found}.")
    return found


def check_path_text(path: Path, what: str) -> None:
    """Refuse a folder whose path is not UTF-8: TensorFlow can open no file in it.

    Args:
        what: The argument that named it, for the message.

    Raises:
        UsageError: The path is not UTF-8.
    """
    if not is_unicode(str(path)):
        raise UsageError(f"{what}: {on_one_line(str(path))} is no UTF-8, and TensorFlow opens no such path; rename it.")


def absolute(path: Path) -> Path:
    """Return a path without ``..``, from the root on; links are not followed."""
    if not is_remote(path):
        return Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links)
    parts: list[str] = []
    for part in path.parts:
        if part != "..":
            parts.append(part)
        elif len(parts) > 1:  # never out of the bucket
            parts.pop()
    return cast(Path, RemotePath(path.scheme, tuple(parts)))


def common_folder(folders: Iterable[str]) -> Path | None:
    """Return the deepest folder that holds all of these paths; None where they are on different drives or stores."""
    names = list(folders)
    remote = [RemotePath.of(name) for name in names if is_url(name)]
    if not remote:
        try:
            return Path(os.path.commonpath(names))
        except ValueError:  # on different drives
            return None
    if len(remote) < len(names) or len({(path.scheme, path.parts[0]) for path in remote}) > 1:
        return None
    shared = posixpath.commonpath(["/".join(path.parts) for path in remote])
    return cast(Path, RemotePath(remote[0].scheme, tuple(shared.split("/"))))

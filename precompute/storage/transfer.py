"""Whole files between disks and object stores; copies and deletions that a store carries out itself."""

from __future__ import annotations

import functools
import getpass
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from precompute.errors import StorageError, UsageError
from precompute.storage.paths import RemotePath, is_remote
from precompute.storage.store import filesystem, read_options, translate_errors, write_options
from precompute.text.format import format_count

__all__ = [
    "copy_object",
    "delete_objects",
    "delete_tree",
    "download",
    "find_objects",
    "list_objects",
    "local_copy",
    "local_side",
    "sha256_of",
    "upload",
]


def find_objects(folder: RemotePath) -> dict[str, dict[str, Any]]:
    """Return fsspec's name → what it knows of each object below a folder, at any level; empty if there is no folder.

    Raises:
        StorageError: The store cannot be reached, refuses, or fails.
    """
    try:
        with translate_errors(str(folder)):
            return dict(filesystem(folder.scheme).find(folder.location, detail=True))
    except FileNotFoundError:
        return {}


def list_objects(folder: RemotePath) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield each object below a folder, at any level: the parts of its path below the folder, and its size in bytes.

    Raises:
        StorageError: The store cannot be reached, refuses, or fails.
    """
    start = len(folder.location.rstrip("/")) + 1
    for name, info in find_objects(folder).items():
        if info["type"] == "file" and name[start:] and not name.endswith("/"):  # consoles mark folders by such names
            yield tuple(part for part in name[start:].split("/") if part), int(info["size"] or 0)


def upload(source: Path, target: RemotePath) -> None:
    """Upload a whole file. Until its last byte has arrived, the name is free or has its earlier content.

    Raises:
        StorageError: The store cannot be reached, refuses, or fails; or it reports another size than was sent.
    """
    size = source.stat().st_size
    with translate_errors(str(target), writing=True):
        filesystem(target.scheme).put_file(str(source), target.location, **write_options(target.scheme))
    stored = target.stat().st_size
    if stored != size:
        raise StorageError(f"{target}: {size} bytes were sent, the store holds {stored}. Run the same command again.")


def download(source: RemotePath, target: Path) -> None:
    """Write an object to a local file.

    Raises:
        FileNotFoundError: There is no such object.
        StorageError: The store cannot be reached, refuses, or fails.
    """
    with translate_errors(str(source)):
        # In one stream: s3fs resumes a stream that was cut, and gives up on parts.
        filesystem(source.scheme).get_file(source.location, str(target), **read_options(source.scheme))


@contextmanager
def local_copy(path: Path) -> Iterator[Path]:
    """Yield a local file with an object's content while the block runs; a local file is yielded itself.

    Raises:
        FileNotFoundError: There is no such object.
        StorageError: The store cannot be reached, refuses, or fails.
    """
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="augment-once-") as folder:
        copy = Path(folder, path.name)
        download(path, copy)
        yield copy


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal; a large file is read in parts."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_object(source: RemotePath, target: RemotePath) -> None:
    """Copy an object inside its store; its bytes do not come to this machine.

    Raises:
        StorageError: The store cannot be reached, refuses, or fails.
    """
    with translate_errors(f"{source} → {target}", writing=True):
        filesystem(target.scheme).cp_file(source.location, target.location)


def delete_objects(paths: Sequence[RemotePath]) -> None:
    """Delete objects, many per request; missing ones are passed over.

    Raises:
        StorageError: The store cannot be reached, refuses, or fails.
    """
    try:
        if paths:
            with translate_errors(str(paths[0])):
                filesystem(paths[0].scheme).rm([path.location for path in paths])
    except FileNotFoundError:
        for path in paths:
            path.unlink(missing_ok=True)


def delete_tree(folder: RemotePath) -> None:
    """Delete all objects below a folder, if there are any.

    Raises:
        StorageError: The store cannot be reached, refuses, or fails; or objects are still there afterwards.
    """
    if not find_objects(folder):
        return
    with suppress(FileNotFoundError), translate_errors(str(folder)):
        filesystem(folder.scheme).rm(folder.location, recursive=True)
    left = find_objects(folder)
    if left:  # s3fs says nothing of objects in a request for many that are not deleted
        raise StorageError(
            f"{folder}: {format_count(len(left), 'object')} cannot be deleted; may these credentials do that?"
        )


@functools.cache
def local_side(url: str) -> Path:
    """Return this machine's folder for what a remote dataset needs on a disk: its lock, and shards before their upload.

    It lies where temporary files do (`TMPDIR`), belongs to this user, and is the same in all processes.

    Raises:
        UsageError: The folder for it belongs to somebody else.
    """
    name = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
    mine = Path(tempfile.gettempdir(), f"augment-once-{name}")
    mine.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and mine.lstat().st_uid != os.getuid():
        raise UsageError(f"{mine}: belongs to another user; set TMPDIR to a folder for temporary files of your own.")
    folder = mine / hashlib.sha256(url.encode()).hexdigest()[:16]
    folder.mkdir(exist_ok=True)
    return folder

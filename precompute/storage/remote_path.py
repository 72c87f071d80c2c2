"""The name of a file or folder in an object store, with the methods of `pathlib.Path`.

A `RemotePath` has the methods of `Path` that datasets and sources need, so that one code works on both. Type checkers
take it for a `Path`; but it is none, and has no `__fspath__`: code that would open it as a local file raises TypeError
and reads or writes nothing by mistake.

Why not universal_pathlib (0.3.10, looked at with fsspec 2026.9): its `is_file` says no where a store refuses or cannot
be reached, and all else raises what each store's library does; it can neither create an object only where there is none
nor answer from a listing; joining a name takes it 50 µs and not 1.3. Each method that asks a store would still be ours.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from typing import IO, Any, cast

from precompute.errors import UsageError
from precompute.storage.store import LOST, filesystem, read_options, translate_errors

__all__ = ["URL", "RemotePath", "Seen", "Snapshot", "answering_from"]

# Two letters at least: C:// is a drive.
URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
BLOCK_BYTES = 4 * 2**20  # read ahead at a time


@dataclass(frozen=True, order=True, slots=True)
class RemotePath:
    """A file or folder in an object store.

    Attributes:
        scheme: ``"s3"``, ``"gs"`` …
        parts: Bucket, then folders and name.
    """

    scheme: str
    parts: tuple[str, ...]

    @classmethod
    def of(cls, url: str) -> RemotePath:
        """Return the path that a URL names.

        Raises:
            UsageError: It names no bucket.
        """
        match = URL.fullmatch(url)
        parts = () if match is None else tuple(part for part in match[2].split("/") if part not in ("", "."))
        if match is None or not parts:
            raise UsageError(f"{url}: expected the URL of a bucket or of a folder in one, such as s3://bucket/folder.")
        return cls(match[1].lower(), parts)

    # Names, as in pathlib.PurePath.

    def __str__(self) -> str:
        return f"{self.scheme}://{'/'.join(self.parts)}"

    def __truediv__(self, other: str | RemotePath) -> RemotePath:
        if isinstance(other, RemotePath) or URL.match(other):
            return RemotePath.of(str(other))
        return RemotePath(
            self.scheme, (*self.parts, *(part for part in str(other).split("/") if part not in ("", ".")))
        )

    def as_posix(self) -> str:
        """Return the URL."""
        return str(self)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.parts[-1]

    @property
    def suffix(self) -> str:
        """The end of the name, from its last dot on."""
        return os.path.splitext(self.name)[1]  # noqa: PTH122 (there is no Path here)

    @property
    def parent(self) -> RemotePath:
        """The folder that holds it; a bucket is its own parent."""
        return RemotePath(self.scheme, self.parts[:-1] or self.parts)

    @property
    def parents(self) -> list[RemotePath]:
        """All folders above it, the nearest first."""
        return [RemotePath(self.scheme, self.parts[:i]) for i in range(len(self.parts) - 1, 0, -1)]

    def with_name(self, name: str) -> RemotePath:
        """Return the path of another name in the same folder."""
        return RemotePath(self.scheme, (*self.parts[:-1], name))

    def is_relative_to(self, other: RemotePath) -> bool:
        """Whether it is the other path, or lies below it."""
        return other.scheme == self.scheme and self.parts[: len(other.parts)] == other.parts

    def absolute(self) -> RemotePath:
        """Return the path itself: URLs are absolute."""
        return self

    def resolve(self) -> RemotePath:
        """Return the path itself: object stores have no links."""
        return self

    # Which objects there are.

    @property
    def location(self) -> str:
        """The name by which fsspec's file system of the scheme knows it."""
        return str(filesystem(self.scheme)._strip_protocol(str(self)))

    def _info(self) -> dict[str, Any]:
        known = _seen(self)
        if known is not None:
            return known.info
        with translate_errors(str(self)):
            info: dict[str, Any] = filesystem(self.scheme).info(self.location)
            return info

    def stat(self) -> os.stat_result:
        """Return the object's size and time of change; no other fields are filled.

        Raises:
            FileNotFoundError: There is no such object.
            StorageError: The store cannot be reached, refuses, or fails.
        """
        info = self._info()
        mode = stat.S_IFDIR if info["type"] == "directory" else stat.S_IFREG
        modified = _modified(info)
        return os.stat_result((mode, 0, 0, 0, 0, 0, int(info["size"] or 0), modified, modified, modified))

    lstat = stat

    def exists(self) -> bool:
        """Whether there is such an object or folder; a store that does not answer is an error, never a no."""
        return self._type() is not None

    def is_file(self) -> bool:
        """Whether there is such an object."""
        return self._type() == "file"

    def is_dir(self) -> bool:
        """Whether there are objects below it."""
        return self._type() == "directory"

    def _type(self) -> str | None:
        try:
            return str(self._info()["type"])
        except FileNotFoundError:
            return None

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield the paths directly in the folder; none if there is no such folder."""
        try:
            with translate_errors(str(self)):
                names = [entry["name"] for entry in filesystem(self.scheme).ls(self.location, detail=True)]
        except FileNotFoundError:
            return
        own = self.location.rstrip("/")
        for name in names:  # consoles leave an object of the folder's own name, so that it can be seen
            if name.rstrip("/") != own:
                yield self / name.rstrip("/").rpartition("/")[2]

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Yield the paths below it that match a pattern, level by level: ``"g*/plan.json"``."""
        first, _, rest = pattern.partition("/")
        if not re.search(r"[*?[]", first):
            found = [self / first] if rest or (self / first).exists() else []
        else:
            found = [path for path in self.iterdir() if fnmatchcase(path.name, first)]
        for path in found:
            yield from path.glob(rest) if rest else [path]

    # Content.

    def read_bytes(self) -> bytes:
        """Return the object's content.

        Raises:
            FileNotFoundError: There is no such object.
            StorageError: The store cannot be reached, refuses, or fails.
        """
        known = _seen(self)
        if known is not None and known.content is not None:
            return known.content
        with translate_errors(str(self)):
            return bytes(filesystem(self.scheme).cat_file(self.location, **read_options(self.scheme)))

    def read_text(self) -> str:
        """Return the object's content as text."""
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        """Write the object, whole or not at all.

        Raises:
            StorageError: The store cannot be reached, refuses, or fails.
        """
        with translate_errors(str(self), writing=True):
            filesystem(self.scheme).pipe_file(self.location, content)

    def create_bytes(self, content: bytes) -> bool:
        """Write the object if there is none; returns whether that is known to have happened.

        If not, there is an object already, the store cannot do it in one step, or the request has failed: read the
        object to find out.
        """
        try:
            filesystem(self.scheme).pipe_file(self.location, content, mode="create")
        except Exception:  # each store says it in its own way
            return False
        return True

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Open the object for reading from its beginning.

        Raises:
            FileNotFoundError: There is no such object.
            StorageError: The store cannot be reached, refuses, or fails.
        """
        if mode != "rb":
            raise ValueError(f"{self}: objects are opened to be read, as rb; got {mode!r}")
        with translate_errors(str(self)):
            opened = filesystem(self.scheme).open(self.location, "rb", block_size=BLOCK_BYTES)
        return cast(IO[bytes], _TranslatingFile(opened, str(self)))

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object.

        Raises:
            FileNotFoundError: There is no such object, and `missing_ok` is false.
            StorageError: The store cannot be reached, refuses, or fails.
        """
        try:
            with translate_errors(str(self)):
                filesystem(self.scheme).rm_file(self.location)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder exists as soon as an object lies in it."""


# Answers from a listing


@dataclass(frozen=True, slots=True)
class Seen:
    """An object as it was when its folder was listed.

    Attributes:
        info: Size and time of change from the listing.
        content: Bytes of the object, if they were asked for.
    """

    info: dict[str, Any]
    content: bytes | None = None


@dataclass(frozen=True)
class Snapshot:
    """The objects of some folders as they were when these were listed.

    Attributes:
        folders: Folders that were listed.
        objects: Parts of a path → the object there.
    """

    folders: list[RemotePath] = field(default_factory=list)
    objects: dict[tuple[str, ...], Seen] = field(default_factory=dict)


_snapshot: ContextVar[Snapshot | None] = ContextVar("snapshot", default=None)  # each thread has its own


@contextmanager
def answering_from(snapshot: Snapshot) -> Iterator[None]:
    """Let paths in the folders of a snapshot answer from it while the block runs."""
    token = _snapshot.set(snapshot)
    try:
        yield
    finally:
        _snapshot.reset(token)


def _seen(path: RemotePath) -> Seen | None:
    """Return the object of a path from a snapshot; None when no snapshot has its folder.

    Raises:
        FileNotFoundError: A snapshot has the folder, and no such object in it.
    """
    snapshot = _snapshot.get()
    if snapshot is None or not any(path.is_relative_to(folder) for folder in snapshot.folders):
        return None
    found = snapshot.objects.get(path.parts)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, LOST, str(path))
    return found


# Reading content


class _TranslatingFile:
    """An open object whose errors name it."""

    def __init__(self, file: Any, url: str) -> None:
        self._file, self._url = file, url

    def read(self, size: int = -1) -> bytes:
        with translate_errors(self._url):
            return bytes(self._file.read(size))

    def readinto(self, buffer: Any) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> _TranslatingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _modified(info: dict[str, Any]) -> int:
    """Return the time of change, in seconds since 1970; each file system has its own name for it."""
    found = next((info[name] for name in ("LastModified", "mtime", "updated", "created") if info.get(name)), 0)
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    return int(found.timestamp() if isinstance(found, datetime) else found)

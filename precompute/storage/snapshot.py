"""Many questions to a store answered by one listing.

A build asks for each of its receipts and shards, one by one, whether it is there and how large. Of a local disk that is
quick; of a store each question is a request. `seen_at_once` lists folders once, and what is asked of paths in them
meanwhile is answered from that.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.storage.store import LOST, explained, filesystem, read_options

if TYPE_CHECKING:
    from precompute.storage.remote_path import RemotePath

__all__ = ["Seen", "seen", "seen_at_once"]


@dataclass(frozen=True, slots=True)
class Seen:
    """One object, as it was when its folder was listed.

    Attributes:
        info: What the listing says of it.
        content: Its bytes, if they were asked for.
    """

    info: dict[str, Any]
    content: bytes | None = None


@dataclass(frozen=True)
class _Snapshot:
    folders: list[RemotePath] = field(default_factory=list)
    objects: dict[tuple[str, ...], Seen] = field(default_factory=dict)


SMALL_BYTES = 2**16

# (scheme, name) → tag and content: receipts stay as they are.
_read_before: dict[tuple[str, str], tuple[Any, bytes]] = {}
_snapshot: ContextVar[_Snapshot | None] = ContextVar("snapshot", default=None)  # each thread has its own


def seen(path: RemotePath) -> Seen | None:
    """Return what a snapshot knows of a path; None when none holds its folder.

    Raises:
        FileNotFoundError: The folder was listed, and there was no such object.
    """
    snapshot = _snapshot.get()
    if snapshot is None or not any(path.is_relative_to(folder) for folder in snapshot.folders):
        return None
    found = snapshot.objects.get(path.parts)
    if found is None:
        raise FileNotFoundError(errno.ENOENT, LOST, str(path))
    return found


@contextmanager
def seen_at_once(*folders: Path, contents: tuple[Path, ...] = ()) -> Iterator[None]:
    """Answer questions about objects in remote folders, while the block runs, as they were when it began.

    Not for a block that writes or deletes there. Local folders are passed over.

    Args:
        *folders: To be listed, with all that is below them.
        contents: Folders of small objects, to be listed and read, many at a time.
    """
    from precompute.storage.paths import is_remote

    snapshot = _Snapshot()
    for folder, with_content in [*((f, False) for f in folders), *((f, True) for f in contents)]:
        if is_remote(folder):
            snapshot.folders.append(folder)
            snapshot.objects.update(_list(folder, with_content=with_content))
    token = _snapshot.set(snapshot if snapshot.folders else None)
    try:
        yield
    finally:
        _snapshot.reset(token)


def _list(folder: RemotePath, *, with_content: bool) -> Iterator[tuple[tuple[str, ...], Seen]]:
    try:
        with explained(str(folder)):
            found = filesystem(folder.scheme).find(folder.location, detail=True)
    except FileNotFoundError:
        return
    contents = _read(folder, found) if with_content else {}
    start = len(folder.location.rstrip("/")) + 1
    for name, info in found.items():
        if with_content and name not in contents:
            continue  # gone meanwhile
        yield (*folder.parts, *name[start:].split("/")), Seen(info, contents.get(name))


def _read(folder: RemotePath, found: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    """Return the content of objects by name, many read at a time; what has not changed since is not read again."""
    fs, scheme = filesystem(folder.scheme), folder.scheme
    tags = {name: info.get("ETag") or info.get("etag") for name, info in found.items()}
    known = {name: _read_before[scheme, name] for name in found if (scheme, name) in _read_before}
    contents = {name: content for name, (tag, content) in known.items() if tag == tags[name]}
    new = [name for name in found if name not in contents]
    with explained(str(folder)):
        answers = fs.cat(new, on_error="return", **read_options(scheme)) if new else {}
    for name, content in answers.items():
        if isinstance(content, FileNotFoundError):
            continue
        if isinstance(content, Exception):
            with explained(f"{folder.scheme}://{name.lstrip('/')}"):
                raise content
        contents[name] = content
        if tags[name] and len(content) <= SMALL_BYTES:
            _read_before[scheme, name] = tags[name], content
    return contents

"""One listing of a store that answers many questions.

A build asks for each of its receipts and shards whether it is there and how large it is. A local disk answers quickly;
for a store each question is a request. `seen_at_once` lists folders once, and paths in them then answer from that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from precompute.storage.paths import is_remote
from precompute.storage.remote_path import RemotePath, Seen, Snapshot, answering_from
from precompute.storage.store import filesystem, read_options, translate_errors
from precompute.storage.transfer import find_objects

__all__ = ["seen_at_once"]

SMALL_BYTES = 2**16

# (scheme, name) → tag and content: receipts stay as they are.
_read_before: dict[tuple[str, str], tuple[Any, bytes]] = {}


@contextmanager
def seen_at_once(*folders: Path, contents: tuple[Path, ...] = ()) -> Iterator[None]:
    """Answer questions about objects in remote folders while the block runs, from their state when it began.

    The block must not write or delete there. Local folders are passed over.

    Args:
        *folders: Folders to list, with all that is below them.
        contents: Folders of small objects to list and read, many at a time.
    """
    snapshot = Snapshot()
    for folder, with_content in [*((f, False) for f in folders), *((f, True) for f in contents)]:
        if is_remote(folder):
            snapshot.folders.append(folder)
            snapshot.objects.update(_list(folder, with_content=with_content))
    with answering_from(snapshot):
        yield


def _list(folder: RemotePath, *, with_content: bool) -> Iterator[tuple[tuple[str, ...], Seen]]:
    found = find_objects(folder)
    contents = _read(folder, found) if with_content else {}
    start = len(folder.location.rstrip("/")) + 1
    for name, info in found.items():
        if with_content and name not in contents:
            continue  # gone meanwhile
        yield (*folder.parts, *name[start:].split("/")), Seen(info, contents.get(name))


def _read(folder: RemotePath, found: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    """Return the content of objects by name. Many are read at a time, and unchanged objects are not read again."""
    fs, scheme = filesystem(folder.scheme), folder.scheme
    tags = {name: info.get("ETag") or info.get("etag") for name, info in found.items()}
    known = {name: _read_before[scheme, name] for name in found if (scheme, name) in _read_before}
    contents = {name: content for name, (tag, content) in known.items() if tag == tags[name]}
    new = [name for name in found if name not in contents]
    with translate_errors(str(folder)):
        answers = fs.cat(new, on_error="return", **read_options(scheme)) if new else {}
    for name, content in answers.items():
        if isinstance(content, FileNotFoundError):
            continue
        if isinstance(content, Exception):
            with translate_errors(f"{folder.scheme}://{name.lstrip('/')}"):
                raise content
        contents[name] = content
        if tags[name] and len(content) <= SMALL_BYTES:
            _read_before[scheme, name] = tags[name], content
    return contents

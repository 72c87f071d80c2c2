"""Every change that a process makes to the files below a folder, seen at the calls into the operating system.

Taken there and not at functions of the product: what goes round its own module for files is seen too.
"""

from __future__ import annotations

import io
import os
import re
import shutil  # noqa: F401 (must have looked at os before it is patched: it asks which functions know dir_fd)
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNIQUE = re.compile(r"\.[0-9a-f]{32}$")  # what a temporary name has after the final one
KINDS = [
    ("receipt", r"_r\d{4}-\d{5}\.json$"),
    ("row file", r"_r\d{4}\.json$"),
    ("column", r"(train|validation|test)-\d{5}\.json$"),
    ("shard", r"\.tfrecord-\d{5}-of-\d{5}$"),
    ("sources file", r"/sources-\w+\.jsonl$"),
    ("draft", r"/plan\.json$"),
    ("manifest", r"/manifest\.json$"),
    ("TFDS file", r"/(dataset_info|features)\.json$|\.labels\.txt$"),
    ("bad sources", r"/errors\.jsonl$"),
    ("folder of shards", r"/data/g\d{4}$"),
    ("folder of row files", r"/rows$"),
    ("folder of receipts", r"/receipts$"),
    ("folder of columns", r"/columns$"),
    ("folder of temporary files", r"/tmp$"),
]


@dataclass(frozen=True)
class Operation:
    """One call, seen before it is made and once more after it.

    Attributes:
        name: create, write, sync, sync folder, rename, link, remove, make folder, remove folder.
        path: What it is done to; the new name of a rename and a link.
        origin: The old name of a rename and a link.
    """

    name: str
    path: str
    origin: str = ""

    @property
    def point(self) -> str:
        """The name of this place in a build."""
        return f"{self.name.removesuffix(' folder')} {self.kind}"

    @property
    def kind(self) -> str:
        """What sort of file it is, also under a temporary name."""
        final = UNIQUE.sub("", self.path)
        return next((kind for kind, pattern in KINDS if re.search(pattern, final)), "another folder")


def _passing(path: str) -> bool:
    return path.endswith((".build/lock", "/.leases", "/.build/at")) or "/.leases/" in path or "/.build/at/" in path


Listener = Callable[[str, Operation], None]  # "before" or "after"


def watch(folder: Path, listener: Listener, patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Call the listener before and after each change below a folder.

    Args:
        folder: The dataset. Its lock, its readers' leases and its workers' notes are left out: none needs to last.
        listener: May raise, or end the process.
        patch: Puts a function in the place of an attribute; pytest's knows the way back.
    """
    inside = str(folder)

    def recorded(function: Any, describe: Callable[..., Operation | None]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            operation = describe(*args, **kwargs)
            counts = operation is not None and operation.path.startswith(inside)
            if operation is None or not counts or _passing(operation.path):
                return function(*args, **kwargs)
            listener("before", operation)
            result = function(*args, **kwargs)
            listener("after", operation)
            return result

        return call

    def one(name: str) -> Callable[..., Operation]:
        return lambda path, *_, dir_fd=None, **__: Operation(name, _full(path, dir_fd))

    def two(name: str) -> Callable[..., Operation]:
        return lambda origin, path, **_: Operation(name, os.fspath(path), os.fspath(origin))

    def sync(descriptor: int) -> Operation:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        return Operation("sync folder" if Path(path).is_dir() else "sync", path)

    def create(path: Any, mode: str = "r", *_: Any, **__: Any) -> Operation | None:
        return None if isinstance(path, int) or not set(mode) & set("wx") else Operation("create", os.fspath(path))

    for function, name in (("unlink", "remove"), ("rmdir", "remove folder"), ("mkdir", "make folder")):
        patch(os, function, recorded(getattr(os, function), one(name)))
    for function, name in (("replace", "rename"), ("link", "link")):
        patch(os, function, recorded(getattr(os, function), two(name)))
    patch(os, "fsync", recorded(os.fsync, sync))
    patch(io, "open", recorded(io.open, create))


def watch_records(listener: Listener, patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Call the listener before and after each record that goes to a shard; most stay in a buffer for a while."""
    from precompute.building.files import ShardWriter

    write = ShardWriter.write

    def recorded(self: ShardWriter, record: bytes) -> None:
        operation = Operation("write", str(self.temp_path))
        listener("before", operation)
        write(self, record)
        listener("after", operation)

    patch(ShardWriter, "write", recorded)


def _full(path: Any, dir_fd: int | None) -> str:
    return os.fspath(path) if dir_fd is None else f"{Path(f'/proc/self/fd/{dir_fd}').readlink()}/{path}"

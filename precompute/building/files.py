"""All file operations of a build: a file with its final name is whole, and survives a crash.

In an object store, an object appears when its last byte has arrived, and survives. So a shard is written to the local
disk and sent as a whole, small files are sent from memory, and nothing has to be synced.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, wait
from pathlib import Path
from typing import IO

from precompute.records.tfrecord import record_footer, record_header
from precompute.storage.paths import RemotePath, is_remote
from precompute.storage.transfer import copy_object, delete_objects, delete_tree, upload

__all__ = [
    "ShardWriter",
    "commit",
    "link_or_copy",
    "make_folder",
    "remove",
    "remove_all",
    "remove_tree",
    "sync_folder",
    "take_unsynced",
    "write_all_whole",
    "write_whole",
]


# Errors of network and user-space file systems that cannot sync folders. EIO and ENOSPC are not among them.
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EBADF)
_unsynced: dict[int, Path | None] = {}  # device → a folder of it that has not been told of yet


def write_whole(path: Path, content: bytes | Iterable[bytes], temporary: Path) -> None:
    """Write a file, whole or not at all.

    Args:
        path: Final path of the file.
        content: Content of the file; in parts if it is large.
        temporary: Folder on the same file system for its temporary name.
    """
    if is_remote(path):
        path.write_bytes(content if isinstance(content, bytes) else b"".join(content))
        return
    temp_path = _temporary_name(path, temporary)
    try:
        _write_synced(temp_path, content)
        commit([(temp_path, path)])
    finally:
        temp_path.unlink(missing_ok=True)


def write_all_whole(contents: Mapping[Path, bytes], temporary: Path, threads: Executor) -> None:
    """Write small files, each whole or not at all; files are synced in parallel, and each folder once.

    Args:
        contents: Final path → content.
        temporary: Folder on the same file system for their temporary names.
        threads: Threads that wait for the disk.
    """
    if any(map(is_remote, contents)):
        list(threads.map(lambda path: path.write_bytes(contents[path]), contents))
        return
    temp_path = {_temporary_name(path, temporary): path for path in contents}
    try:
        writing = [threads.submit(_write_synced, *file) for file in zip(temp_path, contents.values(), strict=True)]
        wait(writing)  # all of them: when one has failed, another may still be about to make its file
        for future in writing:
            future.result()
        commit(temp_path.items())
    except BaseException:
        for path in temp_path:
            path.unlink(missing_ok=True)
        raise


def _write_synced(path: Path, content: bytes | Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content)
        _sync(file)


def commit(renames: Iterable[tuple[Path, Path]]) -> None:
    """Give finished, synced files their final names, and make these names survive a crash."""
    folders: dict[Path, None] = {}
    for temp_path, final in renames:
        if is_remote(final):
            _commit_object(temp_path, final)
            continue
        make_folder(final.parent)
        temp_path.replace(final)
        folders[final.parent] = None
    for folder in folders:
        sync_folder(folder)


def _commit_object(temp_path: Path, final: RemotePath) -> None:
    if is_remote(temp_path):
        copy_object(temp_path, final)
    else:
        upload(temp_path, final)
    temp_path.unlink(missing_ok=True)


class ShardWriter:
    """Writes one shard under a temporary name; `commit` gives it its final one.

    Attributes:
        final: Final path.
        num_records: Number of records so far.
        num_bytes: Number of bytes so far.
    """

    def __init__(self, final: Path, temporary: Path, *, buffer_bytes: int) -> None:
        self.final = final
        self.num_records = 0
        self.num_bytes = 0
        self._hash = hashlib.sha256()
        self._mark = (0, 0)
        self._synced_bytes = -1
        self.temp_path = _temporary_name(final, temporary)
        self._file: IO[bytes] = self.temp_path.open("wb", buffering=buffer_bytes)

    def write(self, record: bytes) -> None:
        """Append one framed record."""
        for part in (record_header(record), record, record_footer(record)):
            self._file.write(part)
            self._hash.update(part)
            self.num_bytes += len(part)
        self.num_records += 1

    def mark(self) -> None:
        """Remember this position for `rollback`."""
        self._mark = (self.num_records, self.num_bytes)

    def rollback(self) -> None:
        """Remove all records since `mark`."""
        self.num_records, self.num_bytes = self._mark
        self._file.seek(self.num_bytes)
        self._file.truncate()
        self._synced_bytes = -1
        with self.temp_path.open("rb") as file:  # rarer by far than marks, which would cost a copy each
            self._hash = hashlib.file_digest(file, "sha256")

    def sync(self) -> None:
        """Flush and sync what was written so far, unless that is done."""
        if self._synced_bytes != self.num_bytes:
            _sync(self._file)
            self._synced_bytes = self.num_bytes

    def finish(self) -> str:
        """Flush, sync and close; returns the content's sha256 in hexadecimal."""
        self.sync()
        self._file.close()
        return self._hash.hexdigest()

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()  # on a full disk this fails too
        finally:
            self.temp_path.unlink(missing_ok=True)  # gone already when it was committed


def link_or_copy(source: Path, final: Path, temporary: Path) -> None:
    """Give a finished file a second name: a hard link where the file system has them, else a copy."""
    if is_remote(source) and is_remote(final):
        copy_object(source, final)
        return
    temp_path = _temporary_name(final, temporary)
    try:
        try:
            os.link(source, temp_path)
        except OSError:
            shutil.copyfile(source, temp_path)
            with temp_path.open("rb+") as file:
                _sync(file)
        commit([(temp_path, final)])
    finally:
        temp_path.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Create a folder and those above it where they are missing, and make their names survive a crash."""
    if is_remote(folder) or folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)  # else all that is in it can be lost, synced or not


def remove(path: Path) -> None:
    """Delete a file if it is there."""
    path.unlink(missing_ok=True)


def remove_all(paths: Sequence[Path]) -> None:
    """Delete files, those of an object store many at a time."""
    delete_objects([path for path in paths if is_remote(path)])
    for path in paths:
        if not is_remote(path):
            remove(path)


def remove_tree(folder: Path) -> None:
    """Delete a folder with all that is in it, if it is there.

    What cannot be deleted stays for the next time: workers of a killed build may not have ended yet. They find their
    temporary files gone, and so give no file its final name any more.
    """
    if is_remote(folder):
        delete_tree(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a crash; Windows has no such call and needs none."""
    if is_remote(folder) or os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise  # the disk is full, or failing
        _note_unsynced(folder)


def _note_unsynced(folder: Path) -> None:
    device = folder.stat().st_dev
    if device not in _unsynced:
        _unsynced[device] = folder


def take_unsynced() -> Path | None:
    """Return a folder on a file system that cannot sync folders; each file system comes once per process."""
    for device, folder in _unsynced.items():
        if folder is not None:
            _unsynced[device] = None
            return folder
    return None


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _temporary_name(final: Path, temporary: Path) -> Path:
    make_folder(temporary)
    return temporary / f"{final.name}.{uuid.uuid4().hex}"

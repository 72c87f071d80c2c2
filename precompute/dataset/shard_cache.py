"""Shards of a dataset in an object store, fetched to a local folder before they are read.

The name of a cached file holds row, block and sha256, so that none is taken for another one. Several readers may share
a folder. Files of rows that are no longer listed are removed when a dataset is opened.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import time
import uuid
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any, cast

from filelock import FileLock

from precompute.dataset.leases import Lease, RowName, all_rows, held_rows
from precompute.dataset.manifest import Manifest, Row
from precompute.dataset.rows import Shard, read_row_file
from precompute.errors import DatasetError, StorageError, UsageError
from precompute.storage.paths import RemotePath, is_remote, local_path
from precompute.storage.transfer import download

__all__ = ["ShardCache", "open_cache"]

READ_BY_TENSORFLOW = ("gs",)  # as it stands: tf.io.gfile knows this scheme itself
AT_A_TIME = 8
CELL = re.compile(r"(g\d{4})-([a-z]+)_r(\d{4})-\d{5}-[0-9a-f]{32}\.tfrecord")
UNFINISHED = ".unfinished"
ABANDONED_S = 3600.0  # a download that has not grown for so long


def open_cache(
    root: Path, cache_dir: str | Path | None, *, full: bool = False, tensorflow: bool = False
) -> ShardCache | None:
    """Return the cache of a dataset's shards; None where shards are read in place.

    Args:
        cache_dir: The folder; by default `AUGMENT_ONCE_CACHE`, else a folder of the user's cache.
        full: Whether cached files are compared with their sha256 before they are read, and not with their sizes alone.
        tensorflow: Whether TensorFlow reads the shards; it knows some schemes itself.

    Raises:
        UsageError: The folder cannot be written to.
    """
    if not is_remote(root) or (tensorflow and root.scheme in READ_BY_TENSORFLOW):
        if cache_dir is not None:
            how = "TensorFlow reads them itself" if is_remote(root) else "they are read from where they lie"
            warnings.warn(f"cache_dir has no effect on the shards of {root}: {how}.", stacklevel=4)
        return None
    folder = default_folder() if cache_dir is None else local_path(cache_dir, "cache_dir")
    folder = folder / f"{root.name}-{hashlib.sha256(str(root).encode()).hexdigest()[:12]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cache_dir: {folder} cannot be written to ({error.strerror}); shards of {root} are fetched there before "
            "they are read. Give a folder on a local disk, or set AUGMENT_ONCE_CACHE."
        ) from error
    return ShardCache(root, folder, full=full)


def default_folder() -> Path:
    """Return the folder of cached files: `AUGMENT_ONCE_CACHE`, else the operating system's place for such files."""
    chosen = os.environ.get("AUGMENT_ONCE_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "augment-once"


@dataclass
class ShardCache:
    """Local copies of a dataset's shards.

    Attributes:
        root: Folder of the dataset.
        folder: Folder of the copies.
        full: Whether they are compared with their sha256 before they are read.
    """

    root: RemotePath
    folder: Path
    full: bool = False
    _shards: dict[str, tuple[RemotePath, Shard]] = field(default_factory=dict)
    _next: dict[frozenset[str], list[str]] = field(default_factory=dict)
    _whole: set[str] = field(default_factory=set)  # compared by this process
    _guard: Any = field(default_factory=Lock)

    def names(self, manifest: Manifest, split: str, row: Row) -> list[str]:
        """Return the local name of each shard of a row; nothing is fetched yet."""
        names = []
        for block, shard in enumerate(read_row_file(cast(Path, self.root), manifest, split, row).shards):
            name = f"{manifest.generation}-{split}_r{row.row:04d}-{block:05d}-{shard.sha256[:32]}.tfrecord"
            names.append(str(self.folder / name))
            path = manifest.shard_path(cast(Path, self.root), split, row.row, block)
            self._shards[names[-1]] = cast(RemotePath, path), shard
        return names

    def take_turns(self, rows: Sequence[list[str]]) -> None:
        """Tell in which order rows will be read, again and again, so that the next row is fetched while one is read."""
        if len(rows) > 1:
            self._next = {frozenset(row): rows[(i + 1) % len(rows)] for i, row in enumerate(rows)}

    def fetch(self, names: Sequence[str]) -> None:
        """Wait until shards have their local names; those of the row that is read next follow in the background.

        Raises:
            DatasetError: What the store holds is missing, or not what the row file says; or the disk is full.
            StorageError: The store cannot be reached, refuses, or fails.
        """
        with self._guard:
            self._fetch_missing(names)
        upcoming = self._next.get(frozenset(names))
        if upcoming is not None:
            self.fetch_ahead(upcoming)

    def fetch_ahead(self, names: Sequence[str]) -> None:
        """Fetch shards in the background; an error is raised when they are needed."""

        def fetch() -> None:
            with suppress(Exception), self._guard:
                self._fetch_missing(names)

        if any(not Path(name).exists() for name in names):
            Thread(target=fetch, name="precompute-fetch", daemon=True).start()

    def _fetch_missing(self, names: Sequence[str]) -> None:
        missing = [name for name in names if not self._is_whole(name)]
        if not missing:
            return
        try:
            # Another reader may be fetching it: it is then there when this one gets the lock.
            with FileLock(self.folder / f".{_split_of(missing[0])}.lock"):
                _all_of(self._fetch_one, [name for name in missing if not self._is_whole(name)])
        except OSError as error:
            needed = sum(self._shards[name][1].num_bytes for name in missing)
            raise DatasetError(
                f"{self.folder}: shards of {self.root} are fetched here before they are read, and cannot be written "
                f"({error.strerror or error}); up to {needed:,} bytes are needed. Make space, or choose a folder on a "
                "larger disk: cache_dir, or the environment variable AUGMENT_ONCE_CACHE."
            ) from error

    def _is_whole(self, name: str) -> bool:
        if self._shards[name][1].fault(Path(name), full=self.full and name not in self._whole):
            return False
        self._whole.add(name)
        return True

    def _fetch_one(self, name: str) -> None:
        path, shard = self._shards[name]
        temp_path = Path(f"{name}.{uuid.uuid4().hex}{UNFINISHED}")
        try:
            download(path, temp_path)
            if shard.fault(temp_path, full=True):
                raise DatasetError(
                    f"{path}: this is not the shard that the row file names by its sha256; it was altered. Run the "
                    "same `precompute build` again with --check full: it puts back what is missing or altered."
                )
            temp_path.replace(name)
        except FileNotFoundError as error:
            raise DatasetError(
                f"{path}: missing. Run the same `precompute build` again: it puts back what is missing or altered."
            ) from error
        finally:
            temp_path.unlink(missing_ok=True)
        self._whole.add(name)

    def tidy(self, manifest: Manifest, lease: Lease) -> None:
        """Delete copies of shards whose rows are neither listed nor held by a reader, and abandoned downloads.

        Args:
            lease: Lease of this reader; others leave theirs in the same folder, or beside the dataset.
        """
        try:
            wanted = {*all_rows(manifest), *held_rows(cast(Path, self.root), lease_dir=lease.folder)}
        except StorageError:
            return  # what others hold is not known
        for path in self.folder.iterdir():
            with suppress(OSError):  # another reader does the same, or has it open where that keeps it
                if _is_left_over(path, wanted):
                    path.unlink()


def _split_of(name: str) -> str:
    cell = CELL.fullmatch(Path(name).name)
    return cell[2] if cell else ""


def _is_left_over(path: Path, wanted: set[RowName]) -> bool:
    cell = CELL.fullmatch(path.name)
    if cell is not None:
        return (cell[1], cell[2], int(cell[3])) not in wanted
    return path.name.endswith(UNFINISHED) and time.time() - path.stat().st_mtime > ABANDONED_S


def _all_of(work: Any, items: Sequence[str]) -> None:
    """Call a function for all items, several at a time; raises the error of the first item that failed.

    Its threads do not keep the program from ending, as those of concurrent.futures would.
    """
    left, errors = list(reversed(items)), list[BaseException]()

    def take() -> None:
        while left and not errors:
            try:
                item = left.pop()
            except IndexError:
                return
            try:
                work(item)
            except BaseException as error:  # raised below, in the thread that waits
                errors.append(error)

    threads = [Thread(target=take, name="precompute-fetch", daemon=True) for _ in items[:AT_A_TIME]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]

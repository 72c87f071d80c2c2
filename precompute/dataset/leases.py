"""Leases: small files that living readers renew, so that rows are not taken from under them.

Readers and writers need no common lock. A writer first swaps the manifest, then looks for leases, then deletes. A
reader first leaves its lease, then reads the manifest again. Whichever comes first, the other one sees it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import threading
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.errors import StorageError, UsageError
from precompute.storage.paths import as_path, is_remote
from precompute.storage.snapshot import seen_at_once

__all__ = ["Lease", "RowName", "all_rows", "held_rows", "hold_again", "hold_rows", "note_without_lease"]

RENEW_S = 30.0
EXPIRES_S = 300.0  # ten missed renewals: the reader is gone, whatever became of it

MAX_BYTES = 2**22  # 9,999 rows of a long name, several times over
NAME = re.compile(r"[0-9a-f]{32}\.(json|tmp)")

FAILURES = (OSError, StorageError)  # of writing: a folder or a bucket that is read-only, or away

RowName = tuple[str, str, int]  # generation, split, row

_noted: set[str] = set()


class Lease:
    """Holds rows of a dataset until it is closed, collected, or its process ends.

    A dataset that cannot be written to gets no lease (`is_left`): whoever removes rows there has to know the readers,
    or look for their leases in a `lease_dir`. A deleted lease is written again at its next renewal.

    Args:
        folder: Folder of the dataset.
        rows: (generation, split, row) of each row that may be read.
        lease_dir: Folder for the lease where the dataset is read-only; made if it is missing. One such folder serves
            one dataset: a lease does not name its own.

    Raises:
        UsageError: `lease_dir` cannot be written to.
    """

    def __init__(self, folder: Path, rows: Sequence[RowName], lease_dir: str | Path | None = None) -> None:
        self._path = _lease_folders(folder, lease_dir)[-1] / f"{uuid.uuid4().hex}.json"
        self._file = _LeaseFile(self._path)
        self._stop = threading.Event()
        self._owner = os.getpid()
        self._renewing = False
        self.close = weakref.finalize(self, _end, self._file, self._stop, self._owner)
        if lease_dir is None:
            with contextlib.suppress(*FAILURES):
                self._path.parent.mkdir(exist_ok=True)
            self.hold(rows)
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._write(rows)
        except FAILURES as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UsageError(
                f"lease_dir: {lease_dir} cannot be written to ({reason}); give a folder where readers may "
                "leave their leases."
            ) from error

    @property
    def folder(self) -> Path:
        """Folder that the lease lies in."""
        return self._path.parent

    @property
    def is_left(self) -> bool:
        """Whether the lease could be written, so that others see it."""
        return self._renewing

    def hold(self, rows: Sequence[RowName]) -> bool:
        """Hold these rows from now on, and no others; returns whether the lease on disk says so.

        Rows that were not held before may have been removed just before: read the manifest again (`hold_again`).
        """
        if not self.close.alive or os.getpid() != self._owner:
            return False
        try:
            self._write(rows)
        except FAILURES:
            return False
        return True

    def _write(self, rows: Sequence[RowName]) -> None:
        self._file.write(json.dumps({"pid": self._owner, "rows": [list(row) for row in rows]}))
        if not self._renewing:
            self._renewing = True
            arguments = (self._file, self._stop)
            threading.Thread(target=_renew, args=arguments, name="precompute-lease", daemon=True).start()


class _LeaseFile:
    """The file of a lease; another thread renews it."""

    def __init__(self, path: Path) -> None:
        self._path, self._content = path, b""
        self._guard = threading.Lock()  # a renewal must not put back what was said before
        self._ended = threading.Event()

    def write(self, text: str) -> None:
        """Replace the content; a reader of the file sees the old content or the new one, whole."""
        with self._telling():
            self._content = text.encode()
            self._put()

    def renew(self) -> None:
        """Write the file again with the present time, also if somebody deleted it as the lease of a dead reader."""
        with self._telling():
            if self._ended.is_set():
                return
            if is_remote(self._path):
                self._put()
                return
            try:
                os.utime(self._path)
            except FileNotFoundError:
                self._put()

    def _put(self) -> None:
        if is_remote(self._path):
            self._path.write_bytes(self._content)
            return
        temp_path = self._path.with_suffix(".tmp")
        temp_path.write_bytes(self._content)
        temp_path.replace(self._path)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        with self._guard:
            yield
            if self._ended.is_set():  # meanwhile: it must not come back
                self._path.unlink(missing_ok=True)

    def end(self) -> None:
        """Delete the file.

        Garbage collection may call this anywhere, also in a thread that a renewal waits for: so it waits for nothing.
        """
        self._ended.set()
        if self._guard.acquire(blocking=False):
            try:
                self._path.unlink(missing_ok=True)
            finally:
                self._guard.release()


def _renew(lease_file: _LeaseFile, stop: threading.Event) -> None:
    while not stop.wait(RENEW_S):
        with contextlib.suppress(*FAILURES):  # a network folder that is away
            lease_file.renew()


def _end(lease_file: _LeaseFile, stop: threading.Event, owner: int) -> None:
    stop.set()
    if os.getpid() != owner:
        return  # a forked child drops its copy of the reader; the parent reads on
    # At the end of a program, a store's library may be unable to send requests; the lease then expires.
    with contextlib.suppress(*FAILURES, RuntimeError):
        lease_file.end()


def all_rows(manifest: Manifest) -> list[RowName]:
    """Return the names of all rows that a manifest lists."""
    return [(manifest.generation, name, row.row) for name, split in manifest.splits.items() for row in split.rows]


def hold_rows(
    folder: Path, choose: Callable[[Manifest], Sequence[RowName]], lease_dir: str | Path | None = None
) -> tuple[Manifest, Lease]:
    """Return the manifest, and a lease on rows that it lists.

    Args:
        choose: Manifest → rows to hold; called again when the manifest has changed meanwhile.
        lease_dir: Folder for the lease where the dataset is read-only.

    Raises:
        DatasetError: There is no manifest that can be read.
        UsageError: `lease_dir` cannot be written to.
    """
    manifest = Manifest.load(folder)
    lease = Lease(folder, choose(manifest), lease_dir)
    try:
        return _settle(folder, manifest, lease, choose), lease
    except BaseException:
        lease.close()
        raise


def note_without_lease(folder: Path, lease: Lease) -> None:
    """Warn, once per dataset, that others cannot see that it is read."""
    if lease.is_left or str(folder) in _noted:
        return
    _noted.add(str(folder))
    warnings.warn(
        f"{folder}: this reader can leave no lease there, so that drop, follow, regenerate and build --replace do not "
        "see that it is read, and may delete rows meanwhile. Name one folder to both sides: lease_dir, or --lease-dir.",
        stacklevel=4,
    )


def hold_again(folder: Path, lease: Lease, choose: Callable[[Manifest], Sequence[RowName]]) -> Manifest:
    """Let a lease hold other rows, and return the manifest that lists them.

    Args:
        choose: Manifest → rows to hold; called again when the manifest has changed meanwhile.

    Raises:
        DatasetError: There is no manifest that can be read.
    """
    manifest = Manifest.load(folder)
    lease.hold(choose(manifest))
    return _settle(folder, manifest, lease, choose)


def _settle(folder: Path, seen: Manifest, lease: Lease, choose: Callable[[Manifest], Sequence[RowName]]) -> Manifest:
    """Return the manifest once it is the one that the rows were chosen from; before, some may have been removed."""
    while (manifest := Manifest.load(folder)) != seen:
        lease.hold(choose(manifest))
        seen = manifest
    return manifest


def held_rows(folder: Path, *, now: float | None = None, lease_dir: str | Path | None = None) -> set[RowName]:
    """Return the rows that living readers hold; expired leases are deleted.

    No other file is deleted, in case the folder was given by mistake or is a link in a dataset from elsewhere.

    Args:
        now: Time, in seconds since 1970; by default that of the clock that dates files beside the leases, which may be
            another one than this machine's, such as a file server's.
        lease_dir: Another folder where readers of this dataset, and of no other, leave leases.
    """
    folders = _lease_folders(folder, lease_dir)
    times = {where: _time_in(where) if now is None else now for where in folders}
    with seen_at_once(*folders):
        return set().union(*(_read_leases(where, times[where]) for where in folders))


def _time_in(folder: Path) -> float:
    """Return the time of a file that is written now; that of this machine where none can be."""
    probe = folder / f"{uuid.uuid4().hex}.tmp"
    try:
        if not any(folder.glob("*.json")):
            return time.time()  # there is nothing to judge
        probe.write_bytes(b"now")
        try:
            return float(probe.lstat().st_mtime)
        finally:
            probe.unlink(missing_ok=True)
    except FAILURES:
        return time.time()


def _read_leases(folder: Path, now: float) -> set[RowName]:
    held: set[RowName] = set()
    for path in folder.glob("*.*"):
        try:
            info = path.lstat()
            if not stat.S_ISREG(info.st_mode) or info.st_size > MAX_BYTES:
                continue  # to read a pipe would be to wait for ever
            if now - info.st_mtime > EXPIRES_S:
                if NAME.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            elif path.suffix == ".json":
                rows = json.loads(path.read_text())["rows"]
                held.update((str(generation), str(split), int(row)) for generation, split, row in rows)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue  # gone meanwhile, or not a lease
    return held


def _lease_folders(folder: Path, lease_dir: str | Path | None) -> list[Path]:
    beside = DatasetPaths(folder).leases
    return [beside] if lease_dir is None else [beside, as_path(lease_dir)]

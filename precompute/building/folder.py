"""The dataset's folder for the writer: its lock, its drafts, and files that are no longer listed."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from precompute.building.files import make_folder, remove_all, remove_tree, sync_folder, write_whole
from precompute.dataset.json_files import parse_json, read_json
from precompute.dataset.leases import EXPIRES_S, RENEW_S, all_rows, held_rows
from precompute.dataset.manifest import SPLITS, Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.schema_json import in_segments
from precompute.errors import BuildError, DatasetError, PrecomputeError, accessible
from precompute.plan.generation import GenerationPlan
from precompute.storage.locking import hold_folder
from precompute.storage.paths import RemotePath, is_remote
from precompute.storage.transfer import local_side
from precompute.table.listing import Listing
from precompute.table.listing_file import listing_lines, read_listing, stored_listing
from precompute.table.sources import Sources

__all__ = [
    "SCRATCH",
    "FolderInUseError",
    "RemoteLock",
    "StoredGeneration",
    "next_generation",
    "save_draft",
    "stored_generations",
    "sweep",
    "write_lock",
]

SCRATCH = "repair"  # in the place of a generation, so that nothing wrong ever has a listed shard's name


class FolderInUseError(BuildError):
    """Another process is writing into the dataset."""


@contextmanager
def write_lock(out: Path, lease_dir: str | Path | None = None) -> Iterator[None]:
    """Hold the lock of a dataset for writing; the operating system releases it when the process dies.

    Args:
        lease_dir: Further folder where readers leave leases.

    Raises:
        FolderInUseError: Another process holds it.
        BuildError: The folder cannot be used.
    """
    paths = DatasetPaths(out)
    with accessible(out, BuildError, "written"):
        if out.exists() and not out.is_dir():
            raise BuildError(f"{out}: expected a folder for the dataset, this is a file.")
        if out.is_dir() and not paths.build.exists() and not paths.manifest.exists() and any(out.iterdir()):
            raise BuildError(f"{out}: holds other files and no dataset; give a new or empty folder.")
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_folder(paths.lock, make_folder))
        except Timeout as error:
            raise FolderInUseError(f"{out}: another build is writing here; wait until it has ended.") from error
        except OSError as error:
            raise BuildError(f"{out}: cannot be written to: {error.strerror}.") from error
        with _writing(out, lease_dir):
            yield


@contextmanager
def _writing(out: Path, lease_dir: str | Path | None) -> Iterator[None]:
    """Remove what earlier commands left, and turn errors of the disk into errors that name the folder."""
    paths, remote = DatasetPaths(out), RemoteLock(out) if is_remote(out) else None
    try:
        if remote is not None and (holder := remote.acquire()) is not None:
            raise FolderInUseError(
                f"{out}: another build is writing here ({holder}); wait until it has ended. One that was killed on "
                f"another machine gives way {EXPIRES_S / 60:.0f} minutes after it was last seen."
            )
        remove_tree(paths.temporary)
        remove_tree(paths.heartbeats)
        _go_on_sweeping(out, lease_dir)
        yield
    except OSError as error:  # the disk is full, read-only, or gone
        raise BuildError(
            f"{error.filename or out}: {error.strerror or error}. What was finished is kept: fix this, then run the "
            "same command again."
        ) from error
    finally:
        if remote is not None:
            remote.release()


class RemoteLock:
    """Keeps other machines from writing into a dataset in an object store, from `acquire` to `release`.

    A store has no locks, so an object says who may write. On one machine, a lock of the operating system decides, as
    for a local folder, and the object of a dead process is taken over at once. Between machines it is an agreement:
    whoever finds an object younger than five minutes keeps away. It is created in one request, only if it is not there,
    where the store can do that (S3 can). Where it cannot, or where several machines take over an expired object in the
    same moment, two of them may believe that they hold the lock.

    Args:
        out: The dataset; this process holds its local lock.
    """

    def __init__(self, out: RemotePath) -> None:
        self._path = out / ".build" / "lock.json"
        self._disk = _disk_id(out)
        self._id = uuid.uuid4().hex
        self._stop = threading.Event()
        self._guard = threading.Lock()

    def acquire(self) -> str | None:
        """Take the lock; returns None, or the holder of the lock.

        Raises:
            StorageError: The store cannot be reached, refuses, or fails.
        """
        other = self._read()
        if other is not None and other.get("disk") != self._disk:
            age = self._age_s()
            if age < EXPIRES_S:
                return f"{other.get('host')}, process {other.get('pid')}, seen {max(0, age):.0f} s ago"
        if other is not None or not self._path.create_bytes(self._content()):
            now = self._read() if other is None else None
            if now is not None and now.get("id") != self._id:
                return f"{now.get('host')}, process {now.get('pid')}, which was quicker"
            self._path.write_bytes(self._content())
        now = self._read() or {}
        if now.get("id") != self._id:
            return f"{now.get('host')}, process {now.get('pid')}, which was quicker"
        threading.Thread(target=self._renew, name="precompute-lock", daemon=True).start()
        return None

    def release(self) -> None:
        """Release the lock; where that fails, it expires."""
        self._stop.set()
        with self._guard, suppress(PrecomputeError):
            if (self._read() or {}).get("id") == self._id:
                self._path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            with self._guard, suppress(PrecomputeError):
                # Else it was released meanwhile; or this machine slept, and another one took over.
                if not self._stop.is_set() and (self._read() or {}).get("id") == self._id:
                    self._path.write_bytes(self._content())

    def _age_s(self) -> float:
        try:
            return time.time() - self._path.stat().st_mtime
        except FileNotFoundError:
            return EXPIRES_S  # given back meanwhile

    def _content(self) -> bytes:
        owner = {"id": self._id, "disk": self._disk, "host": socket.gethostname(), "pid": os.getpid()}
        return json.dumps(owner).encode()

    def _read(self) -> dict[str, Any] | None:
        try:
            owner = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return owner if isinstance(owner, dict) else {}


def _disk_id(out: RemotePath) -> str:
    """Return an id that only the processes share that share the local lock."""
    path = local_side(str(out)) / "id"
    with suppress(FileExistsError), path.open("x") as file:
        file.write(uuid.uuid4().hex)
    return path.read_text()


@dataclass(frozen=True, kw_only=True)
class StoredGeneration:
    """A generation that is on disk.

    Attributes:
        plan: Plan of the generation.
        manifest: Manifest that lists it; None while it is a draft.
        listing: Split → its listing.
    """

    plan: GenerationPlan
    manifest: Manifest | None
    listing: dict[str, Listing]


def stored_generations(out: Path) -> list[StoredGeneration]:
    """Return the listed generation and a draft that an interrupted build left, newest first."""
    paths, generations = DatasetPaths(out), []
    with accessible(out, BuildError):
        manifest = Manifest.load(out) if paths.manifest.exists() else None
    for draft in sorted(paths.build.glob("g*/plan.json"), reverse=True):
        if manifest is not None and draft.parent.name <= manifest.generation:
            continue
        found = _read_draft(draft)
        if found is not None:
            generations.append(found)
    if manifest is not None:
        listing = {split: stored_listing(out, manifest, split) for split in manifest.splits}
        generations.append(
            StoredGeneration(plan=GenerationPlan.of_manifest(manifest), manifest=manifest, listing=listing)
        )
    return generations


def _read_draft(path: Path) -> StoredGeneration | None:
    try:
        content = read_json(path, missing="no draft")
        content["splits"] = in_segments(content.get("splits"), str(path))
        content.setdefault("counters", content.get("remarks", {}))  # as format 1 called them
        plan = parse_json(GenerationPlan, content, str(path))
        listing = {split: read_listing(path.with_name(f"sources-{split}.jsonl")) for split in plan.splits}
    except DatasetError:
        return None  # never finished, or taken away in part: planned again
    return StoredGeneration(plan=plan, manifest=None, listing=listing)


def save_draft(out: Path, plan: GenerationPlan, sources: Sources) -> None:
    """Write the plan of a generation that is being written, and remove earlier drafts."""
    paths = DatasetPaths(out)
    listed = Manifest.load(out).generation if paths.manifest.exists() else None
    for folder in paths.build.glob("g*"):
        if folder.name != listed:  # of this name there can be what is left of a draft that was taken away in part
            remove_tree(folder)
            remove_tree(paths.generation(folder.name))
    for split in plan.splits:
        listing = paths.draft(plan.generation).with_name(f"sources-{split}.jsonl")
        write_whole(listing, listing_lines(sources, split), paths.temporary)
    write_whole(paths.draft(plan.generation), plan.to_bytes(), paths.temporary)


def next_generation(out: Path) -> str:
    """Return the name of a generation that was never used in this dataset."""
    paths = DatasetPaths(out)
    drafts = [plan.parent for plan in paths.build.glob("g*/plan.json")]
    folders = [*drafts, *(paths.root / "data").glob("g*")]
    used = [int(folder.name[1:]) for folder in folders if re.fullmatch(r"g\d{4}", folder.name)]
    if paths.manifest.exists():
        used.append(int(Manifest.load(out).generation[1:]))
    return f"g{max(used, default=0) + 1:04d}"


def sweep(out: Path, manifest: Manifest, lease_dir: str | Path | None = None) -> int:
    """Delete files that the manifest does not list and no living reader holds; returns how many stay for readers.

    Args:
        lease_dir: Further folder where readers leave leases.
    """
    kept = _remove_shards(out, manifest, lease_dir, lambda *_: True)
    for folder in DatasetPaths(out).build.glob("g*"):
        remove_tree(folder)
    return kept


def _go_on_sweeping(out: Path, lease_dir: str | Path | None) -> None:
    """Delete files that were listed once and were left by an interrupted sweep, or for readers that have ended by now.

    Files of rows and generations with higher numbers stay: an interrupted build has still to list them.
    """
    paths = DatasetPaths(out)
    remove_tree(paths.generation(SCRATCH))
    remove_tree(paths.build / SCRATCH)
    if not paths.manifest.exists():
        return
    manifest = Manifest.load(out)
    next_row = {name: split.next_row for name, split in manifest.splits.items()}

    def listed_once(generation: str, split: str, row: int) -> bool:
        return generation < manifest.generation or (generation == manifest.generation and row < next_row.get(split, 0))

    sync_folder(out)  # the command that was cut short may not have come to it
    _remove_shards(out, manifest, lease_dir, listed_once)


def _remove_shards(
    out: Path, manifest: Manifest, lease_dir: str | Path | None, goes: Callable[[str, str, int], bool]
) -> int:
    """Delete shards and row files of rows that are not listed; returns how many stay because readers hold them."""
    data, kept = DatasetPaths(out).generation(manifest.generation).parent, 0
    held = held_rows(out, lease_dir=lease_dir)
    listed = set(all_rows(manifest))
    for folder in data.glob("g*"):
        gone, derived = [], [*(folder / "rows").glob("*.json"), *(folder / "dali").glob("*.idx")]
        for path in [*folder.glob("*.tfrecord-*"), *derived]:
            row = _row_of(path)
            if row is None or (folder.name, *row) in listed or not goes(folder.name, *row):
                continue
            if (folder.name, *row) in held:
                kept += 1
            else:
                gone.append(path)
        remove_all(gone)
        empty = not any(folder.glob("*.tfrecord-*"))
        if empty and folder.name != manifest.generation and goes(folder.name, SPLITS[0], 0):
            remove_tree(folder)
    return kept


def _row_of(path: Path) -> tuple[str, int] | None:
    match = re.search(rf"({'|'.join(SPLITS)})_r(\d{{4}})\.", path.name)
    return (match[1], int(match[2])) if match else None

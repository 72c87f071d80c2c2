"""Leases: small files that living readers renew, so that rows are not taken from under them.

How a reader and a writer agree without a common lock: the writer first swaps the manifest, then looks for leases, then
deletes; the reader first leaves its lease, then reads the manifest again. Whichever comes first, the other one sees it.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths

__all__ = ["Lease", "RowName", "held_rows", "hold_rows"]

RENEW_S = 30.0
EXPIRES_S = 300.0  # ten missed renewals: the reader is gone, whatever became of it

RowName = tuple[str, str, int]  # generation, split, row


class Lease:
    """Holds rows of a dataset until it is closed, collected, or its process ends.

    On a dataset that cannot be written to there is no lease, and no word about it: whoever may take rows away there
    has to know the readers.

    Args:
        folder: The dataset.
        rows: (generation, split, row) of each row that may be read.
    """

    def __init__(self, folder: Path, rows: Sequence[RowName]) -> None:
        path = DatasetPaths(folder).leases / f"{uuid.uuid4().hex}.json"
        stop = threading.Event()
        self.close = weakref.finalize(self, _end, path, stop, os.getpid())
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({"pid": os.getpid(), "rows": [list(row) for row in rows]}))
        except OSError:
            return
        threading.Thread(target=_renew, args=(path, stop), name="precompute-lease", daemon=True).start()


def _renew(path: Path, stop: threading.Event) -> None:
    while not stop.wait(RENEW_S):
        try:
            os.utime(path)
        except FileNotFoundError:
            return  # the dataset was deleted, or the lease given up as expired
        except OSError:
            continue  # a network folder that is away for a moment


def _end(path: Path, stop: threading.Event, owner: int) -> None:
    stop.set()
    if os.getpid() != owner:
        return  # a forked child drops its copy of the reader; the parent reads on
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def hold_rows(folder: Path, choose: Callable[[Manifest], Sequence[RowName]]) -> tuple[Manifest, Lease]:
    """Return the manifest, and a lease on rows that it lists.

    Args:
        folder: The dataset.
        choose: Returns the rows to hold; called again when the manifest changed meanwhile.

    Raises:
        DatasetError: There is no manifest that can be read.
    """
    manifest = Manifest.load(folder)
    while True:
        lease = Lease(folder, choose(manifest))
        before, manifest = manifest, Manifest.load(folder)
        if manifest == before:
            return manifest, lease
        lease.close()  # rows may have been taken away before the lease was seen


def held_rows(folder: Path, *, now: float) -> set[RowName]:
    """Return the rows that living readers hold; leases that have expired are deleted."""
    held: set[RowName] = set()
    for path in DatasetPaths(folder).leases.glob("*.json"):
        try:
            if now - path.stat().st_mtime > EXPIRES_S:
                path.unlink(missing_ok=True)
                continue
            rows = json.loads(path.read_text())["rows"]
            held.update((str(generation), str(split), int(row)) for generation, split, row in rows)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue  # gone meanwhile, or not a lease
    return held

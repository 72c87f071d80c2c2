"""Leases: small files that living readers renew, so that rows are not taken from under them."""

from __future__ import annotations

import json
import os
import threading
import uuid
import weakref
from collections.abc import Sequence
from pathlib import Path

from precompute.dataset.paths import DatasetPaths

__all__ = ["Lease", "held_rows"]

RENEW_S = 30.0
EXPIRES_S = 300.0  # ten missed renewals: the reader is gone, whatever became of it

RowName = tuple[str, str, int]


class Lease:
    """Holds rows of a dataset until it is closed, collected, or its process ends.

    On a dataset that cannot be written to there is no lease, and nobody who could take its rows away from there.

    Args:
        folder: The dataset.
        rows: (generation, split, row) of each row that may be read.
    """

    def __init__(self, folder: Path, rows: Sequence[RowName]) -> None:
        path = DatasetPaths(folder).leases / f"{uuid.uuid4().hex}.json"
        stop = threading.Event()
        self.close = weakref.finalize(self, _end, path, stop)
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
        except OSError:
            return


def _end(path: Path, stop: threading.Event) -> None:
    stop.set()
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


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
        except (OSError, ValueError, KeyError, TypeError):
            continue  # gone meanwhile, or not a lease
    return held

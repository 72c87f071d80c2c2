"""The right to write into a dataset in an object store: an object that says who has it, as a store has no locks.

On one machine a lock of the operating system decides, as for a local folder, and this object is taken over at once from
a process that has died. Between machines it is an agreement: whoever finds it younger than five minutes keeps away. It
is made only if it is not there, in one request, where the store can do that (S3 can); where it cannot, and where
several machines take over an expired one in the same moment, two can come to believe that they have it.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from typing import Any

from precompute.dataset.leases import EXPIRES_S, RENEW_S
from precompute.errors import PrecomputeError
from precompute.storage.paths import RemotePath
from precompute.storage.transfer import local_side

__all__ = ["RemoteLock"]


class RemoteLock:
    """Keeps other machines from writing into a dataset, from `acquire` to `release`.

    Args:
        out: The dataset; its local lock is held by this process.
    """

    def __init__(self, out: RemotePath) -> None:
        self._path = out / ".build" / "lock.json"
        self._disk = _disk_id(out)
        self._id = uuid.uuid4().hex
        self._stop = threading.Event()
        self._guard = threading.Lock()

    def acquire(self) -> str | None:
        """Take the lock; returns None, or who has it.

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
        """Give it back; where that fails it expires."""
        self._stop.set()
        with self._guard, suppress(PrecomputeError):
            if (self._read() or {}).get("id") == self._id:
                self._path.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            with self._guard, suppress(PrecomputeError):
                # Else it was given back meanwhile; or this machine slept, and another one took over.
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
    """Return what is the same for all processes that share the local lock, and for no others."""
    path = local_side(str(out)) / "id"
    with suppress(FileExistsError), path.open("x") as file:
        file.write(uuid.uuid4().hex)
    return path.read_text()

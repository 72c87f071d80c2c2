"""Which source each worker is at: when one dies or hangs, the source that did it is known by name."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from uuid import uuid4

__all__ = ["TimeKeeper", "Whereabouts", "left_behind"]

LOOK_EVERY_S = 0.5
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has the latter alone, and it is as strong


class Whereabouts:
    """A worker's note of the source it is at; gone when its task ends, left behind when the process dies.

    Args:
        folder: Where the notes of all workers lie.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / uuid4().hex
        self._file = self._path.open("wb", buffering=0)
        self._last = ("", "")

    def at(self, split: str, key: str) -> None:
        """Note the source that comes next."""
        self._last = split, key
        self._write(busy=True)

    def leave(self) -> None:
        """Note that the sources are done with: flushing the shards to a slow disk is no fault of the last one."""
        if self._last[1]:
            self._write(busy=False)

    def _write(self, *, busy: bool) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps([*self._last, os.getpid(), busy]).encode())

    def __enter__(self) -> Whereabouts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Note:
    split: str
    key: str
    process: int
    busy: bool

    @property
    def source(self) -> tuple[str, str]:
        return self.split, self.key


def _read(path: Path) -> _Note | None:
    try:
        return _Note(*json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None  # it has not come to a source yet, or is just being written


def left_behind(folder: Path) -> set[tuple[str, str]]:
    """Return (split, key) of the sources that dead workers were at, and delete their notes."""
    found = set()
    for path in folder.glob("*"):
        note = _read(path)
        if note is not None:
            found.add(note.source)
        path.unlink(missing_ok=True)
    return found


class TimeKeeper:
    """Ends worker processes that stay at one source for too long.

    Args:
        folder: Where the notes of all workers lie.
        timeout_s: Longest time at one source, all its rows together; None for no limit.

    Attributes:
        overdue: (split, key) of the sources at which workers were ended.
    """

    def __init__(self, folder: Path, timeout_s: float | None) -> None:
        self.overdue = set[tuple[str, str]]()
        self._folder = folder
        self._timeout_s = timeout_s
        self._seen = dict[Path, tuple[int, float]]()  # of each note: its time, by whatever clock, and ours
        self._end = Event()
        self._thread = Thread(target=self._look, name="time keeper", daemon=True)

    def __enter__(self) -> TimeKeeper:
        if self._timeout_s is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look(self) -> None:
        timeout_s = self._timeout_s or 0.0
        while not self._end.wait(min(LOOK_EVERY_S, timeout_s / 4)):
            for path in self._folder.glob("*"):
                if self._age_s(path) > timeout_s:
                    self._end_worker(path)

    def _age_s(self, path: Path) -> float:
        """Return for how long a note has been as it is."""
        try:
            written = path.stat().st_mtime_ns
        except OSError:
            return 0.0  # its task has just ended
        if path not in self._seen or self._seen[path][0] != written:
            self._seen[path] = written, monotonic()
        return monotonic() - self._seen[path][1]

    def _end_worker(self, path: Path) -> None:
        note = _read(path)
        if note is None or not note.busy:
            return
        for process in active_children():
            if process.pid == note.process:
                self.overdue.add(note.source)
                with suppress(OSError):  # it has ended meanwhile
                    os.kill(note.process, KILL)

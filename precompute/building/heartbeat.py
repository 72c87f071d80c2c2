"""Workers note the source that they are at. So the source is known at which a worker dies or hangs."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from uuid import uuid4

from precompute.program.interruption import KILL

__all__ = ["CRASHED", "Abandoned", "Heartbeat", "TimeKeeper", "sources_of_dead_workers"]

LOOK_EVERY_S = 0.5
CRASHED = "the worker process that tried it died, twice: out of memory, or a crash in a library"


class Abandoned(Exception):  # noqa: N818 (an event, not an error)
    """Raised in a task that nobody waits for any more."""


class Heartbeat:
    """A worker's note of the source it is at; deleted when its task ends, and left behind when the process dies.

    Args:
        folder: Folder of all workers' notes.
        task: Name of the task, fit for a file; on a cluster, another worker restarts a lost task.
        only_task: Whether the process has no other task, so that its source is to blame if it dies.

    Attributes:
        deaths: (split, key) → number of times that a process with only this task died there.
    """

    def __init__(self, folder: Path, task: str = "task", *, only_task: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._earlier = list(folder.glob(f"{task}.*"))
        notes = map(_read, self._earlier)
        self.deaths = Counter(note.source for note in notes if note is not None and note.only_task)
        self._path = folder / f"{task}.{uuid4().hex}"
        self._file = self._path.open("wb", buffering=0)
        self._last = ("", "")
        self._only_task = only_task

    def at(self, split: str, key: str) -> None:
        """Note the source that comes next.

        Raises:
            Abandoned: The note was deleted: the command has ended, and its task outlived it on a cluster.
        """
        if not self._path.exists():
            raise Abandoned(f"{self._path}: taken away")
        self._last = split, key
        self._write(busy=True)

    def leave(self) -> None:
        """Note that all sources are done: slow flushing of shards to the disk is not the last source's fault."""
        if self._last[1]:
            self._write(busy=False)

    def _write(self, *, busy: bool) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps([*self._last, os.getpid(), busy, self._only_task]).encode())

    def __enter__(self) -> Heartbeat:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)
        if kind is None:
            for path in self._earlier:
                _take_away(path)


@dataclass(frozen=True)
class _Note:
    split: str
    key: str
    process: int
    busy: bool
    only_task: bool

    @property
    def source(self) -> tuple[str, str]:
        return self.split, self.key


def _read(path: Path) -> _Note | None:
    try:
        return _Note(*json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None  # it has not come to a source yet, or is just being written


def sources_of_dead_workers(folder: Path) -> set[tuple[str, str]]:
    """Return (split, key) of the sources that dead workers were at, and delete their notes.

    Workers of a cluster may live on: they see that their notes are gone, and stop.
    """
    found = set()
    for path in folder.glob("*"):
        note = _read(path)
        if note is not None:
            found.add(note.source)
        _take_away(path)
    return found


def _take_away(path: Path) -> None:
    with suppress(PermissionError):  # Windows, while a worker still has it open
        path.unlink(missing_ok=True)


class TimeKeeper:
    """Ends worker processes that stay at one source for too long.

    Args:
        folder: Folder of all workers' notes.
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

    def __exit__(self, *_: object) -> None:
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
        """Return the age of a note in seconds."""
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

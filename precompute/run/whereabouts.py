"""Which source each worker is at: when one dies, the source that killed it is known by name."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from types import TracebackType

__all__ = ["Whereabouts", "left_behind"]


class Whereabouts:
    """A worker's note of the source it is at; gone when its task ends, left behind when the process dies.

    Args:
        folder: Where the notes of all workers lie.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / uuid.uuid4().hex
        self._file = self._path.open("wb", buffering=0)

    def at(self, split: str, key: str) -> None:
        """Note the source that comes next."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps([split, key]).encode())

    def __enter__(self) -> Whereabouts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


def left_behind(folder: Path) -> set[tuple[str, str]]:
    """Return (split, key) of the sources that dead workers were at, and delete their notes."""
    found = set()
    for path in folder.glob("*"):
        try:
            split, key = json.loads(path.read_bytes())
            found.add((str(split), str(key)))
        except (OSError, ValueError):
            pass  # it had not come to a source yet
        path.unlink(missing_ok=True)
    return found

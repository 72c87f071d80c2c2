"""What is never a source: what this program wrote, the output of the command that runs, and folders of the system.

`find` says once what its command writes and where sources lie; all looks at folders below ask here, however deep in a
layout they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from precompute.dataset.json_files import read_json
from precompute.dataset.manifest import is_dataset
from precompute.errors import DatasetError, first_few
from precompute.storage.paths import absolute, as_path, is_remote

__all__ = [
    "MARKERS",
    "PassedOver",
    "first_entries",
    "is_of_system",
    "passed_over",
    "passing_over",
    "real_path",
]

# Folders that systems, drives and programs leave behind, some with pictures in them; in small letters.
OF_SYSTEMS = frozenset(
    (
        *("lost+found", "system volume information", "$recycle.bin", "network trash folder", "temporary items"),
        *(".trash", ".trashes", ".fseventsd", ".spotlight-v100", ".temporaryitems", ".documentrevisions-v100"),
        *(".appledouble", "__macosx", "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
        *(".snapshot", ".snapshots", ".ipynb_checkpoints", "__pycache__"),
    )
)
TRASH = ".trash-"  # with the number of its user behind it

# Files and folders that this program writes: their names alone prove nothing.
DATASET = ("manifest.json", ".build")
RUN, PREDICTIONS = "options.json", "predictions.json"
MARKERS = frozenset((*DATASET, RUN, PREDICTIONS))


def is_of_system(name: str) -> bool:
    """Tell whether a folder of this name belongs to a system, a drive or a program, and to no data set."""
    lower = name.lower()
    return lower in OF_SYSTEMS or lower.startswith(TRASH)


@dataclass
class PassedOver:
    """What one command passes over.

    Attributes:
        output: Real path of what the command writes; None where it writes nothing.
        named: Paths of folders that the user named: they are looked into, whoever wrote them.
        own: Paths of folders that this program wrote before, as they were met.
    """

    output: str | None = None
    named: frozenset[str] = frozenset()
    own: dict[str, None] = field(default_factory=dict)
    _output_name: str = field(init=False)

    def __post_init__(self) -> None:
        self._output_name = (self.output or "").rpartition("/")[2]

    def is_output(self, path: str, name: str, *, is_link: bool = False) -> bool:
        """Tell whether a path, which ends with a name, leads to what the command writes."""
        if self.output is None or not (is_link or name == self._output_name):
            return False
        return os.path.realpath(path) == self.output

    def is_own(self, folder: str, markers: Iterable[str]) -> bool:
        """Tell whether this program wrote a folder, and keep its path for the note.

        Args:
            folder: Path of the folder.
            markers: Those of `MARKERS` that are in it.
        """
        if folder in self.named or not any(_wrote(as_path(folder), marker) for marker in markers):
            return False
        self.own[folder] = None
        return True

    def notes(self, top: str | Path) -> list[str]:
        """Return what the user is told, with paths below the folder of the sources."""
        if not self.own:
            return []
        start = f"{absolute(as_path(top)).as_posix().rstrip('/')}/"
        shown = [f"{path.removeprefix(start)}/" for path in sorted(self.own)]
        return [
            f"Folders that this program wrote hold no sources, and were passed over ({len(shown):,}):\n"
            f"{first_few(shown)}"
        ]


def _wrote(folder: Path, marker: str) -> bool:
    """Tell whether a file is what this program writes under its name."""
    if marker in DATASET:
        return is_dataset(folder)
    try:
        content = read_json(folder / marker, missing="")
    except DatasetError:
        return False
    if marker == RUN:
        return {"dataset", "dataset_facts", "options"} <= content.keys()
    return "files" in content and bool({"finished", "checkpoint"} & content.keys())


_passed_over: ContextVar[PassedOver | None] = ContextVar("passed_over", default=None)  # each thread has its own


def passed_over() -> PassedOver:
    """Return what is passed over in the block that runs."""
    return _passed_over.get() or PassedOver()


@contextmanager
def passing_over(output: str | Path | None = None, named: Iterable[str | Path] = ()) -> Iterator[PassedOver]:
    """Let all looks at folders pass over what a command writes, while the block runs.

    Args:
        output: File or folder that the command writes, or its URL.
        named: Folders that the user named.
    """
    paths = frozenset(absolute(as_path(path)).as_posix() for path in named)
    passed = PassedOver(None if output is None else real_path(output), paths)
    token = _passed_over.set(passed)
    try:
        yield passed
    finally:
        _passed_over.reset(token)


def real_path(path: str | Path) -> str:
    """Return a path without links; in an object store, where there are none, as it is."""
    found = absolute(as_path(path))
    return found.as_posix() if is_remote(found) else os.path.realpath(found)


def first_entries(folder: Path, number: int) -> list[os.DirEntry[str]]:
    """Return some entries of a folder, hidden ones and what is passed over left out; none where it cannot be read."""
    passed = passed_over()
    try:
        with os.scandir(folder) as entries:
            found = list(islice(entries, number))
    except OSError:
        return []  # what cannot be read is said when images are looked for
    markers = [entry.name for entry in found if entry.name in MARKERS]
    if markers and passed.is_own(folder.as_posix(), markers):
        return []
    return [
        entry
        for entry in found
        if not (entry.name.startswith(".") or is_of_system(entry.name))
        and not passed.is_output(entry.path, entry.name, is_link=entry.is_symlink())
    ]

"""Files that are never sources: those that this program wrote, the running command's output, and folders of systems.

`find` says once what its command writes and where sources lie. All code that looks into folders asks here, in whichever
layout it is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from precompute.dataset.json_files import read_json
from precompute.dataset.manifest import is_dataset
from precompute.errors import DatasetError, first_few, on_one_line
from precompute.options.option import Ineffective
from precompute.options.patterns import Pattern
from precompute.storage.paths import absolute, as_path, is_remote
from precompute.text.format import format_count
from precompute.text.notes import SummarizedNote

__all__ = [
    "MARKERS",
    "Counts",
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


NAMED = ""  # in place of a folder: files that tables and annotations name
Counts: TypeAlias = Counter[tuple[str, bool]]


def is_of_system(name: str) -> bool:
    """Return whether a folder of this name belongs to a system, a drive or a program, and not to data."""
    lower = name.lower()
    return lower in OF_SYSTEMS or lower.startswith(TRASH)


@dataclass
class PassedOver:
    """The files and folders that one command passes over.

    Attributes:
        output: Real path of the command's output; None where it writes nothing.
        named: Paths of folders that the user named; they are searched, whoever wrote them.
        patterns: Patterns that the user excluded.
        tops: Folders that patterns are relative to: that of the sources, then others that the user named.
        apart: Folders of further images, which hold no sources: paths, or names of folders at any depth, in small
            letters.
        own: Paths of folders that this program wrote before, in the order in which they were found.
        excluded: Path of a folder, or `NAMED` → (pattern, whether it left out folders) → number left out there.
        endings: Path of each folder that was searched for images → ending of its other files → their number.
    """

    output: str | None = None
    named: frozenset[str] = frozenset()
    patterns: Sequence[Pattern] = ()
    tops: Sequence[str] = ()
    apart: frozenset[str] = frozenset()
    own: dict[str, None] = field(default_factory=dict)
    excluded: dict[str, Counts] = field(default_factory=dict)
    endings: dict[str, Counter[str]] = field(default_factory=dict)
    _output_name: str = field(init=False)

    def __post_init__(self) -> None:
        self._output_name = (self.output or "").rpartition("/")[2]

    def is_output(self, path: str, name: str, *, is_link: bool = False) -> bool:
        """Return whether a path, whose last part is `name`, leads to the command's output."""
        if self.output is None or not (is_link or name == self._output_name):
            return False
        return real_path(path) == self.output

    def is_apart(self, path: str, name: str) -> bool:
        """Return whether a folder, whose last part is `name`, holds further images."""
        return bool(self.apart) and (path in self.apart or name.lower() in self.apart)

    def is_own(self, folder: str, markers: Iterable[str]) -> bool:
        """Return whether this program wrote a folder; if so, its path is kept for the note.

        Args:
            folder: Path of the folder.
            markers: The `MARKERS` that are in it.
        """
        if folder in self.named or not any(_wrote(as_path(folder), marker) for marker in markers):
            return False
        self.own[folder] = None
        return True

    def excluding(self, path: str, *, is_folder: bool = False) -> str | None:
        """Return the pattern that excludes a file or folder; None if there is none."""
        if not self.patterns:
            return None
        start = self._start(path)
        parts = path[len(start) :].split("/") if start or not path.startswith("/") else [path.rpartition("/")[2]]
        return next((pattern.text for pattern in self.patterns if pattern.fits(parts, is_folder=is_folder)), None)

    def leaves_out(self, path: str) -> bool:
        """Return whether a pattern excludes a file that a table or annotation names, or a folder above; counts it."""
        start = self._start(path)
        ends = [i for i, letter in enumerate(path) if letter == "/" and i > len(start)] if self.patterns else []
        above = (self.excluding(path[:end], is_folder=True) for end in ends)
        pattern = next((pattern for pattern in above if pattern), None) or self.excluding(path)
        if pattern is not None:
            self.excluded.setdefault(NAMED, Counter())[pattern, False] += 1
        return pattern is not None

    def _start(self, path: str) -> str:
        return next((top for top in self.tops if path.startswith(top)), "")

    def exclude_notes(self) -> Sequence[str]:
        """Return notes on how many files and folders each pattern left out, and on patterns without effect."""
        counts: Counts = sum(self.excluded.values(), Counter())
        texts = dict.fromkeys(pattern.text for pattern in self.patterns)
        used = [text for text in texts if counts[text, False] or counts[text, True]]
        numbers = {text: (("file", counts[text, False]), ("folder", counts[text, True])) for text in used}
        shown = [
            f"{text} ({' and '.join(format_count(number, what) for what, number in of_text if number)})"
            for text, of_text in numbers.items()
        ]
        told = {
            f"{what}s that fit {on_one_line(text)} (--exclude)": number
            for text, of_text in numbers.items()
            for what, number in of_text
        }
        left_out = SummarizedNote(f"Left out by exclude (--exclude): {', '.join(shown)}.", left_out=told)
        has_none = Ineffective[None](lambda _: True, "fits no file or folder below SOURCE")
        idle = [has_none.note(f"exclude (--exclude) {text}") for text in texts if text not in used]
        return [left_out, *idle] if used else idle

    def notes(self, top: str | Path) -> list[str]:
        """Return the notes for the user, with paths relative to the folder of the sources."""
        own = self.own_below(top)
        text = (
            f"Folders that this program wrote hold no sources, and were passed over ({len(own):,}):\n{first_few(own)}"
        )
        return [*([SummarizedNote(text)] if own else []), *self.exclude_notes()]

    def own_below(self, top: str | Path) -> list[str]:
        """Return the folders that this program wrote, as paths relative to that of the sources."""
        start = _beginning(top)
        return [f"{path.removeprefix(start)}/" for path in sorted(self.own)]

    def endings_below(self, top: str | Path) -> dict[str, Counter[str]]:
        """Return folder directly below that of the sources (``""`` for that itself) → its endings."""
        start, found = _beginning(top), dict[str, Counter[str]]()
        for path, counts in sorted(self.endings.items()):
            inside, first = f"{path}/".startswith(start), f"{path}/".removeprefix(start).partition("/")[0]
            found.setdefault(first if inside else path, Counter()).update(counts)
        return found


def _beginning(top: str | Path) -> str:
    """Return the beginning of paths below a folder."""
    return f"{absolute(as_path(top)).as_posix().rstrip('/')}/"


def _wrote(folder: Path, marker: str) -> bool:
    """Return whether a file has the content that this program writes under its name."""
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
    """Return the `PassedOver` of the running block."""
    return _passed_over.get() or PassedOver()


@contextmanager
def passing_over(
    output: str | Path | None = None,
    named: Sequence[str | Path] = (),
    exclude: Sequence[str] = (),
    apart: Iterable[str] = (),
) -> Iterator[PassedOver]:
    """Pass over a command's output in all folders while the block runs.

    Args:
        output: File or folder that the command writes, or its URL.
        named: Folders that the user named, that of the sources first.
        exclude: Patterns of files and folders to leave out.
        apart: Folders of further images; see `PassedOver.apart`.
    """
    paths = [absolute(as_path(path)).as_posix() for path in named]
    passed = PassedOver(
        None if output is None else real_path(output),
        frozenset(paths),
        [Pattern.of(text) for text in exclude],
        [f"{path.rstrip('/')}/" for path in paths],
        frozenset(apart),
    )
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
    """Return some entries of a folder, without hidden and passed-over ones; none where it cannot be read."""
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
        and not passed.is_apart(entry.path, entry.name)
        and not (passed.patterns and passed.excluding(entry.path, is_folder=entry.is_dir()))
    ]

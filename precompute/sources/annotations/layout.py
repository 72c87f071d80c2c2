"""What a layout with annotations answers: how it is told, and what is found in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from precompute.options.build_options import BuildOptions
from precompute.sources.found import Found

__all__ = ["Layout"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to say what is in images: files of a certain kind, beside them or elsewhere.

    Attributes:
        name: What users call it.
        expected: What is expected of it, for messages: a line that goes on after "Expected one of".
        find: The folder that was given, the file or folder of the annotations, options → the sources. The annotations
            are the folder itself where nobody named them.
        is_below: Folder → whether such annotations lie below it; a look at a few files tells. None: they are read where
            they are named alone.
        is_in: The same of a folder that was named, in which less is needed to tell; None: as `is_below`.
        endings: Endings of files that can be named, in small letters.
        reads: Endings of all files that are read.
    """

    name: str
    expected: str
    find: Callable[[Path, Path, BuildOptions], Found]
    is_below: Callable[[Path, BuildOptions], bool] | None = None
    is_in: Callable[[Path, BuildOptions], bool] | None = None
    endings: tuple[str, ...] = ()
    reads: tuple[str, ...]

    def read(self, top: Path, annotations: Path, options: BuildOptions) -> Found:
        """Return the sources; see `find`. Files that are read have not been passed over."""
        found = self.find(top, annotations, options)
        passed = {ending: number for ending, number in found.passed.items() if ending not in self.reads}
        num_ignored_files = found.num_ignored_files + sum(passed.values())
        return replace(found, layout=self.name, passed=passed, num_ignored_files=num_ignored_files)

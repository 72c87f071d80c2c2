"""A look at the beginning of folders and files: what there may be, before anything is read in full."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from precompute.errors import SourceError
from precompute.sources.passed_over import first_entries
from precompute.sources.walk import is_folder
from precompute.text.files import guess_text

__all__ = [
    "MAX_ENTRIES",
    "MAX_SNIFFED",
    "beginning",
    "is_called_so",
    "is_label_file",
    "maybe_annotations",
    "some_files",
]

MAX_ENTRIES, MAX_DEPTH = 2_000, 8
MAX_SNIFFED = 20  # files whose beginning is read to tell of which kind they are
SNIFFED_BYTES = 65_536
MIN_NUMBERS = 3  # of a line that may be meant for a box; lists of images have two


def some_files(top: Path, endings: Sequence[str]) -> Iterator[Path]:
    """Yield files with these endings, from the beginning of each folder, which is quick where there are millions.

    Files of a folder come before those of the folders in it. A folder that links lead to again is looked at once.
    """
    pending, seen = [(top, 0)], {os.path.realpath(top)}
    while pending:
        folder, depth = pending.pop(0)
        for entry in sorted(first_entries(folder, MAX_ENTRIES), key=lambda entry: entry.name):
            if entry.name.lower().endswith(tuple(endings)):
                yield Path(entry.path)
            elif depth < MAX_DEPTH and is_folder(entry):
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real not in seen:
                    seen.add(real)
                    pending.append((Path(entry.path), depth + 1))


def beginning(path: Path) -> str:
    """Return the first characters of a file; none where it is a pipe, a socket, or a link that leads nowhere.

    Raises:
        SourceError: It cannot be read: to pass over annotations without a word would change what the images mean.
    """
    with maybe_annotations(path):
        if not path.is_file():  # opening a pipe would wait for somebody to write
            return ""
        with path.open("rb") as file:
            return guess_text(file.read(SNIFFED_BYTES))


@contextmanager
def maybe_annotations(path: Path) -> Iterator[None]:
    """Refuse a file that cannot be read where it may hold annotations.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read: {error.strerror or error}. It may hold annotations: give yourself the right to "
            "read it, or move it elsewhere."
        ) from error


def is_called_so(path: Path) -> bool:
    """Tell whether a file is called as annotations usually are, or lies in a folder that is."""
    in_place = path.parent.name.lower() == "annotations"
    return in_place or bool(re.search("coco|instances|annotations|keypoints", path.stem.lower()))


def is_label_file(path: Path) -> bool:
    """Tell whether a text begins like boxes of YOLO's, whatever is wrong with them then; an empty one may hold none."""
    words = beginning(path).split("\n", 1)[0].split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return False
    return not numbers or len(numbers) >= MIN_NUMBERS

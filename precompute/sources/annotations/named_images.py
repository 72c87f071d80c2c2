"""Images that an annotation file names, with their objects.

Images are found by name, whichever slashes, quoting and Unicode form the file uses.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from precompute.errors import first_few
from precompute.fields.boxes import Size
from precompute.sources.annotations.images import Choose, FoundImages, sources_of, unnamed_note
from precompute.sources.found import Found, FoundColumn
from precompute.sources.found_files import FoundFile
from precompute.sources.found_objects import FoundObject, upright_size
from precompute.sources.passed_over import passed_over
from precompute.sources.problems import ProblemKind, WrongEntry
from precompute.sources.unicode_forms import UnicodeForms, visible
from precompute.text.format import format_count

__all__ = [
    "MISSING",
    "NamedImage",
    "NamedImages",
    "choose_named",
    "sources_of_named",
]

MISSING = ProblemKind(
    "Images that are not there", "Put them there, fix their names, or name their folder with --images.", True
)
AMBIGUOUS = ProblemKind("Images that could be several files", "Write their folders into the names.")
SHARED = ProblemKind("Images that several names stand for", "Put the others there, or fix their names.")


def choose_named(names: Iterable[str]) -> Choose:
    """Return a function that tells whether an image may have one of the names."""
    wanted = {visible(_last_part(form)) for name in names for form in (name, unquote(name))}
    return lambda images: [visible(_last_part(image.path)) in wanted for image in images]


class NamedImages:
    """Existing images, found by name.

    A name means an image whose path ends with it. If there is none, the folders in the name are those of another
    machine, and only its last part counts. Of several images, the one nearest to the file is meant, or the one in the
    file's split, or the one that the path leads to.

    Args:
        found: All images of the folder.
    """

    def __init__(self, found: FoundImages) -> None:
        self._by_name = defaultdict[str, list[FoundFile]](list)
        for image in (*found.images, *found.excluded):
            self._by_name[image.path.rpartition("/")[2]].append(image)
        self._forms = UnicodeForms(self._by_name)
        self._names: dict[str, str] = {}  # of the images that were found
        self._moved: dict[str, str] = {}  # name → image that lies in other folders

    def find(self, name: str, start: Path, split: str | None = None) -> FoundFile | None:
        """Return the image that is meant; None where the user left it out.

        Args:
            name: The name.
            start: Folder of the file that holds the name, or folder that names are relative to.
            split: Split of the file.

        Raises:
            WrongEntry: There is no such image, there are several, or another name means it already.
            SourceError: Several files look like it in other Unicode normal forms.
        """
        # Some programs quote names as in URLs; and a name of a file may hold a backslash.
        for form in dict.fromkeys((_slashed(name), _slashed(unquote(name)), name)):
            parts = [part for part in os.path.normpath(form).split("/") if part not in ("", ".", "..")]
            there = self._by_name.get(self._forms.find(parts[-1])) if parts else None
            if there:
                end = visible("/" + "/".join(parts))
                whole = _prefer_kept([image for image in there if visible(image.path).endswith(end)])
                image = _nearest(whole, form, start, split) or _nearest(_prefer_kept(there), form, start, split)
                if image is None:
                    paths = ", ".join(one.path for one in (whole or there)[:3])
                    raise WrongEntry(AMBIGUOUS, f"{name}: {paths}")
                if image.is_excluded:
                    return None
                if not whole:
                    self._moved[name] = image.path
                self._check_shared(image, name, end)
                return image
        if name and passed_over().leaves_out(os.path.normpath(_slashed(name))):
            return None
        raise WrongEntry(MISSING, name or "no name")

    def _check_shared(self, image: FoundFile, name: str, end: str) -> None:
        before = self._names.setdefault(image.path, end)
        if not (before.endswith(end) or end.endswith(before)):
            raise WrongEntry(SHARED, f"{name}: {image.path}, which {before[1:]} stands for")

    def notes(self) -> list[str]:
        """Return the note on images that were found by the last parts of their names."""
        if not self._moved:
            return []
        number = format_count(len(self._moved), "image lies", "images lie")
        moved = [f"{name}: {path}" for name, path in self._moved.items()]
        return [f"{number} in other folders than the annotations say, found by the names alone:\n{first_few(moved)}"]


def _prefer_kept(images: Sequence[FoundFile]) -> Sequence[FoundFile]:
    """Return the images that the user did not leave out; where there are none, the first of those left out."""
    return [image for image in images if not image.is_excluded] or images[:1]


def _nearest(images: Sequence[FoundFile], name: str, start: Path, split: str | None) -> FoundFile | None:
    if len(images) < 2:
        return next(iter(images), None)
    return next((some[0] for some in _narrowed(images, name, start, split) if len(some) == 1), None)


def _narrowed(images: Sequence[FoundFile], name: str, start: Path, split: str | None) -> Iterator[list[FoundFile]]:
    folders = [folder.as_posix().rstrip("/") for folder in (start, *start.parents)]
    below = ([image for image in images if image.path.startswith(f"{folder}/")] for folder in folders)
    near = next(filter(None, below), [])
    same = [image for image in images if split is not None and image.split == split]
    yield from (near, same, [image for image in near if image in same])
    ways = (os.path.normpath(os.path.join(folder, name)) for folder in folders)  # noqa: PTH118
    exact = ([image for image in images if visible(image.path) == visible(way)] for way in ways)
    yield next(filter(None, exact), [])


def _last_part(name: str) -> str:
    return _slashed(name).rpartition("/")[2]


def _slashed(name: str) -> str:
    return name.replace("\\", "/")


class NamedImage:
    """An image that a file names.

    Args:
        image: The image.
        size: Width and height, if the file has them; else those of the image are used.
        split: Split of the image, if known.
    """

    def __init__(self, image: FoundFile, size: Size | None, split: str | None) -> None:
        self.image, self.split = image, split
        self.size = size or upright_size(image.path)
        self.objects: list[FoundObject] = []


def sources_of_named(
    found: FoundImages, images: Sequence[NamedImage], column: FoundColumn, who: str, notes: Sequence[str]
) -> Found:
    """Return images with their objects as sources; a note counts the images that `who` does not name."""
    passed = len(found.images) + len(found.left_out) - len(images)
    return sources_of(
        found,
        [image.image for image in images],
        column,
        splits={image.image.path: image.split for image in images},
        notes=[*notes, *unnamed_note(passed, who)],
    )

"""Layouts with annotations: how each is recognised, and how its sources are found."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from precompute.errors import SourceError
from precompute.options.build_options import BuildOptions
from precompute.sources.found import Found
from precompute.sources.passed_over import first_entries
from precompute.sources.walk import is_folder
from precompute.text.files import guess_text

__all__ = [
    "MAX_ENTRIES",
    "MAX_SNIFFED",
    "Layout",
    "beginning",
    "check_foreign",
    "folders_below",
    "foreign_below",
    "foreign_text",
    "is_called_so",
    "is_label_file",
    "maybe_annotations",
    "some_files",
]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A layout with annotations of one format.

    Attributes:
        name: Name that users know.
        expected: Description for messages: a line after "Expected one of".
        find: (given folder, file or folder of the annotations, options) → sources. The annotations are the given folder
            where nobody named them.
        is_below: Folder → whether such annotations lie below it, from a look at a few files. None: they are read only
            where the user names them.
        is_in: The same for a folder that the user named, which needs fewer signs; None: as `is_below`.
        endings: Endings of files that can be named, in lower case.
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
        """Return the sources; see `find`. Files that were read do not count as passed over."""
        found = self.find(top, annotations, options)
        passed = {ending: number for ending, number in found.passed.items() if ending not in self.reads}
        num_ignored_files = found.num_ignored_files + sum(passed.values())
        return replace(found, layout=self.name, passed=passed, num_ignored_files=num_ignored_files)


MAX_ENTRIES, MAX_DEPTH = 2_000, 8
MAX_SNIFFED = 20  # files whose beginning is read to tell of which kind they are
SNIFFED_BYTES = 65_536
MIN_NUMBERS = 3  # of a line that may be meant for a box; lists of images have two


def folders_below(top: Path) -> Iterator[list[os.DirEntry[str]]]:
    """Yield the first entries of each folder by name, which is quick even where there are millions.

    The entries of a folder come before those of its subfolders. A folder that several links lead to comes once.
    """
    pending, seen = [(top, 0)], {os.path.realpath(top)}
    while pending:
        folder, depth = pending.pop(0)
        entries = sorted(first_entries(folder, MAX_ENTRIES), key=lambda entry: entry.name)
        yield entries
        for entry in entries if depth < MAX_DEPTH else ():
            if is_folder(entry):
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real not in seen:
                    seen.add(real)
                    pending.append((Path(entry.path), depth + 1))


def some_files(top: Path, endings: Sequence[str]) -> Iterator[Path]:
    """Yield files with these endings among the first entries of each folder."""
    every = (entry for entries in folders_below(top) for entry in entries)
    return (Path(entry.path) for entry in every if entry.name.lower().endswith(tuple(endings)))


def beginning(path: Path) -> str:
    """Return the first characters of a file; an empty text for a pipe, a socket, or a broken link.

    Raises:
        SourceError: It cannot be read. Passing over annotations would change what the images mean.
    """
    with maybe_annotations(path):
        if not path.is_file():  # opening a pipe would wait for somebody to write
            return ""
        with path.open("rb") as file:
            return guess_text(file.read(SNIFFED_BYTES))


@contextmanager
def maybe_annotations(path: Path) -> Iterator[None]:
    """Refuse an unreadable file that may hold annotations.

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
    """Return whether a file, or a folder that it lies in, has a usual name of annotations."""
    in_place = path.parent.name.lower() == "annotations"
    return in_place or bool(re.search("coco|instances|annotations|keypoints", path.stem.lower()))


def is_label_file(path: Path) -> bool:
    """Return whether a text begins like boxes of YOLO, even if they are wrong; an empty text means no boxes."""
    words = beginning(path).split("\n", 1)[0].split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return False
    return not numbers or len(numbers) >= MIN_NUMBERS


class _Format(NamedTuple):
    """A format that is recognised and not read.

    Attributes:
        start: Pattern of the first characters.
        signs: Patterns that must all be found after these.
        name: Name of such files for messages.
        advice: Advice on what to do with them.
    """

    start: str
    signs: tuple[str, ...]
    name: str
    advice: str


def _key(names: str) -> str:
    return rf'"(?:{names})"\s*:'


_NUMBER = r"-?\d+(?:\.\d+)?"
_OBJECT, _LIST = r"\s*\{", r"\s*\[\s*\{"

# The first format that fits counts.
FORMATS = (
    _Format(
        r"(?s).{0,4000}?<annotations[\s>]",
        (r"<(version|meta|image|track)[\s>]",),
        "annotations.xml of CVAT",
        "Export the task from CVAT once more, as COCO 1.0 or Pascal VOC 1.1.",
    ),
    _Format(
        _OBJECT,
        (_key("segments_info"),),
        "COCO's panoptic segmentation",
        "Give COCO's instances_….json, or PNG files of class ids beside the images: images/ + masks/.",
    ),
    _Format(
        _LIST,
        (_key("image_id"), _key("category_id|keypoints"), _key("score")),
        "what a detector found, in COCO's form of results",
        "Give the file with the annotations: it has the lists images, annotations and categories.",
    ),
    _Format(
        _OBJECT,
        (_key("shapes"), _key("imagePath|imageData|shape_type|lineColor")),
        "a file of LabelMe",
        "Convert them to COCO, with labelme2coco say, or to Pascal VOC.",
    ),
    _Format(
        _OBJECT,
        (_key("_via_img_metadata|_via_settings|shape_attributes|file_attributes"),),
        "a project of the VGG Image Annotator (VIA)",
        "Export the annotations from VIA as COCO.",
    ),
    _Format(
        _LIST,
        (_key("result|annotator|rectanglelabels|polygonlabels|brushlabels|keypointlabels|completions"),),
        "an export of Label Studio",
        "Export the project from Label Studio once more, as COCO, YOLO or Pascal VOC.",
    ),
    _Format(
        _LIST,
        (_key("image|imagefilename"), _key("annotations?")),
        "annotations of CreateML",
        "Export or convert them to COCO, YOLO or Pascal VOC.",
    ),
    _Format(
        rf"[A-Za-z_]+(?:[ \t]+{_NUMBER}){{14,15}}[ \t]*(?:\r?\n|$)",
        (),
        "a label of KITTI",
        "Convert them to COCO, YOLO or Pascal VOC, or give the boxes as a table: image,xmin,ymin,xmax,ymax,class.",
    ),
    _Format(
        r"\d+(?:,-?\d+){7},?[ \t]*(?:\r?\n|$)",
        (),
        "an annotation of VisDrone",
        "Convert them to COCO, YOLO or Pascal VOC, or give the boxes as a table: image,xmin,ymin,xmax,ymax,class.",
    ),
)


def foreign_text(path: Path, text: str) -> str | None:
    """Return the format of a file that is not read, and advice; None for a file that is not recognised.

    Args:
        path: Path of the file.
        text: Content of the file, or its beginning.
    """
    for known in FORMATS:
        if re.match(known.start, text) and all(re.search(sign, text) for sign in known.signs):
            return (
                f"{path}: this is {known.name}, which is not read. {known.advice} Other annotations are named with "
                "--annotations, --exclude leaves these out, and --target none reads images alone."
            )
    return None


def check_foreign(path: Path, text: str) -> None:
    """Refuse a file of a format that is recognised and not read.

    Raises:
        SourceError: The file has such a format.
    """
    if message := foreign_text(path, text):
        raise SourceError(message)


def foreign_below(folder: Path, *, in_place: bool = False) -> str | None:
    """Return the formats of the first files below a folder that are recognised and not read.

    Args:
        folder: The folder.
        in_place: Whether only files count whose names, or whose folders' names, are usual for annotations.
    """
    for endings in ((".json", ".xml"), (".txt",)):
        files = (path for path in some_files(folder, endings) if not in_place or is_called_so(path))
        texts = ((path, beginning(path)) for path in islice(files, MAX_SNIFFED))
        found = next(filter(None, (foreign_text(path, text) for path, text in texts)), None)
        if found is not None:
            return found
    return None

"""Whether folders taken for classes are what the user meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import takewhile
from pathlib import Path

from precompute.errors import SourceError, first_few
from precompute.sources.folders.siblings import IMAGE_ROLES, MASK_ENDING, shared_ending

__all__ = ["check_class_folders", "class_notes"]

_ROLES = (*IMAGE_ROLES, "masks", "mask")

Labelled = Callable[[], Iterable[tuple[str, str]]]


def check_class_folders(top: Path, labels: list[str], names: list[str] | None, files: Labelled) -> None:
    """Check the folders against the names that were given, and that none of them holds masks of another.

    Args:
        top: The folder that errors speak of.
        labels: Class of each folder, sorted.
        names: The classes that were asked for, or None.
        files: Gives class and key of each image, where they have to be looked at.

    Raises:
        SourceError: Classes without a folder, folders without a class, two folders of equal files, one of which is
            called images or masks, or of files that differ by an ending.
    """
    if names is not None:
        _check_names(top, labels, names)
        return
    if len(labels) == 2:
        _check_endings(top, files)
    suspects = [label for label in labels if _last(label).lower() in _ROLES]
    if not suspects:
        return
    stems = _stems(files)
    for label in suspects:
        for other in labels:
            if other != label and _parent(other) == _parent(label) and stems[other] == stems[label]:
                raise SourceError(
                    f"{top}: {label}/ and {other}/ hold files of equal names, as images and their masks do, but would "
                    f"be read as two classes. Name the folders: --images {_last(label)} --masks {_last(other)} or the "
                    "other way round; if they are classes, say so with --class-names."
                )


def _check_endings(top: Path, files: Labelled) -> None:
    """Refuse two classes of which each file has one of the other that is called like it, with an ending."""
    stems = _stems(files)
    images, masks = sorted(stems, key=lambda label: min(map(len, stems[label])))
    ending = shared_ending(stems[images], stems[masks])
    if len(stems[images]) != len(stems[masks]) or not MASK_ENDING.fullmatch(ending or ""):
        return
    raise SourceError(
        f"{top}: {images}/ and {masks}/ hold files whose names differ by the ending {ending!r}, as images and their "
        f"masks do, but would be read as two classes. Name the folders: --images {_last(images)} --masks "
        f"{_last(masks)} --mask-suffix {ending}; if they are classes, say so with --class-names."
    )


def class_notes(sizes: Mapping[str, int], files: Labelled) -> list[str]:
    """Return what about the classes may not be meant.

    Args:
        sizes: Number of images of each class.
        files: Gives class and key of each image, where they have to be looked at.
    """
    notes, labels = [], sorted(sizes)
    if len(labels) == 1:
        notes.append(
            f"All images are of one class, {labels[0]!r}. Where their labels stand elsewhere: a table of them is given "
            "as SOURCE, annotations with --annotations; --target none is for images alone."
        )
    top = "" if len(labels) < 2 else _shared([label.split("/")[:-1] for label in labels])
    if top:
        notes.append(
            f"All class folders lie in {top}/, so that names of classes begin with it; give {top}/ to avoid it."
        )
    every = set(labels)
    both = [label for label in labels if any(parent in every for parent in _parents(label))]
    if both:
        notes.append(f"Class folders inside class folders, each a class of its own:\n{first_few(both)}")
    if len(labels) == 2 and sizes[labels[0]] == sizes[labels[1]]:
        stems = _stems(files)
        if stems[labels[0]] == stems[labels[1]]:
            notes.append(
                f"{labels[0]}/ and {labels[1]}/ hold files of equal names. If one holds the masks of the other, "
                "name them with --images and --masks."
            )
    return notes


def _check_names(top: Path, labels: list[str], names: list[str]) -> None:
    unknown, missing = sorted(set(labels) - set(names)), sorted(set(names) - set(labels))
    problems = []
    if unknown:
        problems.append(f"folders that --class-names does not name:\n{first_few(unknown)}")
    if missing:
        problems.append(f"names in --class-names that have no folder with images:\n{first_few(missing)}")
    if problems:
        raise SourceError(
            f"{top}: " + "\n".join(problems) + "\nExpected one name for each class folder, spelled like its path."
        )


def _stems(files: Labelled) -> dict[str, set[str]]:
    stems: dict[str, set[str]] = {}
    for label, key in files():
        stems.setdefault(label, set()).add(key[len(label) + 1 :])
    return stems


def _shared(paths: list[list[str]]) -> str:
    """Return the folders on all of these ways, from the top."""
    levels = takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    return "/".join(names[0] for names in levels)


def _last(label: str) -> str:
    return label.rpartition("/")[2]


def _parent(label: str) -> str:
    return label.rpartition("/")[0]


def _parents(label: str) -> list[str]:
    return [label[:i] for i, character in enumerate(label) if character == "/"]

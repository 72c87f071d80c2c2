"""Folders of images beside those of their masks, told by the names of the folders and of the files in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from precompute.errors import SourceError, first_few
from precompute.sources.walk import Folder

__all__ = [
    "IMAGE_ROLES",
    "MASK_ENDING",
    "Siblings",
    "check_class_folders",
    "class_notes",
    "find_siblings",
    "shared_ending",
]

Parts = tuple[str, ...]
Place = Callable[[Parts], tuple[bool, Parts]]  # folder → whether it is of masks, and its context

IMAGE_ROLES = ("images", "image", "imgs", "img", "jpegimages")
_MASKS = "annots?|annotations?|masks?|labels?|gt|segs?|segmentations?|ground[-_ ]?truth"
# A folder of masks that is called after that of its images, as CamVid's trainannot is; and the end of a mask's name.
MASKS_OF = re.compile(f"(?P<name>.+?)[-_ ]?(?:{_MASKS})", re.IGNORECASE)
MASK_ENDING = re.compile(f"[-_ ]?(?:{_MASKS}|l)", re.IGNORECASE)
LOSSY = (".jpg", ".jpeg", ".jfif", ".jpe")  # no masks are these


class Siblings(NamedTuple):
    """Folders of images and of masks, each with the folders that it shares with its partner.

    Attributes:
        images, masks: Folder, and its context.
        mask_suffix: End of all masks' stems.
        note: Note for the user.
    """

    images: list[tuple[Folder, Parts]]
    masks: list[tuple[Folder, Parts]]
    mask_suffix: str
    note: str


def find_siblings(folders: Collection[Folder], class_names: Collection[str]) -> Siblings | None:
    """Return folders that each stand beside one of their masks; None where some do not, or are classes.

    Args:
        folders: All folders that hold images.
        class_names: Names that were given.
    """
    filled = {folder.parts: folder for folder in folders}
    if not all(filled) or {"/".join(parts) for parts in filled} & set(class_names):
        return None
    place = _by_role(filled) or _by_name(filled)
    placed = [(folder, *place(parts)) for parts, folder in filled.items()]
    images = [(folder, context) for folder, is_mask, context in placed if not is_mask]
    masks = [(folder, context) for folder, is_mask, context in placed if is_mask]
    of_context = {context: folder for folder, context in images}
    if not images or len(masks) != len(images) or of_context.keys() != {context for _, context in masks}:
        return None
    endings = {_ending(of_context[context], folder) for folder, context in masks}
    if len(endings) > 1 or None in endings:
        return None
    shown = [f"{'/'.join(of_context[context].parts)}/ with {'/'.join(folder.parts)}/" for folder, context in masks]
    note = (
        f"Folders taken for images and their masks, as their names and those of their files say:\n{first_few(shown)}\n"
        "If they are classes, give their names with --class-names."
    )
    return Siblings(images, masks, endings.pop() or "", note)


def _by_name(filled: Collection[Parts]) -> Place:
    """Return what tells of a folder whether it is called after another, as that of its masks, and which that is."""

    def place(parts: Parts) -> tuple[bool, Parts]:
        found = MASKS_OF.fullmatch(parts[-1])
        of_images = None if found is None else (*parts[:-1], found["name"])
        return (True, of_images) if of_images in filled and of_images is not None else (False, parts)

    return place


def _by_role(filled: Collection[Parts]) -> Place | None:
    """Return the same where all lie in two folders, of which one is called images; None where they do not."""
    tops = {parts[0] for parts in filled}
    of_images = next((top for top in tops if top.lower() in IMAGE_ROLES), None)
    if len(tops) != 2 or of_images is None:
        return None
    return lambda parts: (parts[0] != of_images, parts[1:])


def _ending(images: Folder, masks: Folder) -> str | None:
    """Return what names of masks have more than those of at least half of the images; None where they differ."""
    if any(name.lower().endswith(LOSSY) for name in masks.files.names):
        return None
    return shared_ending(_stems(images), _stems(masks), share=0.5)


def _stems(folder: Folder) -> set[str]:
    return {name.rpartition(".")[0] for name in folder.files.names}


def shared_ending(names: Collection[str], longer: Collection[str], share: float = 1.0) -> str | None:
    """Return the end that some names have more than others, empty where they are equal; None where there is none.

    Args:
        names: The shorter ones.
        longer: The others.
        share: So many of the shorter ones have to be there with the end.
    """
    first = min(longer, default="")
    known = set(names)
    ending = next((first[end:] for end in range(len(first), 0, -1) if first[:end] in known), None)
    if ending is None:
        return None
    others = set(longer)
    return ending if sum(name + ending in others for name in known) >= share * len(known) else None


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
    stems = _stems_by_class(files)
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
    stems = _stems_by_class(files)
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
        stems = _stems_by_class(files)
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


def _stems_by_class(files: Labelled) -> dict[str, set[str]]:
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

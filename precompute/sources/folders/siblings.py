"""Whether folders side by side are classes, or images and their masks: names of folders and files tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from posixpath import commonpath, split
from typing import NamedTuple

from precompute.errors import SourceError, first_few
from precompute.sources.classes import class_order
from precompute.sources.walk import Folder

__all__ = ["Siblings", "check_class_folders", "find_siblings"]

Parts = tuple[str, ...]
Place = Callable[[Parts], tuple[bool, Parts]]  # folder → whether it is of masks, and its context

IMAGE_ROLES = ("images", "image", "imgs", "img", "jpegimages")
_MASKS = "annots?|annotations?|masks?|labels?|gt|segs?|segmentations?|ground[-_ ]?truth"
# A folder of masks that is named after that of its images, as CamVid's trainannot; and the ending of a mask's name.
MASKS_OF = re.compile(f"(?P<name>.+?)[-_ ]?(?:{_MASKS})", re.IGNORECASE)
MASK_ENDING = re.compile(f"[-_ ]?(?:{_MASKS}|l)", re.IGNORECASE)
ROLES = (*IMAGE_ROLES, "masks", "mask")
LOSSY = (".jpg", ".jpeg", ".jfif", ".jpe")  # no masks are these


class Siblings(NamedTuple):
    """Folders of images and of masks, each with the folders that it shares with its partner.

    Attributes:
        images, masks: Each folder with its context.
        mask_suffix: Ending that all masks' stems have.
        note: Note for the user.
    """

    images: list[tuple[Folder, Parts]]
    masks: list[tuple[Folder, Parts]]
    mask_suffix: str
    note: str


def find_siblings(folders: Collection[Folder], class_names: Collection[str]) -> Siblings | None:
    """Return folders of images that each stand beside a folder of their masks; None if some do not, or are classes.

    Args:
        folders: All folders that hold images.
        class_names: Given names of classes.
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
    """Return a function: folder → (whether it is named as the masks of another one, that one; else itself)."""

    def place(parts: Parts) -> tuple[bool, Parts]:
        found = MASKS_OF.fullmatch(parts[-1])
        of_images = None if found is None else (*parts[:-1], found["name"])
        return (True, of_images) if of_images in filled and of_images is not None else (False, parts)

    return place


def _by_role(filled: Collection[Parts]) -> Place | None:
    """Return a function as `_by_name` if all lie in two folders, one of which is named images; else None."""
    tops = {parts[0] for parts in filled}
    of_images = next((top for top in tops if top.lower() in IMAGE_ROLES), None)
    if len(tops) != 2 or of_images is None:
        return None
    return lambda parts: (parts[0] != of_images, parts[1:])


def _ending(images: Folder, masks: Folder) -> str | None:
    """Return the ending by which names of masks exceed those of at least half of the images; None if it varies."""
    if any(name.lower().endswith(LOSSY) for name in masks.files.names):
        return None
    return _shared_ending(_stems(images), _stems(masks), share=0.5)


def _stems(folder: Folder) -> set[str]:
    return {name.rpartition(".")[0] for name in folder.files.names}


def _shared_ending(names: Collection[str], longer: Collection[str], share: float = 1.0) -> str | None:
    """Return the ending by which longer names exceed others; empty where they are equal; None where there is none.

    Args:
        names: The shorter names.
        longer: The longer names.
        share: Share of the shorter names that must occur with the ending.
    """
    first = min(longer, default="")
    known = set(names)
    ending = next((first[end:] for end in range(len(first), 0, -1) if first[:end] in known), None)
    if ending is None:
        return None
    others = set(longer)
    return ending if sum(name + ending in others for name in known) >= share * len(known) else None


# Folders that are taken for classes.


def check_class_folders(
    top: Path, sizes: Mapping[str, int], names: list[str] | None, files: Callable[[], Iterable[tuple[str, str]]]
) -> list[str]:
    """Check that folders are the given classes, or do not hold masks of one another; returns notes.

    Args:
        top: Folder that messages name.
        sizes: Class, which is the path of its folder → number of its images.
        names: The given classes, or None.
        files: Returns class and key of each image, of images without masks; called only if needed.

    Raises:
        SourceError: Classes have no folder, folders have no class, or two folders have files with equal names (and one
            is named images or masks) or with names that differ by an ending.
    """
    labels, stems = class_order(sizes), dict[str, set[str]]()
    suspects = [label for label in labels if split(label)[1].lower() in ROLES]
    for label, key in files() if len(labels) == 2 or (suspects and names is None) else ():
        stems.setdefault(label, set()).add(key[len(label) + 1 :])
    if names is not None:
        _check_names(top, labels, names)
    elif stems:
        _check_no_masks(top, suspects, stems)
    return list(_class_notes(sorted(labels), stems, sizes))


def _check_names(top: Path, labels: list[str], names: list[str]) -> None:
    unknown, missing = sorted(set(labels) - set(names)), sorted(set(names) - set(labels))
    problems = [f"folders that --class-names does not name:\n{first_few(unknown)}"] if unknown else []
    problems += [f"names in --class-names that have no folder with images:\n{first_few(missing)}"] if missing else []
    if problems:
        raise SourceError(
            f"{top}: " + "\n".join(problems) + "\nExpected one name for each class folder, spelled like its path."
        )


def _check_no_masks(top: Path, suspects: Sequence[str], stems: Mapping[str, set[str]]) -> None:
    """Refuse two classes whose files have equal names, or names that differ by an ending."""
    if len(stems) == 2:
        images, masks = sorted(stems, key=lambda label: min(map(len, stems[label])))
        ending = _shared_ending(stems[images], stems[masks])
        if len(stems[images]) == len(stems[masks]) and MASK_ENDING.fullmatch(ending or ""):
            raise SourceError(
                f"{top}: {images}/ and {masks}/ hold files whose names differ by the ending {ending!r}, as images and "
                f"their masks do, but would be read as two classes. Name the folders: --images {split(images)[1]} "
                f"--masks {split(masks)[1]} --mask-suffix {ending}; if they are classes, say so with --class-names."
            )
    for label, other in product(suspects, stems):
        (parent, name), (of_other, name_of_other) = split(label), split(other)
        if other != label and of_other == parent and stems[other] == stems[label]:
            raise SourceError(
                f"{top}: {label}/ and {other}/ hold files of equal names, as images and their masks do, but would "
                f"be read as two classes. Name the folders: --images {name} --masks {name_of_other} or the "
                f"other way round; if they are pairs of images, --images {name} --extra-images "
                f"{name_of_other}={name_of_other}; if they are classes, say so with --class-names."
            )


def _class_notes(labels: list[str], stems: Mapping[str, set[str]], sizes: Mapping[str, int]) -> Iterator[str]:
    """Yield notes on what may be a mistake about the classes."""
    if len(labels) == 1:
        yield (
            f"All images are of one class, {labels[0]!r}. Where their labels stand elsewhere: a table of them is given "
            "as SOURCE, annotations with --annotations; --target none is for images alone."
        )
    top = commonpath([split(label)[0] for label in labels]) if len(labels) > 1 else ""
    if top:
        yield f"All class folders lie in {top}/, so that names of classes begin with it; give {top}/ to avoid it."
    above = {label: [label[:i] for i, character in enumerate(label) if character == "/"] for label in labels}
    if both := [label for label in labels if not above.keys().isdisjoint(above[label])]:
        yield f"Class folders inside class folders, each a class of its own:\n{first_few(both)}"
    if len(labels) == 2 and stems and sizes[labels[0]] == sizes[labels[1]] and stems[labels[0]] == stems[labels[1]]:
        yield (
            f"{labels[0]}/ and {labels[1]}/ hold files of equal names. If one holds the masks of the other, "
            "name them with --images and --masks."
        )

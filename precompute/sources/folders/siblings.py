"""Folders of images beside those of their masks, told by the names of the folders and of the files in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import NamedTuple

from precompute.errors import first_few
from precompute.sources.walk import Folder

__all__ = ["IMAGE_ROLES", "MASK_ENDING", "Siblings", "find_siblings", "shared_ending"]

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

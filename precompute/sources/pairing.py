"""Images and the files of equal names beside them: which belong together, and what is left over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import eq

from precompute.sources.found_files import FoundFiles
from precompute.sources.unicode_forms import UnicodeForms

__all__ = ["Pairs", "pair"]

Identity = tuple[str | None, str]  # split, and key without its folder


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Positions of images and of the files that belong to them.

    Attributes:
        images: Images that have a file.
        files: The file of each of these.
        images_alone: Images without a file.
        files_alone: Files without an image.
        again: Files of an image that has one already, each after that one.
    """

    images: Sequence[int]
    files: Sequence[int]
    images_alone: Sequence[int] = ()
    files_alone: Sequence[int] = ()
    again: Sequence[tuple[int, int]] = field(default=())


def pair(images: FoundFiles, files: FoundFiles, *, by_split: bool) -> Pairs:
    """Match images and files by key, and by split too where both have splits."""
    if _side_by_side(images, files, by_split=by_split):
        return Pairs(images=range(len(images)), files=range(len(files)))
    file_of, again = dict[Identity, int](), list[tuple[int, int]]()
    for i, identity in enumerate(_identities(files, by_split)):
        first = file_of.setdefault(identity, i)
        if first != i:
            again.append((first, i))
    of_images = list(_identities(images, by_split))
    _join_forms(set(of_images), file_of)
    paired = [i for i, identity in enumerate(of_images) if identity in file_of]
    there = set(of_images)
    return Pairs(
        images=paired,
        files=[file_of[of_images[i]] for i in paired],
        images_alone=[i for i, identity in enumerate(of_images) if identity not in file_of],
        files_alone=sorted(i for identity, i in file_of.items() if identity not in there),
        again=again,
    )


def _identities(files: FoundFiles, by_split: bool) -> Iterator[Identity]:
    return zip(files.splits() if by_split else repeat(None, len(files)), files.plain(), strict=True)


def _side_by_side(images: FoundFiles, files: FoundFiles, *, by_split: bool) -> bool:
    """Tell whether both are in one order: then no table of all keys is needed to pair them."""
    if len(images) != len(files) or not (images.keys_are_plain and files.keys_are_plain) or files.has_duplicates():
        return False
    return images.keys == files.keys and (not by_split or all(map(eq, images.splits(), files.splits())))


def _join_forms(images: set[Identity], file_of: dict[Identity, int]) -> None:
    """Give files without an image the identity of the image that looks alike, where names differ in their forms."""
    for split in {split for split, _ in file_of}:
        free = UnicodeForms(name for of_image, name in images if of_image == split and (split, name) not in file_of)
        for identity in [one for one in file_of if one[0] == split and one not in images]:
            found = free.find(identity[1])
            if found != identity[1]:
                file_of.setdefault((split, found), file_of.pop(identity))

"""Which images and files belong together: those of one key, and of one split where both have splits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import eq
from typing import NamedTuple

from precompute.fields.string_column import ascend
from precompute.sources.found_files import FoundFiles, Identity
from precompute.sources.unicode_forms import UnicodeForms

__all__ = ["Pairs", "files_of", "in_all", "pair", "pair_files"]


class Pairs(NamedTuple):
    """Positions of images and files that are pairs, of those without a partner, and of repeated files."""

    images: Sequence[int]
    files: Sequence[int]
    images_alone: Sequence[int] = ()
    files_alone: Sequence[int] = ()
    again: Sequence[tuple[int, int]] = ()


def pair_files(images: FoundFiles, files: FoundFiles, *, by_split: bool) -> Pairs:
    """Match images and files by key, and by split where both have splits; see `pair`."""
    # No table of all keys is needed where both are in the same order.
    if (
        images.keys_are_plain
        and files.keys_are_plain
        and images.keys == files.keys
        and ascend(files.keys)
        and (not by_split or all(map(eq, images.splits(), files.splits())))
    ):
        return Pairs(range(len(images)), range(len(files)))
    return pair(list(images.identities(by_split=by_split)), files.identities(by_split=by_split))


def pair(images: Sequence[Identity], files: Iterable[Identity]) -> Pairs:
    """Match images and files whose identities are equal, but for the Unicode forms of their names."""
    file_of, again = dict[Identity, int](), list[tuple[int, int]]()
    for i, identity in enumerate(files):
        first = file_of.setdefault(identity, i)
        again += [(first, i)] if first != i else []
    there = set(images)
    _join_forms(there, file_of)
    paired = [i for i, identity in enumerate(images) if identity in file_of]
    return Pairs(
        paired,
        [file_of[images[i]] for i in paired],
        [i for i, identity in enumerate(images) if identity not in file_of],
        sorted(i for identity, i in file_of.items() if identity not in there),
        again,
    )


def _join_forms(images: set[Identity], file_of: dict[Identity, int]) -> None:
    """Give files without an image the identity of the image whose name differs only in its Unicode form."""
    for split in {split for split, _ in file_of}:
        free = UnicodeForms(name for of_image, name in images if of_image == split and (split, name) not in file_of)
        for identity in [one for one in file_of if one[0] == split and one not in images]:
            found = free.find(identity[1])
            if found != identity[1]:
                file_of.setdefault((split, found), file_of.pop(identity))


def in_all(pairs: Collection[Pairs]) -> Sequence[int]:
    """Return the positions of the images that have a file of each kind."""
    first, *others = (one.images for one in pairs)
    if all(isinstance(one, range) for one in (first, *others)):
        return first
    return sorted(set(first).intersection(*others))


def files_of(files: FoundFiles, pairs: Pairs, kept: Sequence[int]) -> FoundFiles:
    """Return the files of images at some positions, in their order."""
    if isinstance(pairs.files, range) and len(kept) == len(files):
        return files
    file_of = dict(zip(pairs.images, pairs.files, strict=True))
    return files.only([file_of[i] for i in kept])

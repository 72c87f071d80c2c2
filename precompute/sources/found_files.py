"""The files of one role, images or masks, from all folders: as columns, sorted by key."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from pathlib import Path
from typing import NamedTuple

from precompute.sources.layout import Part
from precompute.sources.split_folders import split_of
from precompute.sources.texts import Texts

__all__ = ["FoundFile", "FoundFiles", "relative", "shown"]


class FoundFile(NamedTuple):
    """One image or mask, and what its path says of it."""

    key: str
    plain: str  # the key without the split's folder, whatever was asked for
    split: str | None
    label: str
    path: str
    num_bytes: int


class _Folder(NamedTuple):
    """What the files of one folder share."""

    key_start: str
    plain_start: str
    split: str | None
    label: str
    path: str  # with a slash at its end


class FoundFiles:
    """Columns of equal length, one entry a file; what all files of a folder share is held once.

    Attributes:
        keys: Sorted; equal ones stand in the order of splits and paths.
        num_bytes: Sizes.
    """

    def __init__(self, parts: Sequence[Part], positions: list[int] | None, *, split_in_key: bool) -> None:
        """Read the columns off some parts.

        Args:
            parts: Folders with their files.
            positions: Where in each context the split's folder is; None when there are no splits.
            split_in_key: Keep that folder in the keys.
        """
        self.keys, self._names = Texts(), Texts()
        self.num_bytes: array[int] = array("q")
        self._folder: array[int] = array("i")  # of each file: index into _folders
        at = [None] * len(parts) if positions is None else positions
        pairs = [(part, _folder(part, i, split_in_key=split_in_key)) for part, i in zip(parts, at, strict=True)]
        pairs, sorted_already = _in_order([(part, folder) for part, folder in pairs if part.files])
        self._folders = [folder for _, folder in pairs]
        for number, (part, folder) in enumerate(pairs):
            self._append(number, part, folder)
        if not sorted_already:
            self._sort()

    def _append(self, number: int, part: Part, folder: _Folder) -> None:
        stems = list(part.stems())
        order = sorted(range(len(stems)), key=stems.__getitem__)
        if any(stems[a] == stems[b] for a, b in pairwise(order)):  # refused later on; the message shall not vary
            order.sort(key=lambda i: (stems[i], part.files.names[i]))
        self.keys.extend(folder.key_start + stems[i] for i in order)
        self._names.extend(part.files.names[i] for i in order)
        self.num_bytes.extend(part.files.sizes[i] for i in order)
        self._folder.extend(repeat(number, len(order)))

    def _sort(self) -> None:
        keys = list(self.keys)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self.keys = Texts(keys[i] for i in order)
        del keys
        self._names = Texts(self._names[i] for i in order)
        self.num_bytes = array("q", (self.num_bytes[i] for i in order))
        self._folder = array("i", (self._folder[i] for i in order))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, i: int) -> FoundFile:
        folder = self._folders[self._folder[i]]
        return FoundFile(
            key=self.keys[i],
            plain=folder.plain_start + self.keys[i][len(folder.key_start) :],
            split=folder.split,
            label=folder.label,
            path=folder.path + self._names[i],
            num_bytes=self.num_bytes[i],
        )

    @property
    def keys_are_plain(self) -> bool:
        """Whether no key holds the folder of a split."""
        return all(folder.key_start == folder.plain_start for folder in self._folders)

    def plain(self) -> Iterator[str]:
        """Yield the key of each file without the split's folder, whatever was asked for."""
        if self.keys_are_plain:
            return iter(self.keys)
        pairs = zip((self._folders[number] for number in self._folder), self.keys, strict=True)
        return (folder.plain_start + key[len(folder.key_start) :] for folder, key in pairs)

    def labels(self) -> Iterator[str]:
        """Yield the folders of each file but the split's: the name of its class."""
        of_folder = [folder.label for folder in self._folders]
        return (of_folder[number] for number in self._folder)

    def splits(self) -> Iterator[str | None]:
        """Yield the split of each file."""
        of_folder = [folder.split for folder in self._folders]
        return (of_folder[number] for number in self._folder)

    def paths(self, base: Path | None) -> Texts:
        """Return the path of each file below the base; absolute where it does not lie there."""
        below = [relative(folder.path, base) for folder in self._folders]
        starts = [self._folders[i].path if start is None else start for i, start in enumerate(below)]
        return Texts(starts[number] + name for number, name in zip(self._folder, self._names, strict=True))

    def twice(self) -> list[tuple[FoundFile, FoundFile]]:
        """Return neighbours that have one key."""
        return [(self[i], self[i + 1]) for i, (a, b) in enumerate(pairwise(self.keys)) if a == b]


def _folder(part: Part, position: int | None, *, split_in_key: bool) -> _Folder:
    context, split = part.context, None
    if position is not None:
        context, split = (*context[:position], *context[position + 1 :]), split_of(context[position])
    plain_start = "".join(f"{name}/" for name in context)
    key_start = "".join(f"{name}/" for name in part.context) if split_in_key else plain_start
    return _Folder(key_start, plain_start, split, "/".join(context), f"{part.path.rstrip('/')}/")


def _in_order(pairs: list[tuple[Part, _Folder]]) -> tuple[list[tuple[Part, _Folder]], bool]:
    """Return folders in an order in which their files, sorted folder by folder, have sorted keys, if there is one."""
    spans = []
    for number, (part, folder) in enumerate(pairs):
        stems = list(part.stems())
        spans.append((folder.key_start + min(stems), folder.key_start + max(stems), number))
    spans.sort()
    if all(a[1] < b[0] for a, b in pairwise(spans)):
        return [pairs[number] for _, _, number in spans], True
    return sorted(pairs, key=lambda pair: (pair[1].split or "", pair[1].path)), False


def relative(path: str, base: Path | None) -> str | None:
    """Return a posix path below the base, or None when it does not lie there."""
    if base is None:
        return None
    start = base.as_posix().rstrip("/")
    if path == base.as_posix():
        return "."
    return path[len(start) + 1 :] if path.startswith(start + "/") else None


def shown(path: str, base: Path | None) -> str:
    """Return a path below the base, else as it is."""
    return relative(path, base) or path

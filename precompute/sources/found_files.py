"""The files of one role (images or masks) from all folders, as columns that are sorted by key."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise, repeat
from operator import add
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from precompute.fields.string_column import CHUNK, StringColumn
from precompute.sources.split_folders import split_of, stay_in_keys
from precompute.sources.walk import Files, Folder

__all__ = [
    "FEW",
    "FoundFile",
    "FoundFiles",
    "Identity",
    "RoleFolder",
    "add_sorted",
    "in_role",
    "parts_of",
    "relative",
    "split_role",
]

FEW = 1000  # files that are sorted as soon one by one
COPIED = 2**16  # names that are copied at a time
PADDING = 4  # all names padded to the longest may take so many times the bytes that they have

Identity: TypeAlias = tuple[str | None, str]  # split, and key without its folder; equal for what belongs together
Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RoleFolder:
    """The images, or the masks, of one folder.

    Attributes:
        context: Names of the folders on the way to it, without those that name a role (images/, masks/).
        path: Path of the folder, absolute, posix.
        suffix: Suffix of the role, with which all stems end.
        files: Names and sizes of files, in any order.
    """

    context: tuple[str, ...]
    path: str
    suffix: str
    files: Files

    def stems(self) -> Iterator[str]:
        """Yield the name of each file without the role's suffix and the extension; all files have both."""
        stems = (name.rpartition(".")[0] for name in self.files.names)
        return (stem.removesuffix(self.suffix) for stem in stems) if self.suffix else stems


def split_role(parts: tuple[str, ...], roles: Collection[str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the role, in lower case, that the last fitting folder of a path names, and the path without it."""
    for i in reversed(range(len(parts))):
        if parts[i].lower() in roles:
            return parts[i].lower(), (*parts[:i], *parts[i + 1 :])
    return None, parts


def in_role(folders: Iterable[Folder], roles: Collection[str]) -> list[tuple[Folder, tuple[str, ...]]]:
    """Return the folders that are named like a role, or lie in one that is, with their contexts."""
    placed = ((folder, *split_role(folder.parts, roles)) for folder in folders)
    return [(folder, context) for folder, role, context in placed if role is not None]


def parts_of(placed: Iterable[tuple[Folder, tuple[str, ...]]], suffix: str) -> list[RoleFolder]:
    """Return the files of folders, with their contexts, whose stems end with a suffix and are longer than it."""
    return [RoleFolder(context, folder.path, suffix, _ending(folder.files, suffix)) for folder, context in placed]


def _ending(files: Files, suffix: str) -> Files:
    if not suffix:
        return files
    stems = ((file[0].rpartition(".")[0], file) for file in files)
    return Files(file for stem, file in stems if len(stem) > len(suffix) and stem.endswith(suffix))


class FoundFile(NamedTuple):
    """One image, or one file beside an image, with what its path tells.

    Attributes:
        key: Key of the source.
        plain: The key without the split's folder, even if keys keep it.
        place: Folders on the way and stem, without folders of roles, with those of splits.
        split: Split that a folder names, or None.
        path: Absolute path, posix.
        num_bytes: Size of the file.
        is_excluded: Whether the user left it out, and with it what annotations say of it.
    """

    key: str
    plain: str
    place: str
    split: str | None
    path: str
    num_bytes: int
    is_excluded: bool = False


class _Folder(NamedTuple):
    """What the files of one folder share."""

    key_start: str
    plain_start: str
    place_start: str
    split: str | None
    label: str
    path: str  # with a slash at its end


class FoundFiles:
    """Files as columns, one entry per file; what all files of a folder share is held once.

    Attributes:
        keys: Key of each file, sorted; equal keys are in the order of splits and paths.
        num_bytes: Size of each file.
    """

    def __init__(
        self, parts: Sequence[RoleFolder], positions: Sequence[int | None] | None, *, split_in_key: bool
    ) -> None:
        """Make the columns from folders.

        Args:
            parts: Folders with their files.
            positions: Position of the split's folder in each context; None when there are no splits.
            split_in_key: Whether keys keep that folder.
        """
        self.keys, self._names = StringColumn(), StringColumn()
        self.num_bytes: array[int] = array("q")
        self._folder: array[int] = array("i")  # of each file: index into _folders
        at: Sequence[int | None] = [None] * len(parts) if positions is None else positions
        split_in_key = split_in_key or stay_in_keys([part.context for part in parts], positions)
        pairs = [(_folder(part, i, split_in_key=split_in_key), part) for part, i in zip(parts, at, strict=True)]
        pairs.sort(key=lambda pair: pair[0].key_start)
        self._folders = [folder for folder, _ in pairs]
        edges = []  # first and last key of each folder
        for number, (folder, part) in enumerate(pairs):
            start = len(self)
            order = None
            if len(part.files) > FEW:
                names = part.files.names
                order = add_sorted(names, folder.key_start, part.suffix, keys=self.keys, names=self._names)
            if order is None:
                self._append_few(folder, part)
            else:
                self.num_bytes.frombytes(np.frombuffer(part.files.sizes, np.int64)[order].tobytes())
            self._folder.extend(repeat(number, len(part.files)))
            edges += [(self.keys[start], self.keys[-1])] if len(self) > start else []
        if not all(a[1] < b[0] for a, b in pairwise(edges)):
            self._sort()

    def _append_few(self, folder: _Folder, part: RoleFolder) -> None:
        # One text per file: sorting them is faster and takes less memory than sorting pairs or positions. No name holds
        # the character 0, and it comes before all others, so that stems are compared first, then names.
        lines = sorted(f"{stem}\0{name}\0{size}" for stem, (name, size) in zip(part.stems(), part.files, strict=True))
        for first in range(0, len(lines), CHUNK):
            stems, names, sizes = zip(*(line.split("\0") for line in lines[first : first + CHUNK]), strict=True)
            self.keys.extend(map(folder.key_start.__add__, stems))
            self._names.extend(names)
            self.num_bytes.extend(map(int, sizes))

    def _sort(self) -> None:
        keys = list(self.keys)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        if any(keys[a] == keys[b] for a, b in pairwise(order)):  # refused later on: the message shall not vary
            order.sort(key=lambda i: (self[i].key, self[i].split or "", self[i].path))
        self.keys = StringColumn(keys[i] for i in order)
        del keys
        self._names = StringColumn(self._names.take(order))
        self.num_bytes = array("q", [self.num_bytes[i] for i in order])
        self._folder = array("i", [self._folder[i] for i in order])

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[FoundFile]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, i: int) -> FoundFile:
        folder = self._folders[self._folder[i]]
        return FoundFile(
            key=self.keys[i],
            plain=folder.plain_start + self.keys[i][len(folder.key_start) :],
            place=folder.place_start + self.keys[i][len(folder.key_start) :],
            split=folder.split,
            path=folder.path + self._names[i],
            num_bytes=self.num_bytes[i],
        )

    @property
    def keys_are_plain(self) -> bool:
        """Whether no key holds the folder of a split."""
        return all(folder.key_start == folder.plain_start for folder in self._folders)

    def plain(self) -> Iterator[str]:
        """Yield the key of each file without the split's folder, even if keys keep it."""
        if self.keys_are_plain:
            return iter(self.keys)
        pairs = zip((self._folders[number] for number in self._folder), self.keys, strict=True)
        return (folder.plain_start + key[len(folder.key_start) :] for folder, key in pairs)

    def labels(self) -> Iterator[str]:
        """Yield the class of each file: its folders except for the split's."""
        return map([folder.label for folder in self._folders].__getitem__, self._folder)

    def splits(self) -> Iterator[str | None]:
        """Yield the split of each file."""
        return map([folder.split for folder in self._folders].__getitem__, self._folder)

    def identities(self, *, by_split: bool) -> Iterator[Identity]:
        """Yield the split of each file, None where it does not count, and its key without the split's folder."""
        return zip(self.splits() if by_split else repeat(None, len(self)), self.plain(), strict=True)

    def paths(self, base: Path | None) -> StringColumn:
        """Return the path of each file relative to the base; absolute where it does not lie below it."""
        below = [relative(folder.path, base) for folder in self._folders]
        starts = [self._folders[i].path if start is None else start for i, start in enumerate(below)]
        return StringColumn(map(add, map(starts.__getitem__, self._folder), self._names))

    def only(self, chosen: Sequence[int]) -> FoundFiles:
        """Return the files at these positions, in this order."""
        found = copy(self)
        found.keys, found._names = StringColumn(self.keys.take(chosen)), StringColumn(self._names.take(chosen))
        found.num_bytes = array("q", (self.num_bytes[i] for i in chosen))
        found._folder = array("i", (self._folder[i] for i in chosen))
        return found


def _folder(part: RoleFolder, position: int | None, *, split_in_key: bool) -> _Folder:
    context, split = part.context, None
    if position is not None:
        context, split = (*context[:position], *context[position + 1 :]), split_of(context[position])
    plain_start = "".join(f"{name}/" for name in context)
    place_start = "".join(f"{name}/" for name in part.context)
    key_start = place_start if split_in_key else plain_start
    return _Folder(key_start, plain_start, place_start, split, "/".join(context), f"{part.path.rstrip('/')}/")


def relative(path: str, base: Path | None) -> str | None:
    """Return a posix path relative to the base; None when it does not lie below it."""
    if base is None:
        return None
    start = base.as_posix().rstrip("/")
    if path == base.as_posix():
        return "."
    return path[len(start) + 1 :] if path.startswith(start + "/") else None


# Names in the order of their stems: sorted and copied as arrays, for folders of millions of files.


def add_sorted(
    files: StringColumn, key_start: str, suffix: str, *, keys: StringColumn, names: StringColumn
) -> Numbers | None:
    """Add the keys of one folder's files to a column, and their names to another, sorted by stem.

    Args:
        files: Names of the files; each has an extension.
        key_start: Text before each stem in its key.
        suffix: Suffix of each stem that is not part of its key.
        keys: Column to add to.
        names: Column of names to add to.

    Returns:
        The position of each in `files`. None, with nothing added, where this way does not work: two files have the same
        key, or a name is so long that padding all to its length would take much memory.
    """
    encoded, edges = files.as_arrays()
    starts, lengths = edges[:-1], np.diff(edges)
    dots = np.flatnonzero(encoded == ord("."))
    stems = dots[np.searchsorted(dots, edges[1:]) - 1] - starts - len(suffix.encode(errors="surrogatepass"))
    if len(stems) * int(stems.max(initial=1)) > PADDING * len(encoded):
        return None
    order = _order(encoded, starts, stems)
    if order is None:
        return None
    prefix = np.frombuffer(key_start.encode(errors="surrogatepass"), np.uint8)
    for first in range(0, len(order), COPIED):
        chosen = order[first : first + COPIED]
        keys.extend_encoded(*_gathered(encoded, starts[chosen], stems[chosen], prefix))
        names.extend_encoded(*_gathered(encoded, starts[chosen], lengths[chosen], prefix[:0]))
    return order


def _order(encoded: Bytes, starts: Numbers, lengths: Numbers) -> Numbers | None:
    """Return the positions of texts, sorted; None when two are equal."""
    padded = np.zeros((len(starts), max(1, int(lengths.max(initial=1)))), np.uint8)
    for first in range(0, len(starts), COPIED):
        chunk = slice(first, first + COPIED)
        there = np.arange(padded.shape[1]) < lengths[chunk, None]
        padded[chunk][there] = encoded[_positions(starts[chunk], lengths[chunk])]
    texts = padded.view(f"S{padded.shape[1]}").reshape(-1)  # a name holds no zeros, so that those at the end are none
    order = np.argsort(texts, kind="stable")  # the bytes of UTF-8 sort as its characters do
    edges = [*range(0, len(order), COPIED), len(order)]
    chunks = (texts[order[first : last + 1]] for first, last in pairwise(edges))
    return None if any((chunk[1:] == chunk[:-1]).any() for chunk in chunks) else order


def _gathered(encoded: Bytes, starts: Numbers, lengths: Numbers, prefix: Bytes) -> tuple[bytes, Numbers]:
    """Return prefixes and texts in turn as one array, and the length of each pair."""
    whole = lengths + len(prefix)
    ends = np.cumsum(whole)
    out = np.empty(int(ends[-1]), np.uint8)
    out[_positions(ends - lengths, lengths)] = encoded[_positions(starts, lengths)]
    out[(ends - whole)[:, None] + np.arange(len(prefix))] = prefix
    return out.tobytes(), whole


def _positions(starts: Numbers, lengths: Numbers) -> Numbers:
    """Return the position of every byte of texts that start somewhere and have some length."""
    before = np.cumsum(lengths) - lengths
    positions: Numbers = np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))
    return positions

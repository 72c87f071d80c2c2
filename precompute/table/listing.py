"""The sources of a split that a generation was made from, held as columns."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress, repeat
from pathlib import Path
from typing import Any, overload

from precompute.errors import DatasetError
from precompute.fields.column import Column
from precompute.fields.registry import COLUMN_TYPES
from precompute.fields.string_column import StringColumn

__all__ = ["Entry", "Listing", "Sha256Column", "merged_entry"]

Entry = dict[str, Any]

SIZE = 32
NONE = bytes(SIZE)  # no file is known with this one
NONE_TEXT = NONE.hex()


class Sha256Column(Sequence[str | None]):
    """A list of hexadecimal SHA-256 digests, None where one is unknown, stored in 32 bytes each."""

    __slots__ = ("_content",)

    def __init__(self, num: int = 0) -> None:
        """Make a list of unknown digests."""
        self._content = bytearray(num * SIZE)

    def extend(self, digests: Iterable[str | None]) -> None:
        """Add digests at the end.

        Raises:
            ValueError: One is not 64 hexadecimal digits.
        """
        parts = [NONE if digest is None else bytes.fromhex(digest) for digest in digests]
        if not set(map(len, parts)) <= {SIZE}:
            raise ValueError("expected 64 hexadecimal digits of each sha256")
        self._content += b"".join(parts)

    def __setitem__(self, i: int, digest: str) -> None:
        start = range(len(self))[i] * SIZE
        self._content[start : start + SIZE] = bytes.fromhex(digest)

    def __len__(self) -> int:
        return len(self._content) // SIZE

    @overload
    def __getitem__(self, index: int) -> str | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[str | None]: ...

    def __getitem__(self, index: int | slice) -> str | list[str | None] | None:
        if isinstance(index, slice):
            positions = range(len(self))[index]
            if positions.step != 1:
                return [self[i] for i in positions]
            text = self._content[positions.start * SIZE : positions.stop * SIZE].hex()
            parts = [text[i : i + 2 * SIZE] for i in range(0, len(text), 2 * SIZE)]
            return [None if part == NONE_TEXT else part for part in parts]
        start = range(len(self))[index] * SIZE
        digest = self._content[start : start + SIZE]
        return None if digest == NONE else digest.hex()

    @property
    def content(self) -> bytearray:
        """All digests one after the other, 32 bytes each; zeros where one is not known."""
        return self._content


class Listing(Mapping[str, Entry]):
    """The listing of a split: a mapping from sorted keys to the entries of the file, held as columns.

    Attributes:
        sorted_keys: Keys of the sources.
        images: Path of each image.
        groups: Group of each source; empty where it has none.
        segments: Index of the segment that each source belongs to.
        copies: Places of each source in every row.
        num_bytes: Size of each source's files.
        sha256: SHA-256 of each image file, where rows have been made from it.
        mask_sha256: SHA-256 of the files beside each image.
    """

    def __init__(self) -> None:
        self.sorted_keys, self.images, self.groups = StringColumn(), StringColumn(), StringColumn()
        self.segments: array[int] = array("H")
        self.copies: array[int] = array("q")
        self.num_bytes: array[int] = array("q")
        self.sha256, self.mask_sha256 = Sha256Column(), Sha256Column()
        self._parts: dict[str, list[Column]] = {}

    def add(self, entries: Mapping[str, Sequence[Any]], num: int) -> None:
        """Add sources that are sorted and checked: key of an entry → its value for each source, or None."""

        def column(key: str, none: Any) -> Iterable[Any]:
            return (none if value is None else value for value in entries[key]) if key in entries else repeat(none, num)

        self.sorted_keys.extend(entries["key"])
        self.images.extend(entries["image"])
        self.groups.extend(column("group", ""))
        self.segments.extend(column("segment", 0))
        self.copies.extend(column("copies", 1))
        self.num_bytes.extend(entries["num_bytes"])
        self.sha256.extend(entries.get("sha256", [None] * num))
        self.mask_sha256.extend(entries.get("mask_sha256", [None] * num))
        for key in [key for key in entries if key in COLUMN_TYPES]:
            there = [value is not None for value in entries[key]]
            if not any(there):
                continue
            held = entries if all(there) else {name: list(compress(entries[name], there)) for name in entries}
            for part in COLUMN_TYPES[key].of_entries(key, held):
                self._parts.setdefault(part.name, []).append(part)

    @property
    def columns(self) -> dict[str, Column]:
        """Name of each field beside the image → its column."""
        for parts in self._parts.values():
            if len(parts) > 1:
                parts[:] = [type(parts[0]).joined(parts)]
        return {name: parts[0] for name, parts in self._parts.items()}

    def check(self, path: Path) -> None:
        """Check the listing as a whole.

        Args:
            path: File that it was read from.

        Raises:
            DatasetError: Some sources lack a field that others have.
        """
        for parts in self._parts.values():
            kinds = dict.fromkeys(part.entry_key for part in parts)
            if len(kinds) > 1:
                raise DatasetError(
                    f"{path}: some sources have {' and others '.join(kinds)}; expected one kind for all."
                )
        for column in self.columns.values():
            if len(column) != len(self):
                if column.shared_key is not None:
                    raise DatasetError(f"{path}: {column.shared_key}: expected the same names for each source.")
                raise DatasetError(
                    f"{path}: {column.entry_key}: expected them for each source ({len(self)}), got {len(column)}."
                )

    def image_classes(self, i: int) -> tuple[int, ...]:
        """Return the classes of the image of a source as a whole."""
        return next((column.classes(i) for column in self.columns.values() if column.is_of_image), ())

    def entry(self, i: int) -> Entry:
        """Return the entry of the source at a position, without the keys that it lacks."""
        fields = {
            "key": self.sorted_keys[i],
            "image": self.images[i],
            **merged_entry(self.columns.values(), i),
            "group": self.groups[i] or None,
            "segment": self.segments[i] or None,
            "copies": self.copies[i],
            "num_bytes": self.num_bytes[i],
            "sha256": self.sha256[i],
            "mask_sha256": self.mask_sha256[i],
        }
        return {name: value for name, value in fields.items() if value is not None}

    def raw(self, i: int, locate: Callable[[str], Any]) -> dict[str, Any]:
        """Return the raw value of each field of a source by the field's name; see `Sources.raw`.

        Args:
            i: Position of the source.
            locate: Path in the listing → full path.
        """
        return {name: column.located(column[i], locate) for name, column in self.columns.items()}

    def position(self, key: str) -> int | None:
        """Return the position of a key; None when it is not there."""
        i = bisect_left(self.sorted_keys, key)
        return i if i < len(self.sorted_keys) and self.sorted_keys[i] == key else None

    def __getitem__(self, key: str) -> Entry:
        i = self.position(key)
        if i is None:
            raise KeyError(key)
        return self.entry(i)

    def __iter__(self) -> Iterator[str]:
        return iter(self.sorted_keys)

    def __len__(self) -> int:
        return len(self.sorted_keys)


def merged_entry(columns: Iterable[Column], i: int) -> Entry:
    """Return the part of an entry that holds the fields of one source."""
    found: Entry = {}
    for column in columns:
        entry = column.entry(i)
        if column.shared_key is not None:
            entry = {column.shared_key: found.get(column.shared_key, {}) | entry[column.shared_key]}
        found |= entry
    return found

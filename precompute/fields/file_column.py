"""Columns of files beside the images, one per source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from json.encoder import encode_basestring
from typing import Any, ClassVar, Self

from precompute.errors import DatasetError
from precompute.fields.column import Column, Entry
from precompute.fields.entry_checks import check_name
from precompute.fields.string_column import StringColumn, take
from precompute.text.named import NAME

__all__ = ["FileColumn", "NamedFileColumn"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FileColumn(Column):
    """One file per source.

    Attributes:
        paths: Posix paths below the root of the sources (absolute where they have none).
    """

    has_files: ClassVar[bool] = True
    name: str
    paths: Sequence[str]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> str:
        return self.paths[i]

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def take(self, indices: Sequence[int]) -> Self:
        """Return the paths of the sources at these positions, in this order."""
        return replace(self, paths=StringColumn(take(self.paths, indices)))

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the paths of several columns in turn."""
        return replace(columns[0], paths=StringColumn(chain.from_iterable(column.paths for column in columns)))

    def located(self, value: Any, locate: Callable[[str], Any]) -> str:
        """Return the full path of a file."""
        return str(locate(value))

    def files(self, value: Any) -> Sequence[str]:
        """Return the file of a value."""
        return (value,)

    def digest(self, value: Any, hashes: Sequence[str]) -> str:
        """Return the sha256 of the only file."""
        return hashes[0]

    def files_text(self, value: Any) -> str:
        """Return what messages call the file."""
        return f"the content of {value}"

    def texts(self) -> Sequence[str]:
        """Return all paths."""
        return self.paths


@dataclass(frozen=True, kw_only=True, eq=False)
class NamedFileColumn(FileColumn):
    """One file per source, where there may be several columns of a type: the listing has them by name in one object."""

    @property
    def entry_key(self) -> str:
        """The key of that object."""
        return str(self.shared_key)

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one source."""
        return {self.entry_key: {self.name: self.paths[i]}}

    def spelled(self, chosen: Sequence[int]) -> list[str]:
        """Return what lines of JSON hold of these sources."""
        text, start = encode_basestring, f', "{self.name}": '
        return [start + text(path) for path in take(self.paths, chosen)]

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return a column for each name; a column is shorter than the others where entries lack the name."""
        names = dict.fromkeys(name for value in entries[key] for name in value)
        return [
            cls(name=name, paths=StringColumn(value[name] for value in entries[key] if name in value)) for name in names
        ]

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse an entry whose values are no object of paths."""
        paths = entry.get(key, {})
        if not isinstance(paths, dict) or not all(map(NAME.fullmatch, paths)):
            raise DatasetError(f"{where}: {key}: expected paths by names, got {paths!r:.60}.")
        for name, path in paths.items():
            check_name(f"{key}: {name}", path, where)

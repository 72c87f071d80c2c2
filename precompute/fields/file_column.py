"""Columns of files beside the images, one per source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, ClassVar, Self

from precompute.fields.column import Column
from precompute.fields.string_column import StringColumn, take

__all__ = ["FileColumn"]


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

"""Lists with an entry for each image, as notebooks have them: what has no order, or another one, is refused."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from precompute.errors import UsageError, first_few

__all__ = ["check_indexes", "list_of"]


def list_of(name: str, column: Any) -> list[Any]:
    """Return the entries of a list, an array, or a column of a table.

    Raises:
        UsageError: It is a text, a dictionary or a whole table, of which a list would be the names alone; it is a set,
            which has no order; or it is no list at all.
    """
    expected = f"{name}: expected a list with an entry for each image, got"
    if isinstance(column, str | bytes | os.PathLike):
        raise UsageError(f"{expected} {column!r:.60}.")
    if isinstance(column, set | frozenset):
        raise UsageError(f"{expected} a {type(column).__name__}, which has no order; give a list.")
    if isinstance(column, Mapping):
        raise UsageError(f"{expected} a {type(column).__name__}; give its values in the order of the images.")
    if hasattr(column, "columns"):
        raise UsageError(f"{expected} a whole {type(column).__name__}; give one of its columns.")
    if not isinstance(column, Iterable):
        raise UsageError(f"{expected} {type(column).__name__}.")
    return list(column)


def check_indexes(columns: Mapping[str, Any]) -> None:
    """Check that columns of tables, which have an index, have the same one: entries belong together by position.

    Raises:
        UsageError: Those of two differ; the first five positions are named.
    """
    indexes = {name: index for name, column in columns.items() if (index := _index_of(column)) is not None}
    for name, index in indexes.items():
        first = next(iter(indexes))
        pairs = zip(indexes[first], index, strict=False)
        differing = [f"position {i}: {a!r} and {b!r}" for i, (a, b) in enumerate(pairs) if a != b]
        if differing:
            raise UsageError(
                f"{name}: its index differs from that of {first}, but entries belong together by position:\n"
                f"{first_few(differing)}\nPut both in one order, such as {name}.loc[{first}.index]; or, where the "
                "order is right, give both with .reset_index(drop=True)."
            )


def _index_of(column: Any) -> list[Any] | None:
    """Return the index of a pandas Series, or of what is like it; lists have a method of that name."""
    index = getattr(column, "index", None)
    return None if index is None or callable(index) else list(index)

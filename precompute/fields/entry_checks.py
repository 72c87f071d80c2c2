"""Checks of single values in an entry of a listing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from precompute.errors import DatasetError

__all__ = ["SURROGATE", "are_surely_names", "check_name", "check_size", "is_index", "is_name"]

SURROGATE = re.compile(r"[\ud800-\udfff]")


def is_name(value: str) -> bool:
    """Return whether a text can be the name of a file."""
    try:
        return bool(value) and b"\0" not in value.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


def are_surely_names(values: Sequence[Any]) -> bool:
    """Return whether a quick look at all values shows that each is a text that can be a name."""
    if set(map(type, values)) != {str}:
        return False
    joined = "".join(values)
    return all(values) and "\0" not in joined and (joined.isascii() or not SURROGATE.search(joined))


def check_name(key: str, value: Any, where: str) -> None:
    """Refuse a value that cannot be a name.

    Raises:
        DatasetError: The value cannot be a name.
    """
    if not isinstance(value, str):
        raise DatasetError(f"{where}: {key}: expected str, got {value!r:.60}.")
    if not is_name(value):
        raise DatasetError(f"{where}: {key}: {value!r:.60} cannot be a name.")


def is_index(value: Any) -> bool:
    """Return whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_size(key: str, entry: Mapping[str, Any], where: str) -> None:
    """Refuse a size that is no width and height; an entry may lack the key.

    Raises:
        DatasetError: The size is not valid.
    """
    size = entry.get(key, [1, 1])
    if not (isinstance(size, list) and len(size) == 2 and all(is_index(n) and 0 < n < 2**31 for n in size)):
        raise DatasetError(f"{where}: {key}: expected width and height, got {size!r:.60}.")

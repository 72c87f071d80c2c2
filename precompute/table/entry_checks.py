"""Checks of the entries of a listing: what no build writes is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from precompute.errors import DatasetError
from precompute.fields.entry_checks import are_surely_names, check_name
from precompute.fields.registry import COLUMN_TYPES
from precompute.options.values import MAX_COPIES

__all__ = ["HASHES", "Entry", "are_surely_fine", "check_entry"]

Entry = dict[str, Any]
MAX_BYTES = 2**62
NAMES = ("key", "image", "group")
HASHES = ("sha256", "mask_sha256")
NUMBERS = ("segment", "copies", "num_bytes")
MAX_SEGMENT = 2**16 - 1
NEEDED = ("key", "image", "num_bytes")


def check_entry(entry: Any, where: str) -> None:
    """Refuse an entry that no build writes: its values are used as they are, some as names of files."""
    if not isinstance(entry, dict):
        raise DatasetError(f"{where}: expected an object, got {entry!r:.60}.")
    missing = [name for name in NEEDED if name not in entry]
    if missing:
        raise DatasetError(f"{where}: the field {missing[0]!r} is missing.")
    for name, value in entry.items():
        if name in NAMES or name in HASHES:
            check_name(name, value, where)
        if name in HASHES and not _is_hash(value):
            raise DatasetError(f"{where}: {name}: expected 64 hexadecimal digits, got {value!r:.80}.")
        if name in NUMBERS and (not isinstance(value, int) or isinstance(value, bool)):
            raise DatasetError(f"{where}: {name}: expected int, got {value!r:.60}.")
    for key, column in COLUMN_TYPES.items():
        column.check_entry(key, entry, where)
    if not 0 <= entry.get("segment", 0) <= MAX_SEGMENT:
        raise DatasetError(f"{where}: segment: expected 0 to {MAX_SEGMENT}, got {entry['segment']!r:.60}.")
    if not 1 <= entry.get("copies", 1) <= MAX_COPIES:
        raise DatasetError(f"{where}: copies: expected 1 to {MAX_COPIES}, got {entry['copies']!r:.60}.")
    if abs(entry["num_bytes"]) >= MAX_BYTES:
        raise DatasetError(f"{where}: num_bytes: expected the size of files, got {entry['num_bytes']}.")


def _is_hash(value: str) -> bool:
    return len(value) == 64 and not set(value) - set("0123456789abcdef")


def are_surely_fine(entries: Mapping[str, Sequence[Any]]) -> bool:
    """Return whether a quick look at whole columns shows that no entry needs `check_entry`, in a fraction of the time.

    Args:
        entries: Key → value in each of many entries; none is missing.
    """

    def there(names: Iterable[str]) -> list[Sequence[Any]]:
        return [entries[name] for name in names if name in entries]

    copies, segments = entries.get("copies", (1,)), entries.get("segment", (0,))
    return (
        set(NEEDED) <= entries.keys()
        and all(map(are_surely_names, there((*NAMES, *HASHES))))
        and all(set(map(len, hashes)) == {64} for hashes in there(HASHES))
        and all(set(map(type, numbers)) == {int} for numbers in there(NUMBERS))
        and all(column.is_surely_fine(entries[key]) for key, column in COLUMN_TYPES.items() if key in entries)
        and 0 <= min(segments) <= max(segments) <= MAX_SEGMENT
        and 1 <= min(copies) <= max(copies) <= MAX_COPIES
        and max(map(abs, entries["num_bytes"])) < MAX_BYTES
    )

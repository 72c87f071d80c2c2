"""Which rows: chosen by a user, missing from a seed, read by an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from precompute.dataset.manifest import Row, Split
from precompute.errors import UsageError

__all__ = ["parse_row_ranges", "position_of_epoch", "select_rows"]


def position_of_epoch(epoch: Any, num_rows: int) -> Any:
    """Return which of the chosen rows an epoch reads, as a position in their list.

    The one place where this is decided. Works on Python integers and on integer tensors alike.
    """
    return epoch % num_rows


def select_rows(split: Split, rows: str | Sequence[int], *, name: str) -> list[Row]:
    """Return the listed rows that a reader asked for.

    Args:
        split: The grid to choose from.
        rows: ``"cycle"`` or ``"all"`` for every listed row, or row numbers.
        name: Name of the split, for messages.

    Raises:
        UsageError: A row is not listed, or the list is empty.
    """
    if isinstance(rows, str):
        if rows not in ("cycle", "all"):
            raise UsageError(f"rows: expected 'cycle', 'all' or a list of row numbers, got {rows!r}.")
        return split.rows
    listed = {row.row: row for row in split.rows}
    unknown = [number for number in rows if number not in listed]
    if unknown or not rows:
        raise UsageError(
            f"rows: expected row numbers that {name} lists ({describe_numbers(list(listed))}), got {unknown or '[]'}."
        )
    return [listed[number] for number in rows]


def parse_row_ranges(text: str) -> list[int]:
    """Return the row numbers of ``"0-3,7"``: ranges are inclusive.

    Raises:
        UsageError: The text has another form, or a range runs backwards.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise UsageError(f"rows: expected numbers and inclusive ranges such as 0-3,7, got {text!r}.")
        numbers += range(int(first), int(last or first) + 1)
    return sorted(set(numbers))


def describe_numbers(numbers: Sequence[int]) -> str:
    """Return row numbers as ranges: ``"0-3, 7"``."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts) or "none"

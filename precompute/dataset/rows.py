"""Which rows: chosen by a user, missing from a seed, read by an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from precompute.dataset.manifest import Row, Split
from precompute.errors import UsageError

__all__ = ["EXPECTED", "Reading", "choose_row", "original_row", "parse_row_ranges", "position_of_epoch", "select_rows"]

WORDS = ("cycle", "follow", "all")
EXPECTED = "'cycle', 'follow', 'all' or a list of row numbers"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Which row an epoch has read.

    Attributes:
        epoch: Counted from 0.
        row: Its number.
        seed: Of its draws.
        variant: Of its draws; None in the original row.
    """

    epoch: int
    row: int
    seed: int
    variant: int | None


def choose_row(epoch: int, listed: Sequence[Row], readings: Mapping[int, Reading]) -> Row:
    """Return the row that an epoch reads: the one that was not read for the longest time, never read ones first.

    The one place where this is decided. An epoch that was begun goes on with its own row, as long as it is listed.

    Args:
        epoch: Counted from 0.
        listed: Rows to choose from, at least one.
        readings: Epoch → what it has read.
    """
    begun = readings.get(epoch)
    last_read = {readings[e].row: e for e in sorted(readings) if e < epoch}

    def waiting(row: Row) -> tuple[bool, int]:
        return begun is None or row.row != begun.row, last_read.get(row.row, -1)

    return min(listed, key=waiting)  # of equals the first


def position_of_epoch(epoch: Any, num_rows: int) -> Any:
    """Return what `choose_row` comes to when rows neither come nor go, as a position in their list.

    Works on Python integers and on integer tensors alike.
    """
    return epoch % num_rows


def original_row(split: Split, *, name: str) -> Row:
    """Return the row of sources that went through the validation pipeline.

    Raises:
        UsageError: There is none.
    """
    for row in split.rows:
        if row.original:
            return row
    raise UsageError(f"clean_from: {name} has no original row; add one with `precompute build --include-original`.")


def select_rows(split: Split, rows: str | Sequence[int], *, name: str) -> list[Row]:
    """Return the listed rows that a reader asked for.

    Args:
        split: The grid to choose from.
        rows: One of `WORDS` for every listed row, or row numbers.
        name: Name of the split, for messages.

    Raises:
        UsageError: A row is not listed, or the list is empty.
    """
    if isinstance(rows, str):
        if rows not in WORDS:
            raise UsageError(f"rows: expected {EXPECTED}, got {rows!r}.")
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

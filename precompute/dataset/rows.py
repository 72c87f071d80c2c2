"""Rows: the content of their files, the choice by a user, and which one an epoch reads."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.dataset.json_files import decode_json, dump, parse_json
from precompute.dataset.manifest import BoxCounts, Manifest, Row, Split
from precompute.dataset.paths import DatasetPaths
from precompute.errors import DatasetError, UsageError
from precompute.storage.transfer import sha256_of
from precompute.text.format import format_count

__all__ = [
    "EXPECTED",
    "Reading",
    "RowFile",
    "Shard",
    "choose_row",
    "original_row",
    "parse_row_ranges",
    "position_of_epoch",
    "read_row_file",
    "read_row_files",
    "select_rows",
]

WORDS = ("cycle", "follow", "all")
EXPECTED = "'cycle', 'follow', 'all' or a list of row numbers"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Facts about one shard of a row."""

    num_records: int
    num_bytes: int
    sha256: str
    boxes: BoxCounts | None = None  # where records have boxes

    def fault(self, path: Path, *, full: bool) -> str | None:
        """Return why a file is not this shard, None if it is; with `full` its sha256 is compared too.

        Raises:
            OSError: The file is there and cannot be read.
        """
        try:
            size = path.stat().st_size
            if size != self.num_bytes:
                return f"{size} bytes, expected {self.num_bytes}"
            return "its content was altered (sha256 differs)" if full and sha256_of(path) != self.sha256 else None
        except FileNotFoundError:
            return "missing"


@dataclass(frozen=True, kw_only=True)
class RowFile:
    """Counts and hashes of one row's shards, one per block. Never changed once the manifest lists it."""

    generation: str
    split: str
    row: int
    seed: int
    variant: int | None
    original: bool
    shards: list[Shard]

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return dump(dataclasses.asdict(self))


def read_row_file(folder: Path, manifest: Manifest, split: str, row: Row) -> RowFile:
    """Read the row file that the manifest lists.

    Raises:
        DatasetError: It is missing, or is not the one that the manifest names by its sha256.
    """
    path = DatasetPaths(folder).row_file(manifest.generation, split, row.row)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: the manifest lists row {row.row} of {split}, but: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise DatasetError(f"{path}: this is not the row file that the manifest names by its sha256; it was altered.")
    parsed = parse_json(RowFile, decode_json(path, content), str(path))
    if len(parsed.shards) != manifest.splits[split].num_blocks:
        raise DatasetError(
            f"{path}: expected {format_count(manifest.splits[split].num_blocks, 'shard')}, one a block, got "
            f"{len(parsed.shards)}."
        )
    return parsed


def read_row_files(folder: Path, manifest: Manifest) -> dict[tuple[str, int], RowFile]:
    """Return (split, row) → row file, for all rows that the manifest lists.

    Raises:
        DatasetError: One is missing, or is not the one that the manifest names by its sha256.
    """
    return {
        (name, row.row): read_row_file(folder, manifest, name, row)
        for name, split in manifest.splits.items()
        for row in split.rows
    }


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The row that an epoch has read.

    Attributes:
        epoch: Counted from 0.
        row: Number of the row.
        seed: Augmentation seed of the row.
        variant: Variant of the row's records; None in the original row.
    """

    epoch: int
    row: int
    seed: int
    variant: int | None


def choose_row(epoch: int, listed: Sequence[Row], readings: Mapping[int, Reading]) -> Row:
    """Return the row that an epoch reads: the row that was read longest ago, rows never read first.

    Only this function decides it. An epoch that was begun continues with its row, as long as that is listed.

    Args:
        epoch: Counted from 0.
        listed: Rows to choose from, at least one.
        readings: Epoch → its reading.
    """
    begun = readings.get(epoch)
    last_read = {readings[e].row: e for e in sorted(readings) if e < epoch}

    def waiting(row: Row) -> tuple[bool, int]:
        return begun is None or row.row != begun.row, last_read.get(row.row, -1)

    return min(listed, key=waiting)  # of equals the first


def position_of_epoch(epoch: Any, num_rows: int) -> Any:
    """Return the choice of `choose_row` when rows neither come nor go, as a position in their list.

    Works on Python integers and on integer tensors alike.
    """
    return epoch % num_rows


def original_row(split: Split, *, name: str) -> Row:
    """Return the original row, whose sources went through the validation pipeline.

    Raises:
        UsageError: There is no such row.
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

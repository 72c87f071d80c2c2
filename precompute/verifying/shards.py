"""Checks of one shard: its size, hash, framing, and every record in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import BoxCounts, Manifest, Row
from precompute.dataset.rows import Shard
from precompute.errors import DatasetError
from precompute.records.stored import count_objects, decode_record, difference
from precompute.records.tfrecord import read_records
from precompute.storage.transfer import local_copy, sha256_of
from precompute.text.format import format_count

__all__ = ["Cell", "ShardCheck", "check_shard"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one shard should hold.

    Attributes:
        path: Path of the shard.
        shard: Counts and hash from the row file.
        row: Row that it belongs to.
        places: (key, copy) of each record in order; None when the listing cannot be trusted.
        listed: Name of a field that is compared with the listing → its listed value for each record in order, or None.
    """

    path: Path
    shard: Shard
    row: Row
    places: Sequence[tuple[str, int]] | None
    listed: Mapping[str, Sequence[Any]]


@dataclass(frozen=True, kw_only=True)
class ShardCheck:
    """The result of checking a shard.

    Attributes:
        path: Path of the shard.
        num_records: Number of records that were decoded.
        num_bytes: Size of the file.
        faults: All that is wrong with it.
        altered: Whether its bytes are not those that were written.
    """

    path: Path
    num_records: int
    num_bytes: int
    faults: list[str]
    altered: bool = False


def check_shard(cell: Cell, manifest: Manifest) -> ShardCheck:
    """Read a shard twice, as bytes and as records, and collect what is wrong with it."""
    try:
        with local_copy(cell.path) as path:
            return _check_file(cell, path, manifest)
    except OSError as error:
        why = "missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        return ShardCheck(path=cell.path, num_records=0, num_bytes=0, faults=[why], altered=True)


def _check_file(cell: Cell, path: Path, manifest: Manifest) -> ShardCheck:
    num_bytes = path.stat().st_size
    sha256, faults = sha256_of(path), list[str]()
    if num_bytes != cell.shard.num_bytes:
        faults.append(f"{num_bytes:,} bytes, expected {cell.shard.num_bytes:,}")
    elif sha256 != cell.shard.sha256:
        faults.append("its content was altered (sha256 differs)")
    altered = bool(faults)
    num_records, counts, fault = _check_records(cell, path, manifest)
    if fault is not None:
        faults.append(fault)
    elif counts is not None and counts != cell.shard.boxes:
        faults.append(f"{counts}, the row file says {cell.shard.boxes}")
    elif num_records != cell.shard.num_records:
        faults.append(f"{format_count(num_records, 'record')}, expected {cell.shard.num_records}")
    return ShardCheck(path=cell.path, num_records=num_records, num_bytes=num_bytes, faults=faults, altered=altered)


def _check_records(cell: Cell, path: Path, manifest: Manifest) -> tuple[int, BoxCounts | None, str | None]:
    """Return the number of decoded records, counts of their objects, and what is wrong with the next one, or None."""
    num_records, counts = 0, BoxCounts() if manifest.schema.counted_keys else None
    try:
        for record in read_records(path):
            fault = _record_fault(record, num_records, cell, manifest)
            if fault is not None:
                return num_records, counts, f"record {num_records}: {fault}"
            num_records += 1
            if counts is not None:
                counts += BoxCounts.of_record(count_objects(record, manifest.schema))
    except DatasetError as error:
        return num_records, counts, str(error).removeprefix(f"{path}: ").rstrip(".")
    return num_records, counts, None


def _record_fault(record: bytes, index: int, cell: Cell, manifest: Manifest) -> str | None:
    try:
        example = decode_record(record, manifest.schema)
    except DatasetError as error:
        return str(error).rstrip(".")
    place, draw = (example["key"], example["copy"]), (example["seed"], example["variant"])
    if cell.places is not None:
        expected = cell.places[index] if index < len(cell.places) else None
        if place != expected:
            return f"is {_shown(place)}, expected {_shown(expected)}"
    if draw != (cell.row.seed, cell.row.stored_variant):
        return (
            f"{place[0]} has seed {draw[0]}, variant {draw[1]}; row {cell.row.row} has seed {cell.row.seed}, variant "
            f"{cell.row.stored_variant}"
        )
    for name, values in cell.listed.items():
        listed = values[index]
        fault = None if listed is None else manifest.schema[name].listed_difference(example, listed)
        if fault is not None:
            return f"{place[0]} {fault}"
    fault = difference(example, manifest.schema)
    return None if fault is None else f"{place[0]}: {fault}"


def _shown(place: tuple[str, int] | None) -> str:
    if place is None:
        return "the end of the shard"
    return f"{place[0]!r}" if place[1] == 0 else f"copy {place[1]} of {place[0]!r}"

"""A contact sheet of stored records, read back from their shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from precompute.dataset.leases import RowName, hold_rows
from precompute.dataset.manifest import Manifest, Row
from precompute.dataset.rows import select_rows
from precompute.errors import DatasetError, UsageError
from precompute.fields.field import Schema
from precompute.pictures.sheet import Cell, Line, Sheet, cell_of, check_output, save_sheet
from precompute.plan.places import sample_by_class, shard_places
from precompute.readers.epoch import listed_split
from precompute.records.stored import decode_record
from precompute.records.tfrecord import read_records
from precompute.storage.paths import as_path, local_path
from precompute.table.listing import Listing
from precompute.table.listing_file import stored_listing
from precompute.text.format import format_count

__all__ = ["draw_stored", "first_sheet", "stored_sheet"]


def draw_stored(
    out: str | Path,
    output: str | Path,
    *,
    split: str = "train",
    rows: Sequence[int] | None = None,
    num_sources: int = 6,
    num_rows: int = 7,
) -> Path:
    """Draw the records of some sources, one column per row of the dataset; returns the picture's path.

    Args:
        out: The dataset's folder.
        output: File of the picture.
        split: Name of the split.
        rows: Row numbers; the first listed ones when None.
        num_sources: Number of sources to show. The choice is fixed, and covers as many classes as fit.
        num_rows: Number of rows to show when `rows` is None.

    Raises:
        DatasetError: The dataset is missing, short or altered.
        UsageError: There is no such split or row, or the picture cannot be written.
    """
    folder, path = as_path(out), local_path(output, "output")
    check_output(path)

    def chosen(manifest: Manifest) -> list[Row]:
        listed = listed_split(manifest, split)
        return listed.rows[:num_rows] if rows is None else select_rows(listed, rows, name=split)

    def names(manifest: Manifest) -> list[RowName]:
        return [(manifest.generation, split, row.row) for row in chosen(manifest)]

    if num_sources < 1 or num_rows < 1:
        raise UsageError(f"num_sources, num_rows: expected 1 or more, got {num_sources} and {num_rows}.")
    manifest, lease = hold_rows(folder, names)
    try:
        return save_sheet(stored_sheet(folder, manifest, split, chosen(manifest), num_sources), path)
    finally:
        lease.close()


def stored_sheet(out: Path, manifest: Manifest, split: str, rows: Sequence[Row], num_sources: int) -> Sheet:
    """Return the sheet, not written yet."""
    listing = stored_listing(out, manifest, split)
    classes = {key: listing.image_classes(i) for i, key in enumerate(listing)}
    keys = sample_by_class(classes, num_sources, left_out=manifest.skipped_keys(split))
    columns = [_read_column(out, manifest, split, row, _positions(manifest, split, listing, keys)) for row in rows]
    return Sheet(
        title=f"{manifest.name} {manifest.generation}: {len(keys)} of {format_count(len(listing), 'source')} of "
        f"{split}",
        subtitle="records as they are stored",
        columns=[f"row {row.row}: {row.drawn}" for row in rows],
        lines=[_line(key, [column[key] for column in columns]) for key in keys],
    )


def first_sheet(out: Path, manifest: Manifest, split: str, *, num_records: int = 3, num_rows: int = 6) -> Sheet:
    """Return a sheet of the first records of a split's first rows: little is read, whatever the size of the dataset.

    Raises:
        DatasetError: A shard is missing or altered.
    """
    rows = manifest.splits[split].rows[:num_rows]
    paths = (manifest.shard_path(out, split, row.row, 0) for row in rows)
    found = [[decode_record(r, manifest.schema) for r in islice(read_records(path), num_records)] for path in paths]
    lines = [_line(of[0]["key"], [cell_of(one, manifest.schema) for one in of]) for of in zip(*found, strict=True)]
    columns = [f"row {row.row}: {row.drawn}" for row in rows]
    return Sheet(title=f"first records of {split}", columns=columns, lines=lines)


def _line(key: str, cells: Sequence[Cell]) -> Line:
    return Line(caption=key, cells=cells, remark=", ".join(cells[0].remarks))


def _positions(manifest: Manifest, split: str, listing: Listing, keys: Sequence[str]) -> dict[int, dict[int, str]]:
    """Return block → index of a record in its shard → key, for the first place of each key."""
    found: dict[int, dict[int, str]] = {}
    for block, places in enumerate(shard_places(manifest, split, listing)):
        for index, (key, copy) in enumerate(places):
            if copy == 0 and key in keys:
                found.setdefault(block, {})[index] = key
    return found


def _read_column(
    out: Path, manifest: Manifest, split: str, row: Row, positions: Mapping[int, Mapping[int, str]]
) -> dict[str, Cell]:
    """Return the pictures of one row by key."""
    cells: dict[str, Cell] = {}
    for block, wanted in positions.items():
        path = manifest.shard_path(out, split, row.row, block)
        for index, record in enumerate(read_records(path)):
            if index in wanted:
                cells[wanted[index]] = _cell(record, manifest.schema, wanted[index], path)
            if index >= max(wanted):
                break
    lacking = [key for wanted in positions.values() for key in wanted.values() if key not in cells]
    if lacking:
        raise DatasetError(f"{out}: row {row.row} of {split} has no record of {lacking[0]}; run `precompute verify`.")
    return cells


def _cell(record: bytes, schema: Schema, key: str, path: Path) -> Cell:
    example = decode_record(record, schema)
    if example["key"] != key:
        raise DatasetError(f"{path}: holds {example['key']} where {key} is expected; run `precompute verify`.")
    return cell_of(example, schema)

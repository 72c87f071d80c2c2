"""Index files for NVIDIA DALI's TFRecord reader: a line a record, with its byte offset and its size.

Source: https://github.com/NVIDIA/DALI/blob/4aba0b4ca93736b43ad4cc02c7ba41173bdf5fd4/tools/tfrecord2idx (decimal numbers
separated by a space; the size is that of length, checksums and record together).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from precompute.building.files import write_whole
from precompute.building.folder import write_lock
from precompute.dataset.guards import check_shards
from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import parse_row_ranges, read_row_file, select_rows
from precompute.errors import DatasetError, UsageError
from precompute.options.plain_values import converts_arguments
from precompute.records.tfrecord import FRAMING_BYTES, read_records
from precompute.storage.paths import as_path
from precompute.text.display import Displayed
from precompute.text.format import format_count

__all__ = ["DaliIndexes", "dali_index"]


@dataclass(frozen=True, kw_only=True, repr=False)
class DaliIndexes(Displayed):
    """Index files that were written.

    Attributes:
        folder: Folder of the indexes.
        shards: Paths of the shards, by split, row and block.
        indexes: Path of the index file of each shard, in the same order.
        num_records: Number of records in all shards.
    """

    folder: Path
    shards: list[Path]
    indexes: list[Path]
    num_records: int

    def summary(self) -> str:
        """Return a line for people."""
        return (
            f"wrote {format_count(len(self.indexes), 'index file')} of "
            f"{format_count(self.num_records, 'record')} to {self.folder}; "
            "sorted by name they are in the order of the shards"
        )


@converts_arguments
def dali_index(out: str | Path, *, split: str | None = None, rows: str | Sequence[int] = "all") -> DaliIndexes:
    """Write an index file for each shard, as `nvidia.dali.fn.readers.tfrecord` wants it for `index_path`.

    The files lie in a folder of the generation, and are deleted with their rows. Call it again after adding rows.

    Args:
        out: The dataset's folder.
        split: ``"train"``, ``"validation"`` or ``"test"``; all of them when None.
        rows: ``"all"``, row numbers, or text such as ``"0-3,7"``; ranges are inclusive. Row numbers need a split.

    Raises:
        UsageError: There is no such split or row.
        DatasetError: The dataset is missing, or shards are missing, short or altered.
        FolderInUseError: Another command is writing there.
    """
    folder = as_path(out)
    Manifest.load(folder)
    if rows != "all" and split is None:
        raise UsageError("rows: row numbers belong to a split; give one (--split train).")
    with write_lock(folder):
        manifest = Manifest.load(folder)
        if split is not None and split not in manifest.splits:
            raise UsageError(f"split: the dataset has {', '.join(manifest.splits)}; got {split!r}.")
        shards, indexes, num_records = list[Path](), list[Path](), 0
        for name in manifest.splits if split is None else [split]:
            numbers = parse_row_ranges(rows) if isinstance(rows, str) and rows != "all" else rows
            chosen = select_rows(manifest.splits[name], numbers, name=name)
            check_shards(folder, manifest, name, chosen, full=False)
            for row in chosen:
                for block, shard in enumerate(read_row_file(folder, manifest, name, row).shards):
                    path = manifest.shard_path(folder, name, row.row, block)
                    index = DatasetPaths(folder).dali_index(path)
                    write_whole(index, index_lines(path, shard.num_records), DatasetPaths(folder).temporary)
                    shards.append(path)
                    indexes.append(index)
                    num_records += shard.num_records
    where = DatasetPaths(folder).dali_index(DatasetPaths(folder).generation(manifest.generation) / "x").parent
    return DaliIndexes(folder=where, shards=shards, indexes=indexes, num_records=num_records)


def index_lines(shard: Path, num_records: int) -> bytes:
    """Return the content of a shard's index file; its checksums are verified on the way.

    Raises:
        DatasetError: The shard is cut short or altered.
    """
    lines, position = list[str](), 0
    for record in read_records(shard):
        size = len(record) + FRAMING_BYTES
        lines.append(f"{position} {size}\n")
        position += size
    if len(lines) != num_records:
        raise DatasetError(
            f"{shard}: {format_count(len(lines), 'record')}, expected {num_records}; run `precompute verify`."
        )
    return "".join(lines).encode()

"""What a reader reads in an epoch: which rows, which part of them, which batches; common to `read` and `load`.

Only `open_split` has effects: it holds the rows by a lease, and compares their files with the manifest.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.dataset.guards import check_leaks, check_shards, check_still_there
from precompute.dataset.leases import Lease, hold_rows, note_without_lease
from precompute.dataset.manifest import Manifest, Row, Split
from precompute.dataset.rows import read_row_file
from precompute.dataset.shard_cache import ShardCache
from precompute.errors import DatasetError, UsageError
from precompute.storage.paths import is_remote
from precompute.text.format import format_count

__all__ = [
    "WINDOW_BYTES",
    "Batches",
    "OpenedSplit",
    "Part",
    "batches_of_epoch",
    "check_integer",
    "listed_split",
    "open_split",
    "part_of_row",
    "shard_paths",
]

WINDOW_BYTES = 64 * 2**20  # encoded records; blocks are a global shuffle already, this mixes further
MIN_SHARDS = 16  # a reader; a shard more or less is then a few records in a hundred
MAX_INT64 = 2**63 - 1


# Which rows


@dataclass(frozen=True, kw_only=True)
class OpenedSplit:
    """A split that is open for reading.

    Attributes:
        root: Folder of the dataset.
        manifest: Its manifest, as it was when the rows were held.
        split: Name of the split.
        rows: Rows that were chosen.
        block_sizes: Number of records in each shard of a row; the same in all rows.
    """

    root: Path
    manifest: Manifest
    split: str
    rows: list[Row]
    block_sizes: Sequence[int]

    @property
    def mean_bytes(self) -> int:
        """Mean size of a record, bytes."""
        return max(1, self.rows[0].num_bytes // max(1, self.rows[0].num_records))

    def look(self, row: int, paths: Sequence[str]) -> None:
        """Check that the shards of the row of this number, on a local disk, are still there.

        Raises:
            DatasetError: Some are missing.
        """
        check_still_there(self.root, self.manifest, self.split, row, paths)


def open_split(
    root: Path,
    split: str,
    choose: Callable[[Split], list[Row]],
    *,
    check: str = "sizes",
    allow_leak: bool = True,
    lease_dir: str | Path | None = None,
) -> tuple[OpenedSplit, Lease]:
    """Open a split: choose rows, hold them by a lease, look at their files.

    Args:
        root: Folder of the dataset.
        split: Name of the split.
        choose: Listed split → rows to read.
        check: How files are compared with the row files: by ``"sizes"``, in ``"full"``, or not at all (``"none"``).
        allow_leak: Whether the split may share a source's content with another one.
        lease_dir: Folder for the lease where the dataset is read-only.

    Raises:
        DatasetError: The dataset is missing, short or altered, or splits share a source's content.
        UsageError: There is no such split or row, or `lease_dir` cannot be written to.
    """

    def chosen(manifest: Manifest) -> list[Row]:
        return choose(listed_split(manifest, split))

    manifest, lease = hold_rows(root, lambda m: [(m.generation, split, row.row) for row in chosen(m)], lease_dir)
    note_without_lease(root, lease)
    rows = chosen(manifest)
    try:
        if not allow_leak:
            check_leaks(root, manifest, split)
        if check != "none":
            # Shards in a store are not compared here, but their local copies, since these are read.
            check_shards(root, manifest, split, rows, full=check == "full" and not is_remote(root))
        block_sizes = [shard.num_records for shard in read_row_file(root, manifest, split, rows[0]).shards]
    except DatasetError:
        lease.close()
        raise
    return OpenedSplit(root=root, manifest=manifest, split=split, rows=rows, block_sizes=block_sizes), lease


def listed_split(manifest: Manifest, split: str) -> Split:
    """Return a split of a manifest, which must list rows.

    Raises:
        DatasetError: The split lists no rows.
        UsageError: There is no such split.
    """
    if split not in manifest.splits:
        raise UsageError(f"split: the dataset has {', '.join(manifest.splits)}; got {split!r}.")
    listed = manifest.splits[split]
    if not listed.rows:
        raise DatasetError(f"{manifest.name}: {split} lists no rows; add some with `precompute build`.")
    return listed


def shard_paths(root: Path, manifest: Manifest, split: str, row: Row, cache: ShardCache | None) -> list[str]:
    """Return the paths of a row's shards: in the dataset, or in the cache if that is in an object store."""
    if cache is not None:
        return cache.names(manifest, split, row)
    blocks = range(manifest.splits[split].num_blocks)
    return [str(manifest.shard_path(root, split, row.row, block)) for block in blocks]


# Parts of a row, and batches


@dataclass(frozen=True, kw_only=True)
class Part:
    """The part of each row that one of several readers takes: shards if there are enough, else records in turn.

    Attributes:
        index: Index of the reader, from 0.
        num_readers: Number of readers that share the row.
        by_record: Whether readers take records in turn, and not shards.
        row_size: Number of records of a row that this reader gets at least.
    """

    index: int
    num_readers: int
    by_record: bool
    row_size: int

    def shards(self, order: Any) -> Any:
        """Return the reader's shards of a row, from a list or a tensor of all of them."""
        return order if self.by_record or self.num_readers == 1 else order[self.index :: self.num_readers]


def part_of_row(block_sizes: Sequence[int], index: int = 0, num_readers: int = 1) -> Part:
    """Return a reader's part of rows, from the numbers of records in their shards."""
    num_shards = len(block_sizes)
    by_record = num_shards % num_readers != 0 and num_shards < MIN_SHARDS * num_readers
    smallest = sum(sorted(block_sizes)[: num_shards // num_readers])  # of whichever shards it gets
    row_size = sum(block_sizes) // num_readers if by_record else smallest
    return Part(index=index, num_readers=num_readers, by_record=by_record, row_size=row_size)


@dataclass(frozen=True, kw_only=True)
class Batches:
    """The batches of an epoch for one reader.

    Attributes:
        part: The reader's part of each row.
        num_rows: Number of rows of the epoch.
        size: Number of records in one batch.
        number: Number of batches.
        drop_remainder: Whether a smaller last batch is left out.
        num_replicas: Number of replicas; each gets a batch of its own.
    """

    part: Part
    num_rows: int
    size: int
    number: int
    drop_remainder: bool
    num_replicas: int = 1


def batches_of_epoch(
    block_sizes: Sequence[int], batch_size: int, context: Any, num_rows: int, *, drop_remainder: bool
) -> Batches:
    """Return the batches of an epoch.

    Args:
        block_sizes: Number of records in each shard of a row.
        batch_size: Size of a batch of all replicas together.
        context: A tf.distribute.InputContext: all readers get the same number of whole batches; None: there is no
            other reader.
        num_rows: Number of rows of the epoch.
        drop_remainder: Whether a smaller last batch is left out.

    Raises:
        UsageError: The replicas do not divide the batch size, or there would be no batch.
    """
    if context is None:
        part, size, replicas = part_of_row(block_sizes), batch_size, 1
    else:
        part = part_of_row(block_sizes, context.input_pipeline_id, context.num_input_pipelines)
        size, rest = divmod(batch_size, context.num_replicas_in_sync)
        if rest:
            expected = f"expected a multiple of the {context.num_replicas_in_sync} replicas"
            raise UsageError(f"batch_size: {expected}, got {batch_size}.")
        replicas = context.num_replicas_in_sync // part.num_readers
    if part.by_record:
        warnings.warn(
            f"{format_count(len(block_sizes), 'shard does', 'shards do')} not divide among {part.num_readers} readers: "
            f"each reads all of them and takes every {part.num_readers}th record. A smaller --shard-size gives more "
            "shards.",
            stacklevel=4,  # the caller of `load`, which has a wrapper
        )
    num_records, is_whole = part.row_size * num_rows, drop_remainder or context is not None
    number = num_records // size if is_whole else -(-num_records // size)
    number -= number % replicas
    if not number:
        records = format_count(num_records, "record")
        reason = f"an epoch has {records}, so that drop_remainder"
        if context is not None:
            reason = f"of an epoch {part.num_readers} readers have {records} each, which"
        raise UsageError(f"batch_size: {reason} leaves no batch of {size}.")
    return Batches(
        part=part, num_rows=num_rows, size=size, number=number, drop_remainder=is_whole, num_replicas=replicas
    )


# Arguments


def check_integer(name: str, value: Any, low: int, high: float = MAX_INT64) -> int:
    """Return an argument as an `int`; NumPy's integers are accepted.

    Raises:
        UsageError: It is no integer, or not from `low` to `high`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or not low <= number <= high:
        expected = "an integer" if low < 0 else f"an integer of {low} or more"
        expected += f", at most {high}" if high < MAX_INT64 else ""
        raise UsageError(f"{name}: expected {expected}, got {value!r}.")
    return number

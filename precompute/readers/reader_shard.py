"""How several readers share a row: by shards where there are enough of them, else by records."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from precompute.errors import UsageError
from precompute.text.format import format_count

__all__ = ["ReaderShard", "shard_for_reader"]

MIN_SHARDS = 16  # a reader; a shard more or less is then a few records in a hundred


@dataclass(frozen=True, kw_only=True)
class ReaderShard:
    """What one reader reads of each row.

    Attributes:
        index: Index of the reader, from 0.
        num_readers: Number of readers that share the row.
        by_record: Whether readers take records in turn, and not shards.
        row_size: Records of a row that this reader can count on.
        batch_size: Records of one of its batches.
        num_replicas: Number of replicas that its batches go to, one each.
        is_shared: There is a context: all readers must come to the same number of batches.
    """

    index: int = 0
    num_readers: int = 1
    by_record: bool = False
    row_size: int
    batch_size: int
    num_replicas: int = 1
    is_shared: bool = False

    def num_batches(self, num_rows: int, *, drop_remainder: bool) -> int:
        """Return the batches of an epoch.

        Raises:
            UsageError: There would be none.
        """
        size, batch = self.row_size * num_rows, self.batch_size
        num = size // batch if drop_remainder or self.is_shared else -(-size // batch)
        num -= num % self.num_replicas
        if not num:
            reason = "that is shared" if self.is_shared else "drop_remainder"
            whose = (
                f"{self.num_readers} readers have {format_count(size, 'record')} each"
                if self.is_shared
                else f"has {format_count(size, 'record')}"
            )
            raise UsageError(f"batch_size: an epoch {whose}, so that {reason} leaves no batch of {batch}.")
        return num


def shard_for_reader(block_sizes: Sequence[int], batch_size: int, context: Any) -> ReaderShard:
    """Return the part of a row that a reader takes.

    Args:
        block_sizes: Records of each shard.
        batch_size: Size of a batch of all replicas together.
        context: A tf.distribute.InputContext; None: the whole row is for this reader.
    """
    if context is None:
        return ReaderShard(row_size=sum(block_sizes), batch_size=batch_size)
    readers, index = context.num_input_pipelines, context.input_pipeline_id
    replicas = context.num_replicas_in_sync
    if batch_size % replicas:
        raise UsageError(f"batch_size: expected a multiple of the {replicas} replicas, got {batch_size}.")
    by_record = len(block_sizes) % readers != 0 and len(block_sizes) < MIN_SHARDS * readers
    if by_record:
        warnings.warn(
            f"{format_count(len(block_sizes), 'shard does', 'shards do')} not divide among {readers} readers: each "
            f"reads all of them and takes every {readers}th record. A smaller --shard-size gives more shards.",
            stacklevel=3,
        )
        row_size = sum(block_sizes) // readers
    else:
        row_size = sum(sorted(block_sizes)[: len(block_sizes) // readers])  # whichever shards it gets
    return ReaderShard(
        index=index,
        num_readers=readers,
        by_record=by_record,
        row_size=row_size,
        batch_size=batch_size // replicas,
        num_replicas=replicas // readers,
        is_shared=True,
    )

"""The records of a row in an order that a seed decides; a reader can start at any record without reading earlier ones.

Shards are shuffled and opened in groups. A group's records are taken from its shards in turn, and shuffled through a
buffer by a key of the group's own. The numbers of records in the shards tell which group has the n-th record. So a
reader that starts there reads no shard of earlier groups, and decodes no record that it leaves out.

When TensorFlow finds a damaged shard, its message names no file; `describe_damage` does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from precompute.dataset.shard_cache import ShardCache
from precompute.errors import first_few
from precompute.readers.epoch import WINDOW_BYTES, Batches, OpenedSplit
from precompute.storage.paths import is_remote
from precompute.text.format import format_count

__all__ = ["RecordOrder", "describe_damage", "last_words", "shard_opener"]

GROUP_SHARDS = 16
PARALLEL_READS = 4  # at most as many as shards are open
READ_BYTES = 2**20  # at a time; a record alone may have more than the 256 KiB that TensorFlow reads otherwise
LARGE_BYTES = 2**17  # of a record, from which a buffer costs more than the calls that it saves

AROUND = re.compile(r"\{\{.*?\}\}|\[Op:.*")  # where in the program an error was


@dataclass(frozen=True)
class RecordOrder:
    """Reads the shards of an epoch's rows.

    Attributes:
        opened: The split.
        batches: The batches of an epoch, and this reader's part of a row.
        first_batch: Number of batches to leave out at the start of an epoch.
        seed: Seed of the shuffling; None: shard by shard as they were written.
        paths: Number of rows read so far, int64 → paths of the next row's shards, string [blocks].
        cache: Cache that shards of a dataset in an object store are fetched to before they are opened.
        open: Path, or several → a dataset of their records, one file after the other; see `shard_opener`.
    """

    opened: OpenedSplit
    batches: Batches
    first_batch: int
    seed: int | None
    paths: Callable[[Any], Any]
    cache: ShardCache | None
    open: Callable[[Any], Any]

    def of_positions(self, runs: Callable[[Any], Any]) -> RecordOrder:
        """Return the same order of positions in place of records.

        Args:
            runs: Number of rows read so far → start and end of the positions in each of the next row's shards, int64
                [blocks, 2].
        """

        def positions(runs: Any) -> Any:
            each = tf.data.Dataset.from_tensor_slices(tf.reshape(runs, (-1, 2)))
            return each.flat_map(lambda run: tf.data.Dataset.range(run[0], run[1]))

        return replace(self, paths=runs, open=positions, cache=None)

    def epoch(self, epoch: Any) -> Any:
        """Return a dataset of the encoded records of an epoch, int64."""
        num_rows, left_out = self.batches.num_rows, self.first_batch * self.batches.size
        rows_left_out, records_left_out = divmod(left_out, self.batches.part.row_size)
        first = epoch * num_rows + rows_left_out
        return tf.data.Dataset.range(first, (epoch + 1) * num_rows).flat_map(
            lambda count: self._row(count, tf.where(count == first, tf.constant(records_left_out, tf.int64), 0))
        )

    def _row(self, count: Any, start: Any) -> Any:
        """Return a dataset of encoded records.

        Args:
            count: Number of rows read so far, int64; with the seed it decides the order.
            start: Number of this reader's records to leave out at the start, int64.
        """
        part, block_sizes = self.batches.part, self.opened.block_sizes
        if part.by_record:
            start = start * part.num_readers + part.index
        sizes, order = tf.constant(block_sizes, tf.int64), tf.range(len(block_sizes))
        if self.seed is not None:
            order = tf.random.experimental.stateless_shuffle(order, seed=self._key(-1 - count))
        order = part.shards(order)
        files, sizes = self.fetched(tf.gather(self.paths(count), order)), tf.gather(sizes, order)
        records = self._in_order(files, sizes, start) if self.seed is None else self._mixed(files, sizes, count, start)
        return records.shard(part.num_readers, 0) if part.by_record else records

    def fetched(self, files: Any) -> Any:
        """Return paths of shards, string [n], once their files are there."""
        if self.cache is None:
            return files
        fetch = self.cache.fetch

        def wait(names: Any) -> Any:
            fetch([name.decode() for name in names])
            return names

        return tf.ensure_shape(tf.numpy_function(wait, [files], tf.string), files.shape)

    def _in_order(self, files: Any, sizes: Any, start: Any) -> Any:
        first, before = _find(sizes, start)
        return self.open(files[first:]).skip(start - before)

    def _mixed(self, files: Any, sizes: Any, count: Any, start: Any) -> Any:
        if (
            sum(self.opened.block_sizes) <= self._buffer
        ):  # no groups, no threads: epochs of small rows begin in half the time
            return self._shuffled(self.open(files), count).skip(start)
        num_shards = tf.size(sizes, out_type=tf.int64)
        num_groups = (num_shards + GROUP_SHARDS - 1) // GROUP_SHARDS
        padded = tf.pad(sizes, [[0, num_groups * GROUP_SHARDS - num_shards]])
        first_group, before = _find(tf.reduce_sum(tf.reshape(padded, (-1, GROUP_SHARDS)), axis=1), start)

        def records_of(group: Any) -> Any:
            of_group = self._interleaved(files[group * GROUP_SHARDS : (group + 1) * GROUP_SHARDS])
            records = self._shuffled(of_group, count * num_groups + group)
            return records.skip(tf.where(group == first_group, start - before, 0))

        # Reading ahead fills the next group's buffer while the last records of a group are used up.
        return tf.data.Dataset.range(first_group, num_groups).flat_map(records_of).prefetch(max(1, self._buffer // 4))

    @property
    def _buffer(self) -> int:
        return max(1, WINDOW_BYTES // self.opened.mean_bytes)

    def _interleaved(self, files: Any) -> Any:
        """Return the records of shards that are read at the same time, one of each in turn."""
        num_open = min(GROUP_SHARDS, len(self.opened.block_sizes))
        return tf.data.Dataset.from_tensor_slices(files).interleave(
            self.open, cycle_length=num_open, num_parallel_calls=min(PARALLEL_READS, num_open)
        )

    def _shuffled(self, records: Any, number: Any) -> Any:
        """Return records shuffled through a buffer, by the seed and a number; no record is copied.

        `Dataset.shuffle` would mix the program's global seed in, and takes no tensor for a seed.
        """
        seeds = tf.random.stateless_uniform([2], self._key(number), minval=None, maxval=None, dtype=tf.int64)
        spec = records.element_spec
        shuffled = tf.raw_ops.ShuffleDataset(
            input_dataset=tf.data.experimental.to_variant(records),
            buffer_size=self._buffer,
            seed=seeds[0],
            seed2=seeds[1],
            reshuffle_each_iteration=False,
            output_types=[spec.dtype],
            output_shapes=[spec.shape],
        )
        return tf.data.experimental.from_variant(shuffled, spec)

    def _key(self, number: Any) -> Any:
        return tf.stack([tf.constant(self.seed, tf.int64), number])


def _find(sizes: Any, start: Any) -> tuple[Any, Any]:
    """Return the index of the run of records that holds the one at `start`, and the number of records before it."""
    ends = tf.cumsum(sizes)
    first = tf.searchsorted(ends, [start], side="right", out_type=tf.int64)[0]
    return first, tf.reduce_sum(sizes[:first])


# Files


def shard_opener(opened: OpenedSplit, cache: ShardCache | None) -> Callable[[Any], Any]:
    """Return a function from paths, string or string [n], to a dataset of their records, one file after the other.

    Large records are read from local files without a buffer, which would be one more copy of each. From an object store
    every read is a request, so a buffer is needed.
    """
    local = cache is not None or not is_remote(opened.root)
    buffer_bytes = 0 if local and opened.mean_bytes >= LARGE_BYTES else READ_BYTES
    return lambda paths: tf.data.TFRecordDataset(paths, buffer_size=buffer_bytes)


def describe_damage(paths: Iterable[str | bytes]) -> str | None:
    """Read shards again, and return which are damaged, where, and what to do; None where all can be read."""
    faults = [f"{path}: {fault}" for path in map(os.fsdecode, paths) if (fault := _fault(path)) is not None]
    if not faults:
        return None
    return (
        f"{format_count(len(faults), 'shard')} cannot be read:\n{first_few(faults)}\nRun the same `precompute build` "
        "again with --check full: it puts back what is missing or altered."
    )


def _fault(path: str) -> str | None:
    num_records = 0
    try:
        for _ in tf.data.TFRecordDataset(path):
            num_records += 1
    except tf.errors.NotFoundError:
        return "missing"
    except tf.errors.OpError as error:
        return f"record {num_records} is damaged or cannot be read ({last_words(error)})"
    return None


def last_words(error: tf.errors.OpError) -> str:
    """Return TensorFlow's message without its account of where in the program it was."""
    lines = [AROUND.sub("", line).strip() for line in str(error.message).splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith("[[")), "")

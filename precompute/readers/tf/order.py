"""The records of a row, in an order that a key decides, entered at any record without reading what is before.

Shards are shuffled and opened in groups; a group's records are taken from its shards in turn and shuffled through a
buffer, by a key of the group's own. The group of the n-th record follows from the shards' numbers of records alone, so
that a reader that starts there reads no shard of an earlier group, and decodes nothing that it leaves out.

Where TensorFlow finds that a shard is damaged, its own words name no file: `describe_damage` does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from precompute.errors import first_few
from precompute.readers.reader_shard import ReaderShard
from precompute.text.format import format_count

__all__ = ["RecordOrder", "describe_damage", "last_words", "shard_opener"]

BUFFER_BYTES = 64 * 2**20  # encoded records; blocks are a global shuffle already, this mixes further
GROUP_SHARDS = 16
PARALLEL_READS = 4  # at most as many as shards are open
READ_BYTES = 2**20  # at a time; a record alone may have more than the 256 KiB that TensorFlow reads otherwise
LARGE_BYTES = 2**17  # of a record, from which a buffer costs more than the calls that it saves

AROUND = re.compile(r"\{\{.*?\}\}|\[Op:.*")  # where in the program an error was


def shard_opener(mean_bytes: int, *, local: bool) -> Callable[[Any], Any]:
    """Return a function from paths, string or string [n], to a dataset of their records, one file after the other.

    Large records are read from local files right to where they stay; a buffer would be one more copy of each. From an
    object store every read is a request, and a buffer is needed.
    """
    buffer_bytes = 0 if local and mean_bytes >= LARGE_BYTES else READ_BYTES
    return lambda paths: tf.data.TFRecordDataset(paths, buffer_size=buffer_bytes)


@dataclass(frozen=True)
class RecordOrder:
    """Reads the shards of a row.

    Attributes:
        block_sizes: Records of each shard.
        mean_bytes: Mean size of a record.
        seed: Seed of the shuffling; None: shard by shard as they were written.
        part: This reader's part of a row.
        paths: Number of rows read so far, int64 → paths of the next row's shards, string [blocks].
        open: Path, or several → a dataset of their records, one file after the other; see `shard_opener`.
        fetch: Returns paths, string [n], once their files are there; None where they always are.
    """

    block_sizes: Sequence[int]
    mean_bytes: int
    seed: int | None
    part: ReaderShard
    paths: Callable[[Any], Any]
    open: Callable[[Any], Any]
    fetch: Callable[[Any], Any] | None = None

    def of_positions(self, runs: Callable[[Any], Any]) -> RecordOrder:
        """Return the same order of positions in place of records.

        Args:
            runs: Number of rows read so far → first and end of the positions in each of the next row's shards, int64
                [blocks, 2].
        """

        def positions(runs: Any) -> Any:
            each = tf.data.Dataset.from_tensor_slices(tf.reshape(runs, (-1, 2)))
            return each.flat_map(lambda run: tf.data.Dataset.range(run[0], run[1]))

        return replace(self, paths=runs, open=positions, fetch=None)

    def records(self, count: Any, start: Any) -> Any:
        """Return a dataset of encoded records.

        Args:
            count: Rows read so far, int64; with the seed it decides the order, too.
            start: Records to leave out, int64, of those that this reader would read.
        """
        part = self.part
        if part.by_record:
            start = start * part.num_readers + part.index
        sizes, order = tf.constant(self.block_sizes, tf.int64), tf.range(len(self.block_sizes))
        if self.seed is not None:
            order = tf.random.experimental.stateless_shuffle(order, seed=self._key(-1 - count))
        if part.num_readers > 1 and not part.by_record:
            order = order[part.index :: part.num_readers]
        files, sizes = self.fetched(tf.gather(self.paths(count), order)), tf.gather(sizes, order)
        records = self._in_order(files, sizes, start) if self.seed is None else self._mixed(files, sizes, count, start)
        return records.shard(part.num_readers, 0) if part.by_record else records

    def fetched(self, files: Any) -> Any:
        """Return paths of shards, once their files are there."""
        return files if self.fetch is None else self.fetch(files)

    def _in_order(self, files: Any, sizes: Any, start: Any) -> Any:
        first, before = _find(sizes, start)
        return self.open(files[first:]).skip(start - before)

    def _mixed(self, files: Any, sizes: Any, count: Any, start: Any) -> Any:
        if sum(self.block_sizes) <= self._buffer:  # no groups, no threads: epochs of small rows begin in half the time
            return self._shuffled(self.open(files), count).skip(start)
        num_shards = tf.size(sizes, out_type=tf.int64)
        num_groups = (num_shards + GROUP_SHARDS - 1) // GROUP_SHARDS
        padded = tf.pad(sizes, [[0, num_groups * GROUP_SHARDS - num_shards]])
        first_group, before = _find(tf.reduce_sum(tf.reshape(padded, (-1, GROUP_SHARDS)), axis=1), start)

        def records_of(group: Any) -> Any:
            of_group = self._interleaved(files[group * GROUP_SHARDS : (group + 1) * GROUP_SHARDS])
            records = self._shuffled(of_group, count * num_groups + group)
            return records.skip(tf.where(group == first_group, start - before, 0))

        # Reading ahead, so that the next group's buffer fills while the last of a group are used up.
        return tf.data.Dataset.range(first_group, num_groups).flat_map(records_of).prefetch(max(1, self._buffer // 4))

    @property
    def _buffer(self) -> int:
        return max(1, BUFFER_BYTES // self.mean_bytes)

    def _interleaved(self, files: Any) -> Any:
        """Return the records of shards that are read at the same time, one of each in turn."""
        num_open = min(GROUP_SHARDS, len(self.block_sizes))
        return tf.data.Dataset.from_tensor_slices(files).interleave(
            self.open, cycle_length=num_open, num_parallel_calls=min(PARALLEL_READS, num_open)
        )

    def _shuffled(self, records: Any, number: Any) -> Any:
        """Return records shuffled by the seed and a number, through a buffer; none of them is copied.

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
    """Return which of several runs of records holds the one at `start`, and how many records are before the run."""
    ends = tf.cumsum(sizes)
    first = tf.searchsorted(ends, [start], side="right", out_type=tf.int64)[0]
    return first, tf.reduce_sum(sizes[:first])


# Damage


def describe_damage(paths: Iterable[str | bytes]) -> str | None:
    """Read shards again, to say which are damaged, where, and what to do; None where all can be read."""
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
    """Return what TensorFlow says after it has told where in the program it was."""
    lines = [AROUND.sub("", line).strip() for line in str(error.message).splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith("[[")), "")

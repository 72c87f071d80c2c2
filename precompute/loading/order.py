"""The order in which a row's records come: decided by a key, and entered at any record without reading what is before.

Shards are shuffled and opened in groups; a group's records are taken from its shards in turn and shuffled in windows
that fit in memory. Group and window of the n-th record follow from the shards' numbers of records alone, so that a
reader that starts there reads no shard of an earlier group, and decodes nothing that it leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from precompute.loading.parts import Part

__all__ = ["RecordOrder"]

WINDOW_BYTES = 64 * 2**20  # encoded records; blocks are a global shuffle already, this mixes further
GROUP_SHARDS = 16
PARALLEL_READS = 4  # at most as many as shards are open


@dataclass(frozen=True)
class RecordOrder:
    """Reads the shards of a row.

    Attributes:
        block_sizes: Records of each shard.
        mean_bytes: Of a record.
        seed: Of the shuffling; None: shard by shard as they were written.
        part: This reader's part of a row.
        paths: Number of rows read so far, int64 → paths of the next row's shards, string [blocks].
        fetch: Returns paths, string [n], once their files are there; None where they always are.
    """

    block_sizes: Sequence[int]
    mean_bytes: int
    seed: int | None
    part: Part
    paths: Callable[[Any], Any]
    fetch: Callable[[Any], Any] | None = None

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
        files, sizes = self._fetched(tf.gather(self.paths(count), order)), tf.gather(sizes, order)
        records = _in_order(files, sizes, start) if self.seed is None else self._mixed(files, sizes, count, start)
        return records.shard(part.num_readers, 0) if part.by_record else records

    def all_in_order(self, count: Any) -> Any:
        """Return a row's records as they were written, all of them."""
        return tf.data.TFRecordDataset(self._fetched(self.paths(count)))

    def _fetched(self, files: Any) -> Any:
        return files if self.fetch is None else self.fetch(files)

    def _mixed(self, files: Any, sizes: Any, count: Any, start: Any) -> Any:
        if sum(self.block_sizes) <= self._window:  # one window: epochs of small rows begin in half the time
            records = tf.data.TFRecordDataset(files).batch(self._window)
            return records.map(lambda window: self._shuffled(window, count)).unbatch().skip(start)
        num_shards = tf.size(sizes, out_type=tf.int64)
        num_groups = (num_shards + GROUP_SHARDS - 1) // GROUP_SHARDS
        padded = tf.pad(sizes, [[0, num_groups * GROUP_SHARDS - num_shards]])
        first_group, before = _find(tf.reduce_sum(tf.reshape(padded, (-1, GROUP_SHARDS)), axis=1), start)
        first_window, rest = (start - before) // self._window, (start - before) % self._window

        def windows_of(group: Any) -> Any:
            of_group = files[group * GROUP_SHARDS : (group + 1) * GROUP_SHARDS]
            first = tf.where(group == first_group, first_window, 0)
            windows = self._interleaved(of_group).batch(self._window).enumerate().skip(first)
            number = (count * num_groups + group) * self._most_windows
            return windows.map(lambda window, records: self._shuffled(records, number + window))

        groups = tf.data.Dataset.range(first_group, num_groups)
        return groups.flat_map(windows_of).prefetch(1).unbatch().skip(rest)

    @property
    def _window(self) -> int:
        return max(1, WINDOW_BYTES // self.mean_bytes)

    @property
    def _most_windows(self) -> int:
        return max(self.block_sizes) * GROUP_SHARDS // self._window + 1

    def _interleaved(self, files: Any) -> Any:
        """Return the records of shards that are read at the same time, one of each in turn."""
        num_open = min(GROUP_SHARDS, len(self.block_sizes))
        return tf.data.Dataset.from_tensor_slices(files).interleave(
            tf.data.TFRecordDataset, cycle_length=num_open, num_parallel_calls=min(PARALLEL_READS, num_open)
        )

    def _shuffled(self, records: Any, number: Any) -> Any:
        # By the window's own number; `Dataset.shuffle` would mix the program's global seed in, and cannot be entered.
        positions = tf.random.experimental.stateless_shuffle(tf.range(tf.size(records)), seed=self._key(number))
        return tf.gather(records, positions)

    def _key(self, number: Any) -> Any:
        return tf.stack([tf.constant(self.seed, tf.int64), number])


def _in_order(files: Any, sizes: Any, start: Any) -> Any:
    first, before = _find(sizes, start)
    return tf.data.TFRecordDataset(files[first:]).skip(start - before)


def _find(sizes: Any, start: Any) -> tuple[Any, Any]:
    """Return which of several runs of records holds the one at `start`, and how many records are before the run."""
    ends = tf.cumsum(sizes)
    first = tf.searchsorted(ends, [start], side="right", out_type=tf.int64)[0]
    return first, tf.reduce_sum(sizes[:first])

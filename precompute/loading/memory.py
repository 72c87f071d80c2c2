"""Decoded rows held in memory: `load(cache=True)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from precompute.dataset.rows import position_of_epoch
from precompute.loading.order import RecordOrder
from precompute.loading.parts import Part

__all__ = ["HeldExamples"]

BATCH_SIZE = 32  # of reading


class HeldExamples:
    """All examples of some rows; in place of records it hands out their positions.

    Args:
        order: Reads the rows.
        parse: Records → tensors.
        num_rows: Rows to hold.
        seed: Of the shuffling, or None.
        part: This reader's part of a row.
    """

    def __init__(
        self, order: RecordOrder, parse: Callable[[Any], Any], num_rows: int, seed: int | None, part: Part
    ) -> None:
        dataset = tf.data.Dataset.range(num_rows).flat_map(order.all_in_order).batch(BATCH_SIZE)
        batches = list(dataset.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True))
        with tf.device("CPU:0"):
            self._values = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *batches)
        self._num_rows, self._row_size = num_rows, sum(order.block_sizes)
        self._seed, self._part = seed, part

    def records(self, count: Any, start: Any) -> Any:
        """Return a dataset of positions: the row that is read after `count` others, from its record `start` on."""
        first = position_of_epoch(count, self._num_rows) * self._row_size
        positions = tf.range(first, first + self._row_size)
        if self._seed is not None:
            key = tf.stack([tf.constant(self._seed, tf.int64), count])
            positions = tf.random.experimental.stateless_shuffle(positions, seed=key)
        part = self._part
        return tf.data.Dataset.from_tensor_slices(positions[start * part.num_readers + part.index :: part.num_readers])

    def examples(self, positions: Any) -> Any:
        """Return the examples at positions, int64 [B]."""
        return tf.nest.map_structure(lambda values: tf.gather(values, positions), self._values)

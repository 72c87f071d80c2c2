"""Decoded rows held in memory: `load(cache=True)`, and `cache="auto"` where they are small."""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tensorflow as tf

from precompute.errors import DatasetError
from precompute.readers.tf.damage import describe_damage, last_words
from precompute.readers.tf.order import RecordOrder

__all__ = ["RowsInMemory"]

BATCH_SIZE = 32  # of reading
NUMBERS = itertools.count()
ALIVE: weakref.WeakValueDictionary[int, RowsInMemory] = weakref.WeakValueDictionary()  # by these numbers


class RowsInMemory:
    """The rows of epochs, decoded and held from their first reading on, as whole tensors.

    An epoch that begins with a row that is not held waits until it is read. All of it happens in Python, once an epoch:
    in the graph it would be made ready anew each time, which takes longer than an epoch of a small row.

    Args:
        order: Order in which records are read from files.
        parse: Makes tensors of records.
        num_rows: Rows of one epoch.
        most: Number of epochs whose rows there is room for; the first that were read give way.
        look: Checks that the files of an epoch are there.
        when_full: Called once so many are held; of rows that stay no files are needed any more.
    """

    def __init__(
        self,
        order: RecordOrder,
        parse: Callable[[Any], Any],
        num_rows: int,
        most: int,
        *,
        look: Callable[[int], None],
        when_full: Callable[[], Any] | None = None,
    ) -> None:
        self._files, self._num_rows = order, num_rows
        self._most, self._look, self._when_full = most, look, when_full
        self._row_size = sum(order.block_sizes)
        self._held: dict[bytes, Sequence[Any]] = {}
        self._guard = threading.Lock()
        self._number = next(NUMBERS)
        ALIVE[self._number] = self
        ends = tf.cumsum(tf.constant(order.block_sizes, tf.int64))
        self._runs = tf.stack([ends - order.block_sizes, ends], axis=1)

        def read(paths: Any) -> Any:
            """Return all examples of some shards, in the order in which they were written."""
            batches = order.open(paths).batch(BATCH_SIZE)
            parsed = batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            return parsed.rebatch(self._row_size * num_rows).get_single_element()

        self._read = _Graph(read, tf.fill([len(order.block_sizes) * num_rows], ""))

    def runs(self, count: Any) -> Any:
        """Return first and end of each block's positions, of the row that is read after `count` others."""
        return self._runs + self._row_size * (count % self._num_rows)

    def epochs(self, order: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
        """Return a function, for tf.data, from an epoch to positions in the order of reading, and all its examples.

        Args:
            order: Epoch → a dataset of positions.
        """

        def in_order(epoch: Any) -> Any:
            return order(epoch).batch(self._row_size * self._num_rows).get_single_element()

        self._positions = _Graph(in_order, tf.constant(0, tf.int64))
        spec = self._read.element_spec
        find = _finder((tf.int64, *(s.dtype for s in spec)))

        def epoch_of(epoch: Any) -> tuple[Any, ...]:
            found = find(tf.constant(self._number, tf.int64), epoch)
            return tuple(tf.ensure_shape(value, shape) for value, shape in zip(found, shapes, strict=True))

        shapes = [[None], *(s.shape for s in spec)]
        return epoch_of

    def found(self, epoch: Any) -> list[Any]:
        """Return what the function of `epochs` does, eagerly."""
        return [self._positions(epoch), *self.rows(epoch)]

    def rows(self, epoch: Any) -> Sequence[Any]:
        """Return all examples of an epoch's rows; they are read if they are not held.

        Raises:
            DatasetError: A shard is damaged or missing.
        """
        counts = [epoch * self._num_rows + number for number in range(self._num_rows)]
        paths = tf.concat([self._files.paths(count) for count in counts], axis=0)
        name = paths[0].numpy()
        with self._guard:  # who wants the same row waits for it
            if name not in self._held:
                while len(self._held) >= self._most:
                    self._held.pop(next(iter(self._held)))
                self._look(int(epoch))
                files = self._files.fetched(paths)
                try:
                    self._held[name] = self._read(files)
                except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
                    raise DatasetError(describe_damage(files.numpy()) or last_words(error)) from None
                if self._when_full and len(self._held) == self._most:
                    self._when_full()
            return self._held[name]

    def examples(self, positions: Any, *values: Any) -> tuple[Any, ...]:
        """Return the examples at positions, int64 [B], of the values that `epochs` has returned."""
        return tuple(tf.gather(value, positions) for value in values)


class _Graph:
    """A function of one tensor as a graph, run as often as wanted by one iterator that stays.

    What TensorFlow makes ready for a graph with a dataset in it, called as a `tf.function`, is not let go when that is
    gone: about half a megabyte a load. And it takes the functions of several loads for one that is traced again, and
    warns of it. What an iterator has made ready goes with it.
    """

    def __init__(self, function: Callable[[Any], Any], example: Any) -> None:
        given = _plain_variable(example)

        def run(_: Any) -> Any:
            value = given.read_value()
            return value, function(value)

        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False  # the next value is not known yet
        options.autotune.enabled = False  # whose thread an iterator that is let go waits for, and all of Python with it
        plain = tf.autograph.experimental.do_not_convert  # see `load`
        results = tf.data.Dataset.range(2**62).map(plain(run)).with_options(options)
        self.element_spec = results.element_spec[1]
        self._given, self._results = given, iter(results)
        self._guard = threading.Lock()

    def __call__(self, value: Any) -> Any:
        with self._guard:
            self._given.assign(value)
            while True:
                of, result = next(self._results)
                if tf.reduce_all(of == value):  # and not made ahead, of the value before
                    return result


@functools.cache
def _finder(dtypes: tuple[Any, ...]) -> Any:
    """Return (number of the held rows, epoch) → what `found` of them returns; one for all loads of such examples.

    TensorFlow keeps each function of Python that a graph calls, and what was made for it, as long as the program lasts.
    """

    def find(number: Any, epoch: Any) -> list[Any]:
        held = ALIVE.get(int(number))
        if held is None:
            raise RuntimeError("the dataset was deleted; keep what precompute.load returned while it is read")
        return held.found(epoch)

    scalar = tf.TensorSpec([], tf.int64)
    graph = tf.function(lambda number, epoch: tf.py_function(find, [number, epoch], dtypes), [scalar, scalar])
    return graph.get_concrete_function()


def _plain_variable(value: Any) -> Any:
    """Return a variable in main memory, also inside a strategy's scope.

    There `tf.Variable` would make one copy a replica, on devices that tf.data does not reach. A scope belongs to its
    thread; so a thread of its own is outside it.
    """

    def make() -> Any:
        with tf.device("CPU:0"):
            return tf.Variable(value, trainable=False)

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(make).result()

"""Decoded rows held in memory: the rule behind `load(cache="auto")`, and how they are read."""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from precompute.dataset.manifest import Manifest, Row
from precompute.errors import DatasetError
from precompute.readers.tf.batches import make_twins
from precompute.readers.tf.order import RecordOrder, describe_damage, last_words

__all__ = ["ALIVE", "CachePlan", "RowsInMemory", "available_bytes", "find_alive", "give_number", "plan_cache"]

# About 2,000 images of 256×256 with masks. TensorFlow Datasets holds what is below 250 MiB on the disk (4.9,
# `DatasetBuilder._should_cache_ds`), which may be ten times that in memory.
LIMIT_BYTES = 512 * 2**20
SHARE_OF_FREE = 1 / 4  # of the memory that is free now: the model and its batches need some, too
KEY_BYTES = 64  # of a key, roughly

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")  # as it is mounted inside a container

BATCH_SIZE = 32  # of reading
NUMBERS = itertools.count()
ALIVE: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()  # by these numbers


@dataclass(frozen=True, kw_only=True)
class CachePlan:
    """The decision whether rows are held in memory, and why.

    Attributes:
        holds: Whether rows are held, each from its first reading on (with `cache=True` from the start).
        num_bytes: Size of all decoded rows of the reader.
        num_rows: Number of different rows.
        room: Number of rows that fit.
        reason: Why the plan is as it is, in words.
    """

    holds: bool
    num_bytes: int
    num_rows: int
    room: int
    reason: str


def plan_cache(
    cache: bool | str, manifest: Manifest, rows: Sequence[Row], *, reads_part: bool, names: Iterable[str] | None = None
) -> CachePlan:
    """Decide whether rows are held in memory.

    Args:
        cache: ``"auto"``, or the user's decision.
        manifest: The manifest, which says how large an example is.
        rows: All rows that the reader may come to.
        reads_part: Whether only a part of each row is read; holding a row would mean reading all of it.
        names: Names of the fields that are read; all when None.
    """
    example_bytes = _example_bytes(manifest, manifest.schema if names is None else names)
    different = {row.row: row.num_records * example_bytes for row in rows}
    num_bytes, num_rows = sum(different.values()), len(different)
    if isinstance(cache, bool):
        reason = "asked for" if cache else "turned off"
        return CachePlan(holds=cache, num_bytes=num_bytes, num_rows=num_rows, room=num_rows, reason=reason)
    free = available_bytes()
    limit = LIMIT_BYTES if free is None else min(LIMIT_BYTES, int(free * SHARE_OF_FREE))
    reason = f"{_megabytes(num_bytes)} decoded, limit {_megabytes(limit)}"
    if limit < LIMIT_BYTES:
        reason += f", a quarter of the memory that is free ({_megabytes(free or 0)})"
    if reads_part:
        reason = "only parts of rows are read"
    return CachePlan(
        holds=num_bytes <= limit and not reads_part,
        num_bytes=num_bytes,
        num_rows=num_rows,
        room=limit // max(different.values()),
        reason=reason,
    )


def available_bytes() -> int | None:
    """Return the memory that can be used without swapping, in bytes; None where the system does not tell.

    Source: proc(5), MemAvailable; Linux, Documentation/admin-guide/cgroup-v2, memory.max and memory.current.
    """
    found = []
    try:
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
        limit, used = ((CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
        found.append(max(0, int(limit) - int(used)))
    except (OSError, ValueError, KeyError):
        pass  # another system, or no limit: what was found until then counts
    return min(found, default=None)


def _example_bytes(manifest: Manifest, names: Iterable[str]) -> int:
    twins = make_twins(manifest, names)
    return sum(twin.num_bytes for twin in twins.values()) + KEY_BYTES


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes >= 10e6 else f"{num_bytes / 1e6:.1f} MB"


class RowsInMemory:
    """The rows of epochs, decoded and held from their first reading on, as whole tensors.

    An epoch whose row is not held waits until it is read. This happens in Python, once per epoch: in the graph it would
    be prepared anew each time, which takes longer than an epoch of a small row.

    Args:
        order: Order in which records are read from files.
        parse: Encoded records → tensors.
        plan: Tells how many rows there are and how many fit; rows that were read first give way.
        look: Checks that the files of an epoch are there.
        when_whole: Called once all rows are held; rows that stay then need no files any more.
    """

    def __init__(
        self,
        order: RecordOrder,
        parse: Callable[[Any], Any],
        plan: CachePlan,
        *,
        look: Callable[[int], None],
        when_whole: Callable[[], Any] | None,
    ) -> None:
        block_sizes, num_rows = order.opened.block_sizes, order.batches.num_rows
        self._files, self._plan, self._look, self._when_whole = order, plan, look, when_whole
        self._num_rows, self._row_size = num_rows, sum(block_sizes)
        self._held: dict[bytes, Sequence[Any]] = {}
        self._guard = threading.Lock()
        self._number = give_number(self)
        ends = tf.cumsum(tf.constant(block_sizes, tf.int64))
        self._runs = tf.stack([ends - block_sizes, ends], axis=1)
        positions, num_records = order.of_positions(self._runs_of), self._row_size * num_rows

        def read(paths: Any) -> Any:
            """Return all examples of some shards, in the order in which they were written."""
            batches = order.open(paths).batch(BATCH_SIZE)
            parsed = batches.map(parse, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            return parsed.rebatch(num_records).get_single_element()

        def in_order(epoch: Any) -> Any:
            """Return the positions of an epoch's examples in the order of reading."""
            return positions.epoch(epoch).batch(num_records).get_single_element()

        self._read = _Graph(read, tf.fill([len(block_sizes) * num_rows], ""))
        self._in_order = _Graph(in_order, tf.constant(0, tf.int64))
        self._find = _finder((tf.int64, *(spec.dtype for spec in self._read.element_spec)))

    def _runs_of(self, count: Any) -> Any:
        """Return start and end of each block's positions, for the row that is read after `count` others."""
        return self._runs + self._row_size * (count % self._num_rows)

    def epoch(self, epoch: Any) -> tuple[Any, list[Any]]:
        """Return, for tf.data, a dataset of positions in the order of reading, and all examples of an epoch's rows."""
        found = self._find(tf.constant(self._number, tf.int64), epoch)
        shapes = [[None], *(spec.shape for spec in self._read.element_spec)]
        positions, *values = [tf.ensure_shape(value, shape) for value, shape in zip(found, shapes, strict=True)]
        return tf.data.Dataset.from_tensor_slices(positions), values

    def found(self, epoch: Any) -> list[Any]:
        """Return positions and examples of an epoch, eagerly."""
        return [self._in_order(epoch), *self.rows(epoch)]

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
                while len(self._held) >= self._plan.room // self._num_rows:
                    self._held.pop(next(iter(self._held)))
                self._look(int(epoch))
                files = self._files.fetched(paths)
                try:
                    self._held[name] = self._read(files)
                except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
                    raise DatasetError(describe_damage(files.numpy()) or last_words(error)) from None
                if self._when_whole and len(self._held) * self._num_rows == self._plan.num_rows:
                    self._when_whole()
            return self._held[name]

    def examples(self, positions: Any, *values: Any) -> tuple[Any, ...]:
        """Return the examples at positions, int64 [B], of the values that `epoch` has returned."""
        return tuple(tf.gather(value, positions) for value in values)


# Graphs. TensorFlow keeps each Python function that a graph calls until the program ends. So such a function refers to
# a dataset's objects by number, and all datasets share it where they can.


def give_number(thing: Any) -> int:
    """Return a number by which `find_alive` finds an object, as long as something else keeps it alive."""
    number = next(NUMBERS)
    ALIVE[number] = thing
    return number


def find_alive(number: Any) -> Any:
    """Return the object that has a number.

    Raises:
        RuntimeError: The object is gone.
    """
    thing = ALIVE.get(int(number))
    if thing is None:
        raise RuntimeError("the dataset was deleted; keep what precompute.load returned while it is read")
    return thing


class _Graph:
    """A function of one tensor as a graph, which one iterator runs as often as wanted.

    As a `tf.function` with a dataset in it, it would leak about half a megabyte per load: TensorFlow does not free what
    it has prepared. TensorFlow would also take the functions of several loads for one that is traced again, and warn of
    it. What an iterator has prepared is freed with it.
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
    """Return (number of the held rows, epoch) → result of their `found`; all loads of such examples share it."""

    def find(number: Any, epoch: Any) -> list[Any]:
        found: list[Any] = find_alive(number).found(epoch)
        return found

    scalar = tf.TensorSpec([], tf.int64)
    graph = tf.function(lambda number, epoch: tf.py_function(find, [number, epoch], dtypes), [scalar, scalar])
    return graph.get_concrete_function()


def _plain_variable(value: Any) -> Any:
    """Return a variable in main memory, also inside a strategy's scope.

    There `tf.Variable` would make one copy per replica, on devices that tf.data does not reach. A scope belongs to its
    thread; so it is made in a new thread, outside of the scope.
    """

    def make() -> Any:
        with tf.device("CPU:0"):
            return tf.Variable(value, trainable=False)

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(make).result()

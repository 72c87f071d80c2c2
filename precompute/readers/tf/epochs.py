"""Which epoch an iteration of a dataset stands for, and which rows, as paths of shards, that epoch reads.

Iterations count as epochs when they begin, unless a callback of `fit` tells the epoch. Rows are chosen in the graph
where they stay, and in Python at the beginning of an epoch where they come and go.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from precompute.dataset.guards import check_shards
from precompute.dataset.leases import Lease, RowName, hold_again
from precompute.dataset.manifest import Manifest, Row, Split
from precompute.dataset.rows import Reading, choose_row, original_row, position_of_epoch
from precompute.dataset.shard_cache import ShardCache
from precompute.errors import DatasetError
from precompute.readers.epoch import OpenedSplit, shard_paths
from precompute.readers.tf.memory import ALIVE, CachePlan, RowsInMemory, find_alive, give_number

__all__ = ["EpochCounter", "FixedRows", "FollowedRows", "RowFiles", "find_epochs"]

ATTRIBUTE = "_augment_once_epoch"  # of the dataset that `load` returns


# Which rows an epoch reads


class FixedRows:
    """Rows that neither come nor go.

    Attributes:
        rows: All rows that may be read: those that take turns, then the original one.
        readings: Epoch → its reading.

    Args:
        opened: The split, with the rows to take turns with.
        num_rows: Number of rows of one epoch.
        clean_from: First epoch that reads the original row.
        cache: Cache that shards of a dataset in an object store are fetched to.
    """

    def __init__(self, opened: OpenedSplit, num_rows: int, clean_from: int | None, cache: ShardCache | None) -> None:
        self._opened, self._num_rows, self._clean_from, self._cache = opened, num_rows, clean_from, cache
        self._num_turns, self.rows = len(opened.rows), [*opened.rows]
        manifest, split = opened.manifest, opened.split
        if clean_from is not None:
            self.rows.append(original_row(manifest.splits[split], name=split))
        self._paths = [shard_paths(opened.root, manifest, split, row, cache) for row in self.rows]
        if cache is not None:
            cache.take_turns(self._paths[: self._num_turns])
        self._table = tf.constant(self._paths)
        self.readings: dict[int, Reading] = {}

    def begin(self, epoch: int) -> None:
        """Note what an epoch is going to read."""
        self.readings[epoch] = _reading(epoch, self.rows[self._place(epoch)])

    def enter(self, epoch: int) -> None:
        """Note that an iteration begins to read the row of an epoch."""
        self.begin(epoch)

    def leave(self, epoch: int) -> None:
        """Note that an iteration has read its row: all rows are held anyway."""

    def look(self, epoch: int) -> None:
        """Check that the files of an epoch's rows are there; files in a store are not checked.

        Raises:
            DatasetError: Some are missing.
        """
        if self._cache is None:
            counts = range(epoch * self._num_rows, (epoch + 1) * self._num_rows)
            for place in set(map(self._place, counts)):
                self._opened.look(self.rows[place].row, self._paths[place])

    def _place(self, count: int) -> int:
        is_clean = self._clean_from is not None and count >= self._clean_from
        return self._num_turns if is_clean else int(position_of_epoch(count, self._num_turns))

    def paths(self, count: Any) -> Any:
        """Return the shards of the row that is read after `count` others, string [blocks]."""
        place = position_of_epoch(count, self._num_turns)
        if self._clean_from is not None:
            place = tf.where(count >= self._clean_from, tf.constant(self._num_turns, tf.int64), place)
        return tf.gather(self._table, place)


class FollowedRows:
    """Rows that come and go: the manifest is read when an epoch begins.

    The lease then holds the row of the epoch, those that other iterations still read, and those not read yet. Writers
    may remove the others.

    Attributes:
        rows: All rows so far.
        readings: Epoch → what it has read.

    Args:
        opened: The split.
        lease: Lease on these rows.
        readings: Readings of earlier epochs.
        clean_from: First epoch that reads the original row.
        check: How rows that are new to the reader are checked, as in `load`.
        cache: Cache that shards of a dataset in an object store are fetched to.
    """

    def __init__(
        self,
        opened: OpenedSplit,
        lease: Lease,
        readings: Sequence[Reading],
        clean_from: int | None,
        check: str,
        cache: ShardCache | None,
    ) -> None:
        self._opened, self._lease, self._root, self._split = opened, lease, opened.root, opened.split
        self._clean_from, self._check, self._cache = clean_from, check, cache
        self.rows, self.readings = opened.rows, {reading.epoch: reading for reading in readings}
        self._epoch_paths: dict[int, list[str]] = {}
        self._open = Counter[int]()  # epochs that iterations read now
        self._checked = {row.row for row in opened.rows}
        self._guard = threading.Lock()
        self._number = give_number(self)
        if clean_from is not None:
            original_row(opened.manifest.splits[self._split], name=self._split)

    def begin(self, epoch: int) -> list[str]:
        """Choose the row of an epoch, hold it, and return the paths of its shards.

        Raises:
            DatasetError: The dataset was replaced by another generation, or the row's files are not whole.
        """
        with self._guard:
            if epoch not in self._epoch_paths:
                manifest = hold_again(self._root, self._lease, lambda m: self._wanted(epoch, m))
                row = self._choose(epoch, manifest)
                if self._check != "none" and row.row not in self._checked:
                    check_shards(self._root, manifest, self._split, [row], full=self._check == "full")
                self._checked.add(row.row)
                self._note(_reading(epoch, row))
                self._epoch_paths = {epoch: shard_paths(self._root, manifest, self._split, row, self._cache)}
                self._fetch_ahead(epoch, manifest)
            return self._epoch_paths[epoch]

    def enter(self, epoch: int) -> None:
        """Begin an epoch, and hold its row until `leave`, also when other epochs begin meanwhile."""
        with self._guard:
            self._open[epoch] += 1
        self.begin(epoch)

    def leave(self, epoch: int) -> None:
        """Note that an iteration does not read its row any more; the lease releases it when the next epoch begins."""
        with self._guard:
            self._open[epoch] -= 1
            self._open += Counter()  # without those that nobody reads

    def look(self, epoch: int) -> None:
        """Check that the files of an epoch's row are there; files in a store are not checked.

        Raises:
            DatasetError: Some are missing.
        """
        paths = self.begin(epoch)
        if self._cache is None:
            self._opened.look(self.readings[epoch].row, paths)

    def _fetch_ahead(self, epoch: int, manifest: Manifest) -> None:
        """Fetch, while this row is read, the row that the next epoch will read unless new ones come."""
        if self._cache is not None:
            self._cache.tidy(manifest, self._lease)
            likely = shard_paths(self._root, manifest, self._split, self._choose(epoch + 1, manifest), self._cache)
            self._cache.take_turns([self._epoch_paths[epoch], likely])

    def paths(self, count: Any) -> Any:
        """Return the shards of the row that is read after `count` others, string [blocks]."""
        number = self._number  # and not `self`: what TensorFlow keeps for ever must not keep the lease

        def choose(epoch: Any) -> Any:
            return np.array(find_alive(number).begin(int(epoch)), object)

        return tf.ensure_shape(tf.numpy_function(choose, [count], tf.string), [len(self._opened.block_sizes)])

    def _choose(self, epoch: int, manifest: Manifest) -> Row:
        grid = self._grid(manifest)
        if self._clean_from is not None and epoch >= self._clean_from:
            return original_row(grid, name=self._split)
        return choose_row(epoch, grid.rows, self.readings)

    def _wanted(self, epoch: int, manifest: Manifest) -> list[RowName]:
        grid, row = self._grid(manifest), self._choose(epoch, manifest)
        read = {reading.row for reading in self.readings.values()}
        being_read = {self.readings[e].row for e in self._open if e in self.readings}  # listed or not
        wanted = {r.row for r in grid.rows if r.row == row.row or r.row not in read or self._is_kept(r)}
        return [(manifest.generation, self._split, number) for number in sorted(wanted | being_read)]

    def _is_kept(self, row: Row) -> bool:
        return self._clean_from is not None and row.original

    def _grid(self, manifest: Manifest) -> Split:
        before = self._opened.manifest.generation
        if manifest.generation != before or not manifest.splits[self._split].rows:
            raise DatasetError(
                f"{self._root}: the dataset was built anew while it was read (generation {manifest.generation}, before "
                f"{before}). Train anew on it, or build into another folder."
            )
        return manifest.splits[self._split]

    def _note(self, reading: Reading) -> None:
        before = self.readings.get(reading.epoch, reading)
        if before.row != reading.row:
            warnings.warn(
                f"epoch {before.epoch} was reading row {before.row} (seed {before.seed}, variant {before.variant}) of "
                f"{self._split}, which {self._root} does not list any more; it goes on with row {reading.row}.",
                stacklevel=2,
            )
        self.readings[reading.epoch] = reading


RowFiles = FixedRows | FollowedRows


def _reading(epoch: int, row: Row) -> Reading:
    return Reading(epoch=epoch, row=row.row, seed=row.seed, variant=row.variant)


# Which epoch an iteration stands for


class EpochCounter:
    """Counts epochs: each fresh iteration takes the next number, and keeps it to its end.

    It lives as long as anything that was made from the dataset. So it also owns the lease and the rows in memory.

    Attributes:
        rows: The rows that epochs read.
        cache_plan: Whether rows are held in memory.
        lengths: Number of batches of an iteration, for one replica and for all that share its batches.
        num_begun: Number of iterations so far.
    """

    def __init__(
        self, rows: RowFiles, lease: Lease, cache_plan: CachePlan, held: RowsInMemory | None, lengths: tuple[int, int]
    ) -> None:
        self.rows, self.cache_plan, self.lengths = rows, cache_plan, lengths
        self.num_begun = 0
        self._lease, self._held = lease, held
        self._epoch = 0
        self._step = 1  # 0 while a callback holds the epoch
        self._guard = threading.Lock()
        self._number = give_number(self)

    def hold(self, epoch: int) -> None:
        """Let all iterations that begin from now on stand for this epoch."""
        self.rows.begin(epoch)
        self._look(epoch)
        with self._guard:
            self._epoch, self._step = epoch, 0

    def release(self) -> None:
        """Let each iteration stand for an epoch again, from the next one on."""
        with self._guard:
            self._epoch, self._step = self._epoch + 1 - self._step, 1

    def count_from(self, epoch: int) -> None:
        """Let the next iteration stand for this epoch, and those after it for the following ones."""
        with self._guard:
            self._epoch, self._step = epoch, 1

    def stay(self) -> None:
        """Let new iterations stand for the epoch of the last one, until `release`."""
        with self._guard:
            self._epoch, self._step = max(0, self._epoch - self._step), 0

    def begin(self) -> int:
        """Return the epoch that a beginning iteration stands for; its row is held until `end`."""
        with self._guard:
            epoch = self._epoch
            self._epoch += self._step
            self.num_begun += 1
        try:
            self.rows.enter(epoch)
            self._look(epoch)
        except BaseException:
            self._take_back(epoch)  # who is told of it may try again, as `prefetch` does
            raise
        return epoch

    def _look(self, epoch: int) -> None:
        if self._held is None:  # else files are looked at when they are needed
            self.rows.look(epoch)

    def _take_back(self, epoch: int) -> None:
        self.rows.leave(epoch)
        with self._guard:
            if self._epoch == epoch + self._step:
                self._epoch = epoch

    def end(self, epoch: int) -> None:
        """Note that an iteration no longer needs its row's files: it has read them, or was deleted."""
        self.rows.leave(epoch)

    def numbers(self) -> Any:
        """Return a dataset of one int64: the epoch that the iteration stands for."""
        begin, tell, end = _iteration()
        variant = tf.raw_ops.GeneratorDataset(
            init_func_other_args=[tf.constant(self._number, tf.int64)],
            next_func_other_args=[],
            finalize_func_other_args=[],
            init_func=begin,
            next_func=tell,
            finalize_func=end,
            output_types=[tf.int64],
            output_shapes=[[]],
        )
        return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.int64)).take(1)

    def attach(self, dataset: Any) -> Any:
        """Return the dataset with a mark by which EpochRow finds this counter, also below a user's map or prefetch."""
        setattr(dataset, ATTRIBUTE, self)
        return dataset


@functools.cache
def _iteration() -> tuple[Any, Any, Any]:
    """Return the functions that an iterator calls first, for its element, and at its end; all loads share them."""

    def begin(number: Any) -> Any:
        return np.int64(find_alive(number).begin())

    def end(number: Any, epoch: Any) -> Any:
        counter = ALIVE.get(int(number))
        if counter is not None:
            counter.end(int(epoch))
        return np.int64(0)

    def begun(number: Any) -> Any:
        return number, tf.ensure_shape(tf.numpy_function(begin, [number], tf.int64), [])

    def ended(number: Any, epoch: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(end, [number, epoch], tf.int64), [])

    scalar = tf.TensorSpec([], tf.int64)
    return (
        tf.function(begun, input_signature=[scalar]).get_concrete_function(),
        tf.function(lambda number, epoch: tf.identity(epoch), [scalar, scalar]).get_concrete_function(),
        tf.function(ended, input_signature=[scalar, scalar]).get_concrete_function(),
    )


def find_epochs(dataset: Any) -> Iterator[EpochCounter]:
    """Yield the counters of all datasets of `load` that a dataset was made from."""
    found = getattr(dataset, ATTRIBUTE, None)
    if isinstance(found, EpochCounter):
        yield found
    elif isinstance(dataset, tf.data.Dataset):
        for source in dataset._inputs():
            yield from find_epochs(source)

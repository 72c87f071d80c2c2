"""Which row an epoch reads, as the files of its shards: decided in the graph where rows stay, else when it begins."""

from __future__ import annotations

import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from precompute.dataset.guards import check_shards, check_still_there
from precompute.dataset.leases import Lease, RowName, hold_again
from precompute.dataset.manifest import Manifest, Row, Split
from precompute.dataset.rows import Reading, choose_row, original_row, position_of_epoch
from precompute.dataset.shard_cache import ShardCache
from precompute.errors import DatasetError

__all__ = ["FixedRows", "FollowedRows", "RowFiles"]


class FixedRows:
    """Rows that neither come nor go.

    Args:
        root: Folder of the dataset.
        manifest: Manifest of the dataset.
        split: Name of the split.
        rows: Rows to take turns with.
        clean_from: Epoch from which on the original row is read.
        cache: Cache of a dataset in an object store, which shards are fetched to.
    """

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        split: str,
        rows: Sequence[Row],
        clean_from: int | None,
        cache: ShardCache | None = None,
    ) -> None:
        self._num_rows, self._clean_from = len(rows), clean_from
        self._rows = list(rows)
        if clean_from is not None:
            self._rows.append(original_row(manifest.splits[split], name=split))
        paths = [_shard_paths(root, manifest, split, row, cache) for row in self._rows]
        if cache is not None:
            cache.take_turns(paths[: self._num_rows])
        self._table = tf.constant(paths)
        self._parts = root, manifest, split
        self._epoch_paths = paths if cache is None else []
        self.readings: dict[int, Reading] = {}

    def begin(self, epoch: int) -> None:
        """Note what an epoch is going to read."""
        self.readings[epoch] = _reading(epoch, self._rows[self._place(epoch)])

    def look(self, epoch: int, num_rows: int) -> None:
        """Check that the files of an epoch's rows are there; those in a store are not looked at.

        Raises:
            DatasetError: Some are missing.
        """
        places = {self._place(epoch * num_rows + number) for number in range(num_rows)} if self._epoch_paths else set()
        for place in places:
            check_still_there(*self._parts, self._rows[place].row, self._epoch_paths[place])

    def _place(self, count: int) -> int:
        is_clean = self._clean_from is not None and count >= self._clean_from
        return self._num_rows if is_clean else int(position_of_epoch(count, self._num_rows))

    def enter(self, epoch: int) -> None:
        """Note that an iteration begins to read the row of an epoch."""
        self.begin(epoch)

    def leave(self, epoch: int) -> None:
        """Note that an iteration has read its row: all rows are held anyway."""

    def paths(self, count: Any) -> Any:
        """Return the shards of the row that is read after `count` others, string [blocks]."""
        return tf.gather(self._table, self._position(count))

    def _position(self, count: Any) -> Any:
        position = position_of_epoch(count, self._num_rows)
        if self._clean_from is None:
            return position
        return tf.where(count >= self._clean_from, tf.constant(self._num_rows, tf.int64), position)


class FollowedRows:
    """Rows that come and go: the manifest is read when an epoch begins.

    The lease then holds the row of the epoch, those that other iterations still read, and those that were not read yet;
    the others may be taken away.

    Args:
        root: Folder of the dataset.
        manifest: The manifest as it was when the lease was taken.
        split: Name of the split.
        lease: Holds all rows so far.
        readings: What the epochs before have read.
        clean_from: Epoch from which on the original row is read.
        check: How rows that are new to the reader are checked, as `load` has it.
        cache: Cache of a dataset in an object store, which shards are fetched to.
    """

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        split: str,
        lease: Lease,
        *,
        readings: Sequence[Reading],
        clean_from: int | None,
        check: str,
        cache: ShardCache | None = None,
    ) -> None:
        self._root, self._split, self._lease = root, split, lease
        self._manifest = manifest
        self._generation, self._num_blocks = manifest.generation, manifest.splits[split].num_blocks
        self._clean_from, self._check, self._cache = clean_from, check, cache
        self.readings = {reading.epoch: reading for reading in readings}
        self._epoch_paths: dict[int, list[str]] = {}
        self._open = Counter[int]()  # epochs that iterations read now
        self._checked = {row.row for row in manifest.splits[split].rows}
        self._guard = threading.Lock()
        if clean_from is not None:
            original_row(manifest.splits[split], name=split)

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
                self._epoch_paths = {epoch: _shard_paths(self._root, manifest, self._split, row, self._cache)}
                self._fetch_ahead(epoch, manifest)
            return self._epoch_paths[epoch]

    def enter(self, epoch: int) -> None:
        """Begin an epoch, and hold its row until `leave`, whatever other epochs begin meanwhile."""
        with self._guard:
            self._open[epoch] += 1
        self.begin(epoch)

    def leave(self, epoch: int) -> None:
        """Note that an iteration does not read its row any more; the lease lets go of it when the next one begins."""
        with self._guard:
            self._open[epoch] -= 1
            self._open += Counter()  # without those that nobody reads

    def look(self, epoch: int, num_rows: int) -> None:
        """Check that the files of an epoch's row are there; those in a store are not looked at.

        Raises:
            DatasetError: Some are missing.
        """
        paths = self.begin(epoch)
        if self._cache is None:
            check_still_there(self._root, self._manifest, self._split, self.readings[epoch].row, paths)

    def _fetch_ahead(self, epoch: int, manifest: Manifest) -> None:
        """Fetch the row that the next epoch reads, unless new ones come meanwhile, while this one is read."""
        if self._cache is not None:
            self._cache.tidy(manifest, self._lease)
            likely = _shard_paths(self._root, manifest, self._split, self._choose(epoch + 1, manifest), self._cache)
            self._cache.take_turns([self._epoch_paths[epoch], likely])

    def paths(self, count: Any) -> Any:
        """Return the shards of the row that is read after `count` others, string [blocks]."""
        alive = weakref.ref(self)  # TensorFlow keeps the function for ever, which must not keep the lease

        def choose(epoch: Any) -> Any:
            rows = alive()
            if rows is None:
                raise RuntimeError("the dataset was deleted; keep what precompute.load returned while it is read")
            return np.array(rows.begin(int(epoch)), object)

        return tf.ensure_shape(tf.numpy_function(choose, [count], tf.string), [self._num_blocks])

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
        return [(self._generation, self._split, number) for number in sorted(wanted | being_read)]

    def _is_kept(self, row: Row) -> bool:
        return self._clean_from is not None and row.original

    def _grid(self, manifest: Manifest) -> Split:
        if manifest.generation != self._generation or not manifest.splits[self._split].rows:
            raise DatasetError(
                f"{self._root}: the dataset was built anew while it was read (generation {manifest.generation}, before "
                f"{self._generation}). Train anew on it, or build into another folder."
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


def _shard_paths(root: Path, manifest: Manifest, split: str, row: Row, cache: ShardCache | None) -> list[str]:
    if cache is not None:
        return cache.names(manifest, split, row)
    blocks = range(manifest.splits[split].num_blocks)
    return [str(manifest.shard_path(root, split, row.row, block)) for block in blocks]

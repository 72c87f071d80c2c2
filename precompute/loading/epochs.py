"""Which epoch an iteration of a dataset stands for: counted inside tf.data, or set by a callback of `fit`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from precompute.dataset.leases import Lease
from precompute.dataset.rows import Reading
from precompute.errors import UsageError
from precompute.loading.caching import CachePlan
from precompute.loading.memory import HeldRows
from precompute.loading.row_files import RowFiles
from precompute.loading.variables import plain_variable

__all__ = ["EpochCounter", "EpochRow"]

ATTRIBUTE = "_augment_once_epoch"  # of the dataset that `load` returns


class EpochRow(keras.callbacks.Callback):  # type: ignore[misc]
    """Ties the row that a dataset reads to the epoch number of `fit`.

    Needed with `initial_epoch`, when a run is resumed, under `tf.distribute` (which reads ahead, so that rows would
    be left out), and where batches were looked at before. Give it to every `fit` of a dataset or to none: one that is
    interrupted leaves the row held until the next `fit` with this callback.

    Args:
        dataset: What `load` returned, or a dataset made from it or from several of them.
    """

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self._epochs = list(_find_epochs(dataset))
        if not self._epochs:
            raise UsageError(
                f"EpochRow: expected a dataset made by precompute.load, or one made from it, got {dataset!r:.200}."
            )

    @property
    def readings(self) -> list[Reading]:
        """What each epoch so far has read, the present one included; of the first dataset, where several were joined.

        A later `load(..., rows="follow", readings=...)` goes on from it.
        """
        found = self._epochs[0].rows.readings
        return [found[epoch] for epoch in sorted(found)]

    @property
    def cache_plan(self) -> CachePlan:
        """Whether the dataset's rows are held in memory, and why; of the first dataset, where several were joined."""
        return self._epochs[0].cache_plan

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Let all iterations read the row of this epoch until the next one begins."""
        for counter in self._epochs:
            counter.hold(epoch)

    def on_train_end(self, logs: Any = None) -> None:
        """Let each fresh iteration count as an epoch again."""
        for counter in self._epochs:
            counter.release()


class EpochCounter:
    """The number of the epoch, on the graph's side: each fresh iteration reads it and moves it on.

    It lives as long as anything that was made from the dataset, so that the lease and rows in memory are kept here.
    """

    def __init__(self, rows: RowFiles, lease: Lease, cache_plan: CachePlan, held: HeldRows | None) -> None:
        self.rows, self.cache_plan = rows, cache_plan
        self._lease, self._held = lease, held
        self._number = plain_variable(tf.constant(0, tf.int64))
        self._step = plain_variable(tf.constant(1, tf.int64))  # 0 while a callback holds the number

    def hold(self, epoch: int) -> None:
        """Let all iterations stand for this epoch."""
        self.rows.begin(epoch)
        self._step.assign(0)
        self._number.assign(epoch)

    def release(self) -> None:
        """Let each iteration stand for an epoch again, from the next one on."""
        self._number.assign_add(1 - self._step)
        self._step.assign(1)

    def numbers(self) -> Any:
        """Return a dataset of one int64: the epoch that the iteration stands for."""

        def advance(_: Any) -> Any:
            return self._number.assign_add(self._step, read_value=True) - self._step

        return tf.data.Dataset.range(1).map(advance)

    def attach(self, dataset: Any) -> Any:
        """Return the dataset, so marked that EpochRow finds this counter, also below a user's own map or prefetch."""
        setattr(dataset, ATTRIBUTE, self)
        return dataset


def _find_epochs(dataset: Any) -> Iterator[EpochCounter]:
    found = getattr(dataset, ATTRIBUTE, None)
    if isinstance(found, EpochCounter):
        yield found
    elif isinstance(dataset, tf.data.Dataset):
        for source in dataset._inputs():
            yield from _find_epochs(source)

"""The callback of Keras' `fit` that ties rows to epochs; nothing else here needs Keras."""

from __future__ import annotations

import os
from typing import Any

try:
    import keras
except ImportError as error:
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    raise ImportError(
        f"precompute.EpochRow needs Keras, which cannot be imported with the backend {backend!r} ({error}). Install "
        "what is missing, for TensorFlow pip install 'augment-once[train]', or set KERAS_BACKEND to what is there."
    ) from error
import tensorflow as tf

from precompute.dataset.rows import Reading
from precompute.errors import UsageError
from precompute.readers.tf.epochs import find_epochs
from precompute.readers.tf.memory import CachePlan

__all__ = ["EpochRow"]


class EpochRow(keras.callbacks.Callback):  # type: ignore[misc]
    """Ties the row that a dataset reads to the epoch number of `fit`.

    It is needed with `initial_epoch`, when a run is resumed, under `tf.distribute` (which reads ahead, so that rows
    would be left out), and where batches were looked at before. Give it to every `fit` of a dataset or to none: an
    interrupted `fit` leaves the dataset at its row until the next `fit` with this callback.

    An epoch of `fit` may have another number of batches than the dataset (`steps_per_epoch`, with `.repeat()` or
    without). Rows then follow iterations: each row is read to its end before the next one begins. With `initial_epoch`,
    the first row is the one that the steps of the earlier epochs would have reached.

    Args:
        dataset: The dataset that `fit` is given: one that `load` returned, or one made from one or several of these.
    """

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self._epochs = list(find_epochs(dataset))
        if not self._epochs:
            raise UsageError(
                f"EpochRow: expected a dataset made by precompute.load, or one made from it, got {dataset!r:.200}."
            )
        self._lengths = _lengths(dataset) or {length for counter in self._epochs for length in counter.lengths}
        self._begun: list[int] | None = None  # until it is known that `fit` reads this dataset
        self._counts = False

    @property
    def readings(self) -> list[Reading]:
        """What each epoch has read so far, the current one included; where datasets were joined, by the first one.

        A later `load(..., rows="follow", readings=...)` continues from it.
        """
        found = self._epochs[0].rows.readings
        return [found[epoch] for epoch in sorted(found)]

    @property
    def cache_plan(self) -> CachePlan:
        """Whether the dataset's rows are held in memory, and why; where datasets were joined, by the first one."""
        return self._epochs[0].cache_plan

    def on_train_begin(self, logs: Any = None) -> None:
        """Remember how much was read before, so that one sees whether `fit` reads this dataset."""
        self._begun = [counter.num_begun for counter in self._epochs]
        self._counts = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Let all iterations read the row of this epoch until the next epoch begins, if an epoch is one iteration."""
        steps = (self.params or {}).get("steps")
        for counter in self._epochs if not self._counts else ():
            if steps is None or steps in self._lengths:
                counter.hold(epoch)
            else:
                counter.count_from(epoch * steps // counter.lengths[0])
        self._counts = not (steps is None or steps in self._lengths)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Check that the first batch came from this dataset."""
        if batch and self._begun is not None:
            self._check_read()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Check that the epoch read a batch of this dataset."""
        if self._begun is not None:
            self._check_read()

    def on_test_begin(self, logs: Any = None) -> None:
        """Let validation on the same dataset read the row of training."""
        for counter in self._epochs if self._counts else ():
            counter.stay()

    def on_test_end(self, logs: Any = None) -> None:
        """Count iterations again."""
        for counter in self._epochs if self._counts else ():
            counter.release()

    def on_train_end(self, logs: Any = None) -> None:
        """Let each fresh iteration count as an epoch again."""
        self._counts = False
        for counter in self._epochs:
            counter.release()

    def _check_read(self) -> None:
        if self._begun == [counter.num_begun for counter in self._epochs]:
            raise UsageError(
                "EpochRow: `fit` reads another dataset than the one that this callback was made of, so that no row "
                "would be tied to an epoch; or it reads a `.cache()` of it, which holds one row for ever. Give it what "
                "`fit` is given: train = precompute.load(…), fit(train, callbacks=[EpochRow(train)])."
            )
        self._begun = None


def _lengths(dataset: Any) -> set[int]:
    """Return the number of batches of a dataset as a set: empty where it is unknown, {0} where there is no end."""
    if not isinstance(dataset, tf.data.Dataset):
        return set()
    length = int(dataset.cardinality())
    return {max(0, length)} if length != tf.data.UNKNOWN_CARDINALITY else set()

"""Continuing in the middle of an epoch: checkpoints between batches, and restoring what Keras resets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from train.checkpoint import TrainingState, restore_metrics, save_state
from train.data import readings_of
from train.files import write_file
from train.interval import Interval
from train.options import FitOptions
from train.progress import Pace
from train.run_folder import RunFolder
from train.stopping import Stopping

__all__ = [
    "Checkpoints",
    "build_metrics",
    "make_callbacks",
    "put_back",
    "states_of",
]


class Checkpoints(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes checkpoints, and lets `fit` continue from one.

    It must come after all other callbacks: Keras resets callbacks when `fit` begins and metrics when an epoch begins,
    and their state is restored after that. Checkpoints are written before a batch begins, when Keras is idle, and never
    after an epoch's last batch: the one at the epoch's end comes after validation. A signal that ends the training
    waits for the next of these moments.

    Args:
        folder: Folder of the run.
        state: State of the run so far; it is updated.
        callbacks: Callbacks with a state of their own.
        pace: Times of the epoch.
        interval: Interval between two checkpoints.
        stopping: Keeps the signals that were received.
        clock: Returns the time in seconds.

    Attributes:
        epoch_row: The `EpochRow` of the dataset that is read; set before each `fit`.
    """

    epoch_row: Any

    def __init__(
        self,
        folder: RunFolder,
        state: TrainingState,
        *,
        callbacks: Sequence[Any],
        pace: Pace,
        interval: Interval,
        stopping: Stopping,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._state = state
        self._callbacks = callbacks
        self._pace = pace
        self._interval = interval
        self._stopping = stopping
        self._clock = clock

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore the state of the callbacks."""
        put_back(self._callbacks, self._state.callbacks)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restore the metrics of an interrupted epoch."""
        state = self._state
        if state.batch:
            restore_metrics(self._folder.checkpoint, self.model)
        self._pace.begin(state.spent, first_batch=state.batch)
        self._first_batch = self._saved_batch = state.batch
        self._saved = self._clock()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Write a checkpoint if one is due: all batches before this one are done."""
        done = self._first_batch + batch
        is_due = self._interval.is_over(batches=done - self._saved_batch, seconds=self._clock() - self._saved)
        if batch and (is_due or self._stopping.is_asked_for):
            self._state.batch, self._state.spent = done, self._pace.spent
            self._write()
            self._saved_batch, self._saved = done, self._clock()
        self._stopping.deliver()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Keep signals from now on; not in the first step, whose compilation may take too long to wait for."""
        self._stopping.holds = True

    def on_test_begin(self, logs: Any = None) -> None:
        """Let signals through: validation may take long, and the next checkpoint comes at the epoch's end."""
        self._stopping.holds = False
        self._stopping.deliver()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Let signals through: everything is saved."""
        self._stopping.holds = False
        self._stopping.deliver()

    def finish_epoch(self) -> None:
        """Write the checkpoint of a finished epoch, whose entry the history has already."""
        state = self._state
        state.epochs, state.batch, state.spent = len(state.history), 0, {}
        state.callbacks, state.stopped = states_of(self._callbacks), bool(self.model.stop_training)
        self._write()

    def _write(self) -> None:
        self._state.readings = readings_of(self.epoch_row)
        write_file(self._folder.checkpoint, lambda path: save_state(path, self.model, self._state))


def build_metrics(model: Any, element_spec: Any) -> None:
    """Make the variables of a compiled model's metrics, which Keras does at the first batch, without training.

    Args:
        model: Compiled model; it is tested on one image of zeros, which changes no weights.
        element_spec: Shapes and types of a batch.
    """
    zeros = tf.nest.map_structure(
        lambda spec: tf.zeros([1 if size is None else size for size in spec.shape], spec.dtype), element_spec
    )
    model.test_on_batch(*zeros)
    model.make_test_function(force=True)  # so that nothing is left of it


# Keras's own callbacks that steer a run, and their state, which they count from epoch to epoch


# Attributes that change during training. Source: `on_train_begin`, `on_epoch_end` in keras/src/callbacks of Keras 3.15.
STATE = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "stopped_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
}


def make_callbacks(options: FitOptions, *, score: str) -> list[Any]:
    """Return the callbacks that the options ask for.

    Both watch the score that decides which epoch is best, so that a run stops when no better model comes.

    Args:
        options: Options of the run.
        score: Name of the score in an epoch's log; higher is better.
    """
    callbacks: list[Any] = []
    if options.early_stopping:
        callbacks.append(keras.callbacks.EarlyStopping(score, patience=options.early_stopping, mode="max"))
    if options.schedule == "plateau":
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                score, patience=options.plateau_patience, factor=options.plateau_factor, mode="max"
            )
        )
    return callbacks


def states_of(callbacks: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Return the state of the callbacks, fit for JSON: class name → attribute → value."""
    return {
        type(callback).__name__: {name: getattr(callback, name) for name in STATE[type(callback)]}
        for callback in callbacks
    }


def put_back(callbacks: Sequence[Any], states: Mapping[str, Mapping[str, Any]]) -> None:
    """Restore the state of the callbacks; a callback without a state begins anew."""
    for callback in callbacks:
        for name, value in states.get(type(callback).__name__, {}).items():
            setattr(callback, name, value)

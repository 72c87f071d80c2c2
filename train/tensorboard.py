"""The log for TensorBoard: the content of `history.csv` as curves of train and validation."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from train.checkpoint import TrainingState
from train.files import cannot_write

__all__ = ["TensorBoardLog"]


class TensorBoardLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes loss, scores and learning rate of each epoch for TensorBoard.

    It reads the run's history, and so comes after the callback that records it. A continued run writes the log anew,
    with the epochs that it has: event files can only grow, and a killed run may have written more or less to them than
    to its checkpoint. So each epoch is there once.

    Args:
        folder: Folder in which ``train`` and, with validation, ``validation`` are made; steps are numbers of epochs.
        state: State of the run; another callback extends its history.
    """

    def __init__(self, folder: Path, state: TrainingState) -> None:
        super().__init__()
        self._folder = folder
        self._state = state
        self._writers: dict[str, Any] = {}
        self._num_written = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Write the epochs that the run already has."""
        for path in self._folder.glob("*/events.out.tfevents.*"):
            path.unlink(missing_ok=True)
        self._num_written = 0
        with self._translate_errors():
            self._write()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the new epochs of the history."""
        with self._translate_errors():
            self._write()

    def on_train_end(self, logs: Any = None) -> None:
        """Close the files."""
        with self._translate_errors():
            for writer in self._writers.values():
                writer.close()
        self._writers.clear()

    @contextlib.contextmanager
    def _translate_errors(self) -> Iterator[None]:
        """Raise an error that says what could not be written; TensorFlow calls a full disk exhausted resources."""
        try:
            yield
        except tf.errors.OpError as error:
            raise cannot_write(self._folder, error) from error

    def _write(self) -> None:
        for entry in self._state.history[self._num_written :]:
            values = {name: value for name, value in entry.items() if name != "epoch" and value is not None}
            of_validation = {name[4:]: value for name, value in values.items() if name.startswith("val_")}
            of_training = {name: value for name, value in values.items() if not name.startswith("val_")}
            for split, scalars in (("train", of_training), ("validation", of_validation)):
                if scalars:
                    self._write_scalars(split, entry["epoch"], scalars)
        self._num_written = len(self._state.history)

    def _write_scalars(self, split: str, step: int, scalars: Mapping[str, float]) -> None:
        if split not in self._writers:
            self._writers[split] = tf.summary.create_file_writer(str(self._folder / split))
        # Not tf.summary.scalar: it needs the package tensorboard, which TensorFlow no longer brings along.
        summary = tf.compat.v1.Summary()
        for tag, value in scalars.items():
            summary.value.add(tag=tag, simple_value=value)
        with self._writers[split].as_default(step):
            tf.summary.experimental.write_raw_pb(summary.SerializeToString())
        self._writers[split].flush()

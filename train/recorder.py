"""The callback that writes state, models, history and curves to the run folder after each epoch of `fit`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from precompute.errors import PrecomputeError
from train.checkpoint import TrainingState
from train.files import write_bytes, write_file, write_table
from train.pictures.charts import draw_curves
from train.progress import Pace
from train.resume import Checkpoints
from train.run_folder import RunFolder

__all__ = ["Recorder"]

CURVES_EVERY_S = 30.0  # drawing takes a good part of a second, as long as a small epoch


class Recorder(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the run folder after each epoch.

    The checkpoint comes first and decides; the other files follow from it, and `write_derived` makes them again if a
    run was killed in between.

    Args:
        folder: Folder of the run.
        network: The model to save: not compiled, so that it opens anywhere without this package.
        state: State of the run so far; it is updated.
        checkpoints: Writes the checkpoint.
        pace: Times of the epoch.
        score: Name of the score of an epoch's log that decides which epoch is best.
        total: Number of epochs of the whole run.
        notify: Called with each line for the user.
    """

    def __init__(
        self,
        folder: RunFolder,
        network: Any,
        state: TrainingState,
        *,
        checkpoints: Checkpoints,
        pace: Pace,
        score: str,
        total: int,
        notify: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._folder = folder
        self._network = network
        self._state = state
        self._checkpoints = checkpoints
        self._pace = pace
        self._score = score
        self._total = total
        self._notify = notify
        self._curves_drawn = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Record the epoch that has just ended."""
        entry: dict[str, Any] = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        if "learning_rate" not in entry:  # else it is of the steps before a plateau lowered it
            entry["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        entry["seconds"] = round(self._pace.spent["seconds"], 3)
        entry |= {name: float(f"{value:.4g}") for name, value in self._pace.rates.items()}
        self._check_finite(entry)
        state = self._state
        state.history.append(entry)
        if state.best_score is None or entry[self._score] > state.best_score:
            state.best_epoch, state.best_score = epoch + 1, entry[self._score]
        self._checkpoints.finish_epoch()
        self.write_derived()
        self._notify(describe_epoch(entry, total=self._total, score=self._score))

    def write_derived(self) -> None:
        """Write all files that follow from the checkpoint of the present weights."""
        folder, state = self._folder, self._state
        if not state.batch:  # within an epoch, the models of the last one were finished long ago
            if state.best_epoch == state.epochs:
                write_file(folder.model("best"), self._network.save)
            write_file(folder.model("last"), self._network.save)
        write_table(folder.history, state.history)
        write_table(folder.rows, [reading | {"epoch": reading["epoch"] + 1} for reading in state.readings])
        if state.history and time.monotonic() - self._curves_drawn >= CURVES_EVERY_S:
            self.write_curves()

    def write_curves(self) -> None:
        """Draw the history."""
        score = self._score.removeprefix("val_")
        picture = draw_curves(self._state.history, score=score, best_epoch=self._state.best_epoch)
        write_bytes(self._folder.curves, picture)
        self._curves_drawn = time.monotonic()

    def _check_finite(self, entry: Mapping[str, Any]) -> None:
        broken = [name for name, value in entry.items() if not math.isfinite(value)]
        if broken:
            raise PrecomputeError(
                f"epoch {entry['epoch']}: {', '.join(broken)} became {entry[broken[0]]}. The epochs before it are "
                "kept. A lower --learning-rate helps in most cases; it needs another --run, or --restart."
            )


def describe_epoch(entry: Mapping[str, Any], *, total: int, score: str) -> str:
    """Return the line that a user sees after an epoch."""
    name = score.removeprefix("val_")
    parts = [f"train: loss {entry['loss']:.3f}, {name.replace('_', ' ')} {entry[name]:.3f}"]
    if "val_loss" in entry:
        parts.append(f"validation: loss {entry['val_loss']:.3f}, {name.replace('_', ' ')} {entry['val_' + name]:.3f}")
    width = len(str(total))
    pace = f"{entry['seconds']:.1f} s, {entry['images_per_second']:.0f} images/s"
    if "waiting" in entry:
        pace += f", {entry['waiting']:.0%} waiting"
    return f"epoch {entry['epoch']:{width}d}/{total}  " + "   ".join([*parts, pace])

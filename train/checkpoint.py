"""Checkpoints: the state of a run in one file, from which it continues as if it had never stopped.

It is one file, so that weights, optimizer and history are always from the same moment. It also holds the state of
generators (Dropout), of metrics in the middle of an epoch, and of callbacks, which Keras's own files leave out. It
consists of plain arrays and JSON: reading it executes nothing.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from precompute.errors import PrecomputeError
from precompute.text.format import format_count

__all__ = ["TrainingState", "load_state", "restore_metrics", "restore_model", "save_state"]

VERSION = 2
STATE = "state"  # name of the array that holds the JSON
METRICS = "metrics/"


@dataclass(kw_only=True)
class TrainingState:
    """The progress of a run.

    Attributes:
        epochs: Number of finished epochs.
        batch: Number of finished batches of the next epoch.
        history: Log of each finished epoch, as in `history.csv`.
        best_epoch: Epoch with the best score, counted from 1; None before the first.
        best_score: Score of the best epoch.
        stopped: Whether early stopping has ended the run.
        readings: Rows that epochs have read, the unfinished one included: `precompute.dataset.rows.Reading`.
        callbacks: State of the callbacks after the last finished epoch.
        spent: Times of the unfinished epoch, as `Pace` counts them.
        fresh: Whether stored variants move at each reading, as decided when the run began; None before.
    """

    epochs: int = 0
    batch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    best_score: float | None = None
    stopped: bool = False
    readings: list[dict[str, Any]] = field(default_factory=list)
    callbacks: dict[str, dict[str, Any]] = field(default_factory=dict)
    spent: dict[str, float] = field(default_factory=dict)
    fresh: str | None = None

    @property
    def is_new(self) -> bool:
        """Whether there is no checkpoint yet."""
        return not self.epochs and not self.batch


def save_state(path: Path, model: Any, state: TrainingState) -> None:
    """Write state, weights, optimizer and, within an epoch, metrics of a compiled model to a file."""
    variables = _variables(model) | (_metrics(model) if state.batch else {})
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in variables.items()}
    content = json.dumps({"version": VERSION, **dataclasses.asdict(state)}).encode()
    arrays[STATE] = np.frombuffer(content, np.uint8)
    with path.open("wb") as file:  # given a path, NumPy would append .npz to it
        np.savez(file, **arrays, allow_pickle=False)


def load_state(path: Path) -> TrainingState:
    """Read the state of a run; without a file, return a state of no epochs.

    Raises:
        PrecomputeError: The file cannot be read.
    """
    if not path.exists():
        return TrainingState()
    try:
        with np.load(path, allow_pickle=False) as arrays:
            content = json.loads(arrays[STATE].tobytes())
        version = content.pop("version")
        if version != VERSION:
            raise ValueError(f"it has version {version}, this program reads {VERSION}")
        return TrainingState(**content)
    except Exception as error:  # zipfile, NumPy and JSON each raise their own
        raise PrecomputeError(
            f"{path}: cannot be read as a checkpoint ({error}). Pass --restart to begin anew."
        ) from error


def restore_model(path: Path, model: Any) -> None:
    """Give a compiled model the weights and the optimizer's state from a file.

    Raises:
        PrecomputeError: The file is of another model.
    """
    if not model.optimizer.built:  # that of mixed precision would get its variables twice
        model.optimizer.build(model.trainable_variables)
    with np.load(path, allow_pickle=False) as arrays:
        names = [name for name in arrays.files if name != STATE and not name.startswith(METRICS)]
        _assign(path, _variables(model), {name: arrays[name] for name in names})


def restore_metrics(path: Path, model: Any) -> None:
    """Restore the state of metrics, which must be built, from the middle of an epoch.

    Raises:
        PrecomputeError: The file is of other metrics.
    """
    with np.load(path, allow_pickle=False) as arrays:
        names = [name for name in arrays.files if name.startswith(METRICS)]
        _assign(path, _metrics(model), {name: arrays[name] for name in names})


def _assign(path: Path, variables: dict[str, Any], arrays: dict[str, Any]) -> None:
    if {name: array.shape for name, array in arrays.items()} != {n: tuple(v.shape) for n, v in variables.items()}:
        raise PrecomputeError(
            f"{path}: the checkpoint is of another model than this version makes: "
            f"{format_count(len(arrays), 'variable')}, expected {len(variables)}, of the same shapes. "
            "Pass --restart to begin anew."
        )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _variables(model: Any) -> dict[str, Any]:
    """Return all variables that training changes, in order: names hold counters that differ between processes."""
    named = {f"model/{i:04d}": variable for i, variable in enumerate(model.variables)}
    return named | {f"optimizer/{i:04d}": variable for i, variable in enumerate(model.optimizer.variables)}


def _metrics(model: Any) -> dict[str, Any]:
    return {f"{METRICS}{i:04d}": variable for i, variable in enumerate(model.metrics_variables)}

"""The state of a training run in one file: what is needed to go on as if nothing had happened.

One file, so that weights, optimizer and history cannot be of different epochs however a run ends. It holds the state of
generators (Dropout) too, which Keras's own files leave out. Plain arrays and JSON: nothing is executed when it is read.
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

__all__ = ["TrainingState", "load_state", "restore_model", "save_state"]

VERSION = 1
STATE = "state"  # name of the array that holds the JSON


@dataclass(kw_only=True)
class TrainingState:
    """How far a run has come.

    Attributes:
        epochs: Number of finished epochs.
        history: Numbers of each, as in `history.csv`.
        best_epoch: The one with the best score, counted from 1; None before the first.
        best_score: Its score.
    """

    epochs: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    best_score: float | None = None


def save_state(path: Path, model: Any, state: TrainingState) -> None:
    """Write state, weights and optimizer of a compiled model to a file."""
    content = json.dumps({"version": VERSION, **dataclasses.asdict(state)}).encode()
    arrays = {name: keras.ops.convert_to_numpy(variable) for name, variable in _variables(model).items()}
    arrays[STATE] = np.frombuffer(content, np.uint8)
    with path.open("wb") as file:  # given a path, NumPy would append .npz to it
        np.savez(file, **arrays, allow_pickle=False)


def load_state(path: Path) -> TrainingState:
    """Read how far a run has come; a state of no epochs if there is no file yet.

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
    model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    with np.load(path, allow_pickle=False) as arrays:
        stored = {name: arrays[name].shape for name in arrays.files if name != STATE}
        if stored != {name: tuple(variable.shape) for name, variable in variables.items()}:
            raise PrecomputeError(
                f"{path}: the checkpoint is of another model than this version makes: {len(stored)} variables, "
                f"expected {len(variables)}, of the same shapes. Pass --restart to begin anew."
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])


def _variables(model: Any) -> dict[str, Any]:
    """Return all that training changes, by position: names hold counters that differ from process to process."""
    named = {f"model/{i:04d}": variable for i, variable in enumerate(model.variables)}
    return named | {f"optimizer/{i:04d}": variable for i, variable in enumerate(model.optimizer.variables)}

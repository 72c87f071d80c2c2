"""Runs of training that are killed in the middle of epochs, and what they come to."""

from __future__ import annotations

import csv

import keras
import numpy as np
import pytest

from train.fit import fit
from train.options import FitOptions
from train.resume import Checkpoints

TIMES = {"seconds", "images_per_second", "waiting"}


# Of 5 batches an epoch, the last smaller; plateau and early stopping both come to act.
OPTIONS = {
    "epochs": 9,
    "batch_size": 5,
    "base_channels": 2,
    "learning_rate": 0.02,
    "schedule": "plateau",
    "plateau_patience": 1,
    "early_stopping": 3,
    "deterministic": True,
    "checkpoint_every": "1",
}


def weights_of(path):
    """Return name → bytes of all arrays of a checkpoint but the state."""
    with np.load(path) as arrays:
        return {name: arrays[name].tobytes() for name in arrays.files if name != "state"}


def history_of(run):
    with (run / "history.csv").open(newline="") as file:
        return [{k: v for k, v in entry.items() if k not in TIMES} for entry in csv.DictReader(file)]


def outcome(run):
    """Return all that a run has come to, times apart."""
    best = keras.models.load_model(run / "best.keras", compile=False)
    return {
        "checkpoint": weights_of(run / "checkpoint.npz"),
        "history": history_of(run),
        "best": [weight.tobytes() for weight in best.get_weights()],
        "rows": (run / "rows.csv").read_text(),
    }


def run_killed_at(dataset, run, writes, **changes):
    """Run until so many checkpoints are written in the middle of epochs, again and again; return the lines said."""
    options, lines = FitOptions(**OPTIONS | changes), []
    for number in [*writes, None]:
        write, left = Checkpoints._write, [number]

        def die(self, write=write, left=left):
            if self._state.batch and left[0] is not None:
                left[0] -= 1
                if left[0] < 0:
                    raise KeyboardInterrupt
            write(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checkpoints, "_write", die)
            try:
                fit(dataset, run=run, options=options, say=lines.append)
            except KeyboardInterrupt:
                continue
            break
    return lines

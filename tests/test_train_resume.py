"""Runs that were killed in the middle of an epoch end as one that was never killed, bit for bit."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from tensorflow.python.framework.config import disable_op_determinism
from test_train_datasets import write_classes

from train.fit import fit
from train.interval import Interval
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


@pytest.fixture(scope="module", autouse=True)
def determinism():
    yield
    disable_op_determinism()  # which TensorFlow offers to tests alone


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("data"), sizes={"train": 23, "validation": 9}, num_rows=3)


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


@pytest.fixture(scope="module")
def runs(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    whole = run_killed_at(dataset, folder / "whole", [])
    lines = run_killed_at(dataset, folder / "killed", [2, 7, 9])
    return SimpleNamespace(whole=outcome(folder / "whole"), killed=outcome(folder / "killed"), lines=lines, said=whole)


@pytest.mark.parametrize("what", ["history", "rows", "checkpoint", "best"])
def test_killed_in_the_middle_of_epochs_it_ends_the_same(runs, what):
    assert runs.killed[what] == runs.whole[what]


def test_the_run_was_what_the_test_is_about(runs):
    rates = [float(entry["learning_rate"]) for entry in runs.whole["history"]]
    assert rates[-1] < max(rates)  # the plateau lowered it
    assert len(rates) < OPTIONS["epochs"]  # and early stopping ended it
    assert sum(line.startswith("continuing") and "batch" in line for line in runs.lines) == 3
    assert runs.whole["rows"].splitlines()[:5] == ["epoch,row,seed,variant", "1,0,0,0", "2,1,0,1", "3,2,0,2", "4,0,0,0"]

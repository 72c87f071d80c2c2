"""Runs that were killed in the middle of an epoch end as one that was never killed, bit for bit."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from precompute.dataset.manifest import Manifest
from precompute.dataset.paths import DatasetPaths
from precompute.dataset.rows import Reading
from tests.helpers.killed_training import OPTIONS, outcome, run_killed_at
from tests.helpers.trainer_datasets import write_classes
from train.checkpoint import TrainingState
from train.data import forget_missing_row, load_train
from train.fit import fit
from train.options import FitOptions
from train.tasks import make_task

pytestmark = pytest.mark.slow  # what they share takes most of the time


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("data"), sizes={"train": 23, "validation": 9}, num_rows=3)


@pytest.fixture(scope="module")
def runs(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    run_killed_at(dataset, folder / "whole", [])
    lines = run_killed_at(dataset, folder / "killed", [14, 1])
    return SimpleNamespace(
        folder=folder, whole=outcome(folder / "whole"), killed=outcome(folder / "killed"), lines=lines
    )


@pytest.mark.parametrize("what", ["history", "rows", "checkpoint", "best"])
@pytest.mark.slow
def test_killed_in_the_middle_of_epochs_it_ends_the_same(runs, what):
    assert runs.killed[what] == runs.whole[what]


def test_the_run_was_what_the_test_is_about(runs):
    rates = [float(entry["learning_rate"]) for entry in runs.whole["history"]]
    assert rates[-1] < max(rates)  # the plateau lowered it
    assert len(rates) < OPTIONS["epochs"]  # and early stopping ended it
    assert sum(line.startswith("continuing") and "batch" in line for line in runs.lines) == 2
    assert runs.whole["rows"].splitlines()[:5] == ["epoch,row,seed,variant", "1,0,0,0", "2,1,0,1", "3,2,0,2", "4,0,0,0"]


def test_a_run_that_early_stopping_has_ended_is_finished(runs, dataset):
    result = fit(dataset, run=runs.folder / "whole", options=FitOptions(**OPTIONS | {"epochs": 50}))
    assert result.was_finished
    assert result.state.stopped
    assert len(result.state.history) < OPTIONS["epochs"]


def test_each_epoch_has_its_rates(runs):
    with (runs.folder / "killed" / "history.csv").open(newline="") as file:
        for entry in csv.DictReader(file):
            assert float(entry["images_per_second"]) > 0
            assert 0 <= float(entry["waiting"]) <= 1


@pytest.fixture
def interrupted():
    """The state of a run that was interrupted after two batches of its second epoch."""
    readings = [{"epoch": epoch, "row": epoch, "seed": 0, "variant": epoch} for epoch in (0, 1)]
    return TrainingState(epochs=1, batch=2, readings=readings)


def rest_of(dataset, state):
    manifest = Manifest.load(dataset)
    train, epoch_row = load_train(dataset, manifest, make_task(manifest), FitOptions(**OPTIONS), state)
    epoch_row.on_epoch_begin(state.epochs)
    return [images.numpy() for images, _ in train], epoch_row.readings[-1]


@pytest.mark.slow
def test_what_is_left_of_an_epoch_is_of_the_row_that_was_begun(dataset, interrupted):
    whole, _ = rest_of(dataset, dataclasses.replace(interrupted, batch=0))
    assert forget_missing_row(interrupted, Manifest.load(dataset)) is None
    rest, reading = rest_of(dataset, interrupted)
    assert reading.row == 1
    assert len(rest) == 3
    for after, before in zip(rest, whole[2:], strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_row_that_is_gone_is_named_and_another_takes_its_place(dataset, interrupted, tmp_path):
    copy = shutil.copytree(dataset, tmp_path / "copy")
    manifest = Manifest.load(copy)
    train = manifest.splits["train"]
    kept = dataclasses.replace(train, rows=[row for row in train.rows if row.row != 1])
    without = dataclasses.replace(manifest, splits=manifest.splits | {"train": kept})
    DatasetPaths(copy).manifest.write_bytes(without.to_bytes())

    gone = forget_missing_row(interrupted, without)
    assert gone == Reading(epoch=1, row=1, seed=0, variant=1)
    rest, reading = rest_of(copy, interrupted)
    assert reading.row == 2
    assert len(rest) == 3

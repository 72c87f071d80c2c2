"""Variants that are read more than once: reuse, the fresh last step, and clean epochs, as `train fit` has them."""

from __future__ import annotations

import dataclasses
import gc

import pytest

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from tests.helpers.stored_records import Stored, build_rows
from train.checkpoint import TrainingState
from train.data import FEW_ROWS, HIGH_REUSE, choose_fresh, describe_reuse, load_train, reuse_of
from train.fit import announce
from train.options import FitOptions
from train.tasks import make_task


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return build_rows(tmp_path_factory.mktemp("rereading"), num_rows=2, include_original=True)


def read(out, options, state, *epochs):
    """Return what the batches of some epochs hold: a list of images each."""
    manifest = Manifest.load(out)
    train, epoch_row = load_train(out, manifest, make_task(manifest), options, state)
    found = []
    for epoch in epochs:
        epoch_row.on_epoch_begin(epoch)
        found.append([image for images, _ in train for image in images.numpy()])
    return found


@pytest.mark.parametrize(("epochs", "clean_epochs", "reuse"), [(2, 0, 1), (6, 0, 3), (8, 2, 3), (9, 0, 4.5), (2, 3, 0)])
def test_reuse_leaves_the_original_row_and_clean_epochs_out(out, epochs, clean_epochs, reuse):
    assert reuse_of(FitOptions(epochs=epochs, clean_epochs=clean_epochs), Manifest.load(out)) == reuse


def test_what_is_said_of_reuse():
    assert "no variant is read twice" in describe_reuse(1, 1)
    assert "measured" in describe_reuse(HIGH_REUSE, 1)
    assert describe_reuse(HIGH_REUSE + 0.1, FEW_ROWS).startswith("high; on small data 4 rows were enough")
    few = describe_reuse(HIGH_REUSE + 0.1, FEW_ROWS - 1)
    assert few.startswith("high, and so few rows are hardly better than no augmentation: take more rows")
    assert "precompute follow" in few


@pytest.mark.parametrize(
    ("fresh", "epochs", "word"), [("auto", 6, "off"), ("auto", 7, "auto"), ("on", 1, "auto"), ("off", 99, "off")]
)
def test_fresh_moves_are_chosen_by_reuse_unless_asked_for(out, fresh, epochs, word):
    assert choose_fresh(FitOptions(fresh=fresh, epochs=epochs), Manifest.load(out)) == word


@pytest.mark.slow
def test_a_run_keeps_to_what_was_chosen_when_it_began(out):
    stored = Stored(out)
    (epoch,) = read(out, FitOptions(epochs=2), TrainingState(fresh="auto"), 0)
    with pytest.raises(KeyError):
        stored.name(epoch)  # pixels that are not stored
    (epoch,) = read(out, FitOptions(epochs=99), TrainingState(fresh="off"), 0)
    assert len(stored.name(epoch)) == 32


@pytest.mark.slow
def test_the_last_epochs_are_clean(out):
    stored, options = Stored(out), FitOptions(epochs=5, clean_epochs=2, fresh="on")
    (original,) = [row.row for row in Manifest.load(out).splits["train"].rows if row.original]
    before, clean = read(out, options, TrainingState(), 2, 3)
    with pytest.raises(KeyError):
        stored.name(before)
    assert sorted(stored.name(clean)) == stored.whole_row(original)


def test_clean_epochs_need_the_original_row(out):
    manifest = Manifest.load(out)
    train = manifest.splits["train"]
    rows = [row for row in train.rows if not row.original]
    without = dataclasses.replace(manifest, splits={"train": dataclasses.replace(train, rows=rows)})
    assert reuse_of(FitOptions(epochs=4), without) == 2
    with pytest.raises(UsageError, match=r"--clean-epochs: expected an integer of 0 or more, got -1"):
        FitOptions(clean_epochs=-1)


def test_reuse_and_moves_are_announced(out):
    lines, manifest = [], Manifest.load(out)
    announce(
        out,
        dataclasses.replace(manifest, mirroring=["horizontal"]),
        make_task(manifest),
        FitOptions(epochs=9),
        TrainingState(fresh="auto"),
        num_parameters=1,
        class_weights=None,
        notify=lines.append,
    )
    assert any(line.startswith("epochs      9, so reuse = epochs / rows = 4.5: high") for line in lines)
    assert "fresh       small shifts and horizontal flips at each reading" in lines


@pytest.mark.slow
def test_leases_go_where_they_were_asked_for(out, tmp_path):
    manifest = Manifest.load(out)
    options = FitOptions(lease_dir=str(tmp_path / "leases"))
    train, _ = load_train(out, manifest, make_task(manifest), options, TrainingState())
    gc.collect()
    assert len(list((tmp_path / "leases").iterdir())) == 1
    assert not list((out / ".leases").glob("*.json"))
    del train

"""Files of a run are written whole or not at all, and what is half written is taken away: also on a full disk."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from precompute.errors import PrecomputeError
from tests.helpers.runs_without_training import make_run
from tests.helpers.small_disk import small  # noqa: F401 (a fixture)
from tests.helpers.trainer_datasets import write_classes
from train.checkpoint import load_state
from train.export import export
from train.files import unfinished, write_file
from train.fit import fit
from train.options import FitOptions
from train.tensorboard import TensorBoardLog

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def of_a_library():
    try:
        raise FULL
    except OSError as error:
        raise RuntimeError(f"unable to write: {error}") from error


@pytest.mark.parametrize("fail", ["write", "library", "sync", "rename"])
def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path, monkeypatch, fail):
    path = tmp_path / "file.npz"
    path.write_text("whole")

    def save_half(temporary):
        temporary.write_text("half")
        if fail == "library":
            of_a_library()
        if fail == "write":
            raise FULL

    def fail_now(*arguments):
        raise FULL

    if fail == "sync":
        monkeypatch.setattr(os, "fsync", fail_now)
    if fail == "rename":
        monkeypatch.setattr(Path, "replace", fail_now)
    with pytest.raises(PrecomputeError, match=r"file\.npz: cannot be written: .*Make space, then run the same command"):
        write_file(path, save_half)
    monkeypatch.undo()
    assert [found.name for found in tmp_path.iterdir()] == ["file.npz"]
    assert path.read_text() == "whole"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("not of the disk"), MemoryError])
def test_whatever_ends_the_writing_nothing_half_written_stays(tmp_path, error):
    def save_half(temporary):
        temporary.write_text("half")
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        write_file(tmp_path / "file", save_half)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_read_only_is_not_told_to_have_no_space(tmp_path):
    def refuse(temporary):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with pytest.raises(PrecomputeError, match=f"cannot be written: .*{os.strerror(errno.EROFS)}\\.$"):
        write_file(tmp_path / "file", refuse)


def test_a_log_that_cannot_be_written_is_not_told_as_memory(tmp_path, monkeypatch):
    words = "{{function_node __wrapped__Create}} /run/events; No space left on device [Op:CreateSummaryFileWriter]"

    def fail(*arguments):
        raise tf.errors.ResourceExhaustedError(None, None, words)

    monkeypatch.setattr(TensorBoardLog, "_write", fail)
    with pytest.raises(PrecomputeError, match="cannot be written: /run/events; No space left.*Make space"):
        TensorBoardLog(tmp_path, None).on_epoch_end(0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    return make_run(folder / "run", write_classes(folder / "data"))


def test_an_export_that_fails_leaves_the_earlier_one_and_nothing_else(run, tmp_path, monkeypatch):
    def fail(self, path, **options):
        Path(path).mkdir()
        (Path(path) / "half").write_text("half")
        raise tf.errors.ResourceExhaustedError(None, None, "fingerprint.pb; No space left on device")

    monkeypatch.setattr(type(keras.export.ExportArchive()), "write_out", fail)
    with pytest.raises(PrecomputeError, match="out: cannot be written: .*No space left on device.*Make space"):
        export(run, output=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_taken_away_by_the_next(run, tmp_path):
    dataset = run.with_name("data")
    shutil.copytree(run, tmp_path / "run")
    for name in ("checkpoint.npz", "best.keras"):
        unfinished(tmp_path / "run" / name).write_text("half")

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(dataset, run=tmp_path / "run", say=stop)
    assert not list((tmp_path / "run").glob(".unfinished*"))


@pytest.mark.slow
def test_on_a_disk_that_was_full_the_same_command_goes_on(tmp_path, small):  # noqa: F811
    dataset = write_classes(tmp_path / "data", sizes={"train": 4, "validation": 3})
    options = FitOptions(epochs=1, batch_size=4, base_channels=1)
    (small / "other").write_bytes(np.zeros(270_000, np.uint8).tobytes())
    with pytest.raises(PrecomputeError, match=r"checkpoint\.npz: cannot be written: .*Make space"):
        fit(dataset, run=small / "run", options=options)
    assert not list((small / "run").glob(".unfinished*"))
    (small / "other").rename(unfinished(small / "run" / "checkpoint.npz"))  # as earlier versions left it

    def stop_when_saved(line):
        if line.startswith("epoch "):
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, PrecomputeError)):  # the models that come next may find no space again
        fit(dataset, run=small / "run", options=options, say=stop_when_saved)
    assert load_state(small / "run" / "checkpoint.npz").epochs == 1


@pytest.mark.parametrize("name", ["n" * 251 + ".png", "é" * 125 + ".npz", "a\nb \u202e'%.png"])
def test_names_as_long_as_file_systems_take(tmp_path, name):
    write_file(tmp_path / name, lambda path: path.write_text(path.suffix))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == name[-4:]
    unfinished(tmp_path / name).write_text("half")
    write_file(tmp_path / name, lambda path: path.write_text("again"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["again"]

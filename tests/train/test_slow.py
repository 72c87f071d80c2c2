"""What takes long: real kills, and the whole road from images to a trained model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.killed_training import outcome
from tests.helpers.trainer_datasets import write_classes
from train.checkpoint import load_state

pytestmark = pytest.mark.slow


def train(*arguments):
    return [sys.executable, "-m", "train", *map(str, arguments)]


KILLED = """
import os, random, signal, sys, threading
from train.cli import main
from train.start import require_tensorflow
require_tensorflow()
from train.resume import Checkpoints

left, begin = int(sys.argv[1]), Checkpoints.on_train_batch_begin

def count(self, batch, logs=None):
    global left
    left -= 1
    if not left:
        threading.Timer(random.uniform(0, 0.02), os.kill, (os.getpid(), int(sys.argv[2]))).start()
    begin(self, batch, logs)

Checkpoints.on_train_batch_begin = count
sys.exit(main(sys.argv[3:]))
"""


def stop(number, how, fit):
    """Run until a batch has begun, and then a moment longer."""
    command = [sys.executable, "-c", KILLED, str(number), str(int(how)), *map(str, fit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_interrupted_runs_end_as_one_that_was_never_interrupted(tmp_path):
    """SIGINT, as by Ctrl-C, in the second epoch."""
    dataset = write_classes(tmp_path / "data", sizes={"train": 58, "validation": 12}, num_rows=3)
    fit = ["fit", dataset, "--run", tmp_path / "interrupted", "--epochs", 3, "--batch-size", 4, "--base-channels", 4]
    fit += ["--deterministic", "--checkpoint-every", 2]
    done = stop(20, signal.SIGINT, fit)
    assert done.returncode == 130, done.stderr
    assert done.stderr.endswith("interrupted; the same command goes on from the last checkpoint\n")
    assert "Traceback" not in done.stderr
    state = load_state(tmp_path / "interrupted" / "checkpoint.npz")
    assert state.epochs == 1 and state.batch
    subprocess.run(train(*fit), check=True, capture_output=True)
    fit[3] = tmp_path / "whole"
    subprocess.run(train(*fit), check=True, capture_output=True)
    assert outcome(tmp_path / "interrupted") == outcome(tmp_path / "whole")


def test_killed_runs_end_as_one_that_was_never_killed(tmp_path):
    """SIGKILL within milliseconds of a random batch: in a step, in writing a checkpoint, in validation …"""
    dataset = write_classes(tmp_path / "data", sizes={"train": 58, "validation": 12}, num_rows=3)
    options = ["--epochs", 30, "--batch-size", 4, "--base-channels", 4, "--seed", 3, "--learning-rate", 0.01]
    options += ["--schedule", "plateau", "--plateau-patience", 3, "--early-stopping", 15]
    options += ["--deterministic", "--checkpoint-every", 2]
    fit = ["fit", dataset, "--run", tmp_path / "killed", *options]
    generator, places = np.random.default_rng(), []
    for _ in range(4):  # at most 156 batches in all: a run that had ended, after 16 epochs of 15, could not be killed
        done = stop(generator.integers(2, 40), signal.SIGKILL, fit)
        assert done.returncode == -signal.SIGKILL, done.stderr
        state = load_state(tmp_path / "killed" / "checkpoint.npz")
        places.append((state.epochs, state.batch))
    assert any(batch for _, batch in places), places
    subprocess.run(train(*fit), check=True, capture_output=True)
    fit[3] = tmp_path / "whole"
    subprocess.run(train(*fit), check=True, capture_output=True)

    killed, whole = (outcome(tmp_path / name) for name in ("killed", "whole"))
    for what in whole:
        assert killed[what] == whole[what], (what, places)


def test_nuclei_from_images_to_scores(real_data, tmp_path):
    build = [sys.executable, "-m", "precompute", "build", real_data / "nuclei", tmp_path / "shards"]
    build += ["--pipeline", "light", "--image-size", "64", "--variants", "2", "--validation-split", "0.2"]
    subprocess.run([*map(str, build), "--mask-map", "255:1", "--quiet"], check=True)
    run = tmp_path / "run"
    fit = train("fit", tmp_path / "shards", "--run", run, "--epochs", 10, "--batch-size", 8, "--base-channels", 8)
    done = subprocess.run(fit, check=True, capture_output=True, text=True)
    assert "train 128, validation 32" in done.stdout
    assert done.stderr == ""
    done = subprocess.run(train("evaluate", run), check=True, capture_output=True, text=True)
    assert str(run / "evaluate-validation.json") in done.stdout
    assert json.loads((run / "evaluate-validation.json").read_bytes())["foreground_iou"] > 0.3
    again = subprocess.run(fit, check=True, capture_output=True, text=True)
    assert "this run is finished" in again.stdout

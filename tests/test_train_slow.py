"""What takes long: real kills, and the whole road from images to a trained model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from test_train_datasets import write_classes

pytestmark = pytest.mark.slow


def train(*arguments):
    return [sys.executable, "-m", "train", *map(str, arguments)]


def weights_of(run):
    with np.load(run / "checkpoint.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name != "state"}


def test_killed_runs_end_as_one_that_was_never_killed(tmp_path):
    """SIGKILL at moments that fall into training, between epochs and into writing."""
    dataset = write_classes(tmp_path / "data", num_rows=3)
    options = ["--epochs", 40, "--batch-size", 4, "--base-channels", 4, "--seed", 3]
    command = train("fit", dataset, "--run", tmp_path / "killed", *options)
    generator, kills = np.random.default_rng(0), 0
    while kills < 4:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        time.sleep(generator.uniform(0, 0.8))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break  # it was faster
        kills += 1
    assert kills
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(train("fit", dataset, "--run", tmp_path / "whole", *options), check=True, capture_output=True)

    lines = (tmp_path / "killed" / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(epoch) for epoch in range(1, 41)]
    killed, whole = (weights_of(tmp_path / name) for name in ("killed", "whole"))
    assert killed.keys() == whole.keys()
    for name in whole:
        np.testing.assert_allclose(killed[name], whole[name], rtol=1e-3, atol=1e-4, err_msg=name)


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

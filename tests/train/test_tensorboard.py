"""The TensorBoard log of a run that is stopped and goes on, and the note of where it was trained."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.tensorboard_log import read_log
from train.checkpoint import TrainingState
from train.environment import write_environment
from train.run_folder import RunFolder
from train.tensorboard import TensorBoardLog


def entry(epoch, **more):
    return {"epoch": epoch, "loss": 1 / epoch, "accuracy": 0.5, "learning_rate": 0.1, "seconds": 2.0, **more}


class Remember(keras.callbacks.Callback):
    """Stands for the callback that records an epoch before the log sees it."""

    def __init__(self, state, *, die_in=None):
        super().__init__()
        self.state, self.die_in = state, die_in

    def on_epoch_end(self, epoch, logs=None):
        self.state.history.append(entry(epoch + 1, val_loss=2 / (epoch + 1)))
        if epoch + 1 == self.die_in:
            raise KeyboardInterrupt


def train(folder, state, *, epochs, die_in=None):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    data = np.ones((2, 1), np.float32)
    callbacks = [Remember(state, die_in=die_in), TensorBoardLog(folder, state)]
    model.fit(data, data, epochs=epochs, initial_epoch=len(state.history), callbacks=callbacks, verbose=0)


@pytest.mark.slow
def test_a_run_that_goes_on_has_each_epoch_once(tmp_path):
    state = TrainingState()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, state, epochs=5, die_in=3)  # recorded, and not in the log yet
    assert list(read_log(tmp_path)["train"]["loss"]) == [1, 2]
    del state.history[1:]  # as if the record of the second epoch had not reached the disk either
    train(tmp_path, state, epochs=4)
    found = read_log(tmp_path)
    assert found["train"].keys() == {"loss", "accuracy", "learning_rate", "seconds"}
    assert found["validation"].keys() == {"loss"}
    np.testing.assert_allclose(list(found["train"]["loss"].values()), [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-6)
    for split, tags in found.items():
        assert all(list(steps) == [1, 2, 3, 4] for steps in tags.values()), split


def test_without_validation_there_is_no_log_of_it(tmp_path):
    log = TensorBoardLog(tmp_path, TrainingState(history=[entry(1), entry(2)]))
    log.on_train_begin()
    log.on_train_end()
    assert list(read_log(tmp_path)) == ["train"]


def test_the_environment_of_each_start_is_kept(tmp_path):
    folder = RunFolder(tmp_path)
    write_environment(folder)
    write_environment(folder)
    starts = json.loads(folder.environment.read_bytes())
    assert len(starts) == 2
    assert starts[0]["packages"]["tensorflow"] == tf.__version__
    assert starts[0]["packages"]["keras"] == keras.__version__
    assert starts[0]["command"] and starts[0]["num_cpus"] >= 1
    assert isinstance(starts[0]["gpus"], list)
    folder.environment.write_text("spoilt")
    write_environment(folder)
    assert len(json.loads(folder.environment.read_bytes())) == 1

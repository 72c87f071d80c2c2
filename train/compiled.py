"""The model to train: made, given the weights that it starts from, and compiled."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import keras

from precompute.errors import PrecomputeError, UsageError
from train.options import FitOptions
from train.schedules import make_optimizer
from train.tasks import Task
from train.tasks.classify import is_whole_model

__all__ = ["compile_model", "make_network"]


def make_network(task: Task, options: FitOptions, *, started: bool) -> Any:
    """Return the model, with the weights that a new run starts from."""
    if started:  # all weights come from the checkpoint; nothing is downloaded again
        return task.make_model(dataclasses.replace(options, weights="none"))
    if options.weights not in ("none", "imagenet") and not Path(options.weights).is_file():
        raise UsageError(
            f"--weights: expected none, imagenet or a file, got {options.weights!r}: there is no such file."
        )
    network = task.make_model(options)
    if is_whole_model(options.weights):
        try:
            with warnings.catch_warnings():  # Keras 3.15 warns of a list of its own that is in no file; a layer raises
                warnings.filterwarnings("ignore", message="Skipping nested container at '_operations_by_depth")
                network.load_weights(options.weights)
        except Exception as error:  # zipfile, h5py and Keras each raise their own
            raise PrecomputeError(f"--weights {options.weights}: does not fit this model: {error}") from error
    return network


def compile_model(network: Any, task: Task, options: FitOptions, *, steps: int) -> Any:
    """Return a model to train that shares its weights with `network`, which stays free of our loss and metrics."""
    model = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    optimizer = make_optimizer(options, model.trainable_variables, steps=steps)
    model.compile(optimizer=optimizer, loss=task.make_loss(options), metrics=task.make_metrics())
    model.optimizer.build(model.trainable_variables)  # all of them now: some may be frozen for a while
    return model

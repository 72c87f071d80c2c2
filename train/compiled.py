"""The model to train: made, given the weights that it starts from, and compiled."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from precompute.errors import PrecomputeError, UsageError
from train.freezing import FreezeBackbone, find_backbone
from train.mixing import MixingModel
from train.options import FitOptions
from train.schedules import make_optimizer, warm_up_callbacks
from train.tasks import Task
from train.tasks.backbones import is_whole_model

__all__ = ["compile_model", "make_network", "step_callbacks"]


def make_network(task: Task, options: FitOptions, *, started: bool) -> Any:
    """Return the model, with the weights that a new run starts from."""
    if started:  # all weights come from the checkpoint; nothing is downloaded again
        with _precision(options):
            return task.make_model(dataclasses.replace(options, weights="none"))
    if options.weights not in ("none", "imagenet") and not Path(options.weights).is_file():
        raise UsageError(
            f"--weights: expected none, imagenet or a file, got {options.weights!r}: there is no such file."
        )
    with _precision(options):
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
    mixes = bool(options.mixup or options.cutmix)
    with _precision(options):  # a model of mixed precision scales its loss
        kind = MixingModel if mixes else keras.Model
        model = kind(network.inputs[0], network.outputs[0], name=network.name)
    if mixes:
        model.mix_by(options, num_classes=task.num_classes)
    model.compile(
        optimizer=make_optimizer(options, model.trainable_variables, steps=steps),
        loss=task.make_loss(options),
        metrics=task.make_metrics(),
        jit_compile={"auto": False if mixes else "auto", "on": True, "off": False}[options.jit],  # XLA draws no Beta
    )
    model.optimizer.build(model.trainable_variables)  # all of them now: some may be frozen for a while
    return model


def step_callbacks(network: Any, options: FitOptions, *, steps: int) -> list[Any]:
    """Return the callbacks that belong to how a run learns: they have no state of their own.

    Args:
        network: Of `make_network`.
        options: Of the run.
        steps: Of an epoch.
    """
    callbacks = warm_up_callbacks(options, steps=steps)
    if options.freeze_epochs:
        callbacks.append(FreezeBackbone(find_backbone(network), options.freeze_epochs))
    return callbacks


@contextlib.contextmanager
def _precision(options: FitOptions) -> Iterator[None]:
    """Make layers of the run's precision, and leave Keras's global setting as it was."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(options.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)

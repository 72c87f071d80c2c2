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
from train.mixing import MixingModel
from train.options import FitOptions
from train.schedules import make_optimizer, warm_up_callbacks
from train.tasks import Task
from train.tasks.backbones import is_whole_model

__all__ = ["compile_model", "find_backbone", "make_network", "step_callbacks"]


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
    """Return a compiled model that shares its weights with `network`, which stays free of our loss and metrics."""
    mixes = bool(options.mixup or options.cutmix)
    with _precision(options):  # a model of mixed precision scales its loss
        make = MixingModel if mixes else task.keras_model
        model = make(network.input, network.output, name=network.name)
    if mixes:
        model.mix_by(options, num_classes=task.parts[""].num_classes)  # other tasks refuse to mix
    model.compile(
        optimizer=make_optimizer(options, model.trainable_variables, steps=steps),
        **task.compiling(options),
        jit_compile={"auto": False if mixes else "auto", "on": True, "off": False}[options.jit],  # XLA draws no Beta
    )
    model.optimizer.build(model.trainable_variables)  # all of them now: some may be frozen for a while
    return model


def step_callbacks(network: Any, options: FitOptions, *, steps: int) -> list[Any]:
    """Return the callbacks of learning that have no state of their own.

    Args:
        network: The model, from `make_network`.
        options: Options of the run.
        steps: Number of steps in an epoch.
    """
    callbacks = warm_up_callbacks(options, steps=steps)
    if options.freeze_epochs:
        callbacks.append(_FreezeBackbone(find_backbone(network), options.freeze_epochs))
    return callbacks


@contextlib.contextmanager
def _precision(options: FitOptions) -> Iterator[None]:
    """Make layers in the run's precision while the block runs, then restore Keras's global setting."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(options.precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


# Freezing a backbone for the first epochs, while the layers after it are still random


def find_backbone(network: Any) -> Any | None:
    """Return the model inside a model; None if there is not exactly one."""
    inner = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return inner[0] if len(inner) == 1 else None


class _FreezeBackbone(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps a backbone frozen for the first epochs, with its batch normalization at the averages that came with it.

    The epoch's number decides, also in a continued run. Between epochs nothing is frozen, so that saved models do not
    show it. The optimizer has to be built for all weights.

    Args:
        backbone: A model inside the one that is trained.
        num_epochs: Number of epochs for which it is frozen.
    """

    def __init__(self, backbone: Any, num_epochs: int) -> None:
        super().__init__()
        self._backbone = backbone
        self._num_epochs = num_epochs
        self._was_frozen: bool | None = None  # unknown: the model may have been traced before

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Freeze the backbone in the first epochs."""
        frozen = epoch < self._num_epochs
        self._backbone.trainable = not frozen
        if frozen != self._was_frozen:
            self.model.make_train_function(force=True)  # Keras looks at what can be trained when it traces a step
            self._was_frozen = frozen

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Thaw the backbone, since the model may be saved now."""
        self._backbone.trainable = True

    def on_train_end(self, logs: Any = None) -> None:
        """Thaw the backbone: the last epoch may have been cut short."""
        self._backbone.trainable = True

"""The model to train: made, given the weights that it starts from, and compiled with its optimizer."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
from keras import ops

from precompute.errors import PrecomputeError, UsageError
from train.options import FitOptions
from train.tasks import Task
from train.tasks.backbones import is_whole_model

__all__ = [
    "MixingModel",
    "WarmUp",
    "check_weights_file",
    "compile_model",
    "find_backbone",
    "make_network",
    "make_optimizer",
    "step_callbacks",
    "warm_up_callbacks",
]


def check_weights_file(options: FitOptions) -> None:
    """Check that there are weights to start from.

    Raises:
        UsageError: There is no such file.
    """
    if options.weights not in ("none", "imagenet") and not Path(options.weights).is_file():
        raise UsageError(
            f"--weights: expected none, imagenet or a file, got {options.weights!r}: there is no such file."
        )


def make_network(task: Task, options: FitOptions, *, started: bool) -> Any:
    """Return the model, with the weights that a new run starts from."""
    if started:  # all weights come from the checkpoint; nothing is downloaded again
        with _precision(options):
            return task.make_model(dataclasses.replace(options, weights="none"))
    check_weights_file(options)
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


# The optimizer and the schedule of its learning rate
#
# With a cosine, the learning rate follows from the step alone. Otherwise it is a plain variable: `WarmUp` raises it
# over the first steps, `keras.callbacks.ReduceLROnPlateau` can lower it, and a checkpoint keeps it.


LAST = 0.01  # share of the peak with which a cosine begins and ends
MOMENTUM = 0.9
ADAMW_DECAY = 0.01


def make_optimizer(options: FitOptions, variables: list[Any], *, steps: int) -> Any:
    """Return the optimizer, not yet built.

    Args:
        options: Options of the run.
        variables: Variables that it will train.
        steps: Number of steps in an epoch.
    """
    rate = _learning_rate(options, steps=steps)
    match options.optimizer:
        case "sgd":
            optimizer = keras.optimizers.SGD(
                rate, momentum=MOMENTUM, nesterov=True, weight_decay=options.weight_decay or None
            )
        case "adamw":
            decay = ADAMW_DECAY if options.weight_decay is None else options.weight_decay
            optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
        case _:
            optimizer = keras.optimizers.Adam(rate)
    # No weight decay for biases and for scale and offset of normalization: it would regularize nothing.
    optimizer.exclude_from_weight_decay(var_list=[variable for variable in variables if len(variable.shape) <= 1])
    return optimizer


def warm_up_steps(options: FitOptions, *, steps: int) -> int:
    """Return the number of steps over which the learning rate rises; at least one, if warm-up is wanted."""
    return max(1, round(options.warm_up * steps * options.epochs)) if options.warm_up else 0


def warm_up_callbacks(options: FitOptions, *, steps: int) -> list[Any]:
    """Return the callback that warms up a learning rate without a cosine, if that is wanted."""
    num_steps = warm_up_steps(options, steps=steps)
    return [WarmUp(options.learning_rate, num_steps)] if options.schedule != "cosine" and num_steps else []


class WarmUp(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises the learning rate from 1/n of its peak to the peak over the first n steps.

    It has no state: the optimizer's own count of steps decides, also in a continued run. A plateau's reduction within
    these steps is overwritten.
    """

    def __init__(self, peak: float, num_steps: int) -> None:
        super().__init__()
        self._peak = peak
        self._num_steps = num_steps
        self._done = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Reset the callback."""
        self._done = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the learning rate of the next step."""
        if self._done:  # asking for the count makes a GPU wait
            return
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        self._done = step >= self._num_steps
        if not self._done:
            self.model.optimizer.learning_rate = self._peak * (step + 1) / self._num_steps


def _learning_rate(options: FitOptions, *, steps: int) -> Any:
    if options.schedule != "cosine":
        return options.learning_rate
    total, warm_up = steps * options.epochs, warm_up_steps(options, steps=steps)
    peak, remaining = options.learning_rate, max(1, total - warm_up)
    if not warm_up:
        return keras.optimizers.schedules.CosineDecay(peak, remaining, alpha=LAST)
    return keras.optimizers.schedules.CosineDecay(
        peak * LAST, remaining, alpha=LAST, warmup_target=peak, warmup_steps=warm_up
    )


# MixUp and CutMix as part of the training step, by Keras's own layers
#
# Their generators are variables of the model, so that a checkpoint holds them and a continued run goes on with them.


class MixingModel(keras.Model):  # type: ignore[misc]
    """A functional model that mixes the images of a batch, and their targets, before it learns from them.

    It is only for training: the network that it shares its layers with is saved.
    """

    def mix_by(self, options: FitOptions, *, num_classes: int) -> None:
        """Set the layer that mixes; call this once, before the model is compiled."""
        self._num_classes = num_classes
        if options.mixup:
            self._mixer = keras.layers.MixUp(options.mixup, seed=options.seed, dtype="float32")
        else:  # one number would be the upper end of a range that Beta's parameter is drawn from
            self._mixer = keras.layers.CutMix((options.cutmix, options.cutmix), seed=options.seed, dtype="float32")

    def train_step(self, data: Any) -> Any:
        """Train on one batch of (images, targets[, weights])."""
        images, targets, *weights = data
        mixed = self._mix_classes if len(targets.shape) == 1 else self._paste_masks
        return super().train_step(mixed(images, targets, *weights))

    def _mix_classes(self, images: Any, ids: Any, *weights: Any) -> tuple[Any, Any]:
        """Return mixed images, and shares of the classes [B, C] times the weights, so that losses add up correctly."""
        shares = ops.one_hot(ops.cast(ids, "int32"), self._num_classes, dtype="float32")
        for weight in weights:
            shares *= ops.expand_dims(weight, -1)
        mixed = self._mixer({"images": images, "labels": shares})
        return _to_pixels(mixed["images"]), mixed["labels"]

    def _paste_masks(self, images: Any, masks: Any, *weights: Any) -> tuple[Any, ...]:
        """Return images, class ids and, if given, weights, pasted from the same boxes. For CutMix alone."""
        mixer = self._mixer
        drawn = mixer.get_random_transformation(ops.cast(images, "float32"))

        def paste(values: Any) -> Any:  # a channel for each of the box's, all equal
            return mixer.transform_segmentation_masks(ops.expand_dims(values, -1), drawn)[..., 0]

        return _to_pixels(mixer.transform_images(images, drawn)), paste(masks), *map(paste, weights)


def _to_pixels(images: Any) -> Any:
    return ops.cast(ops.round(images), "uint8")

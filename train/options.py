"""What a user can choose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from precompute.errors import UsageError
from train.interval import Interval
from train.option_fields import Options, check_at_least, check_between, flag, option

__all__ = ["FIT_GROUPS", "EvaluateOptions", "FitOptions", "Options", "flag"]

SPLITS = ("train", "validation", "test")
FIT_GROUPS = {
    "model": ("model", "weights", "freeze_epochs", "base_channels"),
    "learning": (
        "epochs",
        "batch_size",
        "optimizer",
        "learning_rate",
        "weight_decay",
        "schedule",
        "warm_up",
        "plateau_patience",
        "plateau_factor",
        "early_stopping",
        "seed",
    ),
    "images and targets": (
        "fresh",
        "clean_epochs",
        "mixup",
        "cutmix",
        "label_smoothing",
        "sample_weights",
        "class_weights",
        "ignore_class",
        "allow_leak",
        "lease_dir",
    ),
    "machine": ("devices", "precision", "jit", "cache", "deterministic", "checkpoint_every"),
}


@dataclass(frozen=True, kw_only=True)
class FitOptions(Options):
    """Options of `train fit`."""

    epochs: int = option(
        20,
        "epochs to train for; each reads one stored row. More than a finished run has: it goes on from there",
        decides=False,
    )
    batch_size: int = option(16, "images a step")
    model: str = option(
        "auto",
        "masks: unet, or unet- with a backbone, such as unet-EfficientNetB0; boxes: detector, or detector- with a "
        "backbone; classes and numbers: small (a compact network), or a backbone of keras.applications, such as "
        "MobileNetV3Small; "
        "auto: unet, detector or small; or, not for boxes, a function of your own, "
        "module:function or file.py:function: of ((height, width, channels), num_classes), it returns a Keras model "
        "from pixels 0 to 255 to logits; of numbers, it gets how many values there are, and returns one to a "
        "standardized number each",
    )
    weights: str = option(
        "none",
        "what to start from: none; imagenet (a backbone, downloaded by Keras); or a file: a .keras or .weights.h5 "
        "of the same whole model, or an .h5 of the backbone without its top, as Keras offers them",
    )
    learning_rate: float = option(
        0.003, "peak of the learning rate; a backbone with trained weights wants less, such as 0.0003; sgd more"
    )
    optimizer: str = option("adam", "sgd has Nesterov momentum 0.9", choices=("adam", "adamw", "sgd"))
    weight_decay: float | None = option(
        None,
        "share, times the learning rate, that each step takes off the weights; not off biases and normalization "
        "(default: 0.01 for adamw, 0 for sgd; adam has none)",
    )
    schedule: str = option(
        "cosine",
        "cosine: the learning rate falls to the last step; plateau: by --plateau-factor when the score has not risen "
        "for --plateau-patience epochs; constant: it stays",
        choices=("cosine", "plateau", "constant"),
    )
    warm_up: float = option(0.05, "share of all steps over which the learning rate rises to its peak; 0: none")
    plateau_patience: int = option(5, "epochs without a better score before the learning rate falls")
    plateau_factor: float = option(0.3, "what the learning rate is multiplied with then")
    label_smoothing: float = option(0.0, "share of each target that is spread over all classes; such as 0.1")
    sample_weights: str = option(
        "auto",
        "auto: training sources count as much as the weights that the dataset has of them; off: all count alike",
        choices=("auto", "off"),
    )
    class_weights: str = option(
        "none",
        "none; balanced: by how rare a class is in the training targets; or a number a class, such as shoes=3,hat=2 or "
        "0=1,1=3: those not named weigh 1",
        metavar="WEIGHTS",
    )
    mixup: float = option(
        0.0, "above 0: blend the images of a batch, and their classes, in shares drawn from Beta(X, X)"
    )
    cutmix: float = option(0.0, "above 0: paste a box of another image of the batch, its size by Beta(X, X)")
    freeze_epochs: int = option(0, "epochs at the start in which a backbone's own weights stay as they are")
    precision: str = option(
        "float32",
        "mixed_float16 is for recent GPUs, mixed_bfloat16 for TPUs and the newest; weights and logits stay float32",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
    )
    jit: str = option("auto", "compile the model with XLA; auto: where Keras advises it", choices=("auto", "on", "off"))
    base_channels: int = option(
        16, "channels of the first level of unet, small and detector; each further level has twice as many"
    )
    ignore_class: int | None = option(
        None, "class id of pixels that count neither in loss nor in metrics (default: the dataset's, if it has one)"
    )
    seed: int = option(0, "seed of the initial weights and of the order of reading")
    allow_leak: bool = option(
        False, "train although splits share the content of sources: scores will flatter the model", decides=False
    )

    fresh: str = option(
        "auto",
        "move images and masks a little each time they are read: small shifts, and the flips that the dataset allows; "
        "auto: where reuse = epochs / rows is above 3",
        choices=("auto", "on", "off"),
    )
    clean_epochs: int = option(
        0, "the last epochs read the original row, as it is (a dataset built with --include-original)"
    )
    cache: str = option(
        "auto",
        "auto: hold decoded rows in memory, each from its first reading on, where all of them take 512 MiB or less and "
        "at most a quarter of the memory that is free; off: decode at each reading",
        choices=("auto", "off"),
        decides=False,
    )
    lease_dir: str | None = option(
        None,
        "where the dataset is read-only: folder for the lease that keeps its rows from being taken away, of this "
        "dataset alone (default: in the dataset)",
        decides=False,
        metavar="DIR",
    )
    early_stopping: int = option(0, "stop after so many epochs without a better score; 0: never")
    checkpoint_every: str = option(
        "60s",
        "how often to write a checkpoint within an epoch, beside the one at its end: seconds such as 60s, batches "
        "such as 200, or 0",
        decides=False,
        metavar="TIME",
    )
    deterministic: bool = option(
        False, "use only operations that give the same bits every time; slower, and without just-in-time compilation"
    )
    devices: str = option(
        "one", "all: share each batch out among all GPUs, or all logical CPUs without one", choices=("one", "all")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(0, early_stopping=self.early_stopping, clean_epochs=self.clean_epochs)
        Interval.parse(self.checkpoint_every)
        check_at_least(1, epochs=self.epochs, batch_size=self.batch_size, base_channels=self.base_channels)
        check_at_least(0, seed=self.seed)
        if self.seed >= 2**32:
            raise UsageError(f"--seed: expected less than 2**32, got {self.seed!r}.")
        if self.ignore_class is not None:
            check_at_least(0, ignore_class=self.ignore_class)
        if not (0 < self.learning_rate < math.inf):
            raise UsageError(f"--learning-rate: expected a positive number, got {self.learning_rate!r}.")
        check_between(0, 1, warm_up=self.warm_up, label_smoothing=self.label_smoothing)
        check_at_least(1, plateau_patience=self.plateau_patience)
        check_at_least(0, freeze_epochs=self.freeze_epochs)
        if not 0 < self.plateau_factor < 1:
            raise UsageError(f"--plateau-factor: expected between 0 and 1, got {self.plateau_factor!r}.")
        self._check_decay()
        self._check_mixing()
        if self.deterministic and self.jit == "on":
            raise UsageError("--deterministic: XLA does not promise the same bits; expected --jit auto or off, got on.")
        for name in ("model", "weights", "class_weights"):
            if not getattr(self, name):
                raise UsageError(f"{flag(name)}: expected a name, got {getattr(self, name)!r}.")

    def _check_decay(self) -> None:
        if self.weight_decay is not None:
            check_between(0, 1, weight_decay=self.weight_decay)
            if self.weight_decay and self.optimizer == "adam":
                raise UsageError(
                    f"--weight-decay: adam has none, adamw is adam with it: --optimizer adamw; got {self.weight_decay}."
                )

    def _check_mixing(self) -> None:
        for name in ("mixup", "cutmix"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{flag(name)}: expected 0 to 1, got {getattr(self, name)!r}.")
        if self.mixup and self.cutmix:
            raise UsageError(f"--mixup and --cutmix: expected one of them, got {self.mixup} and {self.cutmix}.")
        if (self.mixup or self.cutmix) and self.jit == "on":
            raise UsageError("--jit: XLA cannot draw the shares of --mixup and --cutmix; expected auto or off, got on.")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """Options of `train evaluate`."""

    split: str = option("validation", "split to read", choices=SPLITS)
    checkpoint: str = option("best", "which model of the run", choices=("best", "last"))
    dataset: str | None = option(
        None, "folder of the dataset (default: the one that the run was trained on)", metavar="DIR"
    )
    batch_size: int = option(32, "images a step; changes no result")
    allow_leak: bool = option(False, "evaluate although the split shares the content of sources with another")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, batch_size=self.batch_size)

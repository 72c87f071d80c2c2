"""The options of all commands."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from precompute.errors import UsageError
from precompute.images.color_modes import ALPHAS
from precompute.options.option import Options, option
from precompute.options.values import within
from precompute.text.names import flag
from train.interval import Interval
from train.weights import read_loss_weights

__all__ = ["AS_BUILT", "EvaluateOptions", "ExportOptions", "FitOptions", "PredictOptions", "TrainOptions"]

AS_BUILT = "as-built"

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """Options of a command of `train`; errors name them as the command line does."""

    @staticmethod
    def shown(name: str) -> str:
        """Return the name of an option in errors."""
        return flag(name)

    @classmethod
    def deciding(cls) -> list[str]:
        """Return the names of the options that decide the result of a run; it can only be continued with equal ones."""
        return [f.name for f in dataclasses.fields(cls) if f.metadata.get("decides", True)]

    def to_dict(self) -> dict[str, Any]:
        """Return the options, fit for JSON."""
        return dataclasses.asdict(self)


def check_name(name: str, value: Any) -> None:
    """Refuse a value of an option that is no text, or an empty one."""
    if not (value and isinstance(value, str)):
        raise UsageError(f"{name}: expected a name, got {value!r}.")


def check_targets(name: str, value: Any) -> None:
    """Refuse what is no list of names, or names one twice."""
    if value is None:
        return
    if not (isinstance(value, list) and value and all(one and isinstance(one, str) for one in value)):
        raise UsageError(f"{name}: expected names of targets, such as label,mask; got {value!r}.")
    if len(set(value)) < len(value):
        raise UsageError(f"{name}: expected each target once, got {','.join(value)}.")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(TrainOptions):
    """Options for the model and its first weights."""

    title = "model"

    model: str = option(
        "auto",
        "masks and images: unet, or unet- with a backbone, such as unet-EfficientNetB0; boxes: detector, or detector- "
        "with a backbone; classes and numbers: small (a compact network), or a backbone of keras.applications, such as "
        "MobileNetV3Small; "
        "auto: unet, detector or small; or, not for boxes, a function of your own, "
        "module:function or file.py:function: of ((height, width, channels), num_classes), it returns a Keras model "
        "from pixels 0 to 255 to logits; of numbers, it gets how many values there are, and returns one to a "
        "standardized number each; of several targets, it gets such numbers by name, and returns outputs by name",
        metavar="NAME",
        check=check_name,
    )
    weights: str = option(
        "none",
        "what to start from: none; imagenet (a backbone, downloaded by Keras); or a file: a .keras or .weights.h5 "
        "of the same whole model, or an .h5 of the backbone without its top, as Keras offers them",
        metavar="NAME",
        check=check_name,
    )
    freeze_epochs: int = option(
        0, "epochs at the start in which a backbone's own weights stay as they are", check=within(0)
    )
    base_channels: int = option(
        16,
        "channels of the first level of unet, small and detector; each further level has twice as many",
        check=within(1),
    )


@dataclass(frozen=True, kw_only=True)
class LearningOptions(TrainOptions):
    """Options for learning."""

    title = "learning"

    epochs: int = option(
        20,
        "epochs to train for; each reads one stored row. More than a finished run has: it goes on from there",
        decides=False,
        check=within(1),
    )
    batch_size: int = option(16, "images a step", check=within(1))
    optimizer: str = option("adam", "sgd has Nesterov momentum 0.9", choices=("adam", "adamw", "sgd"))
    learning_rate: float = option(
        0.003, "peak of the learning rate; a backbone with trained weights wants less, such as 0.0003; sgd more"
    )
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
    plateau_patience: int = option(5, "epochs without a better score before the learning rate falls", check=within(1))
    plateau_factor: float = option(0.3, "what the learning rate is multiplied with then")
    early_stopping: int = option(0, "stop after so many epochs without a better score; 0: never", check=within(0))
    seed: int = option(0, "seed of the initial weights and of the order of reading", check=within(0, 2**32 - 1))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.learning_rate < math.inf):
            raise UsageError(f"--learning-rate: expected a positive number, got {self.learning_rate!r}.")
        check_between(0, 1, warm_up=self.warm_up)
        if not 0 < self.plateau_factor < 1:
            raise UsageError(f"--plateau-factor: expected between 0 and 1, got {self.plateau_factor!r}.")
        if self.weight_decay is not None:
            check_between(0, 1, weight_decay=self.weight_decay)
            if self.weight_decay and self.optimizer == "adam":
                raise UsageError(
                    f"--weight-decay: adam has none, adamw is adam with it: --optimizer adamw; got {self.weight_decay}."
                )


@dataclass(frozen=True, kw_only=True)
class TargetOptions(TrainOptions):
    """Options for images and targets on their way to the model."""

    title = "images and targets"

    target: list[str] | None = option(
        None,
        "what to learn, such as label,mask: labels, masks, numbers and further images together, each by a head of its "
        "own on one network; boxes alone (default: all targets of the dataset; further images only where named)",
        metavar="NAMES",
        check=check_targets,
    )
    loss_weights: dict[str, float] | None = option(
        None,
        "how much each of several targets counts in the loss, such as label=1 mask=0.5; those not named count 1",
        read=read_loss_weights,
        check=lambda name, value: None,
        nargs="+",
        metavar="TARGET=X",
    )
    fresh: str = option(
        "auto",
        "move images and masks a little each time they are read: small shifts, and the flips that the dataset allows; "
        "auto: where reuse = epochs / rows is above 3",
        choices=("auto", "on", "off"),
    )
    clean_epochs: int = option(
        0, "the last epochs read the original row, as it is (a dataset built with --include-original)", check=within(0)
    )
    mixup: float = option(
        0.0,
        "above 0: blend the images of a batch, and their classes, in shares drawn from Beta(X, X)",
        check=within(0, 1, whole=False),
    )
    cutmix: float = option(
        0.0,
        "above 0: paste a box of another image of the batch, its size by Beta(X, X)",
        check=within(0, 1, whole=False),
    )
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
        check=check_name,
    )
    ignore_class: int | None = option(
        None,
        "class id of pixels that count neither in loss nor in metrics (default: the dataset's, if it has one)",
        check=within(0),
    )
    allow_leak: bool = option(
        False, "train although splits share the content of sources: scores will flatter the model", decides=False
    )
    lease_dir: str | None = option(
        None,
        "where the dataset is read-only: folder for the lease that keeps its rows from being taken away, of this "
        "dataset alone (default: in the dataset)",
        decides=False,
        metavar="DIR",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between(0, 1, label_smoothing=self.label_smoothing)
        if self.mixup and self.cutmix:
            raise UsageError(f"--mixup and --cutmix: expected one of them, got {self.mixup} and {self.cutmix}.")


@dataclass(frozen=True, kw_only=True)
class MachineOptions(TrainOptions):
    """Options for the use of the machine."""

    title = "machine"

    devices: str = option(
        "one", "all: share each batch out among all GPUs, or all logical CPUs without one", choices=("one", "all")
    )
    precision: str = option(
        "float32",
        "mixed_float16 is for recent GPUs, mixed_bfloat16 for TPUs and the newest; weights and logits stay float32",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
    )
    jit: str = option("auto", "compile the model with XLA; auto: where Keras advises it", choices=("auto", "on", "off"))
    cache: str = option(
        "auto",
        "auto: hold decoded rows in memory, each from its first reading on, where all of them take 512 MiB or less and "
        "at most a quarter of the memory that is free; off: decode at each reading",
        choices=("auto", "off"),
        decides=False,
    )
    deterministic: bool = option(
        False, "use only operations that give the same bits every time; slower, and without just-in-time compilation"
    )
    checkpoint_every: str = option(
        "60s",
        "how often to write a checkpoint within an epoch, beside the one at its end: seconds such as 60s, batches "
        "such as 200, or 0",
        decides=False,
        metavar="TIME",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        Interval.parse(self.checkpoint_every)
        if self.deterministic and self.jit == "on":
            raise UsageError("--deterministic: XLA does not promise the same bits; expected --jit auto or off, got on.")


@dataclass(frozen=True, kw_only=True)
class FitOptions(MachineOptions, TargetOptions, LearningOptions, ModelOptions):
    """Options of `train fit`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.mixup or self.cutmix) and self.jit == "on":
            raise UsageError("--jit: XLA cannot draw the shares of --mixup and --cutmix; expected auto or off, got on.")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(TrainOptions):
    """Options of `train evaluate`."""

    split: str = option("validation", "split to read", choices=SPLITS)
    checkpoint: str = option("best", "which model of the run", choices=("best", "last"))
    dataset: str | None = option(
        None, "folder of the dataset (default: the one that the run was trained on)", metavar="DIR"
    )
    batch_size: int = option(32, "images a step; changes no result", check=within(1))
    allow_leak: bool = option(False, "evaluate although the split shares the content of sources with another")


@dataclass(frozen=True, kw_only=True)
class PredictOptions(TrainOptions):
    """Options of `train predict`."""

    checkpoint: str = option("best", "which model of the run", choices=("best", "last"))
    dataset: str | None = option(
        None, "folder of the dataset (default: the one that the run was trained on)", metavar="DIR"
    )
    pipeline: str | None = option(
        None, "file of the pipelines, where the dataset's manifest cannot hold the code", metavar="FILE"
    )
    alpha: str = option(
        AS_BUILT,
        "alpha channel of an image that is not 255 everywhere: opaque: refused; drop: taken off; white, black: what "
        "lies behind; as-built: as of the dataset",
        choices=(AS_BUILT, *ALPHAS),
    )
    draw: bool = option(False, "also write each image with its mask or boxes laid over it")
    model_size: bool = option(
        False, "masks and boxes at the size that the model works at (default: at that of the images)"
    )
    batch_size: int = option(8, "images a step; changes no result", check=within(1))
    overwrite: bool = option(False, "also replace files in the output folder that this command did not write")


@dataclass(frozen=True, kw_only=True)
class ExportOptions(TrainOptions):
    """Options of `train export`."""

    format: str = option(
        "saved_model", "saved_model: for TensorFlow Serving; keras: a .keras file", choices=("saved_model", "keras")
    )
    checkpoint: str = option("best", "which model of the run", choices=("best", "last"))
    overwrite: bool = option(False, "replace an earlier export")


def check_between(low: float, high: float, **values: float) -> None:
    """Raise `UsageError` for an option outside [low, high)."""
    for name, value in values.items():
        if not low <= value < high:  # also NaN
            raise UsageError(f"{flag(name)}: expected {low:g} or more and less than {high:g}, got {value!r}.")

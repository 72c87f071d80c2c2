"""What the trainer asks of a task; the tasks themselves are in the modules beside this one."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, first_few
from train.options import FitOptions
from train.samples import Sample

__all__ = ["Task", "name_classes"]


@dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
    """A kind of target with the dataset's facts: model, loss, scores and pictures.

    Attributes:
        shape: Height, width and channels of the images.
        num_classes: Number of classes, the length of a model's logits.
        class_names: A name for each class.
        normalize: Numbers of a Normalize that was taken off the training pipeline, or None.
        ignore_class: Class id that counts neither in loss nor in scores, or None.
    """

    shape: tuple[int, int, int]
    num_classes: int
    class_names: tuple[str, ...]
    normalize: dict[str, Any] | None
    ignore_class: int | None = None

    target: ClassVar[str]  # what the manifest calls it
    default_model: ClassVar[str]
    activation: ClassVar[str] = "softmax"  # from logits to probabilities; or "sigmoid": each class by itself

    @classmethod
    def of(cls, manifest: Manifest, ignore_class: int | None = None) -> Task:
        """Make the task from what the manifest says.

        Raises:
            DatasetError: There is nothing to tell apart.
        """
        target, image = manifest.target, manifest.image
        if target.num_classes < 2:
            raise DatasetError(f"{manifest.name}: there is nothing to learn, it has {target.num_classes} class.")
        return cls(
            shape=(image.height, image.width, image.channels),
            num_classes=target.num_classes,
            class_names=tuple(name_classes(target.kind, target.class_names, target.num_classes)),
            normalize=manifest.normalize.get("train"),
            ignore_class=ignore_class if ignore_class is not None else target.ignore_class,
        )

    @property
    @abc.abstractmethod
    def score(self) -> str:
        """Name of the score, in the logs of `fit`, that decides which epoch is best; more is better."""

    @abc.abstractmethod
    def check_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that do not fit this task."""

    @abc.abstractmethod
    def make_model(self, options: FitOptions) -> Any:
        """Return a model, not compiled, from uint8 images [B, H, W, C] to float32 logits over the classes."""

    @abc.abstractmethod
    def make_loss(self) -> Any:
        """Return a Keras loss of class ids and logits."""

    @abc.abstractmethod
    def make_metrics(self) -> list[Any]:
        """Return new Keras metrics of class ids and logits."""

    @abc.abstractmethod
    def summarize(self, confusion: npt.NDArray[np.int64]) -> dict[str, Any]:
        """Return the scores of a split, for a JSON file, from its confusion matrix."""

    @abc.abstractmethod
    def describe(self, summary: dict[str, Any]) -> list[str]:
        """Return lines of a short table of `summarize`'s result."""

    @abc.abstractmethod
    def score_images(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> list[float]:
        """Return how well each image of a batch is predicted, from 0 to 1: what best and worst are chosen by."""

    @abc.abstractmethod
    def draw(self, samples: Sequence[Sample]) -> bytes:
        """Return a PNG of predictions beside the truth."""

    @abc.abstractmethod
    def draw_scores(self, summary: dict[str, Any]) -> bytes:
        """Return a PNG of how well each class does, from `summarize`'s result."""

    def model_name(self, options: FitOptions) -> str:
        """Return the model's name, also where the user left it to us."""
        return self.default_model if options.model == "auto" else options.model

    def check_targets(self, targets: npt.NDArray[Any], where: str) -> None:
        """Raise `DatasetError` if there are class ids that the model has no output for.

        The loss of such an id is NaN on a GPU and an error deep inside TensorFlow on a CPU.
        """
        found = [int(value) for value in np.unique(targets)]
        wrong = [value for value in found if not 0 <= value < self.num_classes and value != self.ignore_class]
        if wrong:
            raise DatasetError(
                f"{where} has class ids outside its {self.num_classes} classes (0 to {self.num_classes - 1}):\n"
                f"{first_few([str(value) for value in wrong])}\n"
                f"If they mark what shall not count, pass --ignore-class {wrong[-1]}; if they are classes, build the "
                "dataset again with --num-classes or --mask-map."
            )


def name_classes(target: str, names: Sequence[str], num_classes: int) -> list[str]:
    """Return a name for each class: those given, and others made up."""
    found = list(names)
    if not found and target == "mask" and num_classes == 2:
        found = ["background", "foreground"]
    return found + [f"class {class_id}" for class_id in range(len(found), num_classes)]

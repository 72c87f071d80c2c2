"""What the trainer asks of a task; the tasks themselves are in the modules beside this one."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError, first_few
from precompute.fields.field import Schema
from precompute.text.format import format_count
from train.options import FitOptions
from train.samples import Sample
from train.scores import Counts, count_confusion, to_probabilities
from train.tasks.own import is_own, make_own_model
from train.weights import balanced_weights

__all__ = ["Task", "name_classes"]


@dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
    """A kind of target with the dataset's facts: model, loss, scores and pictures.

    What a model gives is called logits throughout, also where it is numbers.

    Attributes:
        shape: Height, width and channels of the images.
        num_classes: Number of classes, the length of a model's logits; 0 where there are none.
        class_names: A name for each class.
        normalize: Numbers of a Normalize that was taken off the training pipeline, or None.
        ignore_class: Class id that counts neither in loss nor in scores, or None.
    """

    shape: tuple[int, int, int]
    num_classes: int
    class_names: tuple[str, ...]
    normalize: dict[str, Any] | None
    ignore_class: int | None = None

    target: ClassVar[str]  # form of the field that it learns
    title: ClassVar[str]  # what users call it
    default_model: ClassVar[str]
    num_samples: ClassVar[int] = 24  # images that are drawn beside the truth
    outputs: ClassVar[str] = "logits"  # what a user's own model gives
    min_classes: ClassVar[int] = 2
    weighs_objects: ClassVar[bool] = False  # class weights are of objects, beside a weight of the image
    activation: ClassVar[str] = "softmax"  # from logits to probabilities; or "sigmoid": each class by itself

    @classmethod
    def accepts(cls, schema: Schema) -> bool:
        """Return whether this is what a dataset asks a model to learn: one target, of the task's form."""
        return [field.form for field in schema.targets.values()] == [cls.target]

    @classmethod
    def of(cls, manifest: Manifest, ignore_class: int | None = None) -> Task:
        """Make the task from what the manifest says.

        Raises:
            DatasetError: There is nothing to tell apart.
        """
        target, image = manifest.target, manifest.image
        if target.num_classes < cls.min_classes:
            raise DatasetError(
                f"{manifest.name}: there is nothing to learn, it has {format_count(target.num_classes, 'class')}."
            )
        return cls(
            shape=(image.height, image.width, image.channels),
            num_classes=target.num_classes,
            class_names=tuple(name_classes(cls.target, target.class_names, target.num_classes)),
            normalize=manifest.normalize.get("train"),
            ignore_class=ignore_class if ignore_class is not None else target.ignore_class,
        )

    @property
    def num_target_values(self) -> int:
        """Targets are 0 to this, less one, or the ignored class."""
        return self.num_classes

    @property
    def num_outputs(self) -> int:
        """Outputs of a model, of each pixel where it gives them by pixel: what a user's own function is told."""
        return self.num_classes

    def describe_target(self) -> str:
        """Return what is learnt, in words."""
        return f"{self.title}, {format_count(self.num_classes, 'class')}"

    def fitted_to(self, batches: Callable[[], Iterable[npt.NDArray[Any]]]) -> Task:
        """Return the task with what it has to know of the training targets, which for classes is nothing.

        Args:
            batches: Returns the packed targets of all training images, batch by batch.
        """
        return self

    def with_model(self, model: Any) -> Task:
        """Return the task with what it has to know of a trained model."""
        return self

    def misfits(self, facts: dict[str, Any], num_outputs: int) -> list[str]:
        """Return what keeps a run's model from being used here: other classes.

        Args:
            facts: What the run's settings say of its dataset.
            num_outputs: Length of the last axis of what the model gives.
        """
        num_classes = num_outputs - (self.output_shape[-1] - self.num_classes)  # without outputs that are no classes
        if num_classes != self.num_classes:
            return [f"number of classes: {num_classes} in the run, {self.num_classes} there"]
        if facts.get("classes") and list(self.class_names) != facts["classes"]:
            return [f"classes: {facts['classes']} in the run, {list(self.class_names)} there"]
        return []

    @property
    @abc.abstractmethod
    def score(self) -> str:
        """Name of the score, in the logs of `fit`, that decides which epoch is best; more is better."""

    @property
    @abc.abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the logits of one image."""

    @abc.abstractmethod
    def check_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that do not fit this task."""

    @abc.abstractmethod
    def make_model(self, options: FitOptions) -> Any:
        """Return a model, not compiled, from uint8 images [B, H, W, C] to float32 logits over the classes."""

    @abc.abstractmethod
    def make_loss(self, options: FitOptions) -> Any:
        """Return a Keras loss of targets and logits."""

    @abc.abstractmethod
    def make_metrics(self) -> list[Any]:
        """Return new Keras metrics of class ids and logits."""

    @abc.abstractmethod
    def summarize(self, counts: Counts) -> dict[str, Any]:
        """Return the scores of a split, for a JSON file, from what `count` has counted in it."""

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

    def pack(self, targets: Any, *weights: Any) -> tuple[Any, ...]:
        """Return targets as the loss takes them, one tensor, and weights if they are not part of it.

        Args:
            targets: Targets as `precompute.load` gives them.
            *weights: What else it gives: weights of classes or of images, and those that come apart; maybe none.
        """
        return targets, *weights

    def class_ids(self, targets: Any) -> Any:
        """Return the class ids that packed targets hold, a tensor of a tensor."""
        return targets

    def add_counts(self, counts: Counts, found: Counts) -> Counts:
        """Return what `count` found in some batches together with what it found in the next one."""
        return {name: counts[name] + value if name in counts else value for name, value in found.items()}

    def count(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> Counts:
        """Count what the scores of a batch follow from: the confusion matrix."""
        confusion = count_confusion(
            truth, self.decide(logits), num_classes=self.num_classes, ignore_class=self.ignore_class
        )
        return {"confusion": confusion}

    def decide(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return what logits [..., C] stand for, as targets are given: the likeliest class ids [...]."""
        return np.asarray(logits.argmax(axis=-1))

    def confidence(self, logits: npt.NDArray[np.float32]) -> float:
        """Return the mean probability of what is decided from the logits of one image."""
        return float(to_probabilities(logits, self.activation).max(axis=-1).mean())

    def own_model(self, options: FitOptions) -> Any | None:
        """Return the model that the user's own function makes; None if the option names none.

        Raises:
            PrecomputeError: It cannot be had, or does not fit the task.
        """
        if not is_own(options.model):
            return None
        return make_own_model(
            options.model, self.shape, self.num_outputs, output_shape=self.output_shape, outputs=self.outputs
        )

    def model_name(self, options: FitOptions) -> str:
        """Return the model's name, also where the user left it to us."""
        return self.default_model if options.model == "auto" else options.model

    def balanced_weights(self, batches: Iterable[npt.NDArray[Any]]) -> list[float]:
        """Return a weight a class, from batches of targets, with which each class weighs the same in the loss."""
        counts = np.zeros(self.num_classes, np.int64)
        for targets in batches:
            found = np.bincount(targets.ravel(), minlength=self.num_classes)
            counts += found[: self.num_classes]
        if self.ignore_class is not None and self.ignore_class < self.num_classes:
            counts[self.ignore_class] = 0
        return balanced_weights(counts)

    def check_own_options(self, options: FitOptions) -> bool:
        """Tell whether the model is of the user's own function, and raise `UsageError` for what it cannot have."""
        if not is_own(options.model):
            return False
        if options.weights == "imagenet":
            raise UsageError("--weights: imagenet is for backbones; your own --model loads what it likes.")
        if options.freeze_epochs:
            raise UsageError("--freeze-epochs: it is for backbones; your own --model freezes what it likes.")
        return True

    def check_targets(self, targets: npt.NDArray[Any], where: str) -> None:
        """Raise `DatasetError` if there are class ids that the model has no output for.

        The loss of such an id is NaN on a GPU and an error deep inside TensorFlow on a CPU.
        """
        found = [int(value) for value in np.unique(targets)]
        wrong = [value for value in found if not 0 <= value < self.num_classes and value != self.ignore_class]
        if wrong:
            raise DatasetError(
                f"{where} has class ids outside its {format_count(self.num_classes, 'class')} (0 to "
                f"{self.num_classes - 1}):\n"
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

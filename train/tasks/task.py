"""The base classes of tasks; the tasks themselves are in the modules beside this one."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError, first_few
from precompute.fields.field import Schema
from precompute.text.format import format_count
from precompute.text.names import flag
from train.options import FitOptions
from train.samples import Sample
from train.scores import Counts, count_confusion, to_probabilities
from train.tasks.networks import check_network, make_network_trunk
from train.tasks.own import is_own, make_own_model
from train.tasks.trunk import Trunk
from train.weights import balanced_weights

__all__ = ["OneTarget", "Task", "name_classes", "output_shapes", "part_of", "whole_of"]


def part_of(whole: Any, name: str) -> Any:
    """Return what belongs to a part of a task, out of targets, outputs or weights; all of it for the only part."""
    return whole[name] if name else whole


def whole_of(parts: Mapping[str, Any]) -> Any:
    """Return what belongs to all parts of a task, from that of each: the opposite of `part_of`."""
    return parts.get("", parts)


def output_shapes(model: Any) -> Any:
    """Return the shape of a model's output, by part if there are several; Keras itself drops the names."""
    return keras.tree.map_structure(lambda output: tuple(output.shape), model.output)


@dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
    """A task: what one model learns of a dataset, from one target or from several.

    The outputs of a model are called logits throughout, also where they are numbers.

    Attributes:
        shape: Height, width and channels of the images.
        normalize: Numbers of a Normalize that was taken off the training pipeline, or None.
    """

    shape: tuple[int, int, int]
    normalize: dict[str, Any] | None

    weighs_objects: ClassVar[bool] = False  # class weights are of objects, beside a weight of the image

    @property
    @abc.abstractmethod
    def parts(self) -> Mapping[str, OneTarget]:
        """The task of each target, by its name; a task of one target is its own only part, without a name."""

    @property
    @abc.abstractmethod
    def score(self) -> str:
        """Name of the score, in the logs of `fit`, that decides which epoch is best; more is better."""

    @abc.abstractmethod
    def describe_target(self) -> str:
        """Return the target in words."""

    def check_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that do not fit this task or its model."""
        self.check_target_options(options)
        if not self.check_own_options(options):
            shown = " and ".join(dict.fromkeys(part.noun for part in self.parts.values()))
            check_network(self.model_name(options), options, channels=self.shape[2], dense=self.is_dense, has=shown)

    @abc.abstractmethod
    def check_target_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that make no sense for what is learnt, whatever the model."""

    @property
    def is_dense(self) -> bool:
        """Whether something is learnt of each pixel, so that a network needs a way up."""
        return any(part.per_pixel for part in self.parts.values())

    @property
    def default_model(self) -> str:
        """Name of the model where the user names none."""
        return "unet" if self.is_dense else "small"

    def make_model(self, options: FitOptions) -> Any:
        """Return a network of the house, or the user's own, not compiled.

        It takes uint8 images [B, H, W, C], and gives float32 logits, in a dictionary by part if there are several.
        """
        parts = self.parts
        if is_own(options.model):
            num_outputs = whole_of({name: part.num_outputs for name, part in parts.items()})
            shapes = whole_of({name: part.output_shape for name, part in parts.items()})
            titles = whole_of({name: part.outputs for name, part in parts.items()})
            own = make_own_model(options.model, self.shape, num_outputs, output_shape=shapes, outputs=titles)
            images, name, logits = own.input, own.name, {part: part_of(own.output, part) for part in parts}
        else:
            trunk = make_network_trunk(self.model_name(options), options, shape=self.shape, normalize=self.normalize)
            images, name, logits = trunk.images, trunk.name, {n: part.attach(trunk) for n, part in parts.items()}
        outputs = {n: part.finish(logits[n]) for n, part in parts.items()}
        return keras.Model(images, whole_of(outputs), name=name)

    @abc.abstractmethod
    def compiling(self, options: FitOptions) -> dict[str, Any]:
        """Return the arguments of Keras' `compile` that say what is learnt: loss and metrics."""

    @abc.abstractmethod
    def fitted_to(self, batches: Callable[[], Iterable[Any]]) -> Task:
        """Return the task with the facts that it needs about the training targets; classes need none.

        Args:
            batches: Returns the packed targets of all training images, batch by batch.
        """

    @abc.abstractmethod
    def with_model(self, model: Any) -> Task:
        """Return the task with the facts that it needs about a trained model."""

    @abc.abstractmethod
    def misfits(self, facts: dict[str, Any], output_shape: Any) -> list[str]:
        """Return why a run's model cannot be used here: it has other classes.

        Args:
            facts: Facts about the run's dataset, from its settings.
            output_shape: Shape of the model's output, by part if there are several.
        """

    @abc.abstractmethod
    def pack(self, targets: Any, *weights: Any) -> tuple[Any, ...]:
        """Return targets as one tensor for the loss, by part if there are several, and weights that are no part of it.

        Args:
            targets: Targets of `precompute.load`.
            *weights: Its further components: weights of classes or images, and extra values; maybe none.
        """

    @abc.abstractmethod
    def join(self, summaries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return the scores of all parts, for a JSON file, from the `summarize` of each."""

    @abc.abstractmethod
    def describe(self, summary: dict[str, Any]) -> list[str]:
        """Return lines of a short table of `join`'s result."""

    def keras_model(self, inputs: Any, outputs: Any, name: str) -> Any:
        """Return the functional model that is compiled."""
        return keras.Model(inputs, outputs, name=name)

    def model_name(self, options: FitOptions) -> str:
        """Return the model's name; without the user's choice, the default."""
        return self.default_model if options.model == "auto" else options.model

    def check_own_options(self, options: FitOptions) -> bool:
        """Return whether the model is the user's own, and raise `UsageError` for options that it cannot have."""
        if not is_own(options.model):
            return False
        if options.weights == "imagenet":
            raise UsageError("--weights: imagenet is for backbones; your own --model loads what it likes.")
        if options.freeze_epochs:
            raise UsageError("--freeze-epochs: it is for backbones; your own --model freezes what it likes.")
        return True


@dataclass(frozen=True, kw_only=True)
class OneTarget(Task):
    """A task of one kind of target: model, loss, scores and pictures, with facts about the dataset.

    Attributes:
        num_classes: Number of classes, the length of a model's logits; 0 where there are none.
        class_names: A name for each class.
        ignore_class: Class id that counts neither in loss nor in scores, or None.
        head: Name of the target beside others, with which the layers of its head begin; empty for the only one.
    """

    num_classes: int
    class_names: tuple[str, ...]
    ignore_class: int | None = None
    head: str = ""

    target: ClassVar[str]  # form of the field that it learns
    title: ClassVar[str]  # what users call it
    noun: ClassVar[str] = "classes"  # the same in messages, as in "the dataset has classes"
    per_pixel: ClassVar[bool] = False  # its logits are those of pixels
    takes: ClassVar[frozenset[str]] = frozenset()  # options for some kinds of targets that it can use
    num_samples: ClassVar[int] = 24  # images that are drawn beside the truth
    outputs: ClassVar[str] = "logits"  # what a user's own model gives
    min_classes: ClassVar[int] = 2
    activation: ClassVar[str] = "softmax"  # from logits to probabilities; or "sigmoid": each class by itself

    @classmethod
    def accepts(cls, schema: Schema) -> bool:
        """Return whether a dataset has one target, and this is of the task's form."""
        return [field.form for field in schema.targets.values()] == [cls.target]

    @classmethod
    def of(cls, manifest: Manifest, ignore_class: int | None = None, head: str = "") -> OneTarget:
        """Make the task from a manifest.

        Raises:
            DatasetError: There are too few classes to tell apart.
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
            head=head,
        )

    @property
    def parts(self) -> Mapping[str, OneTarget]:
        """The task itself, without a name."""
        return {"": self}

    @property
    def num_target_values(self) -> int:
        """Number of values of a target: targets are below it, or the ignored class."""
        return self.num_classes

    @property
    def num_outputs(self) -> int:
        """Number of outputs of a model, per pixel for masks; a user's own function is called with it."""
        return self.num_classes

    def describe_target(self) -> str:
        """Return the target in words."""
        return f"{self.title}, {format_count(self.num_classes, 'class')}"

    def fitted_to(self, batches: Callable[[], Iterable[npt.NDArray[Any]]]) -> OneTarget:
        """Return the task as it is: classes need no facts about the training targets."""
        return self

    def with_model(self, model: Any) -> OneTarget:
        """Return the task as it is: classes need no facts about a trained model."""
        return self

    def misfits(self, facts: dict[str, Any], output_shape: Any) -> list[str]:
        """Return why a run's model cannot be used here: it has other classes."""
        # without outputs that are no classes
        num_classes = output_shape[-1] - (self.output_shape[-1] - self.num_classes)
        if num_classes != self.num_classes:
            return [f"number of classes: {num_classes} in the run, {self.num_classes} there"]
        if facts.get("classes") and list(self.class_names) != facts["classes"]:
            return [f"classes: {facts['classes']} in the run, {list(self.class_names)} there"]
        return []

    @property
    def knows_from_row(self) -> bool:
        """Whether `fitted_to` depends on the row that it is given, so that a continued run keeps what it had."""
        return False

    def refuse(self, options: FitOptions, *names: str) -> None:
        """Raise `UsageError` for options, unless they are at their defaults: this kind of target cannot have them."""
        for name in names:
            default, given = getattr(FitOptions(), name), getattr(options, name)
            if given != default:
                shown = f"{default:g}" if isinstance(default, float) else default
                raise UsageError(f"{flag(name)}: it is not for {self.noun}; expected {shown}, got {given}.")

    @property
    @abc.abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the logits of one image."""

    def attach(self, trunk: Trunk) -> Any:
        """Return the logits of a new head on a trunk: the last layer of a network."""
        return trunk.head(self.num_outputs, self.layer("logits"), dense=self.per_pixel)

    def finish(self, outputs: Any) -> Any:
        """Return what the saved model gives, from the outputs of the network; by default these."""
        return outputs

    def layer(self, name: str) -> str:
        """Return the name of a layer of this task's head, which no other head has."""
        return f"{self.head}_{name}" if self.head else name

    def compiling(self, options: FitOptions) -> dict[str, Any]:
        """Return the loss and the metrics of logits."""
        return {"loss": self.make_loss(options), "metrics": self.make_metrics()}

    @abc.abstractmethod
    def make_loss(self, options: FitOptions) -> Any:
        """Return a Keras loss of targets and logits."""

    @abc.abstractmethod
    def make_metrics(self) -> list[Any]:
        """Return new Keras metrics of class ids and logits."""

    @abc.abstractmethod
    def summarize(self, counts: Counts) -> dict[str, Any]:
        """Return the scores of a split, for a JSON file, from the counts of `count`."""

    def join(self, summaries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        """Return the scores of the only part."""
        return summaries[""]

    @abc.abstractmethod
    def score_images(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> list[float]:
        """Return the score of each image of a batch, from 0 to 1, by which best and worst images are chosen."""

    @abc.abstractmethod
    def draw(self, samples: Sequence[Sample]) -> bytes:
        """Return a PNG of predictions beside the truth."""

    @abc.abstractmethod
    def draw_scores(self, summary: dict[str, Any]) -> bytes:
        """Return a PNG of the scores of each class, from the result of `summarize`."""

    def pack(self, targets: Any, *weights: Any) -> tuple[Any, ...]:
        """Return targets and weights as they are."""
        return targets, *weights

    def class_ids(self, targets: Any) -> Any:
        """Return the class ids in packed targets, as a tensor."""
        return targets

    def add_counts(self, counts: Counts, found: Counts) -> Counts:
        """Return the counts of some batches together with those of the next one."""
        return {name: counts[name] + value if name in counts else value for name, value in found.items()}

    def count(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> Counts:
        """Return the counts from which the scores of a batch follow: the confusion matrix."""
        confusion = count_confusion(
            truth, self.decide(logits), num_classes=self.num_classes, ignore_class=self.ignore_class
        )
        return {"confusion": confusion}

    def decide(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return the predictions of logits [..., C] in the form of targets: the likeliest class ids [...]."""
        return np.asarray(logits.argmax(axis=-1))

    def confidence(self, logits: npt.NDArray[np.float32]) -> float:
        """Return the mean probability of the predictions for one image."""
        return float(to_probabilities(logits, self.activation).max(axis=-1).mean())

    def balanced_weights(self, batches: Iterable[npt.NDArray[Any]]) -> list[float]:
        """Return one weight per class, from batches of targets, with which all classes count equally in the loss."""
        counts = np.zeros(self.num_classes, np.int64)
        for targets in batches:
            found = np.bincount(targets.ravel(), minlength=self.num_classes)
            counts += found[: self.num_classes]
        if self.ignore_class is not None and self.ignore_class < self.num_classes:
            counts[self.ignore_class] = 0
        return balanced_weights(counts)

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
    """Return a name for each class: the given ones, and made-up names for the others."""
    found = list(names)
    if not found and target == "mask" and num_classes == 2:
        found = ["background", "foreground"]
    return found + [f"class {class_id}" for class_id in range(len(found), num_classes)]

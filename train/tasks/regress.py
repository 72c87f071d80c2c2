"""The task of numbers per image: one value, or several."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError
from precompute.fields.field import Schema
from precompute.fields.value import field_name
from precompute.text.format import format_count
from train.learnt_targets import VALUE, learnt_values
from train.options import FitOptions
from train.pictures.charts import draw_scatter
from train.pictures.sheets import draw_values, format_value
from train.samples import Sample
from train.scores import Counts
from train.tasks.losses import ValueLoss
from train.tasks.task import OneTarget
from train.tasks.trunk import Trunk
from train.value_scores import ValueScores, count_values, mean_r2, value_scores
from train.weights import check_loss_weights

__all__ = ["Regress"]

UNIT = "in_unit"  # the last layer of a model: from standardized numbers to those of the user
MOST_POINTS = 1000  # of a scatter plot: images whose truth and prediction are kept


@dataclass(frozen=True, kw_only=True)
class Regress(OneTarget):
    """Regression: squared error of standardized values, judged by R².

    Attributes:
        values: Names of the values, K of them, in the order of a model's outputs.
        means: Mean of each value in the training split; empty before `fitted_to` or `with_model`.
        stds: Standard deviation of each value, 1 where all numbers are equal; empty before these calls.
    """

    values: tuple[str, ...]
    means: tuple[float, ...] = ()
    stds: tuple[float, ...] = ()

    score = "r2"
    target: ClassVar[str] = VALUE
    title: ClassVar[str] = "numbers"
    noun: ClassVar[str] = "numbers"
    outputs: ClassVar[str] = "standardized numbers"

    @classmethod
    def accepts(cls, schema: Schema) -> bool:
        """Return whether all targets are numbers."""
        return bool(learnt_values(schema))

    @classmethod
    def of(cls, manifest: Manifest, ignore_class: int | None = None, head: str = "") -> Regress:
        """Make the task from what the manifest says; there are no classes."""
        image = manifest.image
        return cls(
            shape=(image.height, image.width, image.channels),
            num_classes=0,
            class_names=(),
            values=tuple(learnt_values(manifest.schema)),
            normalize=manifest.normalize.get("train"),
            head=head,
        )

    @property
    def num_outputs(self) -> int:
        """Number of outputs: one per value."""
        return len(self.values)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the outputs: one number per value."""
        return (len(self.values),)

    def describe_target(self) -> str:
        """Return what is learnt, in words."""
        known = zip(self.values, self.means, self.stds, strict=True) if self.means else ()
        scales = [f"{name} ({format_value(mean, std)} ± {format_value(std, std)})" for name, mean, std in known]
        return f"{self.title}, {format_count(len(self.values), 'value')}: {', '.join(scales or self.values)}"

    def check_target_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that make no sense for numbers."""
        check_loss_weights(options.loss_weights, self.values)
        self.refuse(options, "mixup", "cutmix", "label_smoothing")
        if options.class_weights != "none":
            raise UsageError(
                f"--class-weights: the dataset has numbers, and no classes to weigh; expected none, got "
                f"{options.class_weights!r}. Weights of sources can be used: precompute build --weight-column."
            )
        if options.ignore_class is not None:
            raise UsageError(
                f"--ignore-class: this is for masks; the dataset has numbers, got {options.ignore_class}. Values that "
                "are NaN count neither in loss nor in scores."
            )

    def fitted_to(self, batches: Callable[[], Iterable[npt.NDArray[Any]]]) -> Regress:
        """Return the task with mean and standard deviation of each value.

        Both are rounded once, for any order of the images, so that a continued run finds equal numbers.

        Args:
            batches: Returns packed targets, float32 [B, K], of all training images.

        Raises:
            DatasetError: A value is unknown for all images, or is infinite.
        """
        columns = np.concatenate(list(batches())).T
        scales = [_mean_and_std(name, column) for name, column in zip(self.values, columns, strict=True)]
        return dataclasses.replace(self, means=tuple(m for m, _ in scales), stds=tuple(s for _, s in scales))

    def with_model(self, model: Any) -> Regress:
        """Return the task with the means and standard deviations inside a trained model."""
        unit = model.get_layer(self.layer(UNIT))
        return dataclasses.replace(self, means=tuple(map(float, unit.offset)), stds=tuple(map(float, unit.scale)))

    def attach(self, trunk: Trunk) -> Any:
        """Return standardized numbers."""
        return trunk.head(len(self.values), f"standardized_{'_'.join(self.values)}", dense=False)

    def finish(self, outputs: Any) -> Any:
        """Return numbers in the units of the values, by a plain layer of Keras."""
        name = self.layer(UNIT)
        return keras.layers.Rescaling(list(self.stds), offset=list(self.means), dtype="float32", name=name)(outputs)

    def make_loss(self, options: FitOptions) -> Any:
        """Return the mean squared error of standardized values, each times its weight."""
        given = options.loss_weights or {}
        weights = [given.get(name, 1.0) for name in self.values]
        return ValueLoss(stds=[s / math.sqrt(w) if w else math.inf for s, w in zip(self.stds, weights, strict=True)])

    def make_metrics(self) -> list[Any]:
        """Return mean absolute error, root of the mean squared error and R² of each value, in its unit."""
        return [ValueScores(self.values, self.means)]

    def pack(self, targets: Any, weights: Any = None) -> tuple[Any, ...]:
        """Return numbers as one tensor, float32 [B, K], and weights of images [B], which all values share."""
        columns = [targets[field_name(name)] for name in self.values] if isinstance(targets, dict) else [targets]
        packed = tf.stack([tf.cast(column, tf.float32) for column in columns], axis=-1)
        if weights is None:
            return (packed,)
        return packed, next(iter(weights.values())) if isinstance(weights, dict) else weights

    def count(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> Counts:
        """Return the sums of a batch, and its truths and predictions with the images' numbers."""
        return {
            "sums": count_values(truth, logits, self.means),
            "num_images": np.array(len(truth)),
            "numbers": np.arange(len(truth)),
            "points": np.stack([truth, logits], axis=-1),
        }

    def add_counts(self, counts: Counts, found: Counts) -> Counts:
        """Return the sums of both, and the points of at most 1,000 images, at equal steps through the split."""
        if counts:
            found = {
                "sums": counts["sums"] + found["sums"],
                "num_images": counts["num_images"] + found["num_images"],
                "numbers": np.concatenate([counts["numbers"], found["numbers"] + counts["num_images"]]),
                "points": np.concatenate([counts["points"], found["points"]]),
            }
        step = 1
        while found["num_images"] > step * MOST_POINTS:
            step *= 2  # so that those which are kept were kept before
        kept = found["numbers"] % step == 0
        return {**found, "numbers": found["numbers"][kept], "points": found["points"][kept]}

    def summarize(self, counts: Counts) -> dict[str, Any]:
        """Return the scores of each value, those of always predicting the training split's mean, and some points."""
        scores = value_scores(counts["sums"])
        rows = [
            {"value": name, **row, "training_mean": mean, "points": _points_of(counts["points"][:, k])}
            for k, (name, row, mean) in enumerate(zip(self.values, scores, self.means, strict=True))
        ]
        return {"num_images": int(counts["num_images"]), "r2": mean_r2(scores), "values": rows}

    def describe(self, summary: dict[str, Any]) -> list[str]:
        """Return one line per value, and the mean R² of several."""
        width = max(5, *(len(name) for name in self.values))
        lines = [f"{'value':<{width}}  images         MAE        RMSE      R²  always the mean: MAE, RMSE"]
        for row in summary["values"]:
            errors = [format_value(row[name]) for name in ("mae", "rmse", "baseline_mae", "baseline_rmse")]
            lines.append(
                f"{row['value']:<{width}}  {row['num_images']:6d}  {errors[0]:>10}  {errors[1]:>10}  "
                f"{_format_r2(row['r2']):>6}  {errors[2]}, {errors[3]}"
            )
        return lines if len(self.values) == 1 else [*lines, f"mean R² {_format_r2(summary['r2'])}"]

    def score_images(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> list[float]:
        """Return 1 / (1 + error) of each image, the error in standard deviations, as a mean over its known values.

        It is NaN where no value is known.
        """
        errors = abs(logits - truth) / np.asarray(self.stds)
        known = ~np.isnan(errors)
        counts = known.sum(axis=1)
        sums = np.where(known, errors, 0).sum(axis=1)
        return [1 / (1 + float(s) / int(n)) if n else float("nan") for s, n in zip(sums, counts, strict=True)]

    def decide(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return the numbers as they are."""
        return logits

    def confidence(self, logits: npt.NDArray[np.float32]) -> float:
        """Return NaN: numbers have no probability."""
        return float("nan")

    def draw(self, samples: Sequence[Sample]) -> bytes:
        """Return a grid of images with the predicted and the true numbers."""
        return draw_values(samples, self.values, self.stds)

    def draw_scores(self, summary: dict[str, Any]) -> bytes:
        """Return the predictions over the truths of each value."""
        return draw_scatter(summary["values"])

    def misfits(self, facts: dict[str, Any], output_shape: Any) -> list[str]:
        """Return why a run's model cannot be used here: it has other values."""
        of_run = facts.get("values", [])
        if facts.get("target", self.target) == self.target and of_run != list(self.values):
            return [f"values: {', '.join(of_run)} in the run, {', '.join(self.values)} there"]
        return []


def _mean_and_std(name: str, column: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Return mean and standard deviation of the numbers that are known."""
    known = column[~np.isnan(column)].astype(np.float64)
    if not len(known):
        raise DatasetError(
            f"there is nothing to learn of {name}: its value is missing in all training images. "
            "Fill in some, or build the dataset without it."
        )
    if np.isinf(known).any():
        raise DatasetError(f"{name} is infinite in {np.isinf(known).sum()} training images; expected numbers or NaN.")
    mean = math.fsum(known) / len(known)
    std = math.sqrt(math.fsum((known - mean) ** 2) / len(known))
    return mean, std if std > 0 else 1.0


def _points_of(points: npt.NDArray[np.float32]) -> dict[str, list[float]]:
    """Return truths and predictions [N, 2] of one value for a JSON file, without those that have no truth."""
    known = points[~np.isnan(points[:, 0])]
    return {name: known[:, i].tolist() for i, name in enumerate(("truth", "predicted"))}


def _format_r2(r2: float | None) -> str:
    return "–" if r2 is None else f"{r2:.3f}"

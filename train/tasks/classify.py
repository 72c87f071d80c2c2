"""The task of one class per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt

from precompute.errors import UsageError
from train.options import FitOptions
from train.pictures.charts import draw_confusion
from train.pictures.sheets import draw_classes
from train.samples import Sample
from train.scores import Counts, recalls, to_probabilities
from train.tasks.losses import ClassLoss
from train.tasks.task import OneTarget
from train.weights import check_loss_weights

__all__ = ["Classify"]


@dataclass(frozen=True, kw_only=True)
class Classify(OneTarget):
    """Classification: cross-entropy, judged by accuracy."""

    score = "accuracy"
    target: ClassVar[str] = "class"
    title: ClassVar[str] = "class labels"
    takes: ClassVar[frozenset[str]] = frozenset({"label_smoothing", "class_weights"})

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the logits: one per class."""
        return (self.num_classes,)

    def check_target_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that make no sense for classes."""
        check_loss_weights(options.loss_weights, [self.title])
        if options.ignore_class is not None:
            raise UsageError(f"--ignore-class: this is for masks; the dataset has classes, got {options.ignore_class}.")

    def make_loss(self, options: FitOptions) -> Any:
        """Return the cross-entropy."""
        return ClassLoss(label_smoothing=options.label_smoothing)

    def make_metrics(self) -> list[Any]:
        """Return the accuracy."""
        return [keras.metrics.MeanMetricWrapper(_is_right, name="accuracy")]

    def summarize(self, counts: Counts) -> dict[str, Any]:
        """Return accuracy, recall of each class and the confusion matrix."""
        confusion = counts["confusion"]
        by_class, totals = recalls(confusion), confusion.sum(axis=1)
        known = [recall for recall in by_class if recall is not None]
        return {
            "num_images": int(confusion.sum()),
            "accuracy": float(np.trace(confusion) / max(1, confusion.sum())),
            "mean_recall": float(np.mean(known)) if known else 0.0,
            "classes": [
                {"class": c, "name": name, "num_images": int(totals[c]), "recall": by_class[c]}
                for c, name in enumerate(self.class_names)
            ],
            "confusion": confusion.tolist(),
            "confusion_axes": ["truth", "predicted"],
        }

    def describe(self, summary: dict[str, Any]) -> list[str]:
        """Return one line per class, and the accuracy."""
        width = max(len(name) for name in self.class_names)
        lines = [f"{'class':<{width}}  images  recall"]
        for row in summary["classes"]:
            recall = "     –" if row["recall"] is None else f"{row['recall']:6.1%}"
            lines.append(f"{row['name']:<{width}}  {row['num_images']:6d}  {recall}")
        return [*lines, f"accuracy {summary['accuracy']:.1%}, mean recall {summary['mean_recall']:.1%}"]

    def score_images(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> list[float]:
        """Return the predicted probability of each image's true class."""
        return [float(row[c]) for row, c in zip(to_probabilities(logits, self.activation), truth, strict=True)]

    def draw(self, samples: Sequence[Sample]) -> bytes:
        """Return a grid of images with the predicted and, where it differs, the true class."""
        return draw_classes(samples, self.class_names)

    def draw_scores(self, summary: dict[str, Any]) -> bytes:
        """Return the confusion matrix."""
        return draw_confusion(np.array(summary["confusion"], np.int64), self.class_names)


def _is_right(truth: Any, logits: Any) -> Any:
    """Return 1 for each image whose class, or largest share of a blend, was recognised: float32 [B]."""
    if len(truth.shape) == len(logits.shape):
        truth = keras.ops.argmax(truth, axis=-1)
    return keras.ops.cast(keras.ops.equal(keras.ops.argmax(logits, axis=-1), truth), "float32")

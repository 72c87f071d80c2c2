"""The task of any number of labels per image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from precompute.errors import DatasetError, UsageError
from train.label_scores import LabelScores, count_labels, label_scores, label_scores_by_class
from train.options import FitOptions
from train.pictures.charts import draw_class_scores
from train.pictures.sheets import draw_labels
from train.samples import Sample
from train.scores import Counts, to_probabilities
from train.tasks.classify import Classify
from train.tasks.losses import LabelLoss

__all__ = ["MultiLabel"]


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Classify):
    """Multi-label classification: one binary cross-entropy per label, on the networks of plain classification.

    It is judged by mean average precision, which needs no threshold. F1 is 0 for rare labels while their probabilities
    are below 0.5 everywhere, and so cannot compare epochs.
    """

    score = "mean_average_precision"
    num_target_values = 2  # a label is there or not
    target: ClassVar[str] = "multilabel"
    title: ClassVar[str] = "labels, several an image"
    activation: ClassVar[str] = "sigmoid"
    min_classes: ClassVar[int] = 1

    def check_target_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that make no sense for labels."""
        super().check_target_options(options)
        for name in ("mixup", "cutmix"):
            if getattr(options, name):
                raise UsageError(f"--{name}: it is not for several labels an image; got {getattr(options, name)}.")

    def make_loss(self, options: FitOptions) -> Any:
        """Return the mean of the labels' binary cross-entropies."""
        return LabelLoss(label_smoothing=options.label_smoothing)

    def make_metrics(self) -> list[Any]:
        """Return mean average precision, macro F1 and the share of images with all labels right."""
        return [LabelScores(self.num_classes)]

    def count(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> Counts:
        """Return the histograms of each label's logits, and how many images are not right, and right, in all labels."""
        right = ((logits >= 0) == (truth > 0)).all(axis=1)
        return {"logits": count_labels(truth, logits), "images": np.bincount(right, minlength=2)}

    def decide(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """Return the labels with a probability of at least 0.5, multi-hot."""
        return np.asarray(logits >= 0, np.uint8)

    def confidence(self, logits: npt.NDArray[np.float32]) -> float:
        """Return the mean probability of the decision on each label."""
        probabilities = to_probabilities(logits, self.activation)
        return float(np.maximum(probabilities, 1 - probabilities).mean())

    def balanced_weights(self, batches: Iterable[npt.NDArray[Any]]) -> list[float]:
        """Return one weight per label, with which images that have it count as much as those that do not."""
        having, total = np.zeros(self.num_classes, np.int64), 0
        for targets in batches:
            having += (targets > 0).sum(axis=0)
            total += len(targets)
        return [float((total - count) / count) if 0 < count < total else 1.0 for count in having]

    def check_targets(self, targets: npt.NDArray[Any], where: str) -> None:
        """Raise `DatasetError` for targets that are not multi-hot."""
        wrong = [int(value) for value in np.unique(targets) if value not in (0, 1)]
        if wrong:
            raise DatasetError(f"{where}: expected labels of 0 and 1, got {wrong[0]}. Build the dataset again.")

    def summarize(self, counts: Counts) -> dict[str, Any]:
        """Return the means, and the scores of each label."""
        wrong, right = (int(count) for count in counts["images"])
        return {
            "num_images": wrong + right,
            **label_scores(counts["logits"]),
            "exact_match": right / max(1, wrong + right),
            "classes": [
                {"class": c, "name": self.class_names[c], **row}
                for c, row in enumerate(label_scores_by_class(counts["logits"]))
            ],
        }

    def describe(self, summary: dict[str, Any]) -> list[str]:
        """Return one line per label, and the means."""
        width = max(5, *(len(name) for name in self.class_names))
        lines = [f"{'label':<{width}}  images     AP     F1"]
        for row in summary["classes"]:
            scores = ("    –" if row[k] is None else f"{row[k]:.3f}" for k in ("average_precision", "f1"))
            lines.append(f"{row['name']:<{width}}  {row['num_images']:6d}  {'  '.join(scores)}")
        means = f"mean average precision {summary['mean_average_precision']:.3f}, macro F1 {summary['macro_f1']:.3f}"
        return [*lines, f"{means}, all labels right {summary['exact_match']:.1%}"]

    def score_images(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> list[float]:
        """Return the mean predicted probability of each image's truth, over its labels."""
        probabilities = to_probabilities(logits, self.activation)
        return [float(value) for value in np.where(truth > 0, probabilities, 1 - probabilities).mean(axis=1)]

    def draw(self, samples: Sequence[Sample]) -> bytes:
        """Return a grid of images with the predicted and, where they differ, the true labels."""
        return draw_labels(samples, self.class_names)

    def draw_scores(self, summary: dict[str, Any]) -> bytes:
        """Return one bar of average precision per label."""
        return draw_class_scores(
            summary["classes"],
            "average_precision",
            "num_images",
            mean=summary["mean_average_precision"],
            total=summary["num_images"],
            title="average precision",
            share="of images",
        )

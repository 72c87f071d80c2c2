"""The task of one class per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from precompute.errors import UsageError
from train.options import FitOptions
from train.pictures.charts import draw_class_scores
from train.pictures.sheets import draw_masks
from train.samples import Sample
from train.scores import Counts, PooledScores, has_foreground, image_ious, mask_scores, mask_scores_by_class
from train.tasks.losses import MaskLoss
from train.tasks.task import OneTarget
from train.weights import check_loss_weights

__all__ = ["Segment"]


@dataclass(frozen=True, kw_only=True)
class Segment(OneTarget):
    """Segmentation: cross-entropy plus Dice, judged by IoU."""

    target: ClassVar[str] = "mask"
    title: ClassVar[str] = "masks"
    noun: ClassVar[str] = "masks"
    per_pixel: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset({"label_smoothing", "class_weights", "ignore_class"})
    num_samples: ClassVar[int] = 6

    @property
    def score(self) -> str:
        """Name of the score: IoU of the foreground if there is one, else the mean over classes."""
        return "foreground_iou" if has_foreground(self.num_classes, self.ignore_class) else "mean_iou"

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the logits: one per class for each pixel."""
        return (*self.shape[:2], self.num_classes)

    def check_target_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that make no sense for masks."""
        check_loss_weights(options.loss_weights, [self.title])
        if options.mixup:
            raise UsageError(
                f"--mixup: class ids of masks cannot be blended; --cutmix can be used, got {options.mixup}."
            )

    def make_loss(self, options: FitOptions) -> Any:
        """Return cross-entropy plus Dice."""
        return MaskLoss(
            num_classes=self.num_classes, ignore_class=self.ignore_class, label_smoothing=options.label_smoothing
        )

    def make_metrics(self) -> list[Any]:
        """Return IoU, Dice and accuracy, all from one confusion matrix."""
        return [PooledScores(self.num_classes, self.ignore_class)]

    def summarize(self, counts: Counts) -> dict[str, Any]:
        """Return the pooled scores, those of each class and the confusion matrix."""
        confusion = counts["confusion"]
        by_class, pixels = mask_scores_by_class(confusion), confusion.sum(axis=1)
        return {
            **mask_scores(confusion, ignore_class=self.ignore_class),
            "ignore_class": self.ignore_class,
            "classes": [
                {"class": c, "name": name, "num_pixels": int(pixels[c]), **by_class[c]}
                for c, name in enumerate(self.class_names)
                if c != self.ignore_class
            ],
            "confusion": confusion.tolist(),
            "confusion_axes": ["truth", "predicted"],
        }

    def describe(self, summary: dict[str, Any]) -> list[str]:
        """Return one line per class, and the means."""
        width = max(5, *(len(name) for name in self.class_names))
        lines = [f"{'class':<{width}}  pixels     IoU   Dice"]
        for row in summary["classes"]:
            share = row["num_pixels"] / max(1, sum(r["num_pixels"] for r in summary["classes"]))
            iou, dice = ("    –" if row[k] is None else f"{row[k]:.3f}" for k in ("iou", "dice"))
            lines.append(f"{row['name']:<{width}}  {share:6.1%}   {iou}  {dice}")
        means = f"mean IoU {summary['mean_iou']:.3f}, mean Dice {summary['mean_dice']:.3f}"
        return [*lines, f"{means}, pixel accuracy {summary['pixel_accuracy']:.3f}"]

    def score_images(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> list[float]:
        """Return the IoU of each single image: of the foreground, or the mean over the classes in it."""
        predicted = logits.argmax(axis=-1)
        return image_ious(truth, predicted, num_classes=self.num_classes, ignore_class=self.ignore_class)

    def draw(self, samples: Sequence[Sample]) -> bytes:
        """Return image, truth and prediction side by side."""
        return draw_masks(samples, self.class_names, ignore_class=self.ignore_class)

    def draw_scores(self, summary: dict[str, Any]) -> bytes:
        """Return one bar of IoU per class."""
        return draw_class_scores(
            summary["classes"], "iou", "num_pixels", mean=summary["mean_iou"], title="IoU", share="of pixels"
        )

"""One class a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from precompute.errors import UsageError
from train.options import FitOptions
from train.pictures import draw_ious, draw_masks
from train.samples import Sample
from train.scores import PooledScores, has_foreground, image_ious, mask_scores, mask_scores_by_class
from train.tasks.task import Task
from train.tasks.unet import make_unet

__all__ = ["MaskLoss", "Segment"]


@dataclass(frozen=True, kw_only=True)
class Segment(Task):
    """Segmentation: cross-entropy plus Dice, judged by IoU."""

    target: ClassVar[str] = "mask"
    default_model: ClassVar[str] = "unet"

    @property
    def score(self) -> str:
        """IoU of the foreground where there is one, else the mean over classes."""
        return "foreground_iou" if has_foreground(self.num_classes, self.ignore_class) else "mean_iou"

    def check_options(self, options: FitOptions) -> None:
        """Raise `UsageError` for options that make no sense for masks."""
        if self.model_name(options) != "unet":
            raise UsageError(f"--model: the dataset has masks: unet; got {options.model!r}.")
        if options.weights == "imagenet":
            raise UsageError("--weights: there are no imagenet weights for unet; none, or a file of a whole model.")

    def make_model(self, options: FitOptions) -> Any:
        """Return a U-Net."""
        return make_unet(self.shape, self.num_classes, base_channels=options.base_channels, normalize=self.normalize)

    def make_loss(self) -> Any:
        """Return cross-entropy plus Dice."""
        return MaskLoss(num_classes=self.num_classes, ignore_class=self.ignore_class)

    def make_metrics(self) -> list[Any]:
        """Return IoU, Dice and accuracy, all from one confusion matrix."""
        return [PooledScores(self.num_classes, self.ignore_class)]

    def summarize(self, confusion: npt.NDArray[np.int64]) -> dict[str, Any]:
        """Return the pooled scores, those of each class and the confusion matrix."""
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
        """Return a line a class and the means."""
        width = max(5, *(len(name) for name in self.class_names))
        lines = [f"{'class':<{width}}  pixels     IoU   Dice"]
        for row in summary["classes"]:
            share = row["num_pixels"] / max(1, sum(r["num_pixels"] for r in summary["classes"]))
            iou, dice = ("    –" if row[k] is None else f"{row[k]:.3f}" for k in ("iou", "dice"))
            lines.append(f"{row['name']:<{width}}  {share:6.1%}   {iou}  {dice}")
        means = f"mean IoU {summary['mean_iou']:.3f}, mean Dice {summary['mean_dice']:.3f}"
        return [*lines, f"{means}, pixel accuracy {summary['pixel_accuracy']:.3f}"]

    def score_images(self, truth: npt.NDArray[Any], logits: npt.NDArray[np.float32]) -> list[float]:
        """Return the IoU of each image by itself: of the foreground, or the mean over the classes in it."""
        predicted = logits.argmax(axis=-1)
        return image_ious(truth, predicted, num_classes=self.num_classes, ignore_class=self.ignore_class)

    def draw(self, samples: Sequence[Sample]) -> bytes:
        """Return image, truth and prediction side by side."""
        return draw_masks(samples, self.class_names, ignore_class=self.ignore_class)

    def draw_scores(self, summary: dict[str, Any]) -> bytes:
        """Return a bar of IoU a class."""
        rows = summary["classes"]
        num_pixels = max(1, sum(row["num_pixels"] for row in rows))
        return draw_ious(
            [row["name"] for row in rows],
            [row["iou"] for row in rows],
            [row["num_pixels"] / num_pixels for row in rows],
            mean=summary["mean_iou"],
        )


@keras.saving.register_keras_serializable(package="augment_once")
class MaskLoss(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy plus soft Dice, both over the pixels that count.

    Cross-entropy alone is content with a rare class left out; Dice looks at each class that occurs in the batch by
    itself. Dice is taken over the batch, not an image: a class may fill a few pixels of one image only.

    Source: Milletari et al. 2016 for the soft Dice; the sum of both as in nnU-Net (Isensee et al. 2021).
    """

    def __init__(
        self, *, num_classes: int, ignore_class: int | None = None, name: str = "mask_loss", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.num_classes = num_classes
        self.ignore_class = ignore_class

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of class ids [B, H, W] and logits [B, H, W, C], a scalar."""
        truth = ops.cast(y_true, "int32")
        logits = ops.cast(y_pred, "float32")
        # An id without an output has an all-zero row: it adds nothing to any sum below.
        counts = truth != (self.ignore_class if self.ignore_class is not None else -1)
        counts = ops.cast(counts, "float32")[..., None]
        wanted = ops.one_hot(truth, self.num_classes, dtype="float32") * counts

        log_probabilities = ops.log_softmax(logits, axis=-1)
        num_pixels = ops.maximum(ops.sum(counts), 1.0)
        cross_entropy = -ops.sum(wanted * log_probabilities) / num_pixels

        probabilities = ops.exp(log_probabilities) * counts
        hits, sizes = _per_class(probabilities * wanted), _per_class(wanted)
        dice = (2 * hits + 1) / (_per_class(probabilities) + sizes + 1)
        occurs = ops.cast(sizes > 0, "float32")
        missing_dice = ops.sum((1 - dice) * occurs) / ops.maximum(ops.sum(occurs), 1.0)
        return cross_entropy + missing_dice

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        return {**super().get_config(), "num_classes": self.num_classes, "ignore_class": self.ignore_class}


def _per_class(values: Any) -> Any:
    return ops.sum(values, axis=(0, 1, 2))

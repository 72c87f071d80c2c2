"""Scores from one confusion matrix: as plain arrays for files and pictures, as a Keras metric for `fit`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

__all__ = [
    "Counts",
    "PooledScores",
    "count_confusion",
    "image_ious",
    "mask_scores",
    "mask_scores_by_class",
    "recalls",
    "to_probabilities",
]

Confusion = npt.NDArray[np.int64]
Counts = dict[str, npt.NDArray[Any]]  # by name; a task adds up those of a split's batches


def count_confusion(
    truth: npt.NDArray[Any], predicted: npt.NDArray[Any], *, num_classes: int, ignore_class: int | None = None
) -> Confusion:
    """Return the confusion matrix: how often each class was taken for each.

    Args:
        truth: Class ids of any shape.
        predicted: Class ids of the same shape, each below `num_classes`.
        num_classes: Number of classes, C.
        ignore_class: Class of the truth at which nothing is counted.

    Returns:
        int64 [C, C]: truth in rows, prediction in columns.
    """
    truth, predicted = truth.ravel().astype(np.int64), predicted.ravel().astype(np.int64)
    if ignore_class is not None:
        counted = truth != ignore_class
        truth, predicted = truth[counted], predicted[counted]
    cells = np.bincount(truth * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def mask_scores(confusion: Confusion, *, ignore_class: int | None = None) -> dict[str, float]:
    """Return the scores that a segmentation is judged by, pooled over all pixels that were counted.

    A class counts in the means if it occurs in the truth or was predicted; the ignored class never counts. Without any
    pixel to count, all scores are 0. With two classes, `foreground_iou` and `foreground_dice` are those of class 1.
    """
    by_class = mask_scores_by_class(confusion)
    occur = [s for c, s in enumerate(by_class) if c != ignore_class and s["iou"] is not None]
    scores = {
        "pixel_accuracy": _ratio(np.trace(confusion), confusion.sum()) or 0.0,
        "mean_iou": float(np.mean([s["iou"] for s in occur])) if occur else 0.0,
        "mean_dice": float(np.mean([s["dice"] for s in occur])) if occur else 0.0,
    }
    if has_foreground(len(confusion), ignore_class):
        scores["foreground_iou"] = by_class[1]["iou"] or 0.0
        scores["foreground_dice"] = by_class[1]["dice"] or 0.0
    return scores


def mask_scores_by_class(confusion: Confusion) -> list[dict[str, float | None]]:
    """Return IoU and Dice of each class; None for a class that is neither in the truth nor predicted."""
    hits, truth, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return [
        {"iou": _ratio(h, t + p - h), "dice": _ratio(2 * h, t + p)}
        for h, t, p in zip(hits, truth, predicted, strict=True)
    ]


def image_ious(
    truth: npt.NDArray[Any], predicted: npt.NDArray[Any], *, num_classes: int, ignore_class: int | None = None
) -> list[float]:
    """Return the IoU of each single image.

    With two classes it is the IoU of class 1, and 1 where neither truth nor prediction has this class. Else it is the
    mean over the classes that occur in the image, in truth or prediction. It is NaN where no pixel counts.

    Args:
        truth: Class ids [B, H, W].
        predicted: Class ids [B, H, W].
        num_classes: Number of classes, C.
        ignore_class: Class of the truth at which nothing is counted.
    """
    ious = []
    for image_truth, image_predicted in zip(truth, predicted, strict=True):
        confusion = count_confusion(image_truth, image_predicted, num_classes=num_classes, ignore_class=ignore_class)
        by_class = mask_scores_by_class(confusion)
        if not confusion.any():
            ious.append(float("nan"))
        elif has_foreground(num_classes, ignore_class):
            foreground = by_class[1]["iou"]
            ious.append(1.0 if foreground is None else foreground)
        else:
            ious.append(mask_scores(confusion, ignore_class=ignore_class)["mean_iou"])
    return ious


def to_probabilities(logits: npt.NDArray[Any], activation: str) -> npt.NDArray[np.float32]:
    """Return softmax or sigmoid of logits [..., C]."""
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80))), np.float32)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)


def recalls(confusion: Confusion) -> list[float | None]:
    """Return the recall of each class; None for a class that does not occur."""
    return [_ratio(hits, total) for hits, total in zip(np.diag(confusion), confusion.sum(axis=1), strict=True)]


def has_foreground(num_classes: int, ignore_class: int | None) -> bool:
    """Return whether class 1 is *the* foreground: there are two classes and both count."""
    return num_classes == 2 and ignore_class not in (0, 1)


def _ratio(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None


@keras.saving.register_keras_serializable(package="augment_once")
class PooledScores(keras.metrics.Metric):  # type: ignore[misc]
    """The scores of `mask_scores` as one Keras metric, pooled over an epoch.

    Takes logits or probabilities [..., C] beside class ids [...]; its result is a dictionary. Keras's own MeanIoU wants
    class ids, and a mean of the batches' scores would depend on the batch size.
    """

    def __init__(self, num_classes: int, ignore_class: int | None = None, name: str = "scores", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        # int64: the pixels of a split are soon more than the 2**24 that float32 counts exactly.
        self.cells = self.add_weight(shape=(num_classes**2,), initializer="zeros", dtype="int64", name="cells")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch; weights are not used: a pixel counts or is ignored."""
        truth = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        predicted = ops.reshape(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), (-1,))
        outside = self.num_classes**2  # one more cell, for what is not counted
        cell = truth * self.num_classes + predicted
        if self.ignore_class is not None:
            cell = ops.where(truth == self.ignore_class, outside, cell)
        counts = ops.segment_sum(ops.ones_like(cell), cell, num_segments=outside + 1)
        self.cells.assign_add(ops.cast(counts[:-1], "int64"))

    def result(self) -> dict[str, Any]:
        """Return the scores of all pixels counted so far."""
        confusion = ops.cast(ops.reshape(self.cells, (self.num_classes, self.num_classes)), "float32")
        hits, truth, predicted = ops.diagonal(confusion), ops.sum(confusion, axis=1), ops.sum(confusion, axis=0)
        iou = ops.divide_no_nan(hits, truth + predicted - hits)
        dice = ops.divide_no_nan(2 * hits, truth + predicted)
        occurs = ops.cast(truth + predicted > 0, "float32") * self._counted()
        num_classes = ops.sum(occurs)
        scores = {
            "pixel_accuracy": ops.divide_no_nan(ops.sum(hits), ops.sum(confusion)),
            "mean_iou": ops.divide_no_nan(ops.sum(iou * occurs), num_classes),
            "mean_dice": ops.divide_no_nan(ops.sum(dice * occurs), num_classes),
        }
        if has_foreground(self.num_classes, self.ignore_class):
            scores |= {"foreground_iou": iou[1], "foreground_dice": dice[1]}
        return scores

    def _counted(self) -> Any:
        return np.array([c != self.ignore_class for c in range(self.num_classes)], dtype="float32")

    def get_config(self) -> dict[str, Any]:
        """Return what the metric is made from."""
        return {**super().get_config(), "num_classes": self.num_classes, "ignore_class": self.ignore_class}

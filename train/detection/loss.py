"""The loss of a detector: where objects are, and how far their sides reach."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from train.detection.assign import Assignment, assign
from train.detection.geometry import generalized_iou
from train.detection.grid import Grid

__all__ = ["BoxLoss"]

# Source: Zhou et al. 2019 (CenterNet), equation 1; Liu et al. 2020 (TTFNet) weighs the sides with 5.
FOCUS, FAIRNESS = 2, 4
SIDES_WEIGHT = 5.0
NEAR = 0.1  # height of its Gaussian from which a cell learns the sides of its object


@keras.saving.register_keras_serializable(package="augment_once")
class BoxLoss(keras.losses.Loss):  # type: ignore[misc]
    """Focal loss of the classes plus generalized IoU of the sides, a number an image.

    Both are divided by the mean number of objects in the images of the batch, so that an image counts by what is in it.
    Weights of objects scale what is lost at them.
    """

    def __init__(self, *, height: int, width: int, num_classes: int, name: str = "box_loss", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.height, self.width, self.num_classes = height, width, num_classes
        self._grid = Grid(height, width)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss [B] of objects [B, N, 7] and outputs [B, cells, classes + 4]."""
        assigned = assign(ops.cast(y_true, "float32"), self._grid)
        logits, sides = y_pred[..., : self.num_classes], y_pred[..., self.num_classes :]
        num_objects = ops.sum(ops.cast(ops.equal(assigned.heat, 1.0), "float32"), axis=-1)
        mean_objects = ops.maximum(ops.mean(num_objects), 1.0)
        return self._classes(assigned, logits) / mean_objects + SIDES_WEIGHT * self._sides(assigned, sides)

    def _classes(self, assigned: Assignment, logits: Any) -> Any:
        wanted = ops.one_hot(assigned.labels, self.num_classes, dtype="float32") * assigned.heat[..., None]
        log_p, log_not_p = ops.log_sigmoid(logits), ops.log_sigmoid(-logits)
        hit = -((1 - ops.exp(log_p)) ** FOCUS) * log_p * assigned.weights[..., None]
        miss = -((1 - wanted) ** FAIRNESS) * ops.exp(log_p) ** FOCUS * log_not_p
        losses = ops.where(ops.equal(wanted, 1.0), hit, miss)
        return ops.sum(ops.where(assigned.counts[..., None], losses, 0.0), axis=(1, 2))

    def _sides(self, assigned: Assignment, sides: Any) -> Any:
        near = ops.where(assigned.heat >= NEAR, assigned.heat, 0.0)
        near = ops.where(assigned.counts, near, 0.0)
        losses = (1 - generalized_iou(self._grid.boxes(sides), assigned.boxes)) * near * assigned.weights
        return ops.sum(losses, axis=-1) / ops.maximum(ops.mean(ops.sum(near, axis=-1)), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        own = {name: getattr(self, name) for name in ("height", "width", "num_classes")}
        return {**super().get_config(), **own}

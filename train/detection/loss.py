"""The loss of a detector: for the positions of objects, and for their sides."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from train.detection.grid import Grid, areas, generalized_iou
from train.detection.truth import COUNTED, KIND, LABEL, WEIGHT

__all__ = ["BoxLoss", "assign"]

# Source: Zhou et al. 2019 (CenterNet), equation 1; Liu et al. 2020 (TTFNet) weighs the sides with 5.
FOCUS, FAIRNESS = 2, 4
SIDES_WEIGHT = 5.0
NEAR = 0.1  # height of its Gaussian from which a cell learns the sides of its object
SPREAD = 0.1  # standard deviation of the Gaussians, as a share of width and height
NARROWEST = 0.3  # cells: the neighbours of a tiny object are no part of it


@keras.saving.register_keras_serializable(package="augment_once")
class BoxLoss(keras.losses.Loss):  # type: ignore[misc]
    """Focal loss of the classes plus generalized IoU of the sides, one number per image.

    Both are divided by the mean number of objects in the images of the batch, so that an image counts by its objects.
    Weights of objects scale their part of the loss.
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

    def _classes(self, assigned: _Assignment, logits: Any) -> Any:
        wanted = ops.one_hot(assigned.labels, self.num_classes, dtype="float32") * assigned.heat[..., None]
        log_p, log_not_p = ops.log_sigmoid(logits), ops.log_sigmoid(-logits)
        hit = -((1 - ops.exp(log_p)) ** FOCUS) * log_p * assigned.weights[..., None]
        miss = -((1 - wanted) ** FAIRNESS) * ops.exp(log_p) ** FOCUS * log_not_p
        losses = ops.where(ops.equal(wanted, 1.0), hit, miss)
        return ops.sum(ops.where(assigned.counts[..., None], losses, 0.0), axis=(1, 2))

    def _sides(self, assigned: _Assignment, sides: Any) -> Any:
        near = ops.where(assigned.heat >= NEAR, assigned.heat, 0.0)
        near = ops.where(assigned.counts, near, 0.0)
        losses = (1 - generalized_iou(self._grid.boxes(sides), assigned.boxes)) * near * assigned.weights
        return ops.sum(losses, axis=-1) / ops.maximum(ops.mean(ops.sum(near, axis=-1)), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return what the loss is made from."""
        own = {name: getattr(self, name) for name in ("height", "width", "num_classes")}
        return {**super().get_config(), **own}


# Which cell learns which object


class _Assignment(NamedTuple):
    """The targets of each cell.

    Attributes:
        heat: float32 [B, cells]: 1 in the cell that holds an object's middle, less around it, 0 far from all.
        labels: int32 [B, cells]: class of the object that the cell belongs to.
        boxes: float32 [B, cells, 4]: box of that object.
        weights: float32 [B, cells]: weight of that object.
        counts: bool [B, cells]: false inside objects that are not learnt, unless the cell belongs to another object.
    """

    heat: Any
    labels: Any
    boxes: Any
    weights: Any
    counts: Any


def assign(truth: Any, grid: Grid) -> _Assignment:
    """Return the targets of each cell for the objects of its image, [B, N, 7]."""
    smallest_first = ops.argsort(areas(truth[..., :4]), axis=-1)
    truth = ops.take_along_axis(truth, ops.expand_dims(smallest_first, -1), axis=1)
    boxes, is_object = truth[..., :4], truth[..., LABEL] >= 0
    counted = ops.logical_and(is_object, ops.equal(truth[..., KIND], COUNTED))
    ignored = ops.logical_and(is_object, ops.not_equal(truth[..., KIND], COUNTED))

    heat = ops.where(ops.expand_dims(counted, -1), _gaussians(boxes, grid), 0.0)  # [B, N, cells]
    owner = ops.argmax(heat, axis=1)
    highest = ops.max(heat, axis=1)
    owned = ops.take_along_axis(truth, ops.expand_dims(owner, -1), axis=1)
    inside = ops.any(ops.logical_and(ops.expand_dims(ignored, -1), _holds(boxes, grid)), axis=1)
    return _Assignment(
        heat=highest,
        labels=ops.cast(ops.maximum(owned[..., LABEL], 0), "int32"),
        boxes=owned[..., :4],
        weights=owned[..., WEIGHT],
        counts=ops.logical_or(ops.equal(highest, 1.0), ops.logical_not(inside)),
    )


def _gaussians(boxes: Any, grid: Grid) -> Any:
    """Return the height [B, N, cells] of each box's Gaussian in each cell: exactly 1 where its middle is."""
    deviations = ops.maximum((boxes[..., 2:] - boxes[..., :2]) * (SPREAD / grid.stride), NARROWEST)
    middles = grid.cells_of(boxes)
    across, down = (
        ops.exp(-ops.square((np.arange(size, dtype=np.float32) - middles[..., i, None]) / deviations[..., i, None]) / 2)
        for i, size in enumerate((grid.columns, grid.rows))
    )
    return _cells(ops.expand_dims(down, -1) * ops.expand_dims(across, -2), grid)


def _holds(boxes: Any, grid: Grid) -> Any:
    """Return whether the middle of each cell lies in each box, bool [B, N, cells]."""
    middles = ((np.arange(size, dtype=np.float32) + 0.5) * grid.stride for size in (grid.columns, grid.rows))
    across, down = (
        ops.logical_and(middle >= boxes[..., i, None], middle <= boxes[..., i + 2, None])
        for i, middle in enumerate(middles)
    )
    return _cells(ops.logical_and(ops.expand_dims(down, -1), ops.expand_dims(across, -2)), grid)


def _cells(maps: Any, grid: Grid) -> Any:
    return ops.reshape(maps, (-1, maps.shape[1], grid.num_cells))

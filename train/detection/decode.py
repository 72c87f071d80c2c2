"""From a detector's output to boxes, in operations that compile and export: the highest peaks, without overlaps."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from train.detection.grid import Grid, pairwise_iou

__all__ = ["MAX_BOXES", "Detections", "decode"]

MAX_BOXES = 100  # boxes an image, as COCO counts
SAME = 0.6  # IoU from which of two boxes of a class the one with the lower score is the same object


class Detections(NamedTuple):
    """Boxes of a batch, the likeliest first; after those that were found, scores are 0.

    Attributes:
        boxes: float32 [B, MOST, 4], xyxy in pixels.
        scores: float32 [B, MOST], 0 to 1.
        labels: int32 [B, MOST].
    """

    boxes: Any
    scores: Any
    labels: Any


def decode(outputs: Any, grid: Grid) -> Detections:
    """Return the boxes of outputs [B, cells, classes + 4]."""
    num_classes = outputs.shape[-1] - 4
    peaks = _peaks(ops.sigmoid(outputs[..., :num_classes]), grid)
    most = min(MAX_BOXES, grid.num_cells * num_classes)
    scores, places = ops.top_k(ops.reshape(peaks, (-1, grid.num_cells * num_classes)), most)
    cells = ops.expand_dims(places // num_classes, -1)
    boxes = ops.take_along_axis(grid.boxes(outputs[..., num_classes:]), cells, axis=1)
    labels = ops.cast(places % num_classes, "int32")
    scores = ops.where(_kept(boxes, labels), scores, 0.0)
    scores, order = ops.top_k(scores, most)  # again, as some have become 0
    order = ops.cast(order, "int32")
    boxes = ops.take_along_axis(boxes, ops.expand_dims(order, -1), axis=1)
    labels = ops.take_along_axis(labels, order, axis=1)
    missing = MAX_BOXES - most
    return Detections(
        boxes=ops.pad(boxes, ((0, 0), (0, missing), (0, 0))),
        scores=ops.pad(scores, ((0, 0), (0, missing))),
        labels=ops.pad(labels, ((0, 0), (0, missing))),
    )


def _peaks(scores: Any, grid: Grid) -> Any:
    """Return the scores [B, cells, C], with 0 where a neighbouring cell's score is higher."""
    maps = ops.reshape(scores, (-1, grid.rows, grid.columns, scores.shape[-1]))
    highest = ops.max_pool(maps, 3, strides=1, padding="same", data_format="channels_last")
    return ops.reshape(ops.where(ops.equal(maps, highest), maps, 0.0), ops.shape(scores))


def _kept(boxes: Any, labels: Any) -> Any:
    """Return which boxes [B, K, 4], the best first, stay if each box that stays removes those that it overlaps.

    Each round is right for one more link of a chain of overlaps. Chains are short, so the result is the same as going
    through the boxes one by one.
    """
    most = boxes.shape[1]
    same_class = ops.equal(ops.expand_dims(labels, -1), ops.expand_dims(labels, -2))
    is_before = ops.expand_dims(ops.arange(most), -1) > ops.expand_dims(ops.arange(most), 0)
    takes = ops.logical_and(ops.logical_and(pairwise_iou(boxes, boxes) > SAME, same_class), is_before)
    first = ops.logical_or(labels >= 0, labels < 0)  # all of them

    def changes(kept: Any, before: Any, number: Any) -> Any:
        return ops.logical_and(number < most, ops.any(ops.not_equal(kept, before)))

    def again(kept: Any, before: Any, number: Any) -> Any:
        taken = ops.any(ops.logical_and(takes, ops.expand_dims(kept, 1)), axis=-1)
        return ops.logical_not(taken), kept, number + 1

    kept, _, _ = ops.while_loop(changes, again, (first, ops.logical_not(first), ops.zeros((), "int32")))
    return kept

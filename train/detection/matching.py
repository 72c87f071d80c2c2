"""Matching of detections with objects as in the VOC devkit, at COCO's ten overlaps, in operations that compile.

A detection belongs to the object of its class that it overlaps most; the best one of each object is right, the others
are wrong. COCO lets a later detection take the second best object, so its numbers may be a little higher.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from train.detection.decode import Detections
from train.detection.grid import areas, intersections, pairwise_iou
from train.detection.truth import COUNTED, CROWD, KIND, LABEL

__all__ = ["OVERLAPS", "match"]

OVERLAPS = np.arange(0.5, 1.0, 0.05, dtype=np.float32)  # Source: COCO's mAP@[.5:.95]


def match(truth: Any, found: Detections) -> tuple[Any, Any]:
    """Return which detections are right and which count at all, bool [B, K, overlaps] each.

    A detection on a difficult object or a crowd, and on no other object, is neither right nor wrong.

    Args:
        truth: float32 [B, N, 7].
        found: Detections of the same images, the likeliest first.
    """
    same = ops.equal(ops.expand_dims(ops.cast(found.labels, "float32"), -1), ops.expand_dims(truth[..., LABEL], -2))
    counted = ops.expand_dims(ops.equal(truth[..., KIND], COUNTED), -2)
    iou = pairwise_iou(found.boxes, truth[..., :4])
    of_counted = ops.where(ops.logical_and(same, counted), iou, 0.0)
    best, which = ops.max(of_counted, axis=-1), ops.argmax(of_counted, axis=-1)
    hits = ops.expand_dims(best, -1) >= ops.convert_to_tensor(OVERLAPS)  # [B, K, T]
    num_objects = truth.shape[1]
    claims = ops.cast(ops.expand_dims(hits, -1), "int32") * ops.expand_dims(
        ops.one_hot(which, num_objects, dtype="int32"), -2
    )
    earlier = ops.cumsum(claims, axis=1) - claims
    right = ops.logical_and(hits, ops.equal(ops.sum(earlier * claims, axis=-1), 0))

    of_ignored = ops.where(ops.logical_and(same, ops.logical_not(counted)), _ignored_overlap(truth, found, iou), 0.0)
    passed_over = ops.expand_dims(ops.max(of_ignored, axis=-1), -1) >= ops.convert_to_tensor(OVERLAPS)
    is_found = ops.expand_dims(found.scores > 0, -1)
    counts = ops.logical_and(is_found, ops.logical_or(right, ops.logical_not(passed_over)))
    return ops.logical_and(right, counts), counts


def _ignored_overlap(truth: Any, found: Detections, iou: Any) -> Any:
    """Return overlaps [B, K, N]: IoU, or, for crowds, the share of the detection that lies on them."""
    common = intersections(ops.expand_dims(found.boxes, -2), ops.expand_dims(truth[..., :4], -3))
    covered = common / ops.maximum(ops.expand_dims(areas(found.boxes), -1), 1e-7)
    return ops.where(ops.expand_dims(ops.equal(truth[..., KIND], CROWD), -2), covered, iou)

"""Areas and overlaps of boxes, xyxy, in Keras operations."""

from __future__ import annotations

from typing import Any

from keras import ops

__all__ = ["areas", "generalized_iou", "intersections", "pairwise_iou"]

TINY = 1e-7


def areas(boxes: Any) -> Any:
    """Return the areas of boxes [..., 4]; 0 where sides are in the wrong order."""
    sizes = ops.maximum(boxes[..., 2:] - boxes[..., :2], 0.0)
    return sizes[..., 0] * sizes[..., 1]


def intersections(a: Any, b: Any) -> Any:
    """Return the area of the intersection of boxes, of shapes [..., 4] that broadcast."""
    sizes = ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2])
    sizes = ops.maximum(sizes, 0.0)
    return sizes[..., 0] * sizes[..., 1]


def pairwise_iou(a: Any, b: Any) -> Any:
    """Return the IoU of each of [..., K, 4] with each of [..., N, 4], as [..., K, N]; 0 where nothing has an area."""
    a, b = ops.expand_dims(a, -2), ops.expand_dims(b, -3)
    common = intersections(a, b)
    return common / ops.maximum(areas(a) + areas(b) - common, TINY)


def generalized_iou(a: Any, b: Any) -> Any:
    """Return the generalized IoU, −1 to 1, of boxes with those in the same places.

    Source: Rezatofighi et al. 2019.
    """
    common = intersections(a, b)
    union = areas(a) + areas(b) - common
    around = ops.concatenate([ops.minimum(a[..., :2], b[..., :2]), ops.maximum(a[..., 2:], b[..., 2:])], axis=-1)
    hull = areas(around)
    return common / ops.maximum(union, TINY) - (hull - union) / ops.maximum(hull, TINY)

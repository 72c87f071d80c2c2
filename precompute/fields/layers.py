"""What a picture of an image shows of its fields: layers over it, pictures beside it, text under it, and remarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.fields.skeleton import Skeleton

__all__ = ["Layers", "instance_id_map"]


@dataclass(frozen=True, kw_only=True)
class Layers:
    """What one field adds to the picture of one image; the code that draws it need not know the field.

    Arrays of no size are not drawn.

    Attributes:
        mask: [H, W] class ids, 0 left as it is.
        numbers: [H, W] number of the object in each pixel, from 1; 0 without object.
        boxes: float [N, 4] x_min, y_min, x_max, y_max in pixels of the image.
        labels: [N] class index of each object.
        scores: [N] scores to write beside the boxes; of no size where unknown.
        not_counted: bool [N], boxes to draw dashed; of no size where unknown.
        points: float [N, K, 2] x, y of each object's keypoints in pixels; of no size without keypoints.
        visibility: [N, K] visibility of these keypoints.
        class_names: Name of each class, for the legend; ids may exceed them.
        ignore_class: Class id of mask pixels that do not count.
        first_color: Number of colours that classes of other fields have in the same picture.
        skeleton: Skeleton of the keypoints; without names where there are none.
        beside: uint8 [H, W, 1, 3 or 4], a picture of its own to show beside that of the image.
        text: Text under the picture.
        remark: Text beside the source's key, for what does not change from picture to picture.
    """

    mask: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    numbers: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    boxes: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: NDArray[Any] = field(default_factory=lambda: np.zeros(0, np.float32))
    not_counted: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    points: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0, 2), np.float32))
    visibility: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    class_names: Sequence[str] = field(default_factory=list)
    ignore_class: int | None = None
    first_color: int = 0
    skeleton: Skeleton = field(default_factory=lambda: Skeleton(names=[]))
    beside: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 1), np.uint8))
    text: str = ""
    remark: str = ""


def instance_id_map(masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the number of the object in each pixel, smaller objects on top; of no size without objects.

    Args:
        masks: Masks of the objects, bool [H, W] each.

    Returns:
        int32 [H, W], numbers from 1; 0 where there is no object.
    """
    numbers: NDArray[Any] = np.zeros(masks[0].shape if len(masks) else (0, 0), np.int32)
    for i in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
        numbers[masks[i]] = i + 1
    return numbers

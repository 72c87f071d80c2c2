"""What a picture of an image shows of its fields: laid over it, written under it, said beside its key."""

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
    """What one field adds to the picture of one image; whoever draws it need not know which field that was.

    Arrays of no size are not drawn.

    Attributes:
        mask: [H, W] class ids, 0 left as it is.
        numbers: [H, W] number of the object in each pixel, from 1.
        boxes: float [N, 4] x_min, y_min, x_max, y_max in pixels of the image.
        labels: [N] class index of each object.
        scores: [N] written to the boxes; of no size where they are not known.
        not_counted: bool [N], boxes that are dashed; likewise.
        points: float [N, K, 2] x, y of each object's keypoints, likewise.
        visibility: [N, K] of these.
        class_names: Name of each class, for the legend; may be shorter than the ids are many.
        ignore_class: Id of pixels of the mask that do not count.
        skeleton: Of the keypoints; without names where there are none.
        text: Written under the picture.
        remark: Said of the source, beside its key: what does not change from picture to picture.
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
    skeleton: Skeleton = field(default_factory=lambda: Skeleton(names=[]))
    text: str = ""
    remark: str = ""


def instance_id_map(masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the number of the object in each pixel, smaller ones on top; of no size without any.

    Args:
        masks: Masks of the objects, bool [H, W] each.

    Returns:
        int32 [H, W], from 1; 0 where there is none.
    """
    numbers: NDArray[Any] = np.zeros(masks[0].shape if len(masks) else (0, 0), np.int32)
    for i in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
        numbers[masks[i]] = i + 1
    return numbers

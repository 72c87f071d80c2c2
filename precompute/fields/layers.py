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

    Attributes:
        mask: [H, W] class ids, 0 left as it is; None without.
        numbers: [H, W] number of the object in each pixel, from 1; None without.
        boxes: float [N, 4] x_min, y_min, x_max, y_max in pixels of the image; None without.
        labels: Class index of each object; None without objects.
        points: float [N, K, 2] x, y of each object's keypoints, likewise; None without.
        visibility: [N, K] of these.
        class_names: Name of each class, for the legend; may be shorter than the ids are many.
        ignore_class: Id of pixels of the mask that do not count.
        skeleton: Of the keypoints.
        text: Written under the picture.
        remark: Said of the source, beside its key: what does not change from picture to picture.
    """

    mask: NDArray[Any] | None = None
    numbers: NDArray[Any] | None = None
    boxes: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    points: NDArray[Any] | None = None
    visibility: NDArray[Any] | None = None
    class_names: Sequence[str] = field(default_factory=list)
    ignore_class: int | None = None
    skeleton: Skeleton | None = None
    text: str = ""
    remark: str = ""


def instance_id_map(masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_]) -> NDArray[np.int32] | None:
    """Return the number of the object in each pixel, smaller ones on top; None without any.

    Args:
        masks: Masks of the objects, bool [H, W] each.

    Returns:
        int32 [H, W], from 1; 0 where there is none.
    """
    if not len(masks):
        return None
    numbers: NDArray[Any] = np.zeros(masks[0].shape, np.int32)
    for i in sorted(range(len(masks)), key=lambda i: -int(masks[i].sum())):
        numbers[masks[i]] = i + 1
    return numbers

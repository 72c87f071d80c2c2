"""What images hold of a field, so that it can be counted before and after augmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contents", "pixels_of_classes"]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What one image holds of a field.

    Attributes:
        class_pixels: Class id → number of pixels, of a mask; without those that do not count.
        labels: int64 [N], class index of each object.
        areas: float64 [N], share of the image that each object takes, 0 to 1, not a number where that is not known.
        has_objects: Whether the field has objects, of which this image may have none.
        class_names: Name of each class; ids may exceed them.
    """

    class_pixels: Mapping[int, int] = field(default_factory=dict)
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    areas: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, np.float64))
    has_objects: bool = False
    class_names: Sequence[str] = ()

    def class_name(self, class_id: int) -> str:
        """Return the name of a class; its id where it has none."""
        return self.class_names[class_id] if class_id < len(self.class_names) else str(class_id)


def pixels_of_classes(mask: NDArray[Any], ignore_class: int | None) -> dict[int, int]:
    """Return the number of pixels of each class id in a mask, without those of the id that does not count."""
    ids, counts = np.unique(mask, return_counts=True)
    found = dict(zip(ids.tolist(), counts.tolist(), strict=True))
    return {class_id: number for class_id, number in found.items() if class_id != ignore_class}

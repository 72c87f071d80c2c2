"""What images hold of a field, and counts of it in a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BoxCounts", "Contents", "FieldCounts", "pixels_of_classes"]


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


@dataclass(frozen=True, kw_only=True)
class BoxCounts:
    """Counts of the boxes in some records.

    Attributes:
        num_boxes: Number of boxes in all records.
        most_boxes: Largest number of boxes in one record.
        num_empty: Number of records without boxes.
    """

    num_boxes: int = 0
    most_boxes: int = 0
    num_empty: int = 0

    def __add__(self, other: BoxCounts) -> BoxCounts:
        return BoxCounts(
            num_boxes=self.num_boxes + other.num_boxes,
            most_boxes=max(self.most_boxes, other.most_boxes),
            num_empty=self.num_empty + other.num_empty,
        )

    @classmethod
    def of_record(cls, num_boxes: int) -> BoxCounts:
        """Return the counts of one record."""
        return cls(num_boxes=num_boxes, most_boxes=num_boxes, num_empty=int(num_boxes == 0))

    @classmethod
    def total(cls, counts: Iterable[BoxCounts | None]) -> BoxCounts | None:
        """Return the sum of counts; None when a part has none."""
        every = list(counts)
        known = [of_one for of_one in every if of_one is not None]
        return sum(known, cls()) if len(known) == len(every) and known else None


@dataclass(frozen=True, kw_only=True)
class FieldCounts:
    """Counts of one field in a split.

    Attributes:
        classes: Sources of each class, or objects in them; empty where a field has no such classes.
        num_records: Number of records in all rows.
        stored: Counts of objects in all records, where records have objects.
        num_without: Number of sources without objects.
        num_lost: Number of objects that all records together lack: cut off, too small, or empty.
    """

    classes: Sequence[int] = field(default_factory=list)
    num_records: int = 0
    stored: BoxCounts | None = None
    num_without: int = 0
    num_lost: int = 0

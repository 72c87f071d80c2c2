"""Counts of the fields of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["BoxCounts", "FieldCounts"]


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

"""What is counted of the fields of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["BoxCounts", "FieldCounts"]


@dataclass(frozen=True, kw_only=True)
class BoxCounts:
    """What there is of boxes in some records.

    Attributes:
        num_boxes: In all of them.
        most_boxes: In one of them, at most.
        num_empty: Records without any.
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
        """Return the counts of all together; None when not all of them have any."""
        every = list(counts)
        known = [of_one for of_one in every if of_one is not None]
        return sum(known, cls()) if len(known) == len(every) and known else None


@dataclass(frozen=True, kw_only=True)
class FieldCounts:
    """What was counted of one field in a split; it tells as much of it as it has words for.

    Attributes:
        classes: Sources of each class, or objects in them; empty where a field has no such classes.
        num_records: In all rows.
        stored: Objects in all records, where records have objects.
        num_without: Sources that have no objects.
        num_lost: Objects of the sources that are lacking in all records together: cut off, too small, or empty.
    """

    classes: Sequence[int] = field(default_factory=list)
    num_records: int = 0
    stored: BoxCounts | None = None
    num_without: int = 0
    num_lost: int = 0

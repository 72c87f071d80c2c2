"""Objects of many images with a mask each, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from precompute.fields.boxes import BoxColumn, Boxes
from precompute.fields.instances import Instances
from precompute.table.string_column import StringColumn, take
from precompute.text.format import format_count

__all__ = ["BACKGROUND", "InstanceColumn", "merged_names", "objects_note"]

BACKGROUND = "background"


@dataclass(frozen=True, kw_only=True)
class InstanceColumn(BoxColumn):
    """The objects of many images: one column of all of them, cut by offsets.

    Attributes:
        corners, labels, flags, offsets, sizes: As of `BoxColumn`; corners are 0, as nothing is decoded.
        shapes: As those of `Instances`, of all images in turn.
        target: What records are labelled with: ``"instances"``, ``"boxes"`` around the masks, or ``"mask"``, all masks
            of an image merged into class ids; labels are class ids from 1 on then.
    """

    shapes: Sequence[str]
    target: str = "instances"

    @property
    def kind(self) -> str:
        """The target's kind."""
        return self.target

    @classmethod
    def of_instances(cls, images: Iterable[Instances], target: str = "instances") -> InstanceColumn:
        """Return the column of these images."""
        every, shapes = list[Boxes](), StringColumn()
        for instances in images:
            every.append(instances)
            shapes.extend(instances.shapes)
        return cls(**vars(BoxColumn.of_images(every)), shapes=shapes, target=target)

    @classmethod
    def joined(cls, columns: Sequence[BoxColumn]) -> InstanceColumn:
        """Return the images of several columns in turn."""
        shapes, targets = StringColumn(), list[str]()
        for column in columns:
            if isinstance(column, InstanceColumn):
                shapes.extend(column.shapes)
                targets.append(column.target)
        return cls(**vars(BoxColumn.joined(columns)), shapes=shapes, target=targets[0])

    def same(self, other: BoxColumn) -> bool:
        """Return whether another column holds equal objects."""
        return (
            isinstance(other, InstanceColumn)
            and np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.labels, other.labels)
            and np.array_equal(self.flags, other.flags)
            and np.array_equal(self.sizes, other.sizes)
            and all(a == b for a, b in zip(self.shapes, other.shapes, strict=True))
        )

    def of(self, i: int) -> Instances:
        """Return the objects of one image."""
        first, last = int(self.offsets[i]), int(self.offsets[i + 1])
        boxes = BoxColumn.of(self, i)
        return Instances(
            corners=boxes.corners,
            labels=boxes.labels,
            flags=boxes.flags,
            size=boxes.size,
            shapes=tuple(self.shapes[first:last]),
        )

    def take(self, indices: Sequence[int]) -> InstanceColumn:
        """Return the objects of the images at these positions, in this order."""
        chosen = np.asarray(indices, np.int64)
        counts = self.counts[chosen]
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        where = np.repeat(self.offsets[chosen] - starts[:-1], counts) + np.arange(starts[-1])
        return InstanceColumn(
            **vars(BoxColumn.take(self, indices)),
            shapes=StringColumn(take(self.shapes, where.tolist())),
            target=self.target,
        )


def merged_names(names: Sequence[str]) -> list[str]:
    """Return the classes of masks that are merged of single objects: background is class 0."""
    first = BACKGROUND if BACKGROUND not in names else f"_{BACKGROUND}_"
    return [first, *names]


def objects_note(column: InstanceColumn) -> str:
    """Return what is said of objects that were found."""
    empty = int((column.counts == 0).sum())
    kept = (
        f"; {format_count(empty, 'of them has none, and is kept', 'of them have none, and are kept')} "
        "(--drop-empty leaves them out)"
        if empty
        else ""
    )
    return (
        f"{format_count(len(column.labels), 'object with a mask', 'objects with masks')} in "
        f"{format_count(len(column), 'image')}{kept}."
    )

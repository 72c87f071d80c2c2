"""Objects of many images with a mask each, as columns."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, cast

import numpy as np

from precompute.errors import DatasetError, UsageError
from precompute.fields.box_column import BoxColumn, size_of_entry
from precompute.fields.boxes import CROWD, Boxes, Instances
from precompute.fields.column import Column, Entry, RecordFacts
from precompute.fields.entry_checks import check_size, is_index, is_name
from precompute.fields.field import Field, Schema
from precompute.fields.file_column import mask_field
from precompute.fields.objects import ObjectsField
from precompute.fields.string_column import StringColumn, take
from precompute.text.format import format_count

__all__ = ["BACKGROUND", "InstanceColumn"]

BACKGROUND = "background"


@dataclass(frozen=True, kw_only=True, eq=False)
class InstanceColumn(BoxColumn):
    """The objects of many images: one column of all of them, cut by offsets.

    Attributes:
        corners, labels, flags, offsets, sizes: As in `BoxColumn`; corners are 0, since nothing is decoded.
        shapes: As in `Instances`, for all images in turn.
        target: What records are labelled with: ``"instances"``; ``"boxes"`` around the masks; or ``"mask"``, all masks
            of an image merged into class ids. Labels are then class ids from 1 on.
    """

    entry_key = "instances"
    listed_name = "objects"  # a listing does not tell whether records hold masks or boxes
    has_files: ClassVar[bool] = True
    can_be: ClassVar[tuple[str, ...]] = ("instances", "boxes", "mask")
    shapes: Sequence[str]
    target: str = "instances"

    @classmethod
    def of_instances(cls, images: Iterable[Instances], target: str = "instances") -> InstanceColumn:
        """Return the column of some images' objects."""
        every, shapes = list[Boxes](), StringColumn()
        for instances in images:
            every.append(instances)
            shapes.extend(instances.shapes)
        return cls(**vars(BoxColumn.of_images(every)), shapes=shapes)._for(target)

    def _for(self, target: str) -> InstanceColumn:
        return replace(self, target=target, name="mask" if target == "mask" else "objects")

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the images of several columns in turn."""
        shapes = StringColumn()
        for column in columns:
            shapes.extend(column.shapes)
        return replace(super().joined(columns), shapes=shapes)

    def _holds(self, other: BoxColumn) -> bool:
        return (
            isinstance(other, InstanceColumn)
            and all(
                np.array_equal(getattr(self, name), getattr(other, name))
                for name in ("offsets", "labels", "flags", "sizes")
            )
            and all(a == b for a, b in zip(self.shapes, other.shapes, strict=True))
        )

    def __getitem__(self, i: int) -> Instances:
        boxes, own = super().__getitem__(i), slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        shapes = tuple(self.shapes[own])
        return Instances(corners=boxes.corners, labels=boxes.labels, flags=boxes.flags, size=boxes.size, shapes=shapes)

    def take(self, indices: Sequence[int]) -> Self:
        """Return the objects of the images at these positions, in this order."""
        _, where = self._places(indices)
        return replace(super().take(indices), shapes=StringColumn(take(self.shapes, where.tolist())))

    def field(self, facts: RecordFacts) -> Field:
        """Return a field of objects, or of their merged masks."""
        if self.has_class_ids:
            return mask_field(self.name, facts)
        return replace(cast(ObjectsField, super().field(facts)), has_masks=self.target == "instances")

    # The listing.

    def described_by(self, schema: Schema) -> Column:
        """Return a column that was read from a listing, with the target that its dataset's schema names."""
        if self.name not in schema:
            return self._for("mask")
        return self._for("instances" if cast(ObjectsField, schema[self.name]).has_masks else "boxes")

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one image."""
        found = self[i]
        shapes = {"instances": found.to_shapes()}
        return shapes if found.size is None else shapes | {"instances_size": list(found.size)}

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return the column that entries hold under a key."""
        sizes = entries.get("instances_size", [None] * len(entries[key]))
        images = zip(entries[key], map(size_of_entry, sizes), strict=True)
        return [cls.of_instances(Instances.of_shapes(rows, size) for rows, size in images)]

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse an entry whose objects, masks or size are not what a build writes."""
        rows = entry.get(key, [])
        if not (isinstance(rows, list) and all(map(_is_instance, rows))):
            raise DatasetError(f"{where}: {key}: expected a list of shape, class index and flags each.")
        check_size("instances_size", entry, where)

    # Files beside the image.

    def located(self, value: Any, locate: Callable[[str], Any]) -> Instances:
        """Return the objects of one image with the full paths of their files."""
        return value.located(locate)  # type: ignore[no-any-return]

    def files(self, value: Any) -> Sequence[str]:
        """Return the files with the masks of one image; none where masks are run-length codes."""
        return value.shapes if value.size is None else ()

    def digest(self, value: Any, hashes: Sequence[str]) -> str:
        """Return one sha256 of all masks with their classes and flags."""
        if value.size is not None:  # run-length codes, in no files
            hashes = [hashlib.sha256(code.encode()).hexdigest() for code in value.shapes]
        return value.digest(hashes)  # type: ignore[no-any-return]

    def files_text(self, value: Any) -> str:
        """Return what messages call the files."""
        return "the masks of its objects"

    def texts(self) -> Sequence[str]:
        """Return all shapes."""
        return self.shapes

    # Targets of records.

    @property
    def kind(self) -> str:
        """What users call a dataset that has this field as its target."""
        return self.target

    @property
    def has_class_ids(self) -> bool:
        """Whether records hold class ids: merged masks do."""
        return self.target == "mask"

    @property
    def has_pixels(self) -> bool:
        """Whether records hold masks, one per source or per object; not where they hold boxes around them."""
        return self.target != "boxes"

    def class_counts(self, chosen: Sequence[int], num_classes: int) -> list[int]:
        """Return how many objects of these images each class has; empty where masks are merged."""
        return [] if self.has_class_ids else super().class_counts(chosen, num_classes)

    def as_target(
        self, target: str, class_names: list[str], ignore_class: int | None
    ) -> tuple[Column, list[str], list[str]]:
        """Return the column as another target; see `Column.as_target`."""
        if target != "mask":
            return self._for("boxes" if target == "boxes" else "instances"), class_names, []
        notes = ["masks of objects are merged: background is class 0, smaller objects lie on top of larger ones."]
        crowds = int(((self.flags & CROWD) > 0).sum())
        if crowds:
            what = (
                "taken for class ids below all others; --ignore-class 255 makes them pixels that do not count"
                if ignore_class is None
                else f"taken for the ignore class, {ignore_class}"
            )
            notes.append(f"{format_count(crowds, 'crowd is', 'crowds are')} {what}.")
        names = [BACKGROUND if BACKGROUND not in class_names else f"_{BACKGROUND}_", *class_names]
        if ignore_class is not None and ignore_class < len(names):
            raise UsageError(
                f"ignore_class: {ignore_class} is the class {names[ignore_class]!r}; expected {len(names)} or more, "
                "such as 255."
            )
        return replace(self, labels=(self.labels + 1).astype(np.int32))._for("mask"), names, notes

    def notes(self) -> list[str]:
        """Return the note that counts objects."""
        objects = format_count(len(self.labels), "object with a mask", "objects with masks")
        return [f"{objects} in {format_count(len(self), 'image')}{self._empty_text()}."]


def _is_instance(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 3 or not isinstance(row[0], str) or not is_name(row[0]):
        return False
    return all(map(is_index, row[1:])) and 0 <= row[1] < 2**31 and 0 <= row[2] < 256

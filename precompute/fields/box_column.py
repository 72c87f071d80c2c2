"""Boxes around objects in many images, maybe with keypoints."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from precompute.errors import DatasetError
from precompute.fields.boxes import UNKNOWN_SIZE, Boxes, Size, same_points
from precompute.fields.column import Column, Entry, RecordFacts
from precompute.fields.entry_checks import check_size, is_index
from precompute.fields.field import Field, Schema
from precompute.fields.objects import ObjectsField
from precompute.fields.skeleton import Skeleton
from precompute.text.format import format_count

__all__ = ["KEYPOINT_OPTIONS", "BoxColumn", "keypoints_note", "size_of_entry"]

KEYPOINT_OPTIONS = ("keypoint_names", "skeleton", "flip_pairs")


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxColumn(Column):
    """The boxes of many images: one array of all of them, cut by offsets.

    Attributes:
        corners, labels, flags: As in `Boxes`, for all images in turn.
        offsets: int64 [images + 1]: the boxes of image i go from offset i to offset i + 1.
        sizes: int32 [images, 2]: width and height of the image whose pixels corners count; 0, 0 where they are shares.
        points: float32 [boxes, K, 3], or None, as in `Boxes`.
        skeleton: Skeleton of the keypoints; None without keypoints, and in a listing, which does not hold it.
    """

    entry_key = "boxes"
    name: str = "objects"
    corners: NDArray[np.float32]
    labels: NDArray[np.int32]
    flags: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int32]
    points: NDArray[np.float32] | None = None
    skeleton: Skeleton | None = None

    def __post_init__(self) -> None:
        if self.points is not None and len(self.points) != len(self.labels):
            raise ValueError(
                f"keypoints of {format_count(len(self.points), 'box')}, expected those of all {len(self.labels)}"
            )

    def __len__(self) -> int:
        return len(self.sizes)

    @classmethod
    def of_images(cls, images: Iterable[Boxes]) -> BoxColumn:
        """Return the column of some images' boxes."""
        every = list(images)
        return BoxColumn(
            offsets=np.cumsum([0, *map(len, every)], dtype=np.int64),
            sizes=np.array([boxes.size or (0, 0) for boxes in every], np.int32).reshape(-1, 2),
            **_joined(every),
        )

    @classmethod
    def joined(cls, columns: Sequence[Self]) -> Self:
        """Return the images of several columns in turn."""
        counts = np.concatenate([np.zeros(1, np.int64), *(column.counts for column in columns)])
        return replace(
            columns[0],
            offsets=np.cumsum(counts, dtype=np.int64),
            sizes=np.concatenate([column.sizes for column in columns]),
            **_joined(columns),
        )

    def same(self, other: Column, here: bytes | bytearray | None = None) -> bool:
        """Return whether another column holds equal boxes; see `Column.same`."""
        mine = self if here is None else self.take(np.flatnonzero(np.frombuffer(here, np.uint8)).tolist())
        return type(other) is type(self) and mine._holds(other)

    def _holds(self, other: BoxColumn) -> bool:
        names = ("corners", "labels", "flags", "offsets", "sizes")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names) and same_points(
            self.points, other.points
        )

    @property
    def counts(self) -> NDArray[np.int64]:
        """Boxes of each image."""
        return np.diff(self.offsets)

    def __getitem__(self, i: int) -> Boxes:
        own = slice(int(self.offsets[i]), int(self.offsets[i + 1]))
        width, height = map(int, self.sizes[i])
        size = (width, height) if width else None
        return Boxes(size=size, **self._of_boxes(own))

    def _of_boxes(self, where: Any) -> dict[str, Any]:
        """Return what some boxes have, which a slice, their positions or bool [boxes] names."""
        return {
            "corners": self.corners[where],
            "labels": self.labels[where],
            "flags": self.flags[where],
            "points": None if self.points is None else self.points[where],
        }

    def field(self, facts: RecordFacts) -> Field:
        """Return a field of objects."""
        names = list(facts.class_names)
        return ObjectsField(name=self.name, num_classes=len(names), class_names=names, keypoints=self.skeleton)

    def take(self, indices: Sequence[int]) -> Self:
        """Return the boxes of the images at these positions, in this order."""
        offsets, where = self._places(indices)
        return replace(self, offsets=offsets, sizes=self.sizes[np.asarray(indices, np.int64)], **self._of_boxes(where))

    def _places(self, indices: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the offsets of some images as a column of their own, and the positions of their boxes in this one."""
        chosen = np.asarray(indices, np.int64)
        counts = self.counts[chosen]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return offsets, np.repeat(self.offsets[chosen] - offsets[:-1], counts) + np.arange(offsets[-1])

    def only(self, kept: NDArray[np.bool_]) -> Self:
        """Return the images with the boxes that `kept`, bool [boxes], names."""
        of_box = np.repeat(np.arange(len(self)), self.counts)
        offsets = np.cumsum([0, *np.bincount(of_box[kept], minlength=len(self))], dtype=np.int64)
        return replace(self, offsets=offsets, **self._of_boxes(kept))

    def plain(self, i: int, class_names: Sequence[str], locate: Callable[[str], Any]) -> list[dict[str, Any]]:
        """Return the objects of one image as dictionaries; boxes are left out where keypoints have none."""
        found = self.located(self[i], locate).to_objects(class_names)
        if self.skeleton is not None and not self.skeleton.has_boxes:
            found = [{name: value for name, value in one.items() if name != "box"} for one in found]
        return found  # type: ignore[no-any-return]

    # The listing.

    def described_by(self, schema: Schema) -> Column:
        """Return a column that was read from a listing with its skeleton."""
        return replace(self, skeleton=cast(ObjectsField, schema[self.name]).keypoints)

    def entry(self, i: int) -> dict[str, Any]:
        """Return what the listing says of one image."""
        boxes = self[i]
        size = None if boxes.size is None else list(boxes.size)
        found = {"boxes": boxes.to_rows(), "boxes_size": size, "keypoints": boxes.point_rows()}
        return {key: value for key, value in found.items() if value is not None}

    @classmethod
    def of_entries(cls, key: str, entries: Mapping[str, Sequence[Any]]) -> Sequence[Column]:
        """Return the column that entries hold under a key."""
        none = [None] * len(entries[key])
        sizes, points = entries.get("boxes_size", none), entries.get("keypoints", none)
        images = zip(entries[key], sizes, points, strict=True)
        return [cls.of_images(Boxes.of_rows(rows, size_of_entry(size), of_rows) for rows, size, of_rows in images)]

    @classmethod
    def check_entry(cls, key: str, entry: Entry, where: str) -> None:
        """Refuse an entry whose boxes, size or keypoints are not what a build writes."""
        rows = entry.get(key, [])
        if not (isinstance(rows, list) and all(map(_is_box, rows))):
            raise DatasetError(f"{where}: {key}: expected a list of four sides, class index and flags each.")
        check_size("boxes_size", entry, where)
        points = entry.get("keypoints")
        if points is not None and not _are_points(points, len(rows)):
            raise DatasetError(f"{where}: keypoints: expected for each box as many numbers, three a point.")

    def changed_keys(self, i: int, other: Column | None, j: int) -> set[str]:
        """Return the keys of an entry under which one image differs from another; an unknown size equals any."""
        changed = super().changed_keys(i, other, j)
        unknown = isinstance(other, BoxColumn) and tuple(other.sizes[j].tolist()) == UNKNOWN_SIZE
        return changed - {"boxes_size"} if unknown else changed

    # Classes.

    @property
    def kind(self) -> str:
        """What users call a dataset that has this field as its target."""
        return "boxes" if self.skeleton is None else "keypoints"

    @property
    def no_class_each(self) -> str:  # type: ignore[override]
        """Message about sources that have no single class each."""
        return f"have {self.kind}, of several classes an image; weigh their classes when training"

    def classes(self, i: int) -> tuple[int, ...]:
        """Return the classes of an image's boxes, each once."""
        return tuple(np.unique(self.labels[self.offsets[i] : self.offsets[i + 1]]).tolist())

    def class_sets(self) -> Sequence[tuple[int, ...]]:
        """Return the classes of each image's boxes."""
        return [self.classes(i) for i in range(len(self))]

    def class_counts(self, chosen: Sequence[int], num_classes: int) -> list[int]:
        """Return how many objects of these images each class has."""
        counts = np.bincount(self.take(chosen).labels, minlength=num_classes)
        return counts[:num_classes].tolist()  # type: ignore[no-any-return]

    def relabelled(self, new: Sequence[int]) -> Self:
        """Return the boxes with their class indices replaced."""
        labels = np.asarray(new, np.int32)[self.labels] if len(self.labels) else self.labels
        return replace(self, labels=labels)

    def with_skeleton(self, skeleton: Skeleton) -> Column:
        """Return the column with another skeleton of its keypoints."""
        return self if self.skeleton is None else replace(self, skeleton=skeleton)

    # When sources are found.

    @property
    def own_options(self) -> Sequence[str]:
        """Options of a build that need keypoints."""
        return () if self.skeleton is None else KEYPOINT_OPTIONS

    @property
    def ignored_options(self) -> Sequence[str]:
        """Options of a build that need boxes, where objects have keypoints alone."""
        return () if self.skeleton is None or self.skeleton.has_boxes else ("min_visibility", "min_area")

    def notes(self) -> list[str]:
        """Return the notes that count boxes and keypoints."""
        if self.points is None or self.skeleton is None:
            return [self.boxes_note()]
        return [self.boxes_note(), keypoints_note(self.points[..., 2] > 0, self.skeleton)]

    def boxes_note(self) -> str:
        """Return the note that counts boxes."""
        return f"{format_count(len(self.labels), 'box')} in {format_count(len(self), 'image')}{self._empty_text()}."

    def _empty_text(self) -> str:
        empty = int((self.counts == 0).sum())
        kept = format_count(empty, "of them has none, and is kept", "of them have none, and are kept")
        return f"; {kept} (--drop-empty leaves them out)" if empty else ""

    def lacks(self, target: str) -> str:
        """Return the message for sources whose masks of objects were asked for as a target."""
        return "boxes without masks" if self.skeleton is None and target != self.kind else ""


def keypoints_note(kept: NDArray[np.bool_], skeleton: Skeleton) -> str:
    """Return the note on keypoints that were found; `kept`, bool [objects, K], tells which are labelled."""
    without = int((~kept.any(axis=1)).sum())
    text = (
        f"{format_count(int(kept.sum()), 'labelled keypoint')} of {format_count(len(kept), 'object')} with "
        f"{len(skeleton):,} each"
    )
    return text + (
        f"; {format_count(without, 'of them is without any, and stays', 'of them are without any, and stay')}."
        if without
        else "."
    )


def size_of_entry(size: Sequence[int] | None) -> Size | None:
    """Return width and height from an entry's list of them."""
    return None if size is None else (size[0], size[1])


def _joined(parts: Sequence[Boxes | BoxColumn]) -> dict[str, Any]:
    """Return what the boxes of several images or columns have, in turn."""
    empty = Boxes.of_rows([], None)
    return {
        "corners": np.concatenate([empty.corners, *(part.corners for part in parts)]),
        "labels": np.concatenate([empty.labels, *(part.labels for part in parts)]),
        "flags": np.concatenate([empty.flags, *(part.flags for part in parts)]),
        "points": _joined_points([part.points for part in parts]),
    }


def _joined_points(every: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    """Return the keypoints of all images in turn; an image without objects does not know K."""
    known = [points for points in every if points is not None]
    if not known:
        return None
    filled = [points for points in known if len(points)]
    return np.concatenate(filled) if filled else known[0]


def _is_box(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 6:
        return False
    sides = all(isinstance(side, int | float) and not isinstance(side, bool) and abs(side) < 2**31 for side in row[:4])
    return sides and is_index(row[4]) and is_index(row[5]) and 0 <= row[4] < 2**31 and 0 <= row[5] < 256


def _are_points(points: Any, num_boxes: int) -> bool:
    if not isinstance(points, list) or len(points) != num_boxes or not all(isinstance(row, list) for row in points):
        return False
    lengths = {len(row) for row in points}
    numbers = (number for row in points for number in row)
    return (
        len(lengths) <= 1
        and all(length and length % 3 == 0 for length in lengths)
        and all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 2**31 for n in numbers)
        and all(visibility in (0, 1, 2) for row in points for visibility in row[2::3])
    )

"""Boxes, and masks of single objects: for each image a list of objects with their classes."""

from __future__ import annotations

import math
import numbers
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.boxes import FLAGS
from precompute.fields.skeleton import VISIBLE, Skeleton
from precompute.options.build_options import BuildOptions
from precompute.sources.classes import Classes, read_label
from precompute.sources.found import FoundColumn
from precompute.sources.found_objects import (
    FoundObject,
    boxes_of_images,
    chosen_skeleton,
    instances_of_images,
    number_objects,
    upright_size,
)
from precompute.sources.rows.cells import Cells
from precompute.sources.rows.paths import find_paths
from precompute.text.format import format_count

__all__ = [
    "DEFAULT_CLASS",
    "InstanceRows",
    "boxes_column",
]

MARKS = "maybe with 'crowd', 'difficult' or 'truncated' as"
EXPECTED = {
    "boxes": f"(x_min, y_min, x_max, y_max, class) in pixels, {MARKS} a sixth",
    "instances": f"(path of the file with its mask, class), {MARKS} a third",
    "keypoints": "(x, y) or (x, y, visibility) in pixels, None where it is not labelled",
}
CLASS_AT = {"boxes": 4, "instances": 1}
NOUN = {"boxes": "boxes", "instances": "objects"}
DEFAULT_CLASS = "object"  # of objects that nobody named

Objects = list[list[FoundObject]]


def _read_objects(cells: Cells, what: str, keys: Sequence[str], names: list[str] | None) -> tuple[Objects, Classes]:
    """Return the objects of each image, ``"boxes"`` or ``"instances"``, with class indices and flags as a number."""
    cells.check_filled(f"Expected a list of {NOUN[what]} in each, which may be empty: [].")
    rows = [list(_rows(of_image, what, key)) for of_image, key in zip(cells.values, keys, strict=True)]
    if not any(rows):
        raise SourceError(
            f"{what}: expected {NOUN[what]} for some of the images, got empty lists for all {len(keys):,}."
        )
    return number_objects(rows, keys, names)


def _rows(of_image: Any, what: str, key: str) -> Iterator[FoundObject]:
    if not _is_list(of_image):
        raise UsageError(
            f"{what} of {key!r:.80}: expected a list of {NOUN[what]}, which may be empty, got {of_image!r:.60}."
        )
    at = CLASS_AT[what]
    for row in of_image:
        if not _is_list(row, at + 1, at + 2):
            raise UsageError(f"{what} of {key!r:.80}: expected {EXPECTED[what]}; got {row!r:.80}.")
        flags = _flags(row[at + 1], what, key) if len(row) > at + 1 else 0
        yield FoundObject(tuple(row)[:at], _label(row[at], key), flags)


def _is_list(value: Any, *lengths: int) -> bool:
    """Return whether a value is a list or the like, but no text, and has one of these lengths, if any are given."""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return False
    return not lengths or (hasattr(value, "__len__") and len(value) in lengths)


def _is_number(value: Any) -> bool:
    """Return whether a value is a number, NumPy's too, and not a bool."""
    return isinstance(value, numbers.Real | np.number) and not isinstance(value, bool)


def _label(label: Any, key: str) -> str | int:
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return int(label)  # an array of boxes holds its classes as floats
    return read_label(label, key)


def _flags(given: Any, what: str, key: str) -> int:
    names = [given] if isinstance(given, str) else list(given or ())
    unknown = [name for name in names if name not in FLAGS]
    if unknown:
        raise UsageError(
            f"{what} of {key!r:.80}: expected 'crowd', 'difficult' or 'truncated', got {unknown[0]!r:.60}."
        )
    return sum(FLAGS[name] for name in set(names))


class InstanceRows(NamedTuple):
    """Masks of single objects, before the folder that all files share is known.

    Attributes:
        objects: Objects of each image.
        classes: Classes of the objects.
        paths: Absolute paths of all masks in turn.
        owners: Index of the image that each mask belongs to.
    """

    objects: Objects
    classes: Classes
    paths: list[str]
    owners: list[int]

    @classmethod
    def read(cls, cells: Cells, keys: Sequence[str], names: list[str] | None, root: Path) -> InstanceRows:
        """Read objects and find the files of their masks; see `_read_objects`, `find_paths`.

        Raises:
            UsageError: A row has a wrong form.
            SourceError: Two objects of an image have the same file, or classes cannot be numbered.
        """
        objects, classes = _read_objects(cells, "instances", keys, names)
        owners = [i for i, of_image in enumerate(objects) for _ in of_image]
        given = [one.shape[0] for one in chain.from_iterable(objects)]
        flat = Cells(cells.called, given, lambda j: cells.tell(owners[j]))
        paths, _ = find_paths(flat, root, "a mask file")
        named = Counter(zip(owners, paths, strict=True))
        again = [f"{keys[i]}: {path}" for (i, path), number in named.items() if number > 1]
        if again:
            raise SourceError(f"instances: mask files that are named again for one image:\n{first_few(again)}")
        return cls(objects, classes, paths, owners)

    def column(self, shapes: Iterable[str]) -> FoundColumn:
        """Return the objects as a column, with the paths of their masks below the sources' root."""
        rest = iter(shapes)
        located = ([one._replace(shape=next(rest)) for one in of_image] for of_image in self.objects)
        column = instances_of_images(located, repeat(None), self.classes.names)
        return column._replace(notes=[*column.notes, *self.classes.notes])


def boxes_column(
    boxes: Cells | None,
    keypoints: Cells | None,
    keys: Sequence[str],
    images: Sequence[str],
    class_names: list[str] | None,
    options: BuildOptions,
) -> FoundColumn:
    """Check boxes, keypoints, or both.

    Args:
        boxes: `Source.boxes` of each image, or None.
        keypoints: `Source.keypoints` of each image, or None.
        keys: Keys of the images.
        images: Paths of the images, whose headers give their sizes.
        class_names: Order of the classes, or the one class of objects without boxes; or None.
        options: Names and pairs of the keypoints.

    Raises:
        UsageError: An object has a wrong form, or another number of keypoints than others.
        SourceError: A class is not among `class_names`, no keypoint is labelled, or there is no box at all.
    """
    points, skeleton, notes = list[list[list[float]]](), None, list[str]()
    if keypoints is not None:
        keypoints.check_filled("Expected the keypoints of each image's objects, or an empty list: [].")
        points = [list(_objects(of_image, key)) for of_image, key in zip(keypoints.values, keys, strict=True)]
        skeleton = _skeleton(points, keys, options, has_boxes=boxes is not None)
    if boxes is None:
        names = class_names or [DEFAULT_CLASS]
        if len(names) > 1:
            raise UsageError("class_names: without boxes all objects are of one class; give one name, or boxes too.")
        objects = [[FoundObject((0, 0, 0, 0), 0, points=of_one) for of_one in of_image] for of_image in points]
    else:
        if keypoints is not None:
            _check_as_many(boxes.values, points, keys)
        objects, (names, _, notes) = _read_objects(boxes, "boxes", keys, class_names)
        for sides, key in ((one.shape, key) for of_one, key in zip(objects, keys, strict=True) for one in of_one):
            if not all(map(_is_number, sides)):
                raise UsageError(f"boxes of {key!r:.80}: expected four numbers for the sides, got {sides!r:.80}.")
        if keypoints is not None:
            objects = [
                [one._replace(points=of_one) for one, of_one in zip(*of_image, strict=True)]
                for of_image in zip(objects, points, strict=True)
            ]
    where = "boxes" if keypoints is None else "keypoints"
    sizes = map(upright_size, images)
    checked = boxes_of_images(objects, sizes, keys, names, where=where, skeleton=skeleton)
    return checked._replace(notes=[*checked.notes, *notes])


def _check_as_many(boxes: Sequence[Any], points: Sequence[Sized], keys: Sequence[str]) -> None:
    for of_boxes, of_points, key in zip(boxes, points, keys, strict=True):
        if hasattr(of_boxes, "__len__") and len(of_boxes) != len(of_points):
            raise UsageError(
                f"keypoints of {key!r:.80}: expected those of {format_count(len(of_boxes), 'object')}, as it has "
                f"boxes; got {len(of_points)}."
            )


def _skeleton(
    points: Sequence[list[list[float]]], keys: Sequence[str], options: BuildOptions, *, has_boxes: bool
) -> Skeleton:
    """Return the skeleton; keypoints are numbered where no names were given."""
    lengths = {len(row) // 3: key for of_image, key in zip(points, keys, strict=True) for row in of_image}
    if not lengths:
        raise SourceError(
            f"keypoints: expected those of some objects, got empty lists for {format_count(len(keys), 'image')}."
        )
    names = options.keypoint_names or [str(number) for number in range(min(lengths))]
    other = {number: key for number, key in lengths.items() if number != len(names)}
    if other:
        number, key = next(iter(other.items()))
        expected = format_count(len(names), "keypoint")
        expected += "" if options.keypoint_names is None else ", as keypoint_names has"
        raise UsageError(f"keypoints of {key!r:.80}: expected {expected}, of each object; got {number}.")
    return chosen_skeleton(names, options, has_boxes=has_boxes)


def _objects(of_image: Any, key: str) -> Any:
    """Yield x, y, visibility in turn of each object's keypoints."""
    if not _is_list(of_image):
        raise UsageError(
            f"keypoints of {key!r:.80}: expected a list of objects, which may be empty, each a list of keypoints; got "
            f"{of_image!r:.60}."
        )
    if isinstance(of_image, np.ndarray) and of_image.ndim == 2:
        of_image = of_image[None]  # one object
    for points in of_image:
        if not _is_list(points):
            raise UsageError(f"keypoints of {key!r:.80}: expected a list of keypoints an object, got {points!r:.60}.")
        yield [number for point in points for number in _point(point, key)]


def _point(point: Any, key: str) -> tuple[float, float, float]:
    if point is None:
        return 0.0, 0.0, 0.0
    parts = (*point, VISIBLE)[:3] if _is_list(point, 2, 3) else ("",)
    if any(part is None for part in parts):
        return 0.0, 0.0, 0.0
    if not all(map(_is_number, parts)):
        raise UsageError(f"keypoints of {key!r:.80}: expected {EXPECTED['keypoints']}; got {point!r:.60}.")
    x, y, visibility = map(float, parts)
    return (0.0, 0.0, 0.0) if math.isnan(x) or math.isnan(y) else (x, y, visibility)

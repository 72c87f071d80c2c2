"""Keypoints: for each image its objects, for each of these x, y and visibility of its keypoints."""

from __future__ import annotations

import math
from collections.abc import Sequence, Sized
from typing import Any

import numpy as np

from precompute.errors import SourceError, UsageError
from precompute.fields.skeleton import VISIBLE, Skeleton, indices_of_edges, make_skeleton
from precompute.options.build_options import BuildOptions
from precompute.sources.found import FoundColumn
from precompute.sources.keypoint_checks import check_keypoints
from precompute.sources.rows.cells import Cells
from precompute.sources.rows.objects import column_of_rows, is_list, is_number, read_boxes
from precompute.text.format import format_count

__all__ = ["DEFAULT_CLASS", "keypoints_column"]

EXPECTED = "(x, y) or (x, y, visibility) in pixels, None where it is not labelled"
DEFAULT_CLASS = "object"  # of objects that nobody named


def keypoints_column(
    cells: Cells,
    boxes: Cells | None,
    keys: Sequence[str],
    images: Sequence[str],
    class_names: list[str] | None,
    options: BuildOptions,
) -> FoundColumn:
    """Check keypoints, and boxes if there are any.

    Args:
        cells: For each image what `Source.keypoints` has.
        boxes: For each image what `Source.boxes` has, or None.
        keys: Keys of the images.
        images: Their paths: sizes come from the files' headers.
        class_names: Order of the classes, or the one class of objects without boxes; or None.
        options: Names and pairs of the keypoints.

    Raises:
        UsageError: An object is not what it should be, or has another number of keypoints than others.
        SourceError: A class is not among `class_names`, or no keypoint is labelled.
    """
    cells.check_filled("Expected the keypoints of each image's objects, or an empty list: [].")
    points = [list(_objects(of_image, key)) for of_image, key in zip(cells.values, keys, strict=True)]
    skeleton = _skeleton(points, keys, options, has_boxes=boxes is not None)
    if boxes is None:
        names = class_names or [DEFAULT_CLASS]
        if len(names) > 1:
            raise UsageError("class_names: without boxes all objects are of one class; give one name, or boxes too.")
        rows: list[list[tuple[Any, ...]]] = [[(0, 0, 0, 0, 0, 0)] * len(of_image) for of_image in points]
    else:
        _check_as_many(boxes.values, points, keys)
        rows, classes = read_boxes(boxes, keys, class_names)
        names = classes.names
    return check_keypoints(column_of_rows(rows, images, points), keys, names, skeleton, where="keypoints")


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
    """Return the skeleton; names are numbers where none were given."""
    lengths = {len(row) // 3: key for of_image, key in zip(points, keys, strict=True) for row in of_image}
    if not lengths:
        raise SourceError(
            f"keypoints: expected those of some objects, got empty lists for {format_count(len(keys), 'image')}."
        )
    names = options.keypoint_names or [str(number) for number in range(min(lengths))]
    other = {number: key for number, key in lengths.items() if number != len(names)}
    if other:
        number, key = next(iter(other.items()))
        expected = (
            f"{format_count(len(names), 'keypoint')}"
            f"{'' if options.keypoint_names is None else ', as keypoint_names has'}"
        )
        raise UsageError(f"keypoints of {key!r:.80}: expected {expected}, of each object; got {number}.")
    edges = indices_of_edges(options.skeleton or (), names)
    return make_skeleton(names, edges, flip_pairs=options.flip_pairs, has_boxes=has_boxes)


def _objects(of_image: Any, key: str) -> Any:
    """Yield x, y, visibility in turn of each object's keypoints."""
    if not is_list(of_image):
        raise UsageError(
            f"keypoints of {key!r:.80}: expected a list of objects, which may be empty, each a list of keypoints; got "
            f"{of_image!r:.60}."
        )
    if isinstance(of_image, np.ndarray) and of_image.ndim == 2:
        of_image = of_image[None]  # one object
    for points in of_image:
        if not is_list(points):
            raise UsageError(f"keypoints of {key!r:.80}: expected a list of keypoints an object, got {points!r:.60}.")
        yield [number for point in points for number in _point(point, key)]


def _point(point: Any, key: str) -> tuple[float, float, float]:
    if point is None:
        return 0.0, 0.0, 0.0
    parts = (*point, VISIBLE)[:3] if is_list(point, 2, 3) else ("",)
    if any(part is None for part in parts):
        return 0.0, 0.0, 0.0
    if not all(map(is_number, parts)):
        raise UsageError(f"keypoints of {key!r:.80}: expected {EXPECTED}; got {point!r:.60}.")
    x, y, visibility = map(float, parts)
    return (0.0, 0.0, 0.0) if math.isnan(x) or math.isnan(y) else (x, y, visibility)

"""Boxes from Python: lists of rows for each image."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from precompute.errors import SourceError, UsageError
from precompute.fields.box_column import BoxColumn
from precompute.fields.boxes import FLAGS, UNKNOWN_SIZE, Boxes
from precompute.sources.box_checks import check_boxes, upright_size
from precompute.sources.classes import number_classes, read_label
from precompute.sources.found import FoundColumn

__all__ = ["boxes_of_python", "rows_of_python"]

EXPECTED = "(x_min, y_min, x_max, y_max, class) in pixels, maybe with 'crowd', 'difficult' or 'truncated' as a sixth"


def boxes_of_python(
    given: Sequence[Any], keys: Sequence[str], images: Sequence[str], class_names: list[str] | None
) -> FoundColumn:
    """Check boxes and number their classes.

    Args:
        given: For each image its rows, as `Source.boxes` has them.
        keys: Keys of the images.
        images: Their paths: from the files' headers come the sizes that boxes are clipped to.
        class_names: Order of the classes, or None.

    Raises:
        UsageError: A row is not what it should be.
        SourceError: A class is not among `class_names`, or there is no box at all.
    """
    rows = [list(rows_of_python(of_image, key)) for of_image, key in zip(given, keys, strict=True)]
    labels = [row[4] for of_image in rows for row in of_image]
    if not labels:
        raise SourceError(f"boxes: expected boxes for some of the images, got empty lists for all {len(keys):,}.")
    classes = number_classes(
        labels, [key for of_image, key in zip(rows, keys, strict=True) for _ in of_image], class_names
    )
    indices = iter(classes.indices)
    column = BoxColumn.of_images(
        Boxes.of_rows([(*row[:4], next(indices), row[5]) for row in of_image], upright_size(path) or UNKNOWN_SIZE)
        for of_image, path in zip(rows, images, strict=True)
    )
    checked = check_boxes(column, keys, classes.names, where="boxes")
    return checked._replace(notes=[*checked.notes, *classes.notes])


def rows_of_python(of_image: Any, key: str) -> Iterable[tuple[Any, ...]]:
    """Yield x_min, y_min, x_max, y_max, class and flags of each box of an image.

    Raises:
        UsageError: One is not what it should be.
    """
    if isinstance(of_image, str | bytes) or not hasattr(of_image, "__iter__"):
        raise UsageError(f"boxes of {key!r}: expected a list of boxes, which may be empty, got {of_image!r:.60}.")
    for row in of_image:
        if isinstance(row, str | bytes) or not hasattr(row, "__len__") or len(row) not in (5, 6):
            raise UsageError(f"boxes of {key!r}: expected {EXPECTED}; got {row!r:.80}.")
        sides = tuple(row)[:4]
        if not all(isinstance(side, numbers.Real | np.number) and not isinstance(side, bool) for side in sides):
            raise UsageError(f"boxes of {key!r}: expected four numbers for the sides, got {row!r:.80}.")
        yield (*map(float, sides), _label(row[4], key), _flags(row[5], key) if len(row) == 6 else 0)


def _label(label: Any, key: str) -> str | int:
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return int(label)  # an array of boxes holds its classes as floats
    return read_label(label, key)


def _flags(given: Any, key: str) -> int:
    names = [given] if isinstance(given, str) else list(given or ())
    unknown = [name for name in names if name not in FLAGS]
    if unknown:
        raise UsageError(f"boxes of {key!r}: expected 'crowd', 'difficult' or 'truncated', got {unknown[0]!r}.")
    return sum(FLAGS[name] for name in set(names))

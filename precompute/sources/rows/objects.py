"""Boxes, and masks of single objects: for each image a list of objects with their classes."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.box_column import BoxColumn
from precompute.fields.boxes import FLAGS, UNKNOWN_SIZE, Boxes
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.instances import Instances
from precompute.sources.box_checks import check_boxes, upright_size
from precompute.sources.classes import Classes, number_lists, read_label
from precompute.sources.found import FoundColumn
from precompute.sources.rows.cells import Cells
from precompute.sources.rows.paths import find_paths

__all__ = ["InstanceRows", "boxes_column", "column_of_rows", "is_list", "is_number", "read_boxes"]

MARKS = "maybe with 'crowd', 'difficult' or 'truncated' as"
EXPECTED = {
    "boxes": f"(x_min, y_min, x_max, y_max, class) in pixels, {MARKS} a sixth",
    "instances": f"(path of the file with its mask, class), {MARKS} a third",
}
CLASS_AT = {"boxes": 4, "instances": 1}
NOUN = {"boxes": "boxes", "instances": "objects"}

ObjectRows = list[list[tuple[Any, ...]]]


def _read_objects(cells: Cells, what: str, keys: Sequence[str], names: list[str] | None) -> tuple[ObjectRows, Classes]:
    """Return the objects of each image, their classes as indices and flags as a number.

    Args:
        cells: For each image its rows, as `Source` has them.
        what: ``"boxes"`` or ``"instances"``.
        keys: Keys of the images.
        names: Order of the classes, or None.

    Raises:
        UsageError: A row is not what it should be.
        SourceError: A class is not among the names, or there is no object at all.
    """
    cells.check_filled(f"Expected a list of {NOUN[what]} in each, which may be empty: [].")
    rows = [list(_rows(of_image, what, key)) for of_image, key in zip(cells.values, keys, strict=True)]
    at = CLASS_AT[what]
    if not any(rows):
        raise SourceError(
            f"{what}: expected {NOUN[what]} for some of the images, got empty lists for all {len(keys):,}."
        )
    indices, classes = number_lists([[row[at] for row in of_image] for of_image in rows], keys, names)
    pairs = (zip(of_image, of_labels, strict=True) for of_image, of_labels in zip(rows, indices, strict=True))
    return [[(*row[:at], index, row[-1]) for row, index in of_image] for of_image in pairs], classes


def _rows(of_image: Any, what: str, key: str) -> Iterator[tuple[Any, ...]]:
    if not is_list(of_image):
        raise UsageError(
            f"{what} of {key!r:.80}: expected a list of {NOUN[what]}, which may be empty, got {of_image!r:.60}."
        )
    at = CLASS_AT[what]
    for row in of_image:
        if not is_list(row, at + 1, at + 2):
            raise UsageError(f"{what} of {key!r:.80}: expected {EXPECTED[what]}; got {row!r:.80}.")
        yield (*tuple(row)[:at], _label(row[at], key), _flags(row[at + 1], what, key) if len(row) > at + 1 else 0)


def is_list(value: Any, *lengths: int) -> bool:
    """Tell whether a value is a list or the like, no text; of one of these lengths, if any are given."""
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return False
    return not lengths or (hasattr(value, "__len__") and len(value) in lengths)


def is_number(value: Any) -> bool:
    """Tell whether a value is a number, NumPy's too, and no truth value."""
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


def read_boxes(cells: Cells, keys: Sequence[str], names: list[str] | None) -> tuple[ObjectRows, Classes]:
    """Return x_min, y_min, x_max, y_max, class index and flags of the boxes of each image; see `_read_objects`."""
    rows, classes = _read_objects(cells, "boxes", keys, names)
    for of_image, key in zip(rows, keys, strict=True):
        for row in of_image:
            if not all(map(is_number, row[:4])):
                raise UsageError(f"boxes of {key!r:.80}: expected four numbers for the sides, got {row[:4]!r:.80}.")
    return rows, classes


def column_of_rows(rows: ObjectRows, images: Sequence[str], points: Sequence[Any] | None = None) -> BoxColumn:
    """Return boxes, and keypoints if there are any, with the size of each image from its header."""
    return BoxColumn.of_images(
        Boxes.of_rows(of_image, upright_size(path) or UNKNOWN_SIZE, of_points)
        for of_image, path, of_points in zip(rows, images, points or repeat(None), strict=False)
    )


def boxes_column(cells: Cells, keys: Sequence[str], images: Sequence[str], names: list[str] | None) -> FoundColumn:
    """Check boxes and number their classes.

    Args:
        cells: For each image its rows, as `Source.boxes` has them.
        keys: Keys of the images.
        images: Their paths: from the files' headers come the sizes that boxes are clipped to.
        names: Order of the classes, or None.

    Raises:
        UsageError: A row is not what it should be.
        SourceError: A class is not among the names, or there is no box at all.
    """
    rows, classes = read_boxes(cells, keys, names)
    checked = check_boxes(column_of_rows(rows, images), keys, classes.names, where="boxes")
    return checked._replace(notes=[*checked.notes, *classes.notes])


class InstanceRows(NamedTuple):
    """Masks of single objects, before it is known which folder all files share.

    Attributes:
        rows: Of each image.
        classes: Their classes.
        paths: Absolute paths of all masks in turn.
        owners: The image that each belongs to.
    """

    rows: ObjectRows
    classes: Classes
    paths: list[str]
    owners: list[int]

    @classmethod
    def read(cls, cells: Cells, keys: Sequence[str], names: list[str] | None, root: Path) -> InstanceRows:
        """Read objects and find the files of their masks; see `_read_objects`, `find_paths`.

        Raises:
            UsageError: A row is not what it should be.
            SourceError: Two objects of an image have the same file, or classes cannot be numbered.
        """
        rows, classes = _read_objects(cells, "instances", keys, names)
        owners = [i for i, of_image in enumerate(rows) for _ in of_image]
        given = [row[0] for row in chain.from_iterable(rows)]
        flat = Cells(cells.called, given, lambda j: cells.tell(owners[j]))
        paths, _ = find_paths(flat, root, "a mask file")
        named = Counter(zip(owners, paths, strict=True))
        again = [f"{keys[i]}: {path}" for (i, path), number in named.items() if number > 1]
        if again:
            raise SourceError(f"instances: mask files that are named again for one image:\n{first_few(again)}")
        return cls(rows, classes, paths, owners)

    def column(self, shapes: Iterable[str]) -> FoundColumn:
        """Return the objects as a column, with the paths of their masks below the sources' root."""
        rest = iter(shapes)
        column = InstanceColumn.of_instances(
            Instances.of_shapes([(next(rest), *row[1:]) for row in of_image], None) for of_image in self.rows
        )
        return FoundColumn(column, self.classes.names, [*column.notes(), *self.classes.notes])

"""A table of objects: a row each, with the columns xmin, ymin, xmax, ymax of a box, or <name>_x, <name>_y and maybe
<name>_v of each keypoint, or both.

Sides count edges. Coordinates of keypoints name pixels, as in COCO files: half a pixel is added, so that they do too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.skeleton import VISIBLE
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.images import find_images
from precompute.sources.annotations.layout import Layout
from precompute.sources.annotations.named_images import (
    MISSING,
    NamedImage,
    NamedImages,
    choose_named,
    sources_of_named,
)
from precompute.sources.classes import given_names
from precompute.sources.found import Found
from precompute.sources.found_objects import HALF, FoundObject, boxes_of_images, chosen_skeleton, number_objects
from precompute.sources.problems import ProblemKind, Problems, WrongEntry
from precompute.sources.rows.cells import is_empty
from precompute.sources.rows.objects import DEFAULT_CLASS
from precompute.sources.split_folders import split_of
from precompute.sources.tables.columns import USUAL, usual_columns
from precompute.sources.tables.files import TABLES, Table, read_table

__all__ = ["LAYOUT"]

CLASS_COLUMNS = ("label", "class", "class_name", "category")
SPLIT_COLUMN = "split"
BOX_COLUMNS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
VISIBILITIES = ("_v", "_visibility")
UNKNOWN = ("nan", "none", "null", "na", "n/a")
EXPECTED = (
    "Expected a table with a row an object, and columns such as image,xmin,ymin,xmax,ymax,class or "
    "image,left_eye_x,left_eye_y,left_eye_v,right_eye_x,…"
)

NO_NUMBERS = ProblemKind("Cells that are no numbers", "Fix them; leave a cell empty for a missing point.")
NO_BOX = ProblemKind("Boxes that lack something", "Give all four sides, or leave the whole row empty.")
NO_CLASS = ProblemKind("Objects without a class", "Name the class of each.")
NO_SPLIT = ProblemKind("Splits that are none, or differ", "Expected train, validation or test an image.")

Row = Mapping[str, Any]  # column → cell


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The columns of a table of objects.

    Attributes:
        points: Name of each keypoint → columns of x, y, and visibility or None.
    """

    image: str
    points: dict[str, tuple[str, str, str | None]]
    box: tuple[str, ...]
    label: str | None
    split: str | None

    def used(self) -> list[str]:
        """Return the names of all used columns."""
        points = [name for of_one in self.points.values() for name in of_one]
        every = [self.image, self.label, self.split, *points, *self.box]
        return list(dict.fromkeys(name for name in every if name is not None))


def _find(top: Path, path: Path, options: BuildOptions) -> Found:
    """Return the sources that a table of objects names, which lie below the top; see `Layout.find`.

    Raises:
        SourceError: The file is not of this kind, cells are no numbers, or images are missing.
        UsageError: Names or pairs of the options do not fit the file.
    """
    table = read_table(path)
    columns = _columns(table, options)
    cells = table.read(columns.used())
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    if all(map(_is_blank, rows)):
        raise SourceError(f"{path}: there are no rows below the header. {EXPECTED}")
    found = find_images(top, options, choose_named(_name_of(row, columns) for row in rows))
    there = NamedImages(found)
    images, left_out = _images(table, columns, rows, there, top, options)
    if not any(image.objects for image in images):
        raise SourceError(f"{path}: no row has an object. {EXPECTED}")
    highest = max((max(one.shape) for image in images for one in image.objects), default=0)
    if columns.box and highest <= 1:
        raise SourceError(
            f"{path}: no side of a box is above {highest:g}: these are shares of the images, where pixels are "
            "expected. Multiply them by width and height."
        )
    names, points = given_names(options, "objects", "mask"), list(columns.points)
    skeleton = chosen_skeleton(points, options, has_boxes=bool(columns.box)) if points else None
    objects, keys = [image.objects for image in images], [image.image.key for image in images]
    if columns.label is None:
        names = names or [DEFAULT_CLASS]
    else:
        objects, (names, *_) = number_objects(objects, keys, names)
    sizes = (image.size for image in images)
    column = boxes_of_images(objects, sizes, keys, names, where=str(path), skeleton=skeleton)
    unused = [name or "(without a name)" for name in table.columns if name not in cells]
    notes = [f"columns that are not used: {', '.join(unused)}."] if unused else []
    every_note = [*table.notes, *notes, *there.notes(), *left_out]
    return sources_of_named(found, images, column, f"{path.name} does not name", every_note)


def _columns(table: Table, options: BuildOptions) -> _Columns:
    path, header = table.path, table.columns
    lower = {name.lower(): name for name in header}
    images = usual_columns(header, "image")
    if not images:
        raise SourceError(
            f"{path}: no column of images; expected one of {', '.join(USUAL['image'])}, got {', '.join(header[:8])}."
        )
    points: dict[str, tuple[str, str, str | None]] = {}
    for stem in dict.fromkeys(name[:-2] for name in header if name.endswith(("_x", "_y")) and len(name) > 2):
        x, y = f"{stem}_x", f"{stem}_y"
        if x not in header or y not in header:
            there, other = (x, y) if x in header else (y, x)
            raise SourceError(f"{path}: there is a column {there!r} and none {other!r}.")
        points[stem] = (x, y, next((stem + end for end in VISIBILITIES if stem + end in header), None))
    box: Sequence[str] = next((names for names in BOX_COLUMNS if all(name in lower for name in names)), ())
    if not points and not box:
        raise SourceError(f"{path}: no columns of boxes or keypoints among {', '.join(header[:8])}. {EXPECTED}")
    if options.keypoint_names is not None:
        unknown = [name for name in options.keypoint_names if name not in points]
        if unknown:
            raise UsageError(
                f"keypoint_names (--keypoint-names): {path} has no columns of {', '.join(unknown[:5])}; it has those "
                f"of:\n{first_few(list(points), 30)}"
            )
        points = {name: points[name] for name in options.keypoint_names}
    return _Columns(
        image=images[0],
        points=points,
        box=tuple(lower[name] for name in box),
        label=next((lower[name] for name in CLASS_COLUMNS if name in lower), None),
        split=lower.get(SPLIT_COLUMN),
    )


def _is_blank(row: Row) -> bool:
    return all(map(is_empty, row.values()))


def _name_of(row: Row, columns: _Columns) -> str:
    return "" if is_empty(row[columns.image]) else str(row[columns.image])


def _images(
    table: Table, columns: _Columns, rows: Sequence[Row], there: NamedImages, top: Path, options: BuildOptions
) -> tuple[list[NamedImage], list[str]]:
    """Return the images that the table names, sorted by key, each with its objects; and notes on what is left out."""
    images: dict[str, NamedImage] = {}
    missing: dict[str, tuple[WrongEntry, int]] = {}  # each once, whatever objects it has
    problems = Problems(f"{table.path}: the table cannot be used as it is.", table.where)
    for i, row in enumerate(rows):
        if _is_blank(row):
            continue
        try:
            split = _split_of(row, columns)
            found = there.find(_name_of(row, columns), top, split)
            if found is None:
                continue
            image = images.get(found.path) or images.setdefault(found.path, NamedImage(found, None, found.split))
            if split is not None and image.split not in (None, split):
                raise WrongEntry(NO_SPLIT, f"{split!r}, and {image.split!r}")
            image.split = image.split or split
            image.objects += _objects(columns, row)
        except WrongEntry as wrong:
            if wrong.kind is MISSING:
                missing.setdefault(str(wrong), (wrong, i))
            else:
                problems.add_entry(wrong, i)
    for first, i in missing.values():
        problems.add_entry(first, i)
    notes = problems.leave_out(options, len(images) + len(missing))
    problems.check()
    return sorted(images.values(), key=lambda image: image.image.key), notes


def _split_of(row: Row, columns: _Columns) -> str | None:
    if columns.split is None or is_empty(row[columns.split]):
        return None
    split = split_of(str(row[columns.split]))
    if split is None:
        raise WrongEntry(NO_SPLIT, f"{row[columns.split]!r}")
    return split


def _objects(columns: _Columns, row: Row) -> list[FoundObject]:
    """Return the object of a row in a list; an empty list where all its cells are empty."""
    points = [number for of_one in columns.points.values() for number in _point(row, of_one)]
    sides = [side for name in columns.box if (side := _number(row, name)) is not None]
    name = _name_of(row, columns)
    if columns.box and not sides:
        if any(points[2::3]):
            raise WrongEntry(NO_BOX, f"{name}: keypoints without a box, where other rows have one")
        return []
    if len(sides) < len(columns.box):
        raise WrongEntry(NO_BOX, f"{name}: a box without all of its sides")
    if not (sides or any(points[2::3])):
        return []
    label = 0 if columns.label is None else _text(row[columns.label])
    if label == "":
        raise WrongEntry(NO_CLASS, name)
    return [FoundObject(sides or (0, 0, 0, 0), label, points=points)]


def _text(cell: Any) -> str:
    """Return the text of a class. Typed tables hold integers as floats where a column has empty cells."""
    if is_empty(cell):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _point(row: Row, names: tuple[str, str, str | None]) -> tuple[float, float, float]:
    x, y = (_number(row, name) for name in names[:2])
    visibility = VISIBLE if names[2] is None else _number(row, names[2])
    if x is None or y is None or not visibility:
        return 0.0, 0.0, 0.0
    return x + HALF, y + HALF, visibility


def _number(row: Row, name: str) -> float | None:
    """Return the number of a cell; None where it is empty."""
    cell = row[name]
    if is_empty(cell) or (isinstance(cell, str) and cell.lower() in UNKNOWN):
        return None
    try:
        number = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise WrongEntry(NO_NUMBERS, f"{name}: {cell!r:.40}")
    return number


LAYOUT = Layout(
    name="a table of objects",
    expected="a table of objects (CSV, TSV, JSON lines, Parquet), with columns such as image,xmin,ymin,xmax,ymax,class "
    "or image,nose_x,nose_y",
    find=_find,
    endings=TABLES,
    reads=TABLES,
)

"""A CSV file of keypoints: a row an object, with the columns <name>_x, <name>_y and maybe <name>_v of each keypoint.

Coordinates name pixels, as in COCO files: half a pixel is added, so that they count edges as boxes do.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.box_column import BoxColumn
from precompute.fields.boxes import UNKNOWN_SIZE, Boxes
from precompute.fields.skeleton import VISIBLE, indices_of_edges, make_skeleton
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.images import (
    find_images,
    last_part,
    listed,
    prefer_kept,
    raise_problems,
    sources_of,
    unnamed_note,
)
from precompute.sources.box_checks import upright_size
from precompute.sources.checks import check_class_names
from precompute.sources.classes import number_classes
from precompute.sources.found import Found
from precompute.sources.found_files import FoundFile
from precompute.sources.keypoint_checks import check_keypoints
from precompute.sources.passed_over import passed_over
from precompute.sources.rows.keypoints import DEFAULT_CLASS
from precompute.sources.split_folders import split_of
from precompute.sources.unicode_forms import UnicodeForms, visible
from precompute.text.files import lines_of, read_text
from precompute.text.format import format_count

__all__ = ["find_keypoint_table"]

HALF = 0.5  # from a pixel's number to its middle
IMAGE_COLUMNS = ("image", "image_path", "image_name", "path", "filename", "file_name", "file", "filepath")
CLASS_COLUMNS = ("label", "class", "class_name", "category")
SPLIT_COLUMN = "split"
BOX_COLUMNS = (("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"))
VISIBILITIES = ("_v", "_visibility")
DELIMITERS = ",;\t|"
EMPTY = ("", "nan", "none", "null", "na", "n/a")
EXPECTED = (
    "Expected a CSV file with columns such as image,left_eye_x,left_eye_y,left_eye_v,right_eye_x,…: a row an object."
)


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Where the fields of a row stand.

    Attributes:
        points: Name of each keypoint → columns of x, y, and visibility or None.
    """

    image: str
    points: dict[str, tuple[str, str, str | None]]
    box: tuple[str, ...] | None
    label: str | None
    split: str | None

    def used(self) -> set[str | None]:
        """Return all of them."""
        points = {name for of_one in self.points.values() for name in of_one}
        return {self.image, self.label, self.split, *points, *(self.box or ())}


@dataclass
class _Object:
    row: tuple[float, float, float, float]
    points: list[float]
    label: str


@dataclass
class _Listed:
    """An image with its objects, as the table has them."""

    image: FoundFile
    objects: list[_Object] = field(default_factory=list)
    split: str | None = None


class _Problems:
    def __init__(self) -> None:
        self.cells: list[str] = []
        self.missing: list[str] = []
        self.ambiguous: list[str] = []
        self.splits: list[str] = []

    def check(self, path: Path) -> None:
        raise_problems(
            f"{path}: the table cannot be used as it is.",
            [
                listed("Cells that are no numbers", self.cells, "Fix them; leave a cell empty for a missing point."),
                listed("Images that are not there", self.missing, "Fix the paths: they start from the given folder."),
                listed("Images that could be several files", self.ambiguous, "Write their folders into the table."),
                listed("Splits that are none, or differ", self.splits, "Expected train, validation or test an image."),
            ],
        )


def find_keypoint_table(top: Path, path: Path, options: BuildOptions) -> Found:
    """Return the sources that a CSV file of keypoints names.

    Args:
        top: Folder below which the images lie.
        path: Path of the file.
        options: Options of the build.

    Raises:
        SourceError: The file is none of this kind, cells are no numbers, images are not there.
        UsageError: Names or pairs of the options are none of the file.
    """
    header, rows = _read(path)
    columns = _columns(path, header, options)
    named = {visible(last_part(row[columns.image])) for row in rows}
    found = find_images(top, options, lambda images: [visible(last_part(image.path)) in named for image in images])
    problems = _Problems()
    entries = _entries(columns, rows, found.by_name(), top, problems)
    problems.check(path)
    objects = [one for entry in entries for one in entry.objects]
    if not objects:
        raise SourceError(f"{path}: no row has a keypoint. {EXPECTED}")
    given = check_class_names(options.class_names)
    if columns.label is None:
        names, indices = given or [DEFAULT_CLASS], [0] * len(objects)
    else:
        owners = [entry.image.key for entry in entries for _ in entry.objects]
        classes = number_classes([one.label for one in objects], owners, given)
        names, indices = classes.names, classes.indices
    edges = indices_of_edges(options.skeleton or (), list(columns.points))
    skeleton = make_skeleton(
        list(columns.points), edges, flip_pairs=options.flip_pairs, has_boxes=columns.box is not None
    )
    index = iter(indices)
    column = BoxColumn.of_images(
        Boxes.of_rows(
            [(*one.row, next(index), 0) for one in entry.objects],
            upright_size(entry.image.path) or UNKNOWN_SIZE,
            [one.points for one in entry.objects],
        )
        for entry in entries
    )
    keys = [entry.image.key for entry in entries]
    checked = check_keypoints(column, keys, names, skeleton, where=str(path))
    passed = len(found.images) + len(found.left_out) - len(entries)
    unused = [name or "(without a name)" for name in header if name not in columns.used()]
    notes = [f"columns that are not used: {', '.join(unused)}."] if unused else []
    notes += unnamed_note(passed, f"{path.name} does not name")
    return sources_of(
        found,
        [entry.image for entry in entries],
        checked,
        splits=[entry.split for entry in entries],
        notes=notes,
    )


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return the header, and each row by its columns."""
    lines = lines_of(read_text(path))
    if not any(line.strip() for line in lines):
        raise SourceError(f"{path}: the file is empty. {EXPECTED}")
    delimiter = max(DELIMITERS, key=lines[0].count)
    table = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter)]
    header = table[0]
    duplicates = sorted({name for name in header if header.count(name) > 1})
    if duplicates:
        raise SourceError(
            f"{path}: columns of one name: {', '.join(map(repr, duplicates[:5]))}. Give each a name of its own."
        )
    wrong = [
        f"line {i}: {format_count(len(row), 'cell')}"
        for i, row in enumerate(table[1:], 2)
        if any(row) and len(row) != len(header)
    ]
    if wrong:
        raise SourceError(
            f"{path}: rows without {format_count(len(header), 'cell')}, one a column:\n{first_few(wrong)}\nMend them."
        )
    rows = [dict(zip(header, row, strict=True)) for row in table[1:] if any(row)]
    if not rows:
        raise SourceError(f"{path}: there are no rows below the header. {EXPECTED}")
    return header, rows


def _columns(path: Path, header: Sequence[str], options: BuildOptions) -> _Columns:
    lower = {name.lower(): name for name in header}
    image = next((lower[name] for name in IMAGE_COLUMNS if name in lower), None)
    if image is None:
        raise SourceError(
            f"{path}: no column of images; expected one of {', '.join(IMAGE_COLUMNS)}, got {', '.join(header[:8])}."
        )
    points: dict[str, tuple[str, str, str | None]] = {}
    for name in header:
        if not name.endswith(("_x", "_y")) or len(name) < 3:
            continue
        stem = name[:-2]
        if f"{stem}_x" not in header or f"{stem}_y" not in header:
            other = f"{stem}_y" if name.endswith("_x") else f"{stem}_x"
            raise SourceError(f"{path}: there is a column {name!r} and none {other!r}.")
        visibility = next((stem + end for end in VISIBILITIES if stem + end in header), None)
        points.setdefault(stem, (f"{stem}_x", f"{stem}_y", visibility))
    if not points:
        raise SourceError(f"{path}: no columns of keypoints among {', '.join(header[:8])}. {EXPECTED}")
    if options.keypoint_names is not None:
        unknown = [name for name in options.keypoint_names if name not in points]
        if unknown:
            raise UsageError(
                f"keypoint_names (--keypoint-names): {path} has no columns of {', '.join(unknown[:5])}; it has those "
                f"of:\n{first_few(list(points), 30)}"
            )
        points = {name: points[name] for name in options.keypoint_names}
    box = next((names for names in BOX_COLUMNS if all(name in lower for name in names)), None)
    return _Columns(
        image=image,
        points=points,
        box=None if box is None else tuple(lower[name] for name in box),
        label=next((lower[name] for name in CLASS_COLUMNS if name in lower), None),
        split=lower.get(SPLIT_COLUMN),
    )


def _entries(
    columns: _Columns,
    rows: Sequence[Mapping[str, str]],
    by_name: Mapping[str, list[FoundFile]],
    top: Path,
    problems: _Problems,
) -> list[_Listed]:
    """Return the images that the table names, sorted by key, each with its objects."""
    entries: dict[str, _Listed] = {}
    for number, row in enumerate(rows, 2):
        where = f"row {number}"
        name = row[columns.image].replace("\\", "/")
        found = _locate(name, top, by_name, where, problems)
        if found is None or found.is_excluded:
            continue
        entry = entries.setdefault(found.path, _Listed(found, split=found.split))
        if columns.split is not None and row[columns.split]:
            _set_split(entry, row[columns.split], where, problems)
        entry.objects += _objects(columns, row, f"{where} ({name})", problems)
    by_key: dict[str, str] = {}
    for path, entry in entries.items():
        other = by_key.setdefault(entry.image.key, path)
        if other != path:
            problems.ambiguous.append(f"{entry.image.key}: {other}, {path} share a key")
    return sorted(entries.values(), key=lambda entry: entry.image.key)


def _locate(
    name: str, top: Path, by_name: Mapping[str, list[FoundFile]], where: str, problems: _Problems
) -> FoundFile | None:
    last = name.rpartition("/")[2]
    candidates = by_name.get(last if last in by_name else UnicodeForms(by_name).find(last), [])
    place, end = visible((top / name).as_posix()), visible(f"/{name.removeprefix('./')}")
    exact = [image for image in candidates if visible(image.path) == place]
    ending = prefer_kept([image for image in candidates if visible(f"/{image.path}").endswith(end)])
    for some in (exact, ending):
        if len(some) == 1:
            return some[0]
    if ending:
        problems.ambiguous.append(f"{where}: {name}: {', '.join(image.path for image in ending[:3])}")
    elif not passed_over().leaves_out(place):
        problems.missing.append(f"{where}: {name or 'no name'}")
    return None


def _set_split(entry: _Listed, text: str, where: str, problems: _Problems) -> None:
    split = split_of(text)
    if split is None or entry.split not in (None, split):
        problems.splits.append(f"{where}: {text!r}" + ("" if split is None else f", and {entry.split!r}"))
    entry.split = split


def _objects(columns: _Columns, row: Mapping[str, str], where: str, problems: _Problems) -> Iterator[_Object]:
    """Yield the object of a row; none where all its cells are empty."""
    known = len(problems.cells)
    points = [number for of_one in columns.points.values() for number in _point(row, of_one, where, problems)]
    box = [_number(row[name], f"{where}: {name}", problems) for name in columns.box or ()]
    if len(problems.cells) > known:
        return
    if box and None in box and any(side is not None for side in box):
        problems.cells.append(f"{where}: a box without all of its sides")
        return
    if box and box[0] is None:
        if any(points[2::3]):
            problems.cells.append(f"{where}: keypoints without a box, where other rows have one")
        return
    if box or any(points[2::3]):
        sides: Any = tuple(box) or (0.0, 0.0, 0.0, 0.0)
        yield _Object(row=sides, points=points, label=row[columns.label] if columns.label else DEFAULT_CLASS)


def _point(
    row: Mapping[str, str], names: tuple[str, str, str | None], where: str, problems: _Problems
) -> tuple[float, float, float]:
    x, y = (_number(row[name], f"{where}: {name}", problems) for name in names[:2])
    visibility: float | None = VISIBLE
    if names[2] is not None:
        visibility = _number(row[names[2]], f"{where}: {names[2]}", problems)
    if x is None or y is None or not visibility:
        return 0.0, 0.0, 0.0
    return x + HALF, y + HALF, visibility


def _number(text: str, where: str, problems: _Problems) -> float | None:
    if text.lower() in EMPTY:
        return None
    try:
        number = float(text)
        if math.isfinite(number):
            return number
    except ValueError:
        pass
    problems.cells.append(f"{where}: {text!r:.40}")
    return None

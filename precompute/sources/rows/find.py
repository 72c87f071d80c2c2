"""Sources from rows of cells, which come from a table or from lists in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.file_column import ExtraImageColumn, mask_column
from precompute.fields.string_column import StringColumn
from precompute.options.build_options import BuildOptions
from precompute.options.sources import LABEL, MASK
from precompute.sources.classes import given_names, labels_column
from precompute.sources.field_names import check_file_name, check_names
from precompute.sources.found import Found, FoundColumn
from precompute.sources.passed_over import passed_over
from precompute.sources.problems import check_options_of_fields
from precompute.sources.rows.cells import Cells, Rows
from precompute.sources.rows.objects import InstanceRows, boxes_column
from precompute.sources.rows.paths import below, file_bytes, find_paths, make_keys, shared_root
from precompute.sources.values import columns_of_values
from precompute.table.sources import SPLITS

__all__ = ["find_rows"]

FURTHER = "extra_images"
IMAGES, OBJECTS = ("image", ""), ("instances", "")  # files that have no name of their own

NO_LABEL = (
    "Expected a class in each. Give images that have none a class of their own, or leave them out; where images have "
    "several labels or none, give a list of labels for each (in a table: --label-separator)."
)


def find_rows(rows: Rows, options: BuildOptions) -> Found:
    """Return the sources that rows of cells describe.

    Args:
        rows: One row per source.
        options: Options of the build: names and pairs of keypoints, handling of numbers.

    Raises:
        SourceError: Files are missing, cells are empty, or labels are unknown.
        UsageError: Cells hold bad values.
    """
    root = rows.root or Path.cwd()
    images, notes = find_paths(rows.columns["image"], root, "an image file")
    passing = passed_over()
    if passing.patterns:
        kept = [i for i, path in enumerate(images) if not passing.leaves_out(path)]
        if not kept:
            raise SourceError(f"{rows.where}: the patterns of --exclude leave no line.")
        rows, images = rows.take(kept), [images[i] for i in kept]
    keys = rows.columns["key"].values if "key" in rows.columns else make_keys(images, rows.root)
    if rows.root is None:
        rows = rows.named(lambda i: f"{keys[i]!r:.80}")
    _check_class_names(rows, options)
    one_each = range(len(keys))
    files: dict[tuple[str, str], tuple[Sequence[str], Sequence[int]]] = {IMAGES: (images, one_each)}
    for what, file, columns in (("masks", "a mask file", rows.masks), (FURTHER, "an image file", rows.extra_images)):
        for name, cells in columns:
            check_file_name(name, what)
            paths, more = find_paths(cells, root, file)
            files[what, name], notes = (paths, one_each), notes + more
    objects = None
    if "instances" in rows.columns:
        objects = InstanceRows.read(rows.columns["instances"], keys, given_names(options, "objects", MASK), root)
        files[OBJECTS] = (objects.paths, objects.owners)
    num_bytes, lost = file_bytes(rows, files.values(), len(keys), options)
    if lost:
        return _without(rows, lost, len(keys), options)
    base = shared_root([paths for paths, _ in files.values()], rows.root)
    stored = {which: StringColumn(below(base, paths)) for which, (paths, _) in files.items()}
    fields = list(_labels(rows, keys))
    for name, _ in rows.masks:
        fields.append(FoundColumn(mask_column(name, stored["masks", name]), given_names(options, name) or ()))
    fields += _boxes(rows, keys, images, options)
    if objects is not None:
        fields.append(objects.column(stored[OBJECTS]))
    further = [ExtraImageColumn(name=name, values=stored[FURTHER, name]) for name, _ in rows.extra_images]
    fields += map(FoundColumn, [*further, *columns_of_values(rows, options)])
    check_names(one.column.own_name for one in fields)
    return Found(
        where=rows.where,
        layout=rows.layout,
        root=base,
        keys=keys,
        images=stored[IMAGES],
        fields=fields,
        splits=_splits(rows.columns["split"]) if "split" in rows.columns else None,
        groups=_groups(rows.columns["group"]) if "group" in rows.columns else None,
        num_bytes=num_bytes,
        tell=None if rows.root is None else _with_paths(rows.tell, stored[IMAGES]),
        notes=[*rows.notes, *notes],
    )


def _without(rows: Rows, lost: Mapping[int, str], num: int, options: BuildOptions) -> Found:
    """Return the sources of the rows whose files exist, with a note on the others."""
    shown = first_few(sorted(lost), tell=lambda i: f"{rows.tell(i)}: {lost[i]}")
    note = f"Sources whose files are not there, left out ({len(lost):,}):\n{shown}"
    found = find_rows(rows.take([i for i in range(num) if i not in lost]), options)
    return replace(found, notes=[note, *found.notes])


def _with_paths(tell: Callable[[int], str], images: Sequence[str]) -> Callable[[int], str]:
    return lambda i: f"{tell(i)}: {images[i]}"  # a function that held all the rows would keep them in memory


def _check_class_names(rows: Rows, options: BuildOptions) -> None:
    """Refuse names of classes where several targets have classes, unless it is said whose they are."""
    objects = ["objects"] if {"boxes", "keypoints", "instances"} & rows.columns.keys() else []
    names = [LABEL] * (LABEL in rows.columns) + [name for name, _ in rows.masks] + objects
    if len(names) > 1:
        check_options_of_fields(options, ("class_names",), names, "classes", also=["labels"])


def _labels(rows: Rows, keys: Sequence[str]) -> Iterator[FoundColumn]:
    if LABEL in rows.columns:
        labels = rows.columns[LABEL]
        labels.check_filled(NO_LABEL)
        yield labels_column(labels.values, keys, rows.class_names, labels.called)


def _boxes(rows: Rows, keys: Sequence[str], images: Sequence[str], options: BuildOptions) -> Iterator[FoundColumn]:
    boxes, keypoints = map(rows.columns.get, ("boxes", "keypoints"))
    if boxes is not None or keypoints is not None:
        yield boxes_column(boxes, keypoints, keys, images, given_names(options, "objects"), options)


def _splits(cells: Cells) -> list[str | None]:
    for i, split in enumerate(cells.values):
        if split is not None and not (isinstance(split, str) and split in SPLITS):
            expected = ", ".join(map(repr, SPLITS))
            raise UsageError(f"split of {cells.tell(i)}: expected {expected} or None, got {split!r:.80}.")
    return [split if split is None else str(split) for split in cells.values]


def _groups(cells: Cells) -> list[str | None]:
    same: dict[str, str] = {}
    found = list[str | None]()
    for i, group in enumerate(cells.values):
        if group is None or isinstance(group, str):
            found.append(group if group is None else same.setdefault(group, str(group)))
        elif not isinstance(group, bool) and hasattr(group, "__index__"):
            found.append(str(group.__index__()))
        else:
            raise UsageError(f"group of {cells.tell(i)}: expected a text, a whole number or None, got {group!r:.80}.")
    return found

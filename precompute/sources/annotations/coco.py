"""COCO: one JSON for many images, boxes as x, y, width, height, masks as polygons or runs.

Source: https://cocodataset.org/#format-data. A crowd's box is that of all its objects together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, first_few
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.instances import Instances
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.coco_files import Json, find_listed, name_categories, read_coco
from precompute.sources.annotations.coco_objects import (
    around_segmentation,
    code_of_segmentation,
    find_skeleton,
    points_of,
)
from precompute.sources.annotations.images import find_images
from precompute.sources.annotations.layout import MAX_ENTRIES, Layout, beginning, foreign_text, is_called_so, some_files
from precompute.sources.annotations.named_images import (
    MISSING,
    NamedImage,
    NamedImages,
    Size,
    boxes_of_named,
    choose_named,
    number_objects,
    sources_of_named,
)
from precompute.sources.classes import check_class_names
from precompute.sources.found import Found, FoundColumn
from precompute.sources.problems import ProblemKind, Problems, WrongEntry
from precompute.text.format import format_count

__all__ = ["LAYOUT"]

BOXLESS = ProblemKind("Annotations without a box of four numbers", "Fix their bbox.")


def _find(top: Path, annotations: Path, options: BuildOptions) -> Found:
    """Return the sources that COCO files name.

    Args:
        top: Folder below which the images lie.
        annotations: A JSON file, or a folder with one for all splits or one for each.
        options: Options of the build.

    Raises:
        SourceError: Files that are not COCO's, images that are not there or ambiguous, unknown images or categories,
            annotations without what is read of them.
    """
    paths = [annotations] if annotations.is_file() else _files_below(annotations, options)
    files, skeleton, notes = find_skeleton([read_coco(path, is_alone=len(paths) == 1) for path in paths], options)
    given = check_class_names(options.class_names)
    categories = name_categories(files, keep_projects=given is not None)
    names = [str(image.get("file_name") or "") for file in files for image in file.images]
    found = find_images(top, options, None if options.annotations is None else choose_named(names))
    has_masks = options.target in ("instances", "mask")
    has_boxes = skeleton is None or skeleton.has_boxes

    def read(annotation: Json, size: Size) -> tuple[Any, Any]:
        if has_masks:
            return code_of_segmentation(annotation.get("segmentation"), size), ()
        points = () if skeleton is None else points_of(annotation, skeleton)
        return _sides(annotation) if has_boxes else (0, 0, 0, 0), points

    problems = Problems(f"{top}: images and annotations (COCO) do not fit together.")
    there, images = NamedImages(found), list[NamedImage]()
    for file, of_file in zip(files, categories.of_files, strict=True):
        images += find_listed(file, of_file, there, read, problems)
    again = [path for path, number in Counter(image.image.path for image in images).items() if number > 1]
    problems.add("Images that are listed again", again, "List each once.")
    left_out = problems.leave_out(MISSING, options, sum(len(file.images) for file in files))
    problems.check()
    images.sort(key=lambda one: one.image.key)
    classes = number_objects(images, given, categories.names)
    column = _masks(top, images, classes) if has_masks else boxes_of_named(images, classes, skeleton, str(top))
    every_note = [*categories.notes, *there.notes(), *left_out, *notes]
    return sources_of_named(found, images, column, "no annotation file names", every_note)


def _sides(annotation: Json) -> tuple[float, float, float, float]:
    box = annotation.get("bbox")
    box = around_segmentation(annotation.get("segmentation")) if box is None else box
    if not isinstance(box, list) or len(box) != 4 or not set(map(type, box)) <= {int, float}:
        raise WrongEntry(BOXLESS, f"bbox {box!r:.60}")
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height


def _masks(top: Path, images: Sequence[NamedImage], names: list[str]) -> FoundColumn:
    """Return the masks of objects; objects whose mask holds no pixel are left out.

    Raises:
        SourceError: They are all of them.
    """
    column = InstanceColumn.of_instances(
        Instances.of_shapes(
            [(one.shape, one.label, one.flags) for one in image.objects if one.shape is not None], image.size
        )
        for image in images
    )
    empty = [
        f"{image.image.key}: annotation {one.number}" for image in images for one in image.objects if one.shape is None
    ]
    if not len(column.labels):
        raise SourceError(
            f"{top}: not one of {format_count(len(empty), 'object')} in {format_count(len(images), 'image')} has a "
            "mask under 'segmentation'. --target boxes reads their boxes."
        )
    notes = column.notes()
    if empty:
        objects = format_count(len(empty), "object without a mask", "objects without masks")
        notes.append(f"{objects}, or whose mask holds no pixel, left out:\n{first_few(empty)}")
    return FoundColumn(column, names, notes)


# Which files are COCO's.


def _files_below(folder: Path, options: BuildOptions) -> list[Path]:
    """Return those named instances… where there are such, or after what is asked for; else all."""
    paths = islice(some_files(folder, (".json",)), MAX_ENTRIES)
    found = [path for path in paths if is_called_so(path) and _begins_so(path, beginning(path))]
    names = ("instances", "person_keypoints")
    for name in reversed(names) if options.target == "keypoints" else names:
        named = [path for path in found if path.name.startswith(name)]
        if named:
            return sorted(named)
    return sorted(found)


def _begins_so(path: Path, text: str) -> bool:
    return bool(re.search('"(images|annotations|categories)"', text)) and foreign_text(path, text) is None


LAYOUT = Layout(
    name="COCO",
    expected="a COCO JSON, such as annotations/instances_train.json",
    find=_find,
    is_below=lambda folder, options: bool(_files_below(folder, options)),
    endings=(".json",),
    reads=(".json",),
)

"""COCO: one JSON for many images, boxes as x, y, width, height, masks as polygons or runs, keypoints.

Source: https://cocodataset.org/#format-data. A crowd's box is that of all its objects together. Keypoints name pixels,
0 the first one: half a pixel is added, so that they count edges as boxes do.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.boxes import UNKNOWN_SIZE, Size
from precompute.fields.rle import area_of, box_of, code_of_counts, code_of_polygons, pycocotools_mask
from precompute.fields.skeleton import Skeleton
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.coco_files import CocoFile, Json, find_listed, name_categories, read_coco
from precompute.sources.annotations.images import find_images
from precompute.sources.annotations.layout import MAX_ENTRIES, Layout, beginning, foreign_text, is_called_so, some_files
from precompute.sources.annotations.named_images import (
    NamedImage,
    NamedImages,
    choose_named,
    sources_of_named,
)
from precompute.sources.classes import given_names
from precompute.sources.found import Found, FoundColumn
from precompute.sources.found_objects import (
    HALF,
    FoundObject,
    boxes_of_images,
    chosen_skeleton,
    instances_of_images,
    number_objects,
)
from precompute.sources.problems import ProblemKind, Problems, WrongEntry
from precompute.text.format import format_count

__all__ = ["LAYOUT"]

MIN_NUMBERS = 6  # three points; pycocotools takes four numbers for a box
FAR = 10  # times height and width
BOXLESS = ProblemKind("Annotations without a box of four numbers", "Fix their bbox.")
POINTLESS = ProblemKind(
    "Annotations whose keypoints are not three numbers for each that their category names",
    "Fix their keypoints: x, y, visibility in turn.",
)
UNREADABLE = ProblemKind("Segmentations that cannot be read", "Fix them, or take their annotations out.")


def _find(top: Path, annotations: Path, options: BuildOptions) -> Found:
    """Return the sources that a JSON file names, or those of a folder, one for all splits or one for each.

    Raises:
        SourceError: Files are not COCO's, images are missing or ambiguous, or annotations name unknown images or
            categories, or lack what is read of them.
    """
    paths = [annotations] if annotations.is_file() else _files_below(annotations, options)
    files, skeleton, notes = _find_skeleton([read_coco(path, is_alone=len(paths) == 1) for path in paths], options)
    given = given_names(options, "objects", "mask")
    categories = name_categories(files, keep_projects=given is not None)
    names = [str(image.get("file_name") or "") for file in files for image in file.images]
    found = find_images(top, options, None if options.annotations is None else choose_named(names))
    has_masks = options.target in ("instances", "mask")
    has_boxes = skeleton is None or skeleton.has_boxes

    def read(annotation: Json, size: Size) -> tuple[Any, Any]:
        if has_masks:
            return _code_of_segmentation(annotation.get("segmentation"), size), ()
        points = () if skeleton is None else _points_of(annotation, skeleton)
        return _sides(annotation) if has_boxes else (0, 0, 0, 0), points

    problems = Problems(f"{top}: images and annotations (COCO) do not fit together.")
    there, images = NamedImages(found), list[NamedImage]()
    for file, of_file in zip(files, categories.of_files, strict=True):
        images += find_listed(file, of_file, there, read, problems)
    again = [path for path, number in Counter(image.image.path for image in images).items() if number > 1]
    problems.add("Images that are listed again", again, "List each once.")
    left_out = problems.leave_out(options, sum(len(file.images) for file in files))
    problems.check()
    images.sort(key=lambda one: one.image.key)
    keys = [one.image.key for one in images]
    objects, classes = number_objects([one.objects for one in images], keys, given or categories.names)
    sizes = [one.size for one in images]
    if has_masks:
        column = _masks(top, objects, sizes, keys, classes.names)
    else:
        column = boxes_of_images(objects, sizes, keys, classes.names, where=str(top), skeleton=skeleton)
    every_note = [*categories.notes, *there.notes(), *left_out, *notes]
    return sources_of_named(found, images, column, "no annotation file names", every_note)


def _sides(annotation: Json) -> tuple[float, float, float, float]:
    box = annotation.get("bbox")
    box = _around_segmentation(annotation.get("segmentation")) if box is None else box
    if not _are_numbers(box) or len(box) != 4:
        raise WrongEntry(BOXLESS, f"bbox {box!r:.60}")
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height


def _masks(
    top: Path, images: Sequence[Sequence[FoundObject]], sizes: Sequence[Size], keys: Sequence[str], names: list[str]
) -> FoundColumn:
    """Return the masks of objects; objects whose mask holds no pixel are left out."""
    kept = [[one for one in of_image if one.shape is not None] for of_image in images]
    empty = [
        f"{key}: annotation {one.number}"
        for key, of_image in zip(keys, images, strict=True)
        for one in of_image
        if one.shape is None
    ]
    if not any(kept):
        raise SourceError(
            f"{top}: not one of {format_count(len(empty), 'object')} in {format_count(len(images), 'image')} has a "
            "mask under 'segmentation'. --target boxes reads their boxes."
        )
    column = instances_of_images(kept, sizes, names)
    if not empty:
        return column
    objects = format_count(len(empty), "object without a mask", "objects without masks")
    note = f"{objects}, or whose mask holds no pixel, left out:\n{first_few(empty)}"
    return column._replace(notes=[*column.notes, note])


# Which files are COCO's.


def _files_below(folder: Path, options: BuildOptions) -> list[Path]:
    """Return the files that are named instances… or after the target that was asked for, if there are any; else all."""
    paths = filter(is_called_so, islice(some_files(folder, (".json",)), MAX_ENTRIES))
    texts = ((path, beginning(path)) for path in paths)
    likely = (one for one in texts if re.search('"(images|annotations|categories)"', one[1]))
    found = [path for path, text in likely if foreign_text(path, text) is None]
    names = ("instances", "person_keypoints")
    for name in reversed(names) if options.target == "keypoints" else names:
        named = [path for path in found if path.name.startswith(name)]
        if named:
            return sorted(named)
    return sorted(found)


# Keypoints: the skeleton stands in the categories, x, y and visibility in each annotation.


def _find_skeleton(
    files: Sequence[CocoFile], options: BuildOptions
) -> tuple[Sequence[CocoFile], Skeleton | None, list[str]]:
    """Return the files, the skeleton of all categories if keypoints are read, and notes.

    Keypoints are read where categories name some, unless boxes are asked for. Categories without keypoints, and their
    annotations, are then left out of the files.
    """
    named = [(file, category) for file in files for category in file.categories if category.get("keypoints")]
    if options.target in ("boxes", "instances", "mask") or not named:
        if options.target == "keypoints":
            raise SourceError(
                f"{files[0].path}: no category names keypoints. Expected a file such as "
                "person_keypoints_train2017.json, with a list of names under 'keypoints' in its categories."
            )
        return files, None, []
    names, edges = _same(named)
    message = f"keypoints of {', '.join(dict.fromkeys(str(c.get('name')) for _, c in named))}"
    notes = [f"{message}; --target boxes reads their boxes alone."] if options.target == "auto" else []
    if options.keypoint_names is not None and options.keypoint_names != names:
        raise UsageError(
            f"keypoint_names (--keypoint-names): the file has its own, in another order or others:\n"
            f"{first_few(names, 30)}\nLeave the option out."
        )
    kept = [_without_others(file) for file in files]
    annotations = [annotation for file in kept for annotation in file.annotations]
    left_out = sum(len(file.annotations) for file in files) - len(annotations)
    if left_out:
        others = sorted({str(c.get("name")) for file in files for c in file.categories if not c.get("keypoints")})
        notes.append(
            f"{format_count(left_out, 'object')} of categories without keypoints left out: {', '.join(others[:5])}."
        )
    has_boxes = any(one.get("bbox") is not None or one.get("segmentation") for one in annotations)
    return kept, chosen_skeleton(names, options, has_boxes=has_boxes, edges=edges), notes


def _same(named: Sequence[tuple[CocoFile, Json]]) -> tuple[list[str], list[list[int]]]:
    """Return the names and edges of keypoints, which all these categories must share."""
    (first_file, first), *others = named
    names = first["keypoints"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SourceError(f"{first_file.path}: category {first.get('name')!r}: keypoints: expected a list of names.")
    for file, category in others:
        if category["keypoints"] != names:
            raise SourceError(
                f"{file.path}: categories with different keypoints: {first.get('name')!r} ({first_file.path.name}) has "
                f"{len(names)} ({', '.join(names[:3])} …), {category.get('name')!r} {len(category['keypoints'])} "
                f"({', '.join(map(str, category['keypoints'][:3]))} …). Expected the same ones, in one order: build a "
                "dataset for each, or take boxes alone with --target boxes."
            )
    edges: Any = next((c["skeleton"] for _, c in named if c.get("skeleton")), [])
    if not isinstance(edges, list) or not all(_is_edge(edge, len(names)) for edge in edges):
        raise SourceError(
            f"{first_file.path}: category {first.get('name')!r}: skeleton: expected pairs of numbers from 1 to "
            f"{len(names)}."
        )
    return list(names), [[a - 1, b - 1] for a, b in edges]


def _is_edge(edge: Any, num_points: int) -> bool:
    return (
        _are_numbers(edge) and len(edge) == 2 and all(isinstance(end, int) and 1 <= end <= num_points for end in edge)
    )


def _are_numbers(values: Any) -> TypeGuard[list[float]]:
    return isinstance(values, list) and set(map(type, values)) <= {int, float}


def _without_others(file: CocoFile) -> CocoFile:
    other = {str(c.get("id")) for c in file.categories if not c.get("keypoints")}
    return replace(
        file,
        categories=[c for c in file.categories if c.get("keypoints")],
        annotations=[a for a in file.annotations if str(a.get("category_id")) not in other],
    )


def _points_of(annotation: Json, skeleton: Skeleton) -> NDArray[np.float32]:
    """Return x, y, visibility of an annotation's keypoints in turn, counted by edges.

    If an annotation has no keypoints, none of its points is labelled.
    """
    given = annotation.get("keypoints") or [0] * (3 * len(skeleton))
    if not _are_numbers(given) or len(given) != 3 * len(skeleton):
        number = format_count(len(given), "value") if isinstance(given, list) else repr(given)
        raise WrongEntry(POINTLESS, f"{number:.60}")
    points = np.array(given, np.float32).reshape(-1, 3)
    points[:, :2] += HALF
    return points.reshape(-1)


# Masks: polygons, runs, compressed runs → run-length codes.


def _code_of_segmentation(segmentation: Any, size: Size) -> str | None:
    """Return the compressed run-length code of polygons, runs or another code; None where they cover no pixel.

    Polygons of less than three points cover none.

    Raises:
        WrongEntry: It is no segmentation, or does not fit the image.
        UsageError: pycocotools is missing.
    """
    if segmentation is None or segmentation == []:
        return None
    if size == UNKNOWN_SIZE:
        raise WrongEntry(UNREADABLE, "the size of its image is not known")
    pycocotools_mask()  # said as it is where it is missing
    width, height = size
    try:
        code = _code(segmentation, height, width)
    except ValueError as error:
        raise WrongEntry(UNREADABLE, str(error)) from error
    return code if code is not None and area_of(code, height, width) else None


def _code(segmentation: Any, height: int, width: int) -> str | None:
    if isinstance(segmentation, Mapping):
        return _code_of_runs(segmentation, height, width)
    if not isinstance(segmentation, list):
        raise ValueError(f"expected polygons or a run-length code, got {segmentation!r:.60}")
    for polygon in segmentation:
        if not _are_numbers(polygon) or not math.isfinite(sum(polygon)):
            raise ValueError(f"expected polygons, lists of x and y in turn, got {polygon!r:.60}")
        if len(polygon) % 2:
            raise ValueError(f"a polygon has {format_count(len(polygon), 'number')}; x and y come in pairs")
        if max(map(abs, polygon), default=0) > FAR * (height + width):  # pycocotools would walk all the way
            raise ValueError(f"a polygon reaches {max(map(abs, polygon)):g}, far outside of its image")
    areas = [polygon for polygon in segmentation if len(polygon) >= MIN_NUMBERS]
    return code_of_polygons(areas, height, width) if areas else None


def _code_of_runs(segmentation: Mapping[str, Any], height: int, width: int) -> str:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(f"its run-length code is made for {size!r:.40} (height, width), its image is {height}×{width}")
    if not isinstance(counts, list | str) or not counts:
        raise ValueError(f"expected runs or a compressed code under counts, got {counts!r:.40}")
    return code_of_counts(counts, height, width)


def _around_segmentation(segmentation: Any) -> list[float] | None:
    """Return x, y, width and height of the box around a segmentation; None if there is no readable one."""
    if isinstance(segmentation, Mapping):
        pycocotools_mask()
    try:
        if isinstance(segmentation, Mapping):
            height, width = segmentation["size"]
            return box_of(code_of_counts(segmentation["counts"], height, width), height, width)
        points = [float(number) for polygon in segmentation or () for number in polygon]
    except (KeyError, TypeError, ValueError):
        return None
    if not points or any(len(polygon) % 2 for polygon in segmentation):
        return None
    x, y = points[::2], points[1::2]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


LAYOUT = Layout(
    name="COCO",
    expected="a COCO JSON, such as annotations/instances_train.json",
    find=_find,
    is_below=lambda folder, options: bool(_files_below(folder, options)),
    endings=(".json",),
    reads=(".json",),
)

"""COCO: one JSON for many images, boxes as x, y, width, height, masks as polygons or runs.

Source: https://cocodataset.org/#format-data. Ids of categories may have gaps, ids of images need not be in order, and a
crowd's box is that of all its objects together.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from precompute.errors import SourceError, first_few
from precompute.fields.box_column import BoxColumn
from precompute.fields.boxes import UNKNOWN_SIZE, Boxes
from precompute.fields.instance_column import InstanceColumn
from precompute.fields.instances import Instances
from precompute.fields.rle import area_of, code_of_counts, code_of_polygons, pycocotools_mask
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.coco_entries import Entry, Json, Problems, entries_of
from precompute.sources.annotations.coco_keypoints import find_skeleton
from precompute.sources.annotations.images import (
    Choose,
    find_images,
    last_part,
    listed,
    raise_problems,
    sources_of,
    unnamed_note,
)
from precompute.sources.box_checks import check_boxes
from precompute.sources.checks import check_class_names
from precompute.sources.found import Found, FoundColumn
from precompute.sources.keypoint_checks import check_keypoints
from precompute.sources.split_folders import split_of
from precompute.sources.unicode_forms import visible
from precompute.text.files import read_text
from precompute.text.format import format_count

__all__ = ["find_coco", "split_of_name"]

MIN_NUMBERS = 6  # three points; pycocotools takes four numbers for a box
FAR = 10  # times height and width


def find_coco(top: Path, files: Sequence[Path], options: BuildOptions) -> Found:
    """Return the sources that COCO files name.

    Args:
        top: Folder below which the images lie.
        files: The JSON files, one a split or one for all.
        options: Options of the build.

    Raises:
        SourceError: Files that are not COCO's, images that are not there or ambiguous, unknown images or categories,
            annotations without a box, categories that differ from file to file.
    """
    keypoints = find_skeleton({path: _read(path) for path in files}, options)
    contents, skeleton = keypoints.contents, keypoints.skeleton
    found = find_images(top, options, None if options.annotations is None else _named_in(contents.values()))
    names, index, notes = _categories(contents, check_class_names(options.class_names))
    by_name = found.by_name()
    entries, problems = list[Entry](), Problems()
    for path, content in contents.items():
        split = split_of_name(path) if len(files) > 1 else None
        entries += entries_of(path, content, split, by_name, index, problems, skeleton)
    problems.check(top, entries)
    entries.sort(key=lambda entry: entry.image.key)
    keys = [entry.image.key for entry in entries]
    if skeleton is None:
        column = BoxColumn.of_images(Boxes.of_rows(entry.rows, entry.size) for entry in entries)
        checked = check_boxes(column, keys, names, where=str(top))
    else:
        column = BoxColumn.of_images(
            Boxes.of_rows(entry.rows, entry.size, [row[-1] for row in entry.rows]) for entry in entries
        )
        checked = check_keypoints(column, keys, names, skeleton, where=str(top))
    passed = len(found.images) + len(found.left_out) - len(entries)
    notes += unnamed_note(passed, "no annotation file names")
    if options.target in ("instances", "mask"):
        checked = _masks(top, map(_segmented, entries), names)
    return sources_of(
        found,
        [entry.image for entry in entries],
        checked,
        splits=[entry.split for entry in entries],
        notes=[*notes, *keypoints.notes],
    )


def _named_in(contents: Iterable[Json]) -> Choose:
    """Return what tells of images whether files speak of one of their name."""
    names = {last_part(str(image.get("file_name") or "")) for content in contents for image in content["images"]}
    names = {visible(form) for name in names for form in (name, unquote(name))}
    return lambda images: [visible(last_part(image.path)) in names for image in images]


def _segmented(entry: Entry) -> _Segmented:
    rows = [(row[4], row[5], row[6].get("segmentation"), row[6].get("id")) for row in entry.rows]
    return _Segmented(entry.image.key, entry.size or UNKNOWN_SIZE, rows)


def split_of_name(path: Path) -> str | None:
    """Return the split of ``instances_train2017.json``, or of ``train/_annotations.coco.json``; None without one."""
    words = re.split(r"[^a-zA-Z]+", re.sub("test.dev", "test", path.stem, flags=re.IGNORECASE))
    splits = {split for word in words if (split := split_of(word)) is not None}
    return splits.pop() if len(splits) == 1 else split_of(path.parent.name)


def _read(path: Path) -> Json:
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "the file is empty" if not text else f"not valid JSON ({error})"
        raise SourceError(f"{path}: {what}. Expected a COCO file with images, annotations and categories.") from error
    for name in ("images", "annotations", "categories"):
        of_name = content.get(name) if isinstance(content, dict) else None
        if not isinstance(of_name, list) or not all(isinstance(item, dict) for item in of_name):
            raise SourceError(f"{path}: expected a COCO file with a list of objects under {name!r}.")
    return dict(content)


def _categories(contents: Mapping[Path, Json], given: list[str] | None) -> tuple[list[str], dict[str, int], list[str]]:
    """Return the names of the classes in the order of their ids, id → index, and notes.

    A name that no object has may be missing from those given.
    """
    of_id: dict[str, str] = {}
    for path, content in contents.items():
        for category in content["categories"]:
            name, category_id = category.get("name"), category.get("id")
            name = str(name).strip() if isinstance(name, str | int) and not isinstance(name, bool) else ""
            if not name or category_id is None:
                raise SourceError(f"{path}: a category without an id, or a name that is a text: {category!r:.80}.")
            if of_id.setdefault(str(category_id), name) != name:
                raise SourceError(
                    f"{path}: the category {category_id} is {name!r}, in another file {of_id[str(category_id)]!r}. "
                    "Expected the same categories in all files; --annotations names the file that counts."
                )
    used = {str(a.get("category_id")) for content in contents.values() for a in content["annotations"]}
    projects = _projects(contents, used) if given is None else set()
    ids = sorted(of_id, key=lambda key: (0, int(key), "") if re.fullmatch(r"-?\d+", key) else (1, 0, key))
    ids = [key for key in ids if key not in projects]
    names = [of_id[key] for key in ids]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        raise SourceError(
            f"Categories of one name under several ids:\n{first_few(duplicates)}\nGive each a name of its own."
        )
    if given is not None:
        lacking = sorted({of_id[key] for key in used & of_id.keys()} - set(given))
        if lacking:
            raise SourceError(f"Categories that --class-names does not hold:\n{first_few(lacking)}")
        names = given
    position = {name: i for i, name in enumerate(names)}
    notes = [
        f"The category {of_id[key]!r} is no class: it has no objects and stands above the others, as the name of a "
        "project does; it was left out. --class-names keeps it."
        for key in projects
    ]
    return names, {key: position[of_id[key]] for key in ids if of_id[key] in position}, notes


def _projects(contents: Mapping[Path, Json], used: set[str]) -> set[str]:
    """Return the ids of categories without objects that are above others and below none: exports name projects so."""
    every = [category for content in contents.values() for category in content["categories"]]
    above = {str(c.get("supercategory")) for c in every if str(c.get("supercategory")) != str(c.get("name"))}
    return {
        str(c["id"])
        for c in every
        if str(c["id"]) not in used
        and str(c["name"]) in above
        and str(c.get("supercategory")).lower() in ("none", "", str(c["name"]).lower())
    }


# Segmentations of COCO → run-length codes: polygons, runs, compressed runs


class _Segmented(NamedTuple):
    """What a COCO file says of one image: key, width and height, and for each object label, flags, segmentation, id."""

    key: str
    size: tuple[int, int]
    rows: Sequence[tuple[int, int, Any, Any]]


def _masks(top: Path, images: Iterable[_Segmented], names: list[str]) -> FoundColumn:
    """Return the masks of objects.

    Args:
        top: Folder that errors speak of.
        images: COCO's images in the order of the sources.
        names: Names of the classes.

    Raises:
        SourceError: Segmentations that are none, or that do not fit their image.
        UsageError: pycocotools is missing.
    """
    pycocotools_mask()  # said once if it is missing
    problems, empty, found = list[str](), list[str](), list[Instances]()
    for key, (width, height), rows in images:
        shapes = []
        if rows and (width, height) == UNKNOWN_SIZE:
            problems.append(f"{key}: the size of its image is not known")
            continue
        for label, flags, segmentation, number in rows:
            try:
                code = _code(segmentation, height, width)
            except ValueError as error:
                problems.append(f"{key}: annotation {number}: {error}")
                continue
            if area_of(code, height, width):
                shapes.append((code, label, flags))
            else:
                empty.append(f"{key}: annotation {number}")
        found.append(Instances.of_shapes(shapes, (width, height)))
    raise_problems(
        f"{top}: masks of objects that cannot be read (COCO).",
        [listed("Segmentations", problems, "Fix them, or take their annotations out.")],
    )
    column = InstanceColumn.of_instances(found)
    notes = column.notes()
    if empty:
        objects = format_count(len(empty), "object whose mask holds no pixel", "objects whose masks hold no pixel")
        notes.append(f"{objects} left out:\n{first_few(empty)}")
    return FoundColumn(column, names, notes)


def _code(segmentation: Any, height: int, width: int) -> str:
    """Return the compressed run-length code of a segmentation.

    Raises:
        ValueError: It is none, or does not fit the image.
    """
    if isinstance(segmentation, Mapping):
        return _code_of_runs(segmentation, height, width)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("it has no segmentation")
    for polygon in segmentation:
        if not isinstance(polygon, list) or not _are_numbers(polygon):
            raise ValueError(f"expected polygons, lists of x and y in turn, got {polygon!r:.60}")
        if len(polygon) % 2:
            raise ValueError(f"a polygon has {format_count(len(polygon), 'number')}; x and y come in pairs")
        if len(polygon) < MIN_NUMBERS:
            raise ValueError(f"a polygon has {format_count(len(polygon) // 2, 'point')}; three are the fewest")
        if max(map(abs, polygon)) > FAR * (height + width):  # pycocotools would walk all the way
            raise ValueError(f"a polygon reaches {max(map(abs, polygon)):g}, far outside of its image")
    return code_of_polygons(segmentation, height, width)


def _are_numbers(polygon: Sequence[Any]) -> bool:
    return set(map(type, polygon)) <= {int, float} and math.isfinite(sum(polygon))


def _code_of_runs(segmentation: Mapping[str, Any], height: int, width: int) -> str:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(f"its run-length code is made for {size!r:.40} (height, width), its image is {height}×{width}")
    if not isinstance(counts, list | str) or not counts:
        raise ValueError(f"expected runs or a compressed code under counts, got {counts!r:.40}")
    return code_of_counts(counts, height, width)

"""COCO: one JSON for many images, boxes as x, y, width, height.

Source: https://cocodataset.org/#format-data. Ids of categories may have gaps, ids of images need not be in order, and a
crowd's box is that of all its objects together.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

from precompute.errors import SourceError, first_few
from precompute.options import BuildOptions
from precompute.sources.annotations.coco_entries import Entry, Json, Problems, entries_of
from precompute.sources.annotations.coco_keypoints import find_skeleton
from precompute.sources.annotations.coco_masks import Segmented, with_masks
from precompute.sources.annotations.images import Choose, FoundImage, find_images, last_part, sources_of, unnamed_note
from precompute.sources.box_checks import check_boxes
from precompute.sources.checks import check_class_names
from precompute.sources.folders.splits import split_of
from precompute.sources.forms import visible
from precompute.sources.keypoint_checks import check_keypoints
from precompute.sources.source import Sources
from precompute.targets.boxes import UNKNOWN_SIZE, BoxColumn, Boxes
from precompute.text_files import read_text

__all__ = ["find_coco", "split_of_name"]


def find_coco(top: Path, files: Sequence[Path], options: BuildOptions) -> Sources:
    """Return the sources that COCO files name.

    Args:
        top: Folder below which the images lie.
        files: The JSON files, one a split or one for all.
        options: Of the build.

    Raises:
        SourceError: Files that are not COCO's, images that are not there or ambiguous, unknown images or categories,
            annotations without a box, categories that differ from file to file.
    """
    keypoints = find_skeleton({path: _read(path) for path in files}, options)
    contents, skeleton = keypoints.contents, keypoints.skeleton
    found = find_images(top, options, None if options.annotations is None else _named_in(contents.values()))
    names, index, notes = _categories(contents, check_class_names(options.class_names))
    by_name: dict[str, list[FoundImage]] = defaultdict(list)
    for image in found.images:
        by_name[image.path.rpartition("/")[2]].append(image)
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
    sources = sources_of(
        found,
        [entry.image for entry in entries],
        checked,
        splits=[entry.split for entry in entries],
        class_names=names,
        notes=[*notes, *keypoints.notes],
        skeleton=skeleton,
    )
    if options.target not in ("instances", "mask"):
        return sources
    return with_masks(sources, map(_segmented, entries))


def _named_in(contents: Iterable[Json]) -> Choose:
    """Return what tells of images whether files speak of one of their name."""
    names = {last_part(str(image.get("file_name") or "")) for content in contents for image in content["images"]}
    names = {visible(form) for name in names for form in (name, unquote(name))}
    return lambda images: [visible(last_part(image.path)) in names for image in images]


def _segmented(entry: Entry) -> Segmented:
    rows = [(row[4], row[5], row[6].get("segmentation"), row[6].get("id")) for row in entry.rows]
    return Segmented(entry.image.key, entry.size or UNKNOWN_SIZE, rows)


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
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(
            f"Categories of one name under several ids:\n{first_few(twice)}\nGive each a name of its own."
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

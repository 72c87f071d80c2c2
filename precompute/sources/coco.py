"""COCO: one JSON for many images, boxes as x, y, width, height.

Source: https://cocodataset.org/#format-data. Ids of categories may have gaps, ids of images need not be in order, and a
crowd's box is that of all its objects together.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from precompute.boxes import CROWD, UNKNOWN_SIZE, BoxColumn, Boxes
from precompute.errors import SourceError, first_few
from precompute.keypoints import Skeleton
from precompute.options import BuildOptions
from precompute.rle import box_of, code_of_counts, pycocotools_mask
from precompute.sources.box_checks import check_boxes, upright_size
from precompute.sources.box_images import FoundImage, find_images, listed, path_below, raise_problems
from precompute.sources.checks import check_class_names
from precompute.sources.coco_keypoints import find_skeleton, points_of
from precompute.sources.coco_masks import Segmented, with_masks
from precompute.sources.keypoint_checks import check_keypoints
from precompute.sources.source import Sources
from precompute.sources.split_folders import split_of

__all__ = ["find_coco", "split_of_name"]

Json = Mapping[str, Any]
Row = tuple[Any, ...]  # four sides, class index, flags, the annotation itself; a list of the keypoints' numbers


@dataclass(frozen=True)
class _Entry:
    """An image of a JSON: where it is listed, its boxes as rows, maybe each with keypoints, its split."""

    image: FoundImage
    rows: list[Row]
    size: tuple[int, int] | None
    split: str | None


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
    found = find_images(top, options)
    keypoints = find_skeleton({path: _read(path) for path in files}, options)
    contents, skeleton = keypoints.contents, keypoints.skeleton
    names, index = _categories(contents, check_class_names(options.class_names))
    by_name: dict[str, list[FoundImage]] = defaultdict(list)
    for image in found.images:
        by_name[image.path.rpartition("/")[2]].append(image)
    entries, problems = list[_Entry](), _Problems()
    for path, content in contents.items():
        split = split_of_name(path) if len(files) > 1 else None
        entries += _entries(path, content, split, by_name, index, problems, skeleton)
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
    passed = len(found.images) - len(entries)
    notes = [f"{passed:,} images that no annotation file names were passed over."] if passed else []
    sources = Sources(
        root=top,
        keys=keys,
        images=[path_below(top, entry.image.path) for entry in entries],
        boxes=checked.column,
        splits=[entry.split for entry in entries],
        num_bytes=[entry.image.num_bytes for entry in entries],
        class_names=names,
        strangers=found.strangers,
        notes=[*notes, *keypoints.notes, *checked.notes],
        skeleton=skeleton,
    )
    if options.target not in ("instances", "mask"):
        return sources
    return with_masks(sources, map(_segmented, entries))


def _segmented(entry: _Entry) -> Segmented:
    rows = [(row[4], row[5], row[6].get("segmentation"), row[6].get("id")) for row in entry.rows]
    return Segmented(entry.image.key, entry.size or UNKNOWN_SIZE, rows)


def split_of_name(path: Path) -> str | None:
    """Return the split of ``instances_train2017.json``, or of ``train/_annotations.coco.json``; None without one."""
    words = re.split(r"[^a-zA-Z]+", path.stem)
    splits = {split for word in words if (split := split_of(word)) is not None}
    return splits.pop() if len(splits) == 1 else split_of(path.parent.name)


def _read(path: Path) -> Json:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        what = "the file is empty" if not path.stat().st_size else f"not valid JSON ({error})"
        raise SourceError(f"{path}: {what}. Expected a COCO file with images, annotations and categories.") from error
    for name in ("images", "annotations", "categories"):
        of_name = content.get(name) if isinstance(content, dict) else None
        if not isinstance(of_name, list) or not all(isinstance(item, dict) for item in of_name):
            raise SourceError(f"{path}: expected a COCO file with a list of objects under {name!r}.")
    return dict(content)


def _categories(contents: Mapping[Path, Json], given: list[str] | None) -> tuple[list[str], dict[str, int]]:
    """Return the names of the classes in the order of their ids, and id → index."""
    of_id: dict[str, str] = {}
    order: dict[str, Any] = {}
    for path, content in contents.items():
        for category in content["categories"]:
            name, category_id = str(category.get("name", "")).strip(), category.get("id")
            if not name or category_id is None:
                raise SourceError(f"{path}: a category without name or id: {category!r:.80}.")
            if of_id.setdefault(str(category_id), name) != name:
                raise SourceError(
                    f"{path}: the category {category_id} is {name!r}, in another file {of_id[str(category_id)]!r}. "
                    "Expected the same categories in all files."
                )
            order[str(category_id)] = category_id
    ids = sorted(of_id, key=lambda key: (0, int(key), "") if re.fullmatch(r"-?\d+", key) else (1, 0, key))
    names = [of_id[key] for key in ids]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(
            f"Categories of one name under several ids:\n{first_few(twice)}\nGive each a name of its own."
        )
    if given is not None:
        lacking = sorted(set(names) - set(given))
        if lacking:
            raise SourceError(f"Categories that --class-names does not hold:\n{first_few(lacking)}")
        names = given
    return names, {key: names.index(of_id[key]) for key in ids}


class _Problems:
    """All that is wrong with the files, to be told at once."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.ambiguous: list[str] = []
        self.unknown_images: list[str] = []
        self.unknown_categories: list[str] = []
        self.boxless: list[str] = []
        self.pointless: list[str] = []
        self.twice: list[str] = []

    def check(self, top: Path, entries: Sequence[_Entry]) -> None:
        """Raise a SourceError if there is any, or if an image or a key appears twice."""
        first: dict[str, _Entry] = {}
        for entry in entries:
            before = first.setdefault(entry.image.key, entry)
            if before is not entry:
                self.twice.append(f"{entry.image.key}: {before.image.path}, {entry.image.path}")
        raise_problems(
            f"{top}: images and annotations (COCO) do not fit together.",
            [
                listed(
                    "Images that are not there", self.missing, "Put them there, or name their folder with --images."
                ),
                listed("Images that could be several files", self.ambiguous, "Write the folders into file_name."),
                listed(
                    "Images that are named again, or share a key",
                    self.twice,
                    "Expected each image once; if splits use the same names for different images, give --split-in-key.",
                ),
                listed("Annotations of images that are not listed", self.unknown_images, "Mend their image_id."),
                listed("Annotations of unknown categories", self.unknown_categories, "Mend their category_id."),
                listed("Annotations without a box of four numbers", self.boxless, "Mend their bbox."),
                listed(
                    "Annotations whose keypoints are not three numbers for each that their category names",
                    self.pointless,
                    "Mend their keypoints: x, y, visibility in turn.",
                ),
            ],
        )


def _entries(
    path: Path,
    content: Json,
    split: str | None,
    by_name: Mapping[str, list[FoundImage]],
    index: Mapping[str, int],
    problems: _Problems,
    skeleton: Skeleton | None,
) -> Iterator[_Entry]:
    rows: dict[str, list[Row]] = {}
    placed: list[tuple[FoundImage | None, str, Json]] = []
    for listed_image in content["images"]:
        image_id = str(listed_image.get("id"))
        if image_id in rows:
            problems.twice.append(f"{path.name}: image id {image_id}")
            continue
        rows[image_id] = []
        name = str(listed_image.get("file_name") or "")
        placed.append((_locate(name, path, split, by_name, problems), image_id, listed_image))
    for annotation in content["annotations"]:
        _add_row(path, annotation, rows, index, problems, skeleton)
    for image, image_id, listed_image in placed:
        if image is not None:
            size = _size(listed_image) or upright_size(image.path) or UNKNOWN_SIZE
            yield _Entry(image, rows[image_id], size, image.split or split)


def _add_row(
    path: Path,
    annotation: Json,
    rows: dict[str, list[Row]],
    index: Mapping[str, int],
    problems: _Problems,
    skeleton: Skeleton | None,
) -> None:
    where = f"{path.name}: annotation {annotation.get('id')}"
    image_id, category, box = (annotation.get(name) for name in ("image_id", "category_id", "bbox"))
    box = _around(annotation.get("segmentation")) if box is None else box
    box = [0, 0, 0, 0] if skeleton is not None and not skeleton.boxed else box
    points: Any = [] if skeleton is None else points_of(annotation, skeleton)
    if str(image_id) not in rows:
        problems.unknown_images.append(f"{where}: image_id {image_id!r}")
    elif str(category) not in index:
        problems.unknown_categories.append(f"{where}: category_id {category!r}")
    elif not _is_box(box):
        problems.boxless.append(f"{where}: bbox {box!r:.60}")
    elif points is None:
        given = annotation["keypoints"]
        number = f"{len(given)} values" if isinstance(given, list) else repr(given)
        problems.pointless.append(f"{where}: {number:.60}")
    else:
        x, y, width, height = map(float, box)  # type: ignore[arg-type]  # it was looked at
        flags = CROWD if annotation.get("iscrowd") else 0
        sides = (x, y, x + width, y + height)
        rows[str(image_id)].append((*sides, index[str(category)], flags, annotation, points))


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(side, int | float) and not isinstance(side, bool) for side in box)
    )


def _around(segmentation: Any) -> list[float] | None:
    """Return the box around polygons, for files that leave it out; None where there are none."""
    if isinstance(segmentation, dict):
        return _around_runs(segmentation)
    polygons = segmentation if isinstance(segmentation, list) else []
    try:
        points = [float(number) for polygon in polygons for number in polygon]
    except (TypeError, ValueError):
        return None
    if not points or any(len(polygon) % 2 for polygon in polygons):
        return None
    x, y = points[::2], points[1::2]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def _around_runs(segmentation: Json) -> list[float] | None:
    pycocotools_mask()
    try:
        height, width = segmentation["size"]
        return box_of(code_of_counts(segmentation["counts"], height, width), height, width)
    except (KeyError, TypeError, ValueError):
        return None


def _size(image: Json) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    known = all(isinstance(side, int) and 0 < side < 2**31 for side in (width, height))
    return (int(width), int(height)) if known and width is not None and height is not None else None


def _locate(
    name: str, path: Path, split: str | None, by_name: Mapping[str, list[FoundImage]], problems: _Problems
) -> FoundImage | None:
    """Return the file that is meant: one whose path ends so; of several, the one of the file's folder or split."""
    parts = name.replace("\\", "/").split("/")
    if parts[-1] not in by_name:
        parts = unquote(name).split("/")  # some programs write file names as parts of addresses
    candidates = by_name.get(parts[-1], [])
    whole = [image for image in candidates if f"/{image.path}".endswith("/" + "/".join(parts))]
    for chosen in (whole, candidates):
        near = [image for image in chosen if image.path.startswith(f"{path.parent.as_posix()}/")]
        same = [image for image in chosen if split is not None and image.split == split]
        for some in (chosen, near, same):
            if len(some) == 1:
                return some[0]
    if candidates:
        problems.ambiguous.append(f"{path.name}: {name}: {', '.join(image.path for image in candidates[:3])}")
    else:
        problems.missing.append(f"{path.name}: {name or 'an image without file_name'}")
    return None

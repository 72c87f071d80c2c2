"""The images of a COCO file with their annotations as rows, and all that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from precompute.fields.boxes import CROWD, UNKNOWN_SIZE
from precompute.fields.rle import box_of, code_of_counts, pycocotools_mask
from precompute.fields.skeleton import Skeleton
from precompute.sources.annotations.coco_keypoints import points_of
from precompute.sources.annotations.images import listed, prefer_kept, raise_problems
from precompute.sources.box_checks import upright_size
from precompute.sources.found_files import FoundFile
from precompute.sources.passed_over import passed_over
from precompute.sources.unicode_forms import UnicodeForms, visible
from precompute.text.format import format_count

__all__ = ["Entry", "Json", "Problems", "entries_of"]

Json = Mapping[str, Any]
Row = tuple[Any, ...]  # four sides, class index, flags, the annotation itself; a list of the keypoints' numbers


@dataclass(frozen=True)
class Entry:
    """An image of a JSON: where it is listed, its boxes as rows, maybe each with keypoints, its split."""

    image: FoundFile
    rows: list[Row]
    size: tuple[int, int] | None
    split: str | None


class Problems:
    """All that is wrong with the files, to be told at once."""

    def __init__(self) -> None:
        self.missing: list[str] = []
        self.ambiguous: list[str] = []
        self.unknown_images: list[str] = []
        self.unknown_categories: list[str] = []
        self.boxless: list[str] = []
        self.pointless: list[str] = []
        self.duplicates: list[str] = []

    def check(self, top: Path, entries: Sequence[Entry]) -> None:
        """Raise a SourceError if there is any, or if an image or a key appears twice."""
        first: dict[str, Entry] = {}
        for entry in entries:
            before = first.setdefault(entry.image.key, entry)
            if before is not entry:
                self.duplicates.append(f"{entry.image.key}: {before.image.path}, {entry.image.path}")
        raise_problems(
            f"{top}: images and annotations (COCO) do not fit together.",
            [
                listed(
                    "Images that are not there", self.missing, "Put them there, or name their folder with --images."
                ),
                listed("Images that could be several files", self.ambiguous, "Write the folders into file_name."),
                listed(
                    "Images that are named again, or share a key",
                    self.duplicates,
                    "Expected each image once; if splits use the same names for different images, give --split-in-key.",
                ),
                listed("Annotations of images that are not listed", self.unknown_images, "Fix their image_id."),
                listed("Annotations of unknown categories", self.unknown_categories, "Fix their category_id."),
                listed("Annotations without a box of four numbers", self.boxless, "Fix their bbox."),
                listed(
                    "Annotations whose keypoints are not three numbers for each that their category names",
                    self.pointless,
                    "Fix their keypoints: x, y, visibility in turn.",
                ),
            ],
        )


def entries_of(
    path: Path,
    content: Json,
    split: str | None,
    by_name: Mapping[str, list[FoundFile]],
    index: Mapping[str, int],
    problems: Problems,
    skeleton: Skeleton | None,
) -> Iterator[Entry]:
    """Yield the images of a file that are there, with their annotations; what is wrong is added to the problems."""
    rows: dict[str, list[Row]] = {}
    placed: list[tuple[FoundFile | None, str, Json]] = []
    for listed_image in content["images"]:
        image_id = str(listed_image.get("id"))
        if image_id in rows:
            problems.duplicates.append(f"{path.name}: image id {image_id}")
            continue
        rows[image_id] = []
        name = str(listed_image.get("file_name") or "")
        placed.append((_locate(name, path, split, by_name, problems), image_id, listed_image))
    for annotation in content["annotations"]:
        _add_row(path, annotation, rows, index, problems, skeleton)
    for image, image_id, listed_image in placed:
        if image is not None and not image.is_excluded:
            size = _size(listed_image) or upright_size(image.path) or UNKNOWN_SIZE
            yield Entry(image, rows[image_id], size, image.split or split)


def _add_row(
    path: Path,
    annotation: Json,
    rows: dict[str, list[Row]],
    index: Mapping[str, int],
    problems: Problems,
    skeleton: Skeleton | None,
) -> None:
    where = f"{path.name}: annotation {annotation.get('id')}"
    image_id, category, box = (annotation.get(name) for name in ("image_id", "category_id", "bbox"))
    box = _around(annotation.get("segmentation")) if box is None else box
    box = [0, 0, 0, 0] if skeleton is not None and not skeleton.has_boxes else box
    points: Any = [] if skeleton is None else points_of(annotation, skeleton)
    if str(image_id) not in rows:
        problems.unknown_images.append(f"{where}: image_id {image_id!r}")
    elif str(category) not in index:
        problems.unknown_categories.append(f"{where}: category_id {category!r}")
    elif not _is_box(box):
        problems.boxless.append(f"{where}: bbox {box!r:.60}")
    elif points is None:
        given = annotation["keypoints"]
        number = format_count(len(given), "value") if isinstance(given, list) else repr(given)
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
    name: str, path: Path, split: str | None, by_name: Mapping[str, list[FoundFile]], problems: Problems
) -> FoundFile | None:
    """Return the file that is meant: one whose path ends so; of several, the one of the file's folder or split."""
    parts = name.replace("\\", "/").split("/")
    if parts[-1] not in by_name:
        parts = unquote(name).split("/")  # some programs write file names as parts of addresses
    candidates = by_name.get(parts[-1] if parts[-1] in by_name else UnicodeForms(by_name).find(parts[-1]), [])
    end = visible("/" + "/".join(parts))
    whole = [image for image in candidates if visible(f"/{image.path}").endswith(end)]
    for chosen in (prefer_kept(whole), prefer_kept(candidates)):
        near = next((below for folder in path.parents if (below := _below(folder, chosen))), [])
        same = [image for image in chosen if split is not None and image.split == split]
        for some in (chosen, near, same):
            if len(some) == 1:
                return some[0]
    if candidates:
        problems.ambiguous.append(f"{path.name}: {name}: {', '.join(image.path for image in candidates[:3])}")
    elif not passed_over().leaves_out("/".join(parts)):
        problems.missing.append(f"{path.name}: {name or 'an image without file_name'}")
    return None


def _below(folder: Path, images: Sequence[FoundFile]) -> list[FoundFile]:
    start = f"{folder.as_posix().rstrip('/')}/"
    return [image for image in images if image.path.startswith(start)]

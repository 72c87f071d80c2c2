"""Reading COCO files: images, annotations, and categories, which are identified by their names.

Source: https://cocodataset.org/#format-data. Ids of categories may have gaps, ids of images need not be in order.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from precompute.errors import SourceError, first_few
from precompute.fields.boxes import CROWD, Size
from precompute.sources.annotations.layout import check_foreign
from precompute.sources.annotations.named_images import NamedImage, NamedImages
from precompute.sources.found_objects import FoundObject
from precompute.sources.problems import ProblemKind, Problems, WrongEntry
from precompute.sources.split_folders import split_of
from precompute.text.files import read_text

__all__ = ["CocoFile", "Json", "find_listed", "name_categories", "read_coco", "split_of_name"]

Json: TypeAlias = Mapping[str, Any]

IDS_AGAIN = ProblemKind("Images of one id", "Give each an id of its own in its file.")
UNKNOWN_IMAGES = ProblemKind("Annotations of images that are not listed", "Fix their image_id.")
UNKNOWN_CATEGORIES = ProblemKind("Annotations of unknown categories", "Fix their category_id.")


@dataclass(frozen=True, kw_only=True)
class CocoFile:
    """The content of one file.

    Attributes:
        path: Path of the file.
        split: Split that its name says, if there are several files; else None.
        images, annotations, categories: The lists in the file.
    """

    path: Path
    split: str | None
    images: Sequence[Json]
    annotations: Sequence[Json]
    categories: Sequence[Json]


class Categories(NamedTuple):
    """Names of categories in the order of their numbers, and for each file id → name."""

    names: list[str]
    of_files: list[dict[str, str]]
    notes: list[str]


def read_coco(path: Path, *, is_alone: bool) -> CocoFile:
    """Read a file.

    Args:
        path: Path of the file.
        is_alone: Whether it is the only file; its name then says no split.

    Raises:
        SourceError: The file is not COCO's.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "the file is empty" if not text else f"not valid JSON ({error})"
        raise SourceError(f"{path}: {what}. Expected a COCO file with images, annotations and categories.") from error
    if not isinstance(content, dict) or "segments_info" in text or "category_id" not in text:
        check_foreign(path, text)
    for name in ("images", "annotations", "categories"):
        of_name = content.get(name) if isinstance(content, dict) else None
        if not isinstance(of_name, list) or not all(isinstance(item, dict) for item in of_name):
            raise SourceError(f"{path}: expected a COCO file with a list of objects under {name!r}.")
    return CocoFile(
        path=path,
        split=None if is_alone else split_of_name(path),
        images=content["images"],
        annotations=content["annotations"],
        categories=content["categories"],
    )


def split_of_name(path: Path) -> str | None:
    """Return the split of ``instances_train2017.json``, or of ``train/_annotations.coco.json``; None without one."""
    words = re.split(r"[^a-zA-Z]+", re.sub("test.dev", "test", path.stem, flags=re.IGNORECASE))
    splits = {split for word in words if (split := split_of(word)) is not None}
    return splits.pop() if len(splits) == 1 else split_of(path.parent.name)


# Categories.


def name_categories(files: Sequence[CocoFile], *, keep_projects: bool) -> Categories:
    """Return the names of categories in the order of their ids.

    Where files give one id to several names, or several ids to one name, the order is that of the file of train, or
    else of the first file; names that only other files have come last.

    Args:
        files: The files.
        keep_projects: Whether categories that are only names of projects count, too.

    Raises:
        SourceError: A category has no id or no name, or one file has a name under several ids or an id twice.
    """
    pairs_above = ((str(c.get("supercategory")), str(c.get("name"))) for file in files for c in file.categories)
    above = {above for above, name in pairs_above if above != name}
    of_files, projects = list[dict[str, str]](), dict[str, None]()
    for file in files:
        of_file = _names_of(file)
        left_out = set() if keep_projects else _projects(file, above)
        projects |= dict.fromkeys(of_file[number] for number in left_out)
        of_files.append({number: name for number, name in of_file.items() if number not in left_out})
        again = [name for name, number in Counter(of_files[-1].values()).items() if number > 1]
        if again:
            raise SourceError(
                f"{file.path}: categories of one name under several ids:\n{first_few(sorted(again))}\nGive each a name "
                "of its own."
            )
    pairs = dict.fromkeys(pair for of_file in of_files for pair in of_file.items())
    differ = any(len({pair[i] for pair in pairs}) < len(pairs) for i in (0, 1))
    order = sorted(range(len(files)), key=lambda i: files[i].split != "train")  # that of the others stays
    groups: list[Iterable[tuple[str, str]]] = [of_files[i].items() for i in order] if differ else [pairs]
    names = list(dict.fromkeys(name for group in groups for _, name in sorted(group, key=_by_number)))
    notes = [
        f"The category {name!r} is no class: it has no objects and stands above the others, as the name of a "
        "project does; it was left out. --class-names keeps it."
        for name in projects
        if name not in names
    ]
    if differ:
        first = "/".join(files[order[0]].path.parts[-2:])  # all may be called alike
        notes.append(f"Files number categories differently: they go by their names, in the order of {first}.")
    return Categories(names, of_files, notes)


def _by_number(pair: tuple[str, str]) -> tuple[int, int, str]:
    number = pair[0]
    return (0, int(number), "") if re.fullmatch(r"-?\d+", number) else (1, 0, number)


def _names_of(file: CocoFile) -> dict[str, str]:
    """Return id → name."""
    of_id: dict[str, str] = {}
    for category in file.categories:
        name, number = category.get("name"), category.get("id")
        name = str(name).strip() if isinstance(name, str | int) and not isinstance(name, bool) else ""
        if not name or number is None:
            raise SourceError(f"{file.path}: a category without an id, or a name that is a text: {category!r:.80}.")
        if of_id.setdefault(str(number), name) != name:
            raise SourceError(
                f"{file.path}: the category {number} is {of_id[str(number)]!r}, and {name!r} as well. Give each an id "
                "of its own."
            )
    return of_id


def _projects(file: CocoFile, above: set[str]) -> set[str]:
    """Return the ids of categories that have no objects and are only parents of others: exports name projects so."""
    used = {str(annotation.get("category_id")) for annotation in file.annotations}
    return {
        str(c["id"])
        for c in file.categories
        if str(c["id"]) not in used
        and str(c["name"]) in above
        and str(c.get("supercategory")).lower() in ("none", "", str(c["name"]).lower())
    }


# Images with their objects.


def find_listed(
    file: CocoFile,
    names: Mapping[str, str],
    images: NamedImages,
    read: Callable[[Json, Size], tuple[Any, Any]],
    problems: Problems,
) -> list[NamedImage]:
    """Return the images of a file that exist, with their objects.

    Args:
        file: The file.
        names: Id → name of its categories.
        images: All images that exist.
        read: (annotation, width and height of its image) → shape and points; raises `WrongEntry`.
        problems: Collects the problems that are found.
    """
    listed: dict[str, NamedImage | None] = {}
    for entry in file.images:
        number = str(entry.get("id"))
        try:
            if number in listed:
                raise WrongEntry(IDS_AGAIN, f"image id {number}")
            listed[number] = None
            image = images.find(str(entry.get("file_name") or ""), file.path.parent, file.split)
            if image is not None:
                listed[number] = NamedImage(image, _size(entry), image.split or file.split)
        except WrongEntry as wrong:
            problems.add_entry(wrong, file.path.name)
    for annotation in file.annotations:
        number, category = str(annotation.get("image_id")), str(annotation.get("category_id"))
        try:
            if number not in listed:
                raise WrongEntry(UNKNOWN_IMAGES, f"image_id {annotation.get('image_id')!r}")
            if category not in names:
                raise WrongEntry(UNKNOWN_CATEGORIES, f"category_id {annotation.get('category_id')!r}")
            found = listed[number]
            if found is not None:
                flags = CROWD if annotation.get("iscrowd") else 0
                shape, points = read(annotation, found.size)
                found.objects.append(FoundObject(shape, names[category], flags, points, annotation.get("id")))
        except WrongEntry as wrong:
            problems.add_entry(wrong, f"{file.path.name}: annotation {annotation.get('id')}")
    return [image for image in listed.values() if image is not None]


def _size(image: Json) -> Size | None:
    width, height = image.get("width"), image.get("height")
    known = all(isinstance(side, int) and 0 < side < 2**31 for side in (width, height))
    return (int(width), int(height)) if known and width is not None and height is not None else None

"""YOLO: a text file an image, a line an object: class, x and y of the middle, width, height, as shares of the image.

Source: https://docs.ultralytics.com/datasets/detect: class numbers from 0; images without objects have no file or an
empty one; labels lie in labels/ beside images/, or beside the images. Lines of more numbers are polygons, whose box
counts.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from precompute.errors import SourceError
from precompute.options import BuildOptions
from precompute.sources.annotations.images import (
    FoundImage,
    FoundImages,
    check_unique,
    find_files,
    find_images,
    listed,
    raise_problems,
    sources_of,
    without_role,
)
from precompute.sources.box_checks import check_boxes
from precompute.sources.checks import check_class_names
from precompute.sources.folders.splits import SPLIT_FOLDERS
from precompute.sources.source import Sources
from precompute.targets.boxes import BoxColumn, Boxes
from precompute.text_files import guess_text, read_text

__all__ = ["CLASS_LISTS", "find_yolo", "yaml_files"]

ROLES = ("labels",)
CLASS_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
OTHER_TEXTS = (
    *CLASS_LISTS,
    "readme.txt",
    "license.txt",
    "requirements.txt",
    *(f"{name}.txt" for name in SPLIT_FOLDERS),
)
NOTHING = (None, "", "~", "null", "Null", "NULL")  # what YAML writes for no value, as text
MOST = 2.0  # a share of a box that reaches beyond its image, and is clipped; more is taken for pixels


@dataclass
class _Labels:
    """What the text files say."""

    rows: list[list[tuple[float, float, float, float, int, int]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    repeated: int = 0
    without_file: int = 0


def find_yolo(top: Path, labels: Path, data_yaml: Path | None, options: BuildOptions) -> Sources:
    """Return the sources of a folder in the layout of YOLO.

    Args:
        top: Folder with the images.
        labels: Folder below which the text files lie.
        data_yaml: The file with the names of the classes, if there is one.
        options: Of the build.

    Raises:
        SourceError: Text files without image, lines that are no box, classes without a name.
    """
    found = find_images(top, options)
    check_unique(found)
    files = _text_files(labels)
    _check_alone(found, files)
    splits = _splits_of_yaml(found, data_yaml)
    names = check_class_names(options.class_names) or _class_names(top, data_yaml)
    read = _read_all(found, files, names)
    highest = max((row[4] for rows in read.rows for row in rows), default=0)
    every = names if names is not None else [str(number) for number in range(highest + 1)]
    column = BoxColumn.of_images(Boxes.of_rows(rows, None) for rows in read.rows)
    checked = check_boxes(column, [image.key for image in found.images], every, where=str(top))
    return sources_of(
        found,
        found.images,
        checked,
        splits=[image.split or splits.get(image.path) for image in found.images],
        class_names=every,
        notes=_notes(read, names),
    )


def _notes(read: _Labels, names: list[str] | None) -> list[str]:
    notes = []
    if names is None:
        notes.append("No names of classes (data.yaml, classes.txt, --class-names): their numbers are their names.")
    if read.without_file:
        notes.append(f"{read.without_file:,} images have no text file, which means no objects.")
    if read.repeated:
        notes.append(f"{read.repeated:,} lines that say the same as another of their file were left out.")
    return notes


# Names of classes.


def _class_names(top: Path, data_yaml: Path | None) -> list[str] | None:
    if data_yaml is not None:
        return _names_of_yaml(data_yaml)
    lists = [path for name in CLASS_LISTS for path in (top / name, top / "labels" / name) if path.is_file()]
    if not lists:
        return None
    lines = read_text(lists[0]).splitlines()
    return check_class_names([line.strip() for line in lines if line.strip()] or None, str(lists[0]))


def _names_of_yaml(path: Path) -> list[str]:
    content = _read_yaml(path)
    names: Any = content.get("names")
    if isinstance(names, dict) and set(names) == {str(i) for i in range(len(names))}:
        names = [names[str(i)] for i in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise SourceError(f"{path}: names: expected a list of class names, or a name for each number from 0 on.")
    count = content.get("nc", "")
    if isinstance(count, str) and count.isdecimal() and int(count) != len(names):
        raise SourceError(f"{path}: nc is {count}, but there are {len(names)} names.")
    return check_class_names(names, str(path)) or []


def _read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file, each value a text as it is written: 02146 and yes are names."""
    try:
        content = yaml.load(read_text(path), Loader=yaml.BaseLoader)  # it makes texts, lists and dictionaries alone
    except yaml.YAMLError as error:
        raise SourceError(f"{path}: cannot be read as YAML ({str(error).splitlines()[0]}).") from error
    return content if isinstance(content, dict) else {}


def _splits_of_yaml(found: FoundImages, data_yaml: Path | None) -> dict[str, str]:
    """Return path → split of the images that data.yaml names, where folders are not named like splits.

    Its entries are folders, or text files with a path a line, below its `path` or its own folder.
    """
    if data_yaml is None or any(image.split for image in found.images):
        return {}
    content = _read_yaml(data_yaml)
    starts = [data_yaml.parent / str(content.get("path") or ""), data_yaml.parent, found.top]
    splits: dict[str, str] = {}
    twice = []
    for name in ("train", "val", "test"):
        entries = content.get(name)
        for entry in entries if isinstance(entries, list) else [entries]:
            if entry in NOTHING:
                continue
            for path in _named_images(found, str(entry), starts):
                if splits.setdefault(path, SPLIT_FOLDERS[name]) != SPLIT_FOLDERS[name]:
                    twice.append(path)
    remedy = "Expected each in one of train, val and test; for a split by chance, take train and val out of it."
    raise_problems(f"{data_yaml}: its splits overlap.", [listed("Images in two of them", twice, remedy)])
    return splits if len(set(splits.values())) > 1 else {}  # else fractions may still divide them


def _named_images(found: FoundImages, entry: str, starts: Sequence[Path]) -> Iterator[str]:
    # Exported files begin paths with ../, which leads nowhere once the folder has been moved.
    spellings = [start / name for start in starts for name in (entry, entry.removeprefix("../"))]
    for place in (Path(os.path.abspath(spelling)) for spelling in spellings):  # noqa: PTH100
        if place.is_dir():
            yield from (i.path for i in found.images if i.path.startswith(f"{place.as_posix()}/"))
            return
        if place.is_file():
            lines = [line.strip() for line in read_text(place).splitlines()]
            roots = (place.parent, *starts)
            named = {Path(os.path.abspath(root / line)).as_posix() for line in lines if line for root in roots}  # noqa: PTH100
            yield from (i.path for i in found.images if i.path in named)
            return


# Text files.


def _text_files(labels: Path) -> dict[str, Path]:
    """Return plain key → text file: those in labels/ where there are such, else all but lists of other things."""
    every = [(parts, name) for parts, name in find_files(labels, (".txt",)) if name.lower() not in OTHER_TEXTS]
    inside = [(parts, name) for parts, name in every if any(part.lower() in ROLES for part in parts)]
    return {
        "/".join((*without_role(parts, ROLES), name[: -len(".txt")])): labels.joinpath(*parts, name)
        for parts, name in inside or every
    }


def _check_alone(found: FoundImages, files: dict[str, Path]) -> None:
    there = {image.plain for image in found.images}
    alone = [str(path) for plain, path in files.items() if plain not in there]
    what = f"{found.top}: images and labels (YOLO) do not fit together."
    remedy = "Expected an image of the same name, in images/ where these are in labels/; remove the others."
    problems = [listed("Text files without an image", alone, remedy)]
    if there and not there & files.keys():
        problems.append(f"Not one of {len(there):,} images has a text file of its name.")
    raise_problems(what, problems)


def _read_all(found: FoundImages, files: dict[str, Path], names: list[str] | None) -> _Labels:
    read = _Labels()
    for image in found.images:
        path = files.get(image.plain)
        read.without_file += path is None
        read.rows.append([] if path is None else _read(path, image, names, read))
    raise_problems(
        f"{found.top}: text files that cannot be used.",
        [
            listed(
                "Lines that are no box",
                read.wrong,
                "Expected: class, x and y of the middle, width and height as shares from 0 to 1; or a class and the "
                "points of a polygon.",
            )
        ],
    )
    return read


def _read(
    path: Path, image: FoundImage, names: list[str] | None, read: _Labels
) -> list[tuple[float, float, float, float, int, int]]:
    rows: dict[tuple[float, float, float, float, int, int], None] = {}
    try:
        lines = read_text(path).splitlines()
    except SourceError as error:
        read.wrong.append(str(error))
        return []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = _row(line.split(), names)
        except ValueError as error:
            read.wrong.append(f"{path}, line {number}: {error}")
            continue
        read.repeated += row in rows
        rows[row] = None
    return list(rows)


def _row(words: Sequence[str], names: list[str] | None) -> tuple[float, float, float, float, int, int]:
    """Return one line as a box.

    Raises:
        ValueError: With what is wrong with it.
    """
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise ValueError(f"expected numbers alone, got {' '.join(words)!r:.60}") from error
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"expected finite numbers, got {' '.join(words)!r:.60}")
    if len(numbers) != 5 and (len(numbers) < 7 or len(numbers) % 2 == 0):
        hint = "; is the last one a confidence? These are no annotations" if len(numbers) == 6 else ""
        raise ValueError(f"expected 5 numbers, or a polygon of three points or more, got {len(numbers)}{hint}")
    label, sides = numbers[0], numbers[1:]
    if label < 0 or not label.is_integer():
        raise ValueError(f"expected the number of a class, 0 or more, got {words[0]}")
    if names is not None and label >= len(names):
        raise ValueError(f"class {int(label)}, but there are {len(names)} names (0 to {len(names) - 1})")
    if max(map(abs, sides)) > MOST:
        raise ValueError(f"expected shares from 0 to 1, got {max(sides, key=abs):g}: are these pixels?")
    return (*_corners(sides), int(label), 0)


def _corners(sides: Sequence[float]) -> tuple[float, float, float, float]:
    if len(sides) == 4:
        x, y, width, height = sides
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return min(sides[::2]), min(sides[1::2]), max(sides[::2]), max(sides[1::2])


def yaml_files(folder: Path) -> Iterator[Path]:
    """Yield the YAML files of a folder that name classes as YOLO does: with names, and train, val or path."""
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            content = yaml.load(guess_text(path.read_bytes()), Loader=yaml.BaseLoader)
        except (OSError, yaml.YAMLError):
            continue
        if isinstance(content, dict) and "names" in content and {"train", "val", "path", "nc"} & content.keys():
            yield path

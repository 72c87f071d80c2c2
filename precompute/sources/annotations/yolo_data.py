"""YOLO's data.yaml: names of classes, images of each split, keypoints; and which of several such files count.

Source: https://docs.ultralytics.com/datasets/detect: train, val and test are folders, lists of folders, or text files
with the path of an image a line; relative ones start from `path`, which starts from the file's own folder.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from precompute.errors import SourceError, first_few
from precompute.fields.skeleton import Skeleton
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.layout import is_label_file, maybe_annotations, some_files
from precompute.sources.classes import check_class_names
from precompute.sources.found_objects import chosen_skeleton
from precompute.sources.split_folders import split_of
from precompute.sources.unicode_forms import existing_path
from precompute.text.files import guess_text, lines_of, read_text
from precompute.text.format import format_count

__all__ = [
    "CLASS_LISTS",
    "YAML",
    "DataYaml",
    "ListedImages",
    "Numbering",
    "find_numbering",
    "find_skeleton",
    "read_data_yaml",
    "split_lists",
    "yaml_files",
]

CLASS_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
NOTHING = (None, "", "~", "null", "Null", "NULL")  # what YAML writes for no value, as text
YAML, LABELS = (".yaml", ".yml"), "labels"
MAX_SHOWN = 5
NUMBER = re.compile("0|[1-9][0-9]{0,3}")


@dataclass
class ListedImages:
    """The images that the entries of a data.yaml name.

    Attributes:
        folders: Path of a folder, with a slash at its end → split.
        files: Path of an image → split.
        lost: Key in the file → its entries and lines that lead nowhere.
        duplicates: Images in two splits.
    """

    folders: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    lost: list[tuple[str, str]] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)

    def splits_of(self, path: str) -> set[str]:
        """Return the splits of an image; empty where it is not named."""
        found = {split for folder, split in self.folders.items() if path.startswith(folder)}
        return found | ({self.files[path]} if path in self.files else set())


@dataclass(frozen=True, kw_only=True)
class DataYaml:
    """The content of one data.yaml.

    Attributes:
        path: Path of the file.
        names: Names of the classes.
        entries: Split → its entries: keys with their values.
        starts: Folders that relative paths may start from, the likeliest first.
        kpt_shape: Number of keypoints, and of the numbers that each has; None without keypoints.
        kpt_names: Names of the keypoints, or None.
        flip_idx: For each keypoint the one that takes its place when the image is mirrored; or None.
    """

    path: Path
    names: list[str]
    entries: dict[str, list[tuple[str, str]]]
    starts: list[Path]
    kpt_shape: tuple[int, int] | None = None
    kpt_names: list[str] | None = None
    flip_idx: list[int] | None = None

    @cached_property
    def named(self) -> ListedImages:
        """The images that all entries name."""
        named = ListedImages()
        for split, key, entry in ((split, *one) for split, entries in self.entries.items() for one in entries):
            place = _place(entry, self.starts)
            if place is None:
                named.lost.append((key, entry))
            elif place.is_dir():
                folder = place.as_posix().rstrip("/") + "/"
                named.duplicates += [folder] if named.folders.setdefault(folder, split) != split else []
            else:
                for line in _lines(place):
                    image = _place(line, [place.parent, *self.starts])
                    if image is None:
                        named.lost.append((place.name, line))
                    elif named.files.setdefault(image.as_posix(), split) != split:
                        named.duplicates.append(image.as_posix())
        return named


def _place(entry: str, starts: Sequence[Path]) -> Path | None:
    """Return the path that an entry leads to, or None."""
    # Exported files begin paths with ../, which leads nowhere once the folder has been moved.
    spellings = [start / name for start in starts for name in (entry, entry.removeprefix("../"))]
    spellings += [start / entry.partition("/")[2] for start in starts if "/" in entry.strip("/")]  # the same, by name
    places = (Path(existing_path(os.path.abspath(place))) for place in spellings)  # noqa: PTH100
    return next((place for place in places if place.exists()), None)


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in lines_of(read_text(path)) if line.strip()]


def split_lists(top: Path) -> DataYaml | None:
    """Return what lists directly in a folder say, where no data.yaml does: Darknet's and CVAT's obj.data, which names a
    list a split, or texts that are called like splits; each has the path of an image a line.
    """
    entries = defaultdict[str, list[tuple[str, str]]](list)
    for path in sorted(top.glob("*.data")):
        for key, _, entry in (line.partition("=") for line in _lines(path)):
            if (split := split_of(key)) is not None and entry.strip():
                entries[split].append((path.name, entry.strip()))
    for path in sorted(top.glob("*.txt")) if not entries else ():
        if (split := split_of(path.stem)) is not None and not is_label_file(path):
            entries[split].append((path.name, path.name))
    return DataYaml(path=top, names=[], entries=dict(entries), starts=[top]) if entries else None


# Reading.


def yaml_files(folder: Path) -> Iterator[Path]:
    """Yield the YAML files of a folder that name classes as YOLO does: as a list, or by numbers under `names`."""
    yield from filter(_names_classes, sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]))


def _names_classes(path: Path) -> bool:
    with maybe_annotations(path):
        if not path.is_file():
            return False
        content = path.read_bytes()
    try:
        content = yaml.load(guess_text(content), Loader=yaml.BaseLoader)
    except yaml.YAMLError:
        return False
    return isinstance(content, dict) and isinstance(content.get("names"), list | dict)


def read_data_yaml(path: Path, top: Path) -> DataYaml:
    """Read a data.yaml; its paths may be relative to the given folder, too.

    Raises:
        SourceError: It is no YAML, names no classes, or describes keypoints wrongly.
    """
    try:
        content = yaml.load(read_text(path), Loader=yaml.BaseLoader)  # values are texts as written: 02146, yes
    except yaml.YAMLError as error:
        raise SourceError(f"{path}: cannot be read as YAML ({str(error).splitlines()[0]}).") from error
    content = content if isinstance(content, dict) else {}
    entries = defaultdict[str, list[tuple[str, str]]](list)
    for key, value in content.items():
        split = split_of(str(key))
        for text in value if isinstance(value, list) else [value] if isinstance(value, str) else []:
            if split is not None and text not in NOTHING:
                entries[split].append((str(key), str(text)))
    names = _names(path, content)
    kpt_shape, kpt_names, flip_idx = _keypoints(path, content)
    return DataYaml(
        path=path,
        names=names,
        entries=dict(entries),
        starts=[path.parent / str(content.get("path") or ""), path.parent, top],
        kpt_shape=kpt_shape,
        kpt_names=kpt_names,
        flip_idx=flip_idx,
    )


def _names(path: Path, content: Mapping[str, Any]) -> list[str]:
    names: Any = content.get("names")
    counts = {0 if names is None else len(names)}
    if isinstance(names, dict) and all(map(NUMBER.fullmatch, names)):  # one that has no name goes by its number
        names = [names.get(str(i), str(i)) for i in range(max(map(int, names), default=-1) + 1)]
        counts.add(len(names))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise SourceError(f"{path}: names: expected a list of class names, or names by their numbers from 0 on.")
    count = content.get("nc", "")
    if isinstance(count, str) and count.isdecimal() and int(count) not in counts:
        raise SourceError(
            f"{path}: nc is {count}, but there {'is' if len(names) == 1 else 'are'} {format_count(len(names), 'name')}."
        )
    return check_class_names(names, str(path)) or []


def _keypoints(
    path: Path, content: Mapping[str, Any]
) -> tuple[tuple[int, int] | None, list[str] | None, list[int] | None]:
    """Return `kpt_shape`, `kpt_names` and `flip_idx`, each of them None where nothing is given."""
    shape, names, given_indices = (content.get(key) for key in ("kpt_shape", "kpt_names", "flip_idx"))
    if shape in NOTHING:
        return None, None, None
    sizes = _whole_numbers(shape)
    if len(sizes) != 2 or sizes[0] < 1 or sizes[1] not in (2, 3):
        raise SourceError(
            f"{path}: kpt_shape: expected the number of keypoints, and 2 or 3 numbers each, such as [17, 3]; got "
            f"{shape!r:.60}."
        )
    count = sizes[0]
    if isinstance(names, dict):  # class → its names
        every = list(names.values())
        names = every[0] if all(of_class == every[0] for of_class in every) else every
    if names in NOTHING:
        names = None
    elif not isinstance(names, list) or len(names) != count or not all(isinstance(name, str) for name in names):
        raise SourceError(
            f"{path}: kpt_names: expected {count} names (kpt_shape), the same for all classes, got {names!r:.60}. "
            "--keypoint-names gives others."
        )
    if given_indices in (*NOTHING, []):
        return (count, sizes[1]), names, None
    indices = _whole_numbers(given_indices)
    if sorted(indices) != list(range(count)) or any(indices[other] != i for i, other in enumerate(indices)):
        raise SourceError(
            f"{path}: flip_idx: expected for each of {count} keypoints the number of the one that takes its place in a "
            f"mirror, and for that one the first again; got {given_indices!r:.60}. --flip-pairs gives pairs by name."
        )
    return (count, sizes[1]), names, indices


def _whole_numbers(given: Any) -> list[int]:
    """Return a value as whole numbers; an empty list where it is something else."""
    try:
        return [int(str(number)) for number in given]
    except (TypeError, ValueError):
        return []


def find_skeleton(data: DataYaml, options: BuildOptions) -> Skeleton | None:
    """Return the skeleton of keypoints: names, edges and pairs from the options, else from the file, if it has some.

    Raises:
        UsageError: There are more or fewer names than keypoints, or a pair names none of them.
    """
    if data.kpt_shape is None:
        return None
    number = data.kpt_shape[0]
    names = options.keypoint_names or data.kpt_names or [f"kpt{i}" for i in range(number)]
    if len(names) != number:
        raise SourceError(
            f"{data.path}: kpt_shape counts {format_count(number, 'keypoint')}, but --keypoint-names "
            f"gives {format_count(len(names), 'name')}."
        )
    pairs = [(names[i], names[other]) for i, other in enumerate(data.flip_idx or ()) if i < other]
    return chosen_skeleton(names, options, has_boxes=True, flip_pairs=pairs)


# Which file counts.


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """The names of the classes, if known, and the files that name them.

    Attributes:
        names: Names of the classes in the order of their numbers; None: nothing names them.
        data: The files data.yaml that count.
        elsewhere: Files that name classes of a part of the images, so that their names are not taken.
    """

    names: list[str] | None
    data: list[DataYaml] = field(default_factory=list)
    elsewhere: list[Path] = field(default_factory=list)


def find_numbering(top: Path, annotations: Path, images: Iterable[str]) -> Numbering:
    """Return the names in files that the user did not name: below the annotations, else in the nearest folder above.

    Args:
        top: The folder that was given.
        annotations: The folder itself, or the one below it that holds the text files.
        images: Paths of all images that count.

    Raises:
        SourceError: Files number classes differently; the user has to say which ones count.
    """
    files = _naming_files(annotations)
    for folder in annotations.parents if annotations != top else ():
        if files or not folder.is_relative_to(top):
            break
        files = [*yaml_files(folder), *(folder / name for name in CLASS_LISTS if (folder / name).is_file())]
    data = [read_data_yaml(path, top) for path in files if path.suffix.lower() in YAML]
    names = {one.path: one.names for one in data}
    names |= {path: of_file for path in files if path not in names and (of_file := _class_list(path))}
    if len({tuple(of_file) for of_file in names.values()}) > 1:
        shown = {path: ", ".join(of_file[:MAX_SHOWN]) for path, of_file in names.items()}
        _several(top, shown, "they number classes differently")
    if len({str((one.kpt_shape, one.flip_idx)) for one in data}) > 1:
        _several(top, {one.path: f"kpt_shape {one.kpt_shape}" for one in data}, "their keypoints differ")
    if names and not _covers(list(names), data, images):
        return Numbering(names=None, elsewhere=list(names))
    return Numbering(names=next(iter(names.values()), None), data=data)


def _naming_files(folder: Path) -> list[Path]:
    """Return the files below a folder that may name classes: data.yaml first, the nearest first."""
    data = [path for path in some_files(folder, YAML) if _names_classes(path)]
    return data + [path for path in some_files(folder, CLASS_LISTS) if path.name.lower() in CLASS_LISTS]


def _covers(files: Sequence[Path], data: Sequence[DataYaml], images: Iterable[str]) -> bool:
    """Return whether all images lie beside files that name classes, below them, or where these files say."""
    folders = [path.parent.parent if path.parent.name.lower() == LABELS else path.parent for path in files]
    covered = tuple(f"{folder.as_posix().rstrip('/')}/" for folder in folders)
    return all(image.startswith(covered) or any(one.named.splits_of(image) for one in data) for image in images)


def _class_list(path: Path) -> list[str]:
    """Return the names in a file with one name per line."""
    return check_class_names(_lines(path) or None, str(path)) or []


def _several(top: Path, shown: Mapping[Path, str], why: str) -> None:
    lines = [f"{path.relative_to(top)}: {text:.100}" for path, text in shown.items()]
    raise SourceError(
        f"{top}: several files name classes, and {why}:\n{first_few(lines)}\nName the one that counts with "
        f"--annotations {next(iter(shown)).relative_to(top)}: its images are read and no others; or give its folder as "
        "SOURCE."
    )

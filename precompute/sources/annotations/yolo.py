"""YOLO: a text file an image, a line an object: class, x and y of the middle, width, height, as shares of the image.

Source: https://docs.ultralytics.com/datasets/detect: class numbers from 0; images without objects have no file or an
empty one; labels lie in labels/ beside images/, or beside the images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, repeat
from pathlib import Path

from precompute.errors import SourceError, first_few
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.options.build_options import BuildOptions
from precompute.sources.annotations.images import (
    FoundImages,
    PathParts,
    find_beside,
    find_files,
    find_images,
    match_files,
    sources_of,
)
from precompute.sources.annotations.layout import MAX_ENTRIES, MAX_SNIFFED, Layout, beginning, is_label_file, some_files
from precompute.sources.annotations.yolo_data import (
    CLASS_LISTS,
    YAML,
    DataYaml,
    ListedImages,
    Numbering,
    find_numbering,
    find_skeleton,
    read_data_yaml,
    split_lists,
    yaml_files,
)
from precompute.sources.annotations.yolo_lines import fits_pose, read_line
from precompute.sources.classes import given_names
from precompute.sources.found import Found
from precompute.sources.found_objects import FoundObject, boxes_of_images
from precompute.sources.problems import Problems
from precompute.sources.split_folders import split_of
from precompute.text.files import lines_of, read_text
from precompute.text.format import format_count

__all__ = ["LAYOUT"]

ROLES = ("labels",)
OTHER_TEXTS = (*CLASS_LISTS, "readme.txt", "license.txt", "requirements.txt")


@dataclass
class _Labels:
    """The content of the text files."""

    objects: list[list[FoundObject]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    # (Numbers in a line that was read as a polygon, whether it may be a pose) → lines.
    polygons: Counter[tuple[int, bool]] = field(default_factory=Counter)
    repeated: int = 0
    without_file: int = 0


def _find(top: Path, annotations: Path, options: BuildOptions) -> Found:
    """Return the sources of a folder in the layout of YOLO.

    The annotations are a data.yaml, and the images that it names count; or a folder with text files, and the images of
    these count; or `top`, and all images count.

    Raises:
        SourceError: Text files lack images, lines are no boxes, classes have no names, or files number classes
            differently.
    """
    if annotations.is_file():
        data = read_data_yaml(annotations, top)
        named = _named(top, data)
        found = find_images(top, options, lambda images: [bool(named.splits_of(image.path)) for image in images])
        if not found.images:
            raise SourceError(
                f"{data.path}: not one of {format_count(len(found.left_out), 'image')} below {top} is one that "
                "it names."
            )
        matched = match_files(found.images, top, top, _text_files(top), ROLES)
        files, numbering = _of_folders(matched.files, found), Numbering(names=data.names, data=[data])
    else:
        found, matched = find_beside(top, annotations, _text_files(annotations), ROLES, options)
        files = _of_folders(matched.files, found)
        labelled = (image.path for image in found.images if image.place in files)
        numbering = find_numbering(top, annotations, labelled)
    unmatched = _check_unmatched(found, files, options)
    (splits, more), by_lists = _splits(found, numbering.data, given=annotations != top), False
    if not splits and not any(data.entries for data in numbering.data) and (lists := split_lists(top)):
        splits, more = _splits_of_lists(found, lists)
        by_lists = bool(splits)
    names = given_names(options, "objects", "mask") or numbering.names
    pose = next((data for data in numbering.data if data.kpt_shape), None)
    read = _read_all(found, files, names, None if pose is None else pose.kpt_shape)
    skeleton = None if pose is None or options.target != "keypoints" else find_skeleton(pose, options)
    highest = max((int(one.label) for of_image in read.objects for one in of_image), default=0)
    every = names if names is not None else [str(number) for number in range(highest + 1)]
    objects = boxes_of_images(
        read.objects,
        repeat(None),
        [image.key for image in found.images],
        every,
        where=str(top),
        skeleton=skeleton,
    )
    notes = [*found.left_out_note(options.annotations), *unmatched, *more]
    notes += _notes(found, read, numbering, names, options)
    sources = sources_of(found, found.images, objects, splits=splits, notes=notes)
    return replace(sources, splits_are_new=by_lists)


def _notes(
    found: FoundImages, read: _Labels, numbering: Numbering, names: list[str] | None, options: BuildOptions
) -> list[str]:
    notes = []
    if names is None and numbering.elsewhere:
        path = numbering.elsewhere[0].relative_to(found.top)
        notes.append(
            f"{path} names the classes of a part of the images, so that their numbers are their names; give "
            f"--annotations {path} or its folder to read that part alone, or --class-names if it holds for all."
        )
    elif names is None:
        notes.append("No names of classes (data.yaml, classes.txt, --class-names): their numbers are their names.")
    if read.without_file:
        notes.append(
            f"{format_count(read.without_file, 'image has', 'images have')} no text file, which means no objects."
        )
    if read.repeated:
        lines = format_count(
            read.repeated, "line that repeats another of its file was", "lines that repeat another were"
        )
        notes.append(f"{lines} left out.")
    if any(data.kpt_shape for data in numbering.data) and options.target == "auto":
        notes.append("There are keypoints (kpt_shape), and boxes are read alone: --target keypoints reads both.")
    if len(read.polygons) == 1 and all(may_be_pose for _, may_be_pose in read.polygons):
        ((length, _), number), *_ = read.polygons.items()
        notes.append(
            f"{format_count(number, 'line of', 'lines of')} {length} numbers taken for polygons; they would do as well "
            "for a box and keypoints inside of it, which kpt_shape in data.yaml declares: look at them with "
            "`precompute preview`."
        )
    return notes


# Images that data.yaml names.


def _named(top: Path, data: DataYaml) -> ListedImages:
    """Return the images that the user's data.yaml names."""
    named = data.named
    if not data.entries:
        named.folders[f"{data.starts[0].resolve().as_posix()}/"] = ""
    lost = [f"{key}: {entry}" for key, entry in named.lost if split_of(key) != "test"]
    start = f"{top.as_posix().rstrip('/')}/"
    outside = [place for place in (*named.folders, *named.files) if not place.startswith(start)]
    remedy = f"They start from its path ({data.starts[0]}) or from its own folder; fix them."
    problems = Problems(f"{data.path}: it names images that cannot be read.")
    problems.add("Entries that lead nowhere", lost, remedy)
    problems.add(f"Entries that lead out of {top}", outside, "Give as SOURCE the folder that holds them all.").check()
    return named


def _splits(found: FoundImages, every: Sequence[DataYaml], *, given: bool) -> tuple[dict[str, str], list[str]]:
    """Return path → split for the images that files data.yaml name, and notes.

    If the user named no such file, folders that are named like splits come first.
    """
    if not every or (not given and any(image.split for image in found.images)):
        return {}, []
    named = [data.named for data in every]
    of_images = {image.path: set().union(*(one.splits_of(image.path) for one in named)) for image in found.images}
    duplicates = [path for path, splits in of_images.items() if len(splits) > 1]
    remedy = "Expected each in one of train, val and test; for a split by chance, take train and val out of it."
    where = ", ".join(str(data.path) for data in every)
    Problems(f"{where}: its splits overlap.").add("Images in two of them", duplicates, remedy).check()
    splits = {path: splits.pop() for path, splits in of_images.items() if splits}
    if len(set(splits.values())) < 2:
        return {}, []  # fractions may still divide them
    again = [path for data in every for path in data.named.duplicates]
    note = f"{where}: named for two splits, of which the first counts ({len(again):,}):\n{first_few(again)}"
    return splits, [note] if again else []


def _splits_of_lists(found: FoundImages, lists: DataYaml) -> tuple[dict[str, str], list[str]]:
    """Return path → split according to lists beside the images, and notes.

    Earlier versions did not read these lists, and many are left over from elsewhere. So a list that cannot be followed
    gives a note and no error, and earlier datasets can go on.
    """
    named = lists.named
    names = ", ".join(dict.fromkeys(name for entries in lists.entries.values() for name, _ in entries))
    of_images = {image.path: named.splits_of(image.path) for image in found.images}
    if not any(of_images.values()):
        return {}, [f"{names}: no image that they name is there, so that they are no splits."]
    if named.duplicates:
        again = format_count(len(named.duplicates), "image stands", "images stand")
        return {}, [
            f"{names}: {again} in the lists of two splits, so that they are none:\n{first_few(named.duplicates)}"
        ]
    lost = [f"{name}: {line}" for name, line in named.lost]
    notes = [f"{names}: images that are not there ({len(lost):,}):\n{first_few(lost)}"] if lost else []
    splits = {path: next(iter(splits)) for path, splits in of_images.items() if splits}
    if len(set(splits.values())) < 2 or any(image.split for image in found.images):
        return {}, notes  # fractions may still divide them; folders that are named like splits come first
    return splits, [f"splits by {names}.", *notes]


# Text files.


def _of_folders(files: dict[str, Path], found: FoundImages) -> dict[str, Path]:
    """Return the text files at the places of images that count, by plain path; all files if no image is left out."""
    folders = {image.place.rpartition("/")[0] for image in found.images}
    return {place: path for place, path in files.items() if not found.left_out or place.rpartition("/")[0] in folders}


def _text_files(labels: Path) -> list[PathParts]:
    """Return the text files with boxes: those in labels/ if there are any, else all but lists of other things."""
    found = find_files(labels, (".txt",))
    every = [(parts, name) for parts, name in found if not _is_other(parts, name, labels)]
    return [(parts, name) for parts, name in every if any(part.lower() in ROLES for part in parts)] or every


def _is_other(parts: tuple[str, ...], name: str, labels: Path) -> bool:
    """Return whether a file holds no boxes: a list of classes, or a list of images, which is called like a split."""
    if name.lower() in OTHER_TEXTS:
        return True
    inside = any(part.lower() in ROLES for part in parts)
    return (
        not inside and split_of(name[: -len(".txt")]) is not None and not is_label_file(labels.joinpath(*parts, name))
    )


def _check_unmatched(found: FoundImages, files: dict[str, Path], options: BuildOptions) -> list[str]:
    """Return notes on text files that are left out, or refuse them."""
    there = {image.place for image in found.images}
    problems = Problems(f"{found.top}: images and labels (YOLO) do not fit together.")
    problems.add_unmatched(
        "Text files without an image",
        found.strangers(files),
        "Expected an image of the same name, in images/ where these are in labels/; remove the others.",
    )
    notes = problems.leave_out(options, len(there))
    if there and not there & files.keys():
        problems.add_text(f"Not one of {format_count(len(there), 'image')} has a text file of its name.")
    problems.check()
    return notes


def _read_all(
    found: FoundImages, files: dict[str, Path], names: list[str] | None, kpt_shape: tuple[int, int] | None
) -> _Labels:
    read = _Labels()
    num_classes = None if names is None else len(names)
    for image in found.images:
        path = files.get(image.place)
        read.without_file += path is None
        read.objects.append([] if path is None else _read(path, num_classes, kpt_shape, read))
    remedy = (
        "Expected: class, x and y of the middle, width and height as shares from 0 to 1; a class and the points of a "
        "polygon; or a box and its keypoints, which kpt_shape in data.yaml declares."
    )
    Problems(f"{found.top}: text files that cannot be used.").add("Lines that are no box", read.wrong, remedy).check()
    return read


def _read(path: Path, num_classes: int | None, kpt_shape: tuple[int, int] | None, read: _Labels) -> list[FoundObject]:
    rows: dict[FoundObject, None] = {}
    try:
        lines = lines_of(read_text(path))
    except SourceError as error:
        read.wrong.append(str(error))
        return []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words:
            continue
        try:
            row = read_line(words, num_classes, kpt_shape)
        except ValueError as error:
            read.wrong.append(f"{path}, line {number}: {error}")
            continue
        if kpt_shape is None and len(words) > 5:
            read.polygons[len(words), fits_pose(words)] += 1
        read.repeated += row in rows
        rows[row] = None
    return list(rows)


# Whether it is one.


def _is_below(top: Path, options: BuildOptions) -> bool:
    """Whether there are text files in a folder labels/, or with a list of classes or a data.yaml beside the images."""
    if any("labels" in map(str.lower, path.relative_to(top).parts[:-1]) for path in _label_files(top)):
        return True
    named = next(yaml_files(top), None) is not None or any((top / name).is_file() for name in CLASS_LISTS)
    return named and _beside_images(top)


def _beside_images(top: Path) -> bool:
    """Whether a text file that may hold boxes is called like an image, wherever images lie; a few files tell."""
    images = islice(some_files(top, IMAGE_EXTENSIONS), MAX_ENTRIES)
    folders = {path.parent: None for path in images}
    texts = list(_label_files(top))
    return any(
        (folder / f"{text.stem}{extension}").is_file()
        for folder in islice(folders, MAX_SNIFFED)
        for text in texts
        for extension in IMAGE_EXTENSIONS
    )


def _is_in(folder: Path, options: BuildOptions) -> bool:
    """Whether there are text files that hold boxes, not empty ones alone."""
    return any(beginning(path).strip() for path in _label_files(folder))


def _label_files(folder: Path) -> Iterator[Path]:
    """Yield some text files that hold boxes, or nothing."""
    for path in islice(some_files(folder, (".txt",)), MAX_SNIFFED):
        if is_label_file(path):
            yield path


LAYOUT = Layout(
    name="YOLO",
    expected="a folder of YOLO text files, such as labels/, or YOLO's data.yaml",
    find=_find,
    is_below=_is_below,
    is_in=_is_in,
    endings=YAML,
    reads=(".txt", *YAML),
)

"""Sources from a folder: classes by folder, or images paired with masks by key."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import add, eq
from pathlib import Path
from typing import Any, NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.label_column import LabelColumn
from precompute.fields.path_column import PathColumn
from precompute.images.file_kinds import IMAGE_EXTENSIONS, ignored_files_text, unreadable_text
from precompute.options.build_options import BuildOptions
from precompute.sources.classes import check_class_names, class_order
from precompute.sources.folders.layout import LAYOUTS, Layout, find_layout
from precompute.sources.folders.siblings import check_class_folders, class_notes
from precompute.sources.found import Found, FoundColumn
from precompute.sources.found_files import FoundFile, FoundFiles, RoleFolder, relative, shown
from precompute.sources.problems import Problems, Unmatched
from precompute.sources.split_folders import split_positions
from precompute.sources.unicode_forms import UnicodeForms, check_unicode_forms
from precompute.storage.paths import absolute, as_path, common_folder
from precompute.text.format import format_count
from precompute.text.notes import SummarizedNote

__all__ = ["Pairs", "find_in_folders", "pair"]


def find_in_folders(root: str | Path, options: BuildOptions) -> Found:
    """Find the sources in a folder, whichever of the usual layouts it has.

    A folder a class, or images/ with masks/ that hold files of equal names; either with folders train, val (valid,
    validation) and test above or below. Nothing is decoded.

    Args:
        root: Folder to look in.
        options: Options of the build: names of folders and ends of names that tell images and masks apart, classes.

    Raises:
        SourceError: Anything that would leave an image out or guess: unmatched, ambiguous, duplicate, empty.
        UsageError: An option makes no sense.
    """
    names = check_class_names(options.class_names)
    top = _check_root(root)
    layout = find_layout(top, options)
    found = _Folders(top, _base(top, layout), layout, names, options)
    _check_any(found, "images", layout.images, options.image_suffix)
    if options.image_only:
        return _image_only_sources(found)
    if layout.masks is None:
        return _class_sources(found)
    _check_any(found, "masks", layout.masks, options.mask_suffix)
    return _mask_sources(found, layout.masks)


class _Folders(NamedTuple):
    """What was found and what was asked for."""

    top: Path
    base: Path | None
    layout: Layout
    names: list[str] | None
    options: BuildOptions

    def sources(self, images: FoundFiles, *, layout: str, notes: Sequence[str] = (), **more: Any) -> Found:
        """Return images as sources, with what is told of the folder."""
        empty = _empty_folders(self, named=False)
        without = [SummarizedNote(f"Folders without images ({len(empty):,}):\n{first_few(empty)}")] if empty else []
        of_images: dict[str, Any] = {"splits": list(images.splits()), "num_bytes": images.num_bytes} | more
        return Found(
            where=str(self.top),
            layout=layout,
            root=self.base,
            keys=images.keys,
            images=images.paths(self.base),
            class_names=self.names or (),
            num_ignored_files=self.layout.num_ignored_files,
            passed=self.layout.passed,
            empty_folders=empty,
            notes=[*self.layout.notes, *notes, *without],
            **of_images,
        )


def _check_root(root: str | Path) -> Path:
    if not isinstance(root, (str, os.PathLike)) or not os.fspath(root):
        raise UsageError(f"Expected the folder of the sources, got {root!r}.")
    top = absolute(as_path(root))
    if not top.exists():
        raise SourceError(f"{top}: there is no such folder. Check the path.")
    if not top.is_dir():
        raise SourceError(
            f"{top}: expected a folder with images, got a file. Give the folder that it lies in, or "
            "a table that ends with .csv, .tsv, .jsonl or .parquet."
        )
    return top


def _base(top: Path, layout: Layout) -> Path | None:
    """Return the folder that all paths start from: the root, unless folders elsewhere were named."""
    folders = [part.path for part in layout.images + (layout.masks or [])]
    if all(relative(folder, top) is not None for folder in folders):
        return top
    return common_folder(folders)


def _check_any(found: _Folders, role: str, parts: list[RoleFolder], suffix: str) -> None:
    if any(part.files for part in parts):
        return
    ending = f" whose names end with {suffix!r} before the extension" if suffix else ""
    unreadable = unreadable_text(found.layout.passed)
    raise SourceError(
        f"{found.top}: there are no {role}{ending}; "
        f"{format_count(found.layout.num_ignored_files, 'other file was', 'other files were')} passed over"
        f"{ignored_files_text(found.layout.passed)}. {unreadable + ' ' if unreadable else ''}"
        f"Expected files with the extensions {' '.join(IMAGE_EXTENSIONS)}.\n{LAYOUTS}"
    )


# Images alone.


def _image_only_sources(found: _Folders) -> Found:
    files = _class_files(found)
    problems = _with_empty_folders(found, Problems(f"{found.top}: the images cannot be used as they are."))
    left_out = sum(len(part.files) for part in found.layout.masks or ())
    note = f"images alone were asked for: {format_count(left_out, 'mask is', 'masks are')} left out."
    return found.sources(files, layout="images alone", problems=problems, notes=[note] if left_out else [])


# A folder a class.


def _class_sources(found: _Folders) -> Found:
    files = _class_files(found)
    problems = _check_classes(found, files)
    sizes = Counter(files.labels())
    labels = class_order(sizes)
    check_unicode_forms(labels, str(found.top))
    check_class_folders(found.top, labels, found.names, lambda: zip(files.labels(), files.plain(), strict=True))
    names = found.names or labels
    index = {name: i for i, name in enumerate(names)}
    column = LabelColumn(indices=[index[label] for label in files.labels()])
    notes = class_notes(sizes, lambda: zip(files.labels(), files.plain(), strict=True))
    fields = [FoundColumn(column, names, notes)]
    return found.sources(files, layout="a folder a class", fields=fields, problems=problems)


def _class_files(found: _Folders) -> FoundFiles:
    parts = [part for part in found.layout.images if part.files]
    contexts = [part.context for part in parts]
    # Names that were given outrank what names of folders look like: a class may be called train.
    all_are_classes = found.names is not None and {"/".join(context) for context in contexts} == set(found.names)
    positions = None if all_are_classes else split_positions(contexts, where=str(found.top))
    return FoundFiles(parts, positions, split_in_key=found.options.split_in_key)


def _check_classes(found: _Folders, files: FoundFiles) -> Problems:
    flat = [shown(files[i].path, found.base) for i, label in enumerate(files.labels()) if not label]
    if len(flat) == len(files):
        raise SourceError(
            f"{found.top}: {format_count(len(files), 'image')}, but neither folders for their classes nor masks:\n"
            f"{first_few(flat)}\n{LAYOUTS}\n"
            "Labels in a table: give that file as SOURCE. Images alone, without any target: --target none."
        )
    problems = Problems(f"{found.top}: the class folders cannot be used as they are.")
    problems.add("Images outside of every class folder", flat, "Move each into the folder of its class.")
    return _with_empty_folders(found, problems)


# Images with masks.


def _mask_sources(found: _Folders, mask_parts: list[RoleFolder]) -> Found:
    images, images_split = _role_files(found, found.layout.images)
    masks, masks_split = _role_files(found, mask_parts)
    pairs = pair(images, masks, by_split=images_split and masks_split)
    problems, notes = _check_pairs(found, images, masks, pairs)
    if pairs.images_alone:
        images = images.only(pairs.images)
    if not isinstance(pairs.files, range):
        masks = masks.only(pairs.files)
    return found.sources(
        images,
        layout="images and masks",
        fields=[FoundColumn(PathColumn(paths=masks.paths(found.base)))],
        splits=[split or other for split, other in zip(images.splits(), masks.splits(), strict=True)],
        num_bytes=array("q", map(add, images.num_bytes, masks.num_bytes)),
        problems=problems,
        notes=notes,
    )


def _role_files(found: _Folders, parts: list[RoleFolder]) -> tuple[FoundFiles, bool]:
    """Return the files of one role, and whether they lie in splits' folders."""
    parts = [part for part in parts if part.files]
    positions = split_positions([part.context for part in parts], where=str(found.top))
    return FoundFiles(parts, positions, split_in_key=found.options.split_in_key), positions is not None


def _check_pairs(found: _Folders, images: FoundFiles, masks: FoundFiles, pairs: Pairs) -> tuple[Problems, list[str]]:
    """Return what does not fit together, and what is said of images and masks that are left out."""

    def listed(files: FoundFiles, positions: Sequence[int]) -> list[str]:
        return [_with_key(files[i], found.base) for i in positions]

    base = found.base
    problems = Problems(f"{found.top}: images and masks do not fit together.")
    unmatched = Unmatched(found.options, len(images))
    unmatched.add("Images that have no mask", listed(images, pairs.images_alone), "Expected one mask of the same key.")
    excluded = found.layout.excluded() if pairs.files_alone else set[str]()  # their masks go with them
    alone = [i for i in pairs.files_alone if masks[i].plain not in excluded]
    unmatched.add("Masks that have no image", listed(masks, alone), "Expected one image of the same key.")
    notes = unmatched.settle(problems, _NAMES_DIFFER)
    again = [f"{shown(masks[first].path, base)}, {_with_key(masks[i], base)}" for first, i in pairs.again]
    problems.add("Masks for one image", again, "Expected one mask an image; rename or move the others.")
    outside = sorted(shown(path, base) for path in found.layout.outside)
    problems.add("Images outside of the folders of images and masks", outside, _ELSEWHERE)
    return _with_empty_folders(found, problems), notes


_ELSEWHERE = "Move them elsewhere, or name the folders with --images and --masks."
_NAMES_DIFFER = (
    "A key is the path without the folders of images, masks and splits, and without the extension. If names differ by "
    "an ending, give --image-suffix or --mask-suffix; if the folders have other names, --images and --masks."
)


def _with_key(file: FoundFile, base: Path | None) -> str:
    return f"{shown(file.path, base)} (key {file.plain!r}{f' in {file.split}' if file.split else ''})"


# Folders without images: whoever names one expects files in it.


def _with_empty_folders(found: _Folders, problems: Problems) -> Problems:
    empty = _empty_folders(found, named=True)
    problems.add("Folders without images", empty, "Fill them, remove them, or move them elsewhere.")
    return problems


def _empty_folders(found: _Folders, *, named: bool) -> list[str]:
    given = (found.options.images, found.options.masks)
    names = {Path(folder).name.lower() for folder in given if folder is not None}
    empty = found.layout.empty_folders
    return [f"{shown(path, found.base)}/" for path in empty if (path.rpartition("/")[2].lower() in names) is named]


Identity = tuple[str | None, str]  # split, and key without its folder


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Positions of images and of the files that belong to them.

    Attributes:
        images: Images that have a file.
        files: The file of each of these.
        images_alone: Images without a file.
        files_alone: Files without an image.
        again: Files of an image that has one already, each after that one.
    """

    images: Sequence[int]
    files: Sequence[int]
    images_alone: Sequence[int] = ()
    files_alone: Sequence[int] = ()
    again: Sequence[tuple[int, int]] = field(default=())


def pair(images: FoundFiles, files: FoundFiles, *, by_split: bool) -> Pairs:
    """Match images and files by key, and by split too where both have splits."""
    if _side_by_side(images, files, by_split=by_split):
        return Pairs(images=range(len(images)), files=range(len(files)))
    file_of, again = dict[Identity, int](), list[tuple[int, int]]()
    for i, identity in enumerate(_identities(files, by_split)):
        first = file_of.setdefault(identity, i)
        if first != i:
            again.append((first, i))
    of_images = list(_identities(images, by_split))
    _join_forms(set(of_images), file_of)
    paired = [i for i, identity in enumerate(of_images) if identity in file_of]
    there = set(of_images)
    return Pairs(
        images=paired,
        files=[file_of[of_images[i]] for i in paired],
        images_alone=[i for i, identity in enumerate(of_images) if identity not in file_of],
        files_alone=sorted(i for identity, i in file_of.items() if identity not in there),
        again=again,
    )


def _identities(files: FoundFiles, by_split: bool) -> Iterator[Identity]:
    return zip(files.splits() if by_split else repeat(None, len(files)), files.plain(), strict=True)


def _side_by_side(images: FoundFiles, files: FoundFiles, *, by_split: bool) -> bool:
    """Tell whether both are in one order: then no table of all keys is needed to pair them."""
    if len(images) != len(files) or not (images.keys_are_plain and files.keys_are_plain) or files.has_duplicates():
        return False
    return images.keys == files.keys and (not by_split or all(map(eq, images.splits(), files.splits())))


def _join_forms(images: set[Identity], file_of: dict[Identity, int]) -> None:
    """Give files without an image the identity of the image that looks alike, where names differ in their forms."""
    for split in {split for split, _ in file_of}:
        free = UnicodeForms(name for of_image, name in images if of_image == split and (split, name) not in file_of)
        for identity in [one for one in file_of if one[0] == split and one not in images]:
            found = free.find(identity[1])
            if found != identity[1]:
                file_of.setdefault((split, found), file_of.pop(identity))

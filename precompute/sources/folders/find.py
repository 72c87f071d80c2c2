"""Sources from a folder: classes by folder, or images paired with masks by key."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from operator import add, eq
from pathlib import Path
from typing import NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.label_column import LabelColumn
from precompute.fields.path_column import PathColumn
from precompute.fields.string_column import StringColumn
from precompute.images.file_kinds import IMAGE_EXTENSIONS, ignored_files_text, unreadable_text
from precompute.sources.checks import check_class_names, check_keys, class_order
from precompute.sources.folders.classes import check_class_folders, class_notes
from precompute.sources.folders.layout import LAYOUTS, Layout, Naming, find_layout
from precompute.sources.found import Found, FoundColumn
from precompute.sources.found_files import FoundFile, FoundFiles, RoleFolder, relative, shown
from precompute.sources.split_folders import split_positions
from precompute.sources.unicode_forms import UnicodeForms, check_unicode_forms
from precompute.storage.paths import absolute, as_path, common_folder
from precompute.text.format import format_count

__all__ = ["find_sources"]


def find_sources(
    root: str | Path,
    *,
    images: str | Path | None = None,
    masks: str | Path | None = None,
    image_suffix: str = "",
    mask_suffix: str = "",
    class_names: Sequence[str] | None = None,
    split_in_key: bool = False,
    image_only: bool = False,
) -> Found:
    """Find the sources in a folder, whichever of the usual layouts it has.

    A folder a class, or images/ with masks/ that hold files of equal names; either with folders train, val (valid,
    validation) and test above or below. Nothing is decoded.

    Args:
        root: Folder to look in.
        images: Folder of the images, absolute or below `root`, when it is not called images. A bare name that is not
            directly below `root` is looked for at every level.
        masks: Folder of the masks, likewise. It may be the same folder when suffixes tell the files apart.
        image_suffix: End of each image's stem that its mask does not share, ``"_leftImg8bit"`` say. Images without it
            are passed over.
        mask_suffix: End of each mask's stem, likewise, ``"_L"`` say.
        class_names: Order of the classes; by name when left out. For masks, the name of each class id.
        split_in_key: Keep the split's folder in the keys, so that splits may use the same file names.
        image_only: Images are wanted without any target, whatever folders they lie in; masks beside them are left out.

    Raises:
        SourceError: Anything that would leave an image out or guess: unmatched, ambiguous, duplicate, empty.
        UsageError: An argument makes no sense.
    """
    naming = Naming(images=images, masks=masks, image_suffix=image_suffix, mask_suffix=mask_suffix)
    names = check_class_names(class_names)
    top = _check_root(root)
    layout = find_layout(top, naming)
    named = tuple(Path(folder).name.lower() for folder in (images, masks) if folder is not None)
    found = _Found(top, _base(top, layout), layout, names, split_in_key, named)
    _check_any(found, "images", layout.images, image_suffix)
    if image_only:
        return _image_only_sources(found)
    if layout.masks is None:
        return _class_sources(found)
    _check_any(found, "masks", layout.masks, mask_suffix)
    return _mask_sources(found, layout.masks)


class _Found(NamedTuple):
    """What was found and what was asked for."""

    top: Path
    base: Path | None
    layout: Layout
    names: list[str] | None
    split_in_key: bool
    named_folders: tuple[str, ...]  # those that the user named, in small letters


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


def _check_any(found: _Found, role: str, parts: list[RoleFolder], suffix: str) -> None:
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


def _check_file_keys(found: _Found, files: FoundFiles) -> None:
    check_keys(files.keys, where=str(found.top), remedy="Rename the files or their folders.")


# Images alone.


def _image_only_sources(found: _Found) -> Found:
    files = _class_files(found)
    _check_file_keys(found, files)
    problems = [_empty_folders_problem(found), _duplicates(files.duplicates(), found.base)]
    _raise(f"{found.top}: the images cannot be used as they are.", problems)
    left_out = sum(len(part.files) for part in found.layout.masks or ())
    note = f"images alone were asked for: {format_count(left_out, 'mask is', 'masks are')} left out."
    return Found(
        where=str(found.top),
        root=found.base,
        keys=files.keys,
        images=files.paths(found.base),
        splits=list(files.splits()),
        num_bytes=files.num_bytes,
        class_names=found.names or [],
        num_ignored_files=found.layout.num_ignored_files,
        passed=found.layout.passed,
        notes=[*([note] if left_out else []), *_empty_folders_note(found)],
    )


# A folder a class.


def _class_sources(found: _Found) -> Found:
    files = _class_files(found)
    _check_classes(found, files)
    sizes = Counter(files.labels())
    labels = class_order(sizes)
    check_unicode_forms(labels, str(found.top))
    check_class_folders(found.top, labels, found.names, lambda: zip(files.labels(), files.plain(), strict=True))
    names = found.names or labels
    index = {name: i for i, name in enumerate(names)}
    return Found(
        where=str(found.top),
        root=found.base,
        keys=files.keys,
        images=files.paths(found.base),
        fields=[FoundColumn(LabelColumn(indices=[index[label] for label in files.labels()]), names)],
        splits=list(files.splits()),
        num_bytes=files.num_bytes,
        num_ignored_files=found.layout.num_ignored_files,
        passed=found.layout.passed,
        notes=[
            *class_notes(sizes, lambda: zip(files.labels(), files.plain(), strict=True)),
            *_empty_folders_note(found),
        ],
    )


def _class_files(found: _Found) -> FoundFiles:
    parts = [part for part in found.layout.images if part.files]
    contexts = [part.context for part in parts]
    # Names that were given outrank what names of folders look like: a class may be called train.
    all_are_classes = found.names is not None and {"/".join(context) for context in contexts} == set(found.names)
    positions = None if all_are_classes else split_positions(contexts, where=str(found.top))
    return FoundFiles(parts, positions, split_in_key=found.split_in_key)


def _check_classes(found: _Found, files: FoundFiles) -> None:
    _check_file_keys(found, files)
    flat = [shown(files[i].path, found.base) for i, label in enumerate(files.labels()) if not label]
    if len(flat) == len(files):
        raise SourceError(
            f"{found.top}: {format_count(len(files), 'image')}, but neither folders for their classes nor masks:\n"
            f"{first_few(flat)}\n{LAYOUTS}\n"
            "Labels in a table: give that file as SOURCE. Images alone, without any target: --target none."
        )
    problems = [
        _problem("Images outside of every class folder", flat, "Move each into the folder of its class."),
        _empty_folders_problem(found),
        _duplicates(files.duplicates(), found.base),
    ]
    _raise(f"{found.top}: the class folders cannot be used as they are.", problems)


# Images with masks.


def _mask_sources(found: _Found, mask_parts: list[RoleFolder]) -> Found:
    images, images_split = _role_files(found, found.layout.images)
    masks, masks_split = _role_files(found, mask_parts)
    _check_file_keys(found, images)
    order = _pair(found, images, masks, by_split=images_split and masks_split)
    mask_paths, mask_splits, mask_bytes = masks.paths(found.base), list(masks.splits()), masks.num_bytes
    if order is not None:
        mask_paths = StringColumn(mask_paths[i] for i in order)
        mask_splits, mask_bytes = [mask_splits[i] for i in order], array("q", (mask_bytes[i] for i in order))
    return Found(
        where=str(found.top),
        root=found.base,
        keys=images.keys,
        images=images.paths(found.base),
        fields=[FoundColumn(PathColumn(paths=mask_paths))],
        splits=[split or other for split, other in zip(images.splits(), mask_splits, strict=True)],
        num_bytes=array("q", map(add, images.num_bytes, mask_bytes)),
        class_names=found.names or [],
        num_ignored_files=found.layout.num_ignored_files,
        passed=found.layout.passed,
        notes=_empty_folders_note(found),
    )


def _role_files(found: _Found, parts: list[RoleFolder]) -> tuple[FoundFiles, bool]:
    """Return the files of one role, and whether they lie in splits' folders."""
    parts = [part for part in parts if part.files]
    positions = split_positions([part.context for part in parts], where=str(found.top))
    return FoundFiles(parts, positions, split_in_key=found.split_in_key), positions is not None


def _pair(found: _Found, images: FoundFiles, masks: FoundFiles, *, by_split: bool) -> list[int] | None:
    """Match images and masks by key, and by split too when both have splits.

    Returns:
        The position of each image's mask; None when each stands where its image does.
    """
    empty_folders = _empty_folders_problem(found)
    if not (empty_folders or found.layout.outside) and _side_by_side(images, masks, by_split=by_split):
        return None
    base, keys = found.base, images.keys
    image_of, image_again = _index(images, by_split, base)
    mask_of, mask_again = _index(masks, by_split, base)
    _join_forms(image_of, mask_of)
    unmatched_images = [_with_key(images[i], base) for ident, i in image_of.items() if ident not in mask_of]
    unmatched_masks = [_with_key(masks[i], base) for ident, i in mask_of.items() if ident not in image_of]
    outside = sorted(shown(path, base) for path in found.layout.outside)
    problems = [
        _problem("Images that have no mask", unmatched_images, "Expected for each image one mask with the same key."),
        _problem("Masks that have no image", unmatched_masks, "Expected for each mask one image with the same key."),
        _NAMES_DIFFER if unmatched_images or unmatched_masks else None,
        _problem("Images for one key", image_again, "Expected one image a key; rename or move the others."),
        _problem("Masks for one image", mask_again, "Expected one mask an image; rename or move the others."),
        _problem("Images outside of the folders of images and masks", outside, _ELSEWHERE),
        empty_folders,
        _duplicates([(images[a], images[b]) for a, b in pairwise(image_of.values()) if keys[a] == keys[b]], base),
    ]
    _raise(f"{found.top}: images and masks do not fit together.", problems)
    return [mask_of[ident] for ident in image_of]


_ELSEWHERE = "Move them elsewhere, or name the folders with --images and --masks."
_NAMES_DIFFER = (
    "A key is the path without the folders of images, masks and splits, and without the extension. If names differ by "
    "an ending, give --image-suffix or --mask-suffix; if the folders have other names, --images and --masks."
)


def _join_forms(images: dict[tuple[str | None, str], int], masks: dict[tuple[str | None, str], int]) -> None:
    """Give masks without an image the identity of the image that looks alike, where names differ in their forms."""
    for split in {split for split, _ in masks}:
        free = UnicodeForms(name for of_image, name in images if of_image == split and (split, name) not in masks)
        for ident in [ident for ident in masks if ident[0] == split and ident not in images]:
            masks.setdefault((split, free.find(ident[1])), masks[ident])
            if free.find(ident[1]) != ident[1]:
                del masks[ident]


def _idents(files: FoundFiles, by_split: bool) -> Iterator[tuple[str | None, str]]:
    return zip(files.splits() if by_split else repeat(None, len(files)), files.plain(), strict=True)


def _side_by_side(images: FoundFiles, masks: FoundFiles, *, by_split: bool) -> bool:
    """Tell whether both are in one order: then no table of all keys is needed to pair them."""
    if len(images) != len(masks) or not (images.keys_are_plain and masks.keys_are_plain) or images.duplicates():
        return False
    return images.keys == masks.keys and (not by_split or all(map(eq, images.splits(), masks.splits())))


def _index(files: FoundFiles, by_split: bool, base: Path | None) -> tuple[dict[tuple[str | None, str], int], list[str]]:
    """Return the position of the first file of each identity, and a line for each one that comes after it."""
    index: dict[tuple[str | None, str], int] = {}
    duplicates = []
    for i, ident in enumerate(_idents(files, by_split)):
        first = index.setdefault(ident, i)
        if first != i:
            duplicates.append(f"{shown(files[first].path, base)}, {_with_key(files[i], base)}")
    return index, duplicates


# Problems: each is listed, with what was expected.


def _with_key(file: FoundFile, base: Path | None) -> str:
    return f"{shown(file.path, base)} (key {file.plain!r}{f' in {file.split}' if file.split else ''})"


def _duplicates(pairs: Sequence[tuple[FoundFile, FoundFile]], base: Path | None) -> str | None:
    listed = [f"{shown(a.path, base)}, {shown(b.path, base)} (key {a.key!r})" for a, b in pairs]
    remedy = "Expected one image a key; rename one of them, or remove it if it is a copy."
    if any(a.split != b.split for a, b in pairs):
        remedy += " If different images have the same name in different splits, give --split-in-key."
    return _problem("Images that share a key", listed, remedy)


def _empty_folders_problem(found: _Found) -> str | None:
    """Folders that were named: whoever names one expects files in it."""
    listed = [shown(path, found.base) + "/" for path in found.layout.empty_folders if _is_named(found, path)]
    return _problem("Folders without images", listed, "Fill them, remove them, or move them elsewhere.")


def _empty_folders_note(found: _Found) -> list[str]:
    listed = [shown(path, found.base) + "/" for path in found.layout.empty_folders if not _is_named(found, path)]
    return [f"Folders without images ({len(listed):,}):\n{first_few(listed)}"] if listed else []


def _is_named(found: _Found, path: str) -> bool:
    return path.rpartition("/")[2].lower() in found.named_folders


def _problem(what: str, listed: list[str], remedy: str) -> str | None:
    return f"{what} ({len(listed):,}):\n{first_few(listed)}\n{remedy}" if listed else None


def _raise(what: str, problems: Sequence[str | None]) -> None:
    texts = [problem for problem in problems if problem is not None]
    if texts:
        raise SourceError("\n".join([what, *texts]))

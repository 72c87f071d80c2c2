"""Sources from a folder: classes by folder, or images paired with masks by key."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from precompute.errors import SourceError, UsageError, first_few
from precompute.sources.checks import check_class_names, check_keys
from precompute.sources.class_folders import check_class_folders, class_notes
from precompute.sources.layout import LAYOUTS, Layout, Naming, Part, find_layout
from precompute.sources.source import Sources
from precompute.sources.split_folders import split_of, split_positions
from precompute.sources.walk import IMAGE_EXTENSIONS
from precompute.storage.paths import absolute, as_path, common_folder

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
) -> Sources:
    """Find the sources in a folder, whichever of the usual layouts it has.

    A folder a class, or images/ with masks/ that hold files of equal names; either with folders train, val (valid,
    validation) and test above or below. Nothing is decoded.

    Args:
        root: Folder to look in.
        images: Folder of the images, absolute or below `root`, when it is not called images. A bare name that is not
            directly below `root` is looked for at every level.
        masks: Likewise for the masks. It may be the same folder when suffixes tell the files apart.
        image_suffix: End of each image's stem that its mask does not share, ``"_leftImg8bit"`` say. Images without it
            are passed over.
        mask_suffix: Likewise for masks, ``"_L"`` say.
        class_names: Order of the classes; by name when left out. For masks, the name of each class id.
        split_in_key: Keep the split's folder in the keys, so that splits may use the same file names.

    Raises:
        SourceError: Anything that would leave an image out or guess: unmatched, ambiguous, duplicate, empty.
        UsageError: An argument makes no sense.
    """
    naming = Naming(images=images, masks=masks, image_suffix=image_suffix, mask_suffix=mask_suffix)
    names = check_class_names(class_names)
    top = _check_root(root)
    layout = find_layout(top, naming)
    found = _Found(top, _base(top, layout), layout, names, split_in_key)
    _check_any(found, "images", layout.images, image_suffix)
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


class _File(NamedTuple):
    """One image or mask, and what its path says of it."""

    key: str
    plain: str  # the key without the split's folder, whatever was asked for
    split: str | None
    label: str
    path: str
    num_bytes: int


def _check_root(root: str | Path) -> Path:
    if not isinstance(root, (str, os.PathLike)) or not os.fspath(root):
        raise UsageError(f"Expected the folder of the sources, got {root!r}.")
    top = absolute(as_path(root))
    if not top.exists():
        raise SourceError(f"{top}: there is no such folder. Check the path.")
    if not top.is_dir():
        raise SourceError(f"{top}: expected a folder with images, got a file. Give the folder that it lies in.")
    return top


def _base(top: Path, layout: Layout) -> Path | None:
    """Return the folder that all paths start from: the root, unless folders elsewhere were named."""
    folders = [part.path for part in layout.images + (layout.masks or [])]
    if all(_relative(folder, top) is not None for folder in folders):
        return top
    return common_folder(folders)


def _relative(path: str, base: Path | None) -> str | None:
    """Return a posix path below the base, or None when it does not lie there."""
    if base is None:
        return None
    start = base.as_posix().rstrip("/")
    if path == base.as_posix():
        return "."
    return path[len(start) + 1 :] if path.startswith(start + "/") else None


def _shown(path: str, base: Path | None) -> str:
    return _relative(path, base) or path


def _check_any(found: _Found, role: str, parts: list[Part], suffix: str) -> None:
    if any(part.files for part in parts):
        return
    ending = f" whose names end with {suffix!r} before the extension" if suffix else ""
    raise SourceError(
        f"{found.top}: there are no {role}{ending}; {found.layout.strangers:,} other files were passed over. "
        f"Expected files with the extensions {' '.join(IMAGE_EXTENSIONS)}.\n{LAYOUTS}"
    )


def _files(parts: Iterable[Part], positions: list[int] | None, *, split_in_key: bool) -> Iterator[_File]:
    for i, part in enumerate(parts):
        context, split = part.context, None
        if positions is not None:
            at = positions[i]
            context, split = (*context[:at], *context[at + 1 :]), split_of(context[at])
        start = "".join(f"{folder}/" for folder in context)
        key_start = "".join(f"{folder}/" for folder in part.context) if split_in_key else start
        folder, label = part.path.rstrip("/"), "/".join(context)
        for stem, name, num_bytes in part.files:
            yield _File(key_start + stem, start + stem, split, label, f"{folder}/{name}", num_bytes)


def _check_file_keys(found: _Found, files: Iterable[_File]) -> None:
    check_keys((file.key for file in files), where=str(found.top), remedy="Rename the files or their folders.")


# A folder a class.


def _class_sources(found: _Found) -> Sources:
    files = _class_files(found)
    _check_classes(found, files)
    labels = sorted({file.label for file in files})
    check_class_folders(found.top, labels, found.names, ((file.label, file.plain) for file in files))
    names = found.names or labels
    index = {name: i for i, name in enumerate(names)}
    return Sources(
        root=found.base,
        keys=[file.key for file in files],
        images=[_shown(file.path, found.base) for file in files],
        labels=[index[file.label] for file in files],
        splits=[file.split for file in files],
        num_bytes=[file.num_bytes for file in files],
        class_names=names,
        strangers=found.layout.strangers,
        notes=class_notes(labels, ((file.label, file.plain) for file in files)),
    )


def _class_files(found: _Found) -> list[_File]:
    parts = [part for part in found.layout.images if part.files]
    contexts = [part.context for part in parts]
    # Names that were given outrank what names of folders look like: a class may be called train.
    all_are_classes = found.names is not None and {"/".join(context) for context in contexts} == set(found.names)
    positions = None if all_are_classes else split_positions(contexts, where=str(found.top))
    return sorted(_files(parts, positions, split_in_key=found.split_in_key))


def _check_classes(found: _Found, files: list[_File]) -> None:
    _check_file_keys(found, files)
    flat = [_shown(file.path, found.base) for file in files if not file.label]
    if len(flat) == len(files):
        raise SourceError(
            f"{found.top}: {len(files):,} images, but neither folders for their classes nor masks:\n"
            f"{first_few(flat)}\n{LAYOUTS}"
        )
    problems = [
        _problem("Images outside of every class folder", flat, "Move each into the folder of its class."),
        _barren_problem(found),
        _duplicates(files, found.base),
    ]
    _raise(f"{found.top}: the class folders cannot be used as they are.", problems)


# Images with masks.


def _mask_sources(found: _Found, mask_parts: list[Part]) -> Sources:
    images, images_split = _role_files(found, found.layout.images)
    masks, masks_split = _role_files(found, mask_parts)
    _check_file_keys(found, images)
    pairs = _pair(found, images, masks, by_split=images_split and masks_split)
    return Sources(
        root=found.base,
        keys=[image.key for image, _ in pairs],
        images=[_shown(image.path, found.base) for image, _ in pairs],
        masks=[_shown(mask.path, found.base) for _, mask in pairs],
        splits=[image.split or mask.split for image, mask in pairs],
        num_bytes=[image.num_bytes + mask.num_bytes for image, mask in pairs],
        class_names=found.names or [],
        strangers=found.layout.strangers,
    )


def _role_files(found: _Found, parts: list[Part]) -> tuple[list[_File], bool]:
    """Return the files of one role, sorted, and whether they lie in splits' folders."""
    parts = [part for part in parts if part.files]
    positions = split_positions([part.context for part in parts], where=str(found.top))
    return sorted(_files(parts, positions, split_in_key=found.split_in_key)), positions is not None


def _pair(found: _Found, images: list[_File], masks: list[_File], *, by_split: bool) -> list[tuple[_File, _File]]:
    """Match images and masks by key, and by split too when both have splits."""
    base = found.base
    image_of, image_again = _index(images, by_split, base)
    mask_of, mask_again = _index(masks, by_split, base)
    alone_images = [_with_key(file, base) for ident, file in image_of.items() if ident not in mask_of]
    alone_masks = [_with_key(file, base) for ident, file in mask_of.items() if ident not in image_of]
    outside = sorted(_shown(path, base) for path in found.layout.outside)
    problems = [
        _problem("Images that have no mask", alone_images, "Expected for each image one mask with the same key."),
        _problem("Masks that have no image", alone_masks, "Expected for each mask one image with the same key."),
        _NAMES_DIFFER if alone_images or alone_masks else None,
        _problem("Images for one key", image_again, "Expected one image a key; rename or move the others."),
        _problem("Masks for one image", mask_again, "Expected one mask an image; rename or move the others."),
        _problem("Images outside of the folders of images and masks", outside, _ELSEWHERE),
        _barren_problem(found),
        _duplicates(list(image_of.values()), base),
    ]
    _raise(f"{found.top}: images and masks do not fit together.", problems)
    return [(image, mask_of[ident]) for ident, image in image_of.items()]


_ELSEWHERE = "Move them elsewhere, or name the folders with --images and --masks."
_NAMES_DIFFER = (
    "A key is the path without the folders of images, masks and splits, and without the extension. If names differ by "
    "an ending, give --image-suffix or --mask-suffix; if the folders have other names, --images and --masks."
)


def _index(
    files: list[_File], by_split: bool, base: Path | None
) -> tuple[dict[tuple[str | None, str], _File], list[str]]:
    """Return the first file of each identity, in the order given, and a line for each one that comes after it."""
    index: dict[tuple[str | None, str], _File] = {}
    twice = []
    for file in files:
        first = index.setdefault((file.split if by_split else None, file.plain), file)
        if first is not file:
            twice.append(f"{_shown(first.path, base)}, {_with_key(file, base)}")
    return index, twice


# Problems: each is listed, with what was expected.


def _with_key(file: _File, base: Path | None) -> str:
    return f"{_shown(file.path, base)} (key {file.plain!r}{f' in {file.split}' if file.split else ''})"


def _duplicates(files: Sequence[_File], base: Path | None) -> str | None:
    """Describe neighbours, in the order of keys, that have one key."""
    pairs = [(a, b) for a, b in pairwise(files) if a.key == b.key]
    listed = [f"{_shown(a.path, base)}, {_shown(b.path, base)} (key {a.key!r})" for a, b in pairs]
    remedy = "Expected one image a key; rename one of them, or remove it if it is a copy."
    if any(a.split != b.split for a, b in pairs):
        remedy += " If different images have the same name in different splits, give --split-in-key."
    return _problem("Images that share a key", listed, remedy)


def _barren_problem(found: _Found) -> str | None:
    listed = [_shown(path, found.base) + "/" for path in found.layout.barren]
    return _problem("Folders without images", listed, "Fill them, remove them, or move them elsewhere.")


def _problem(what: str, listed: list[str], remedy: str) -> str | None:
    return f"{what} ({len(listed):,}):\n{first_few(listed)}\n{remedy}" if listed else None


def _raise(what: str, problems: Sequence[str | None]) -> None:
    texts = [problem for problem in problems if problem is not None]
    if texts:
        raise SourceError("\n".join([what, *texts]))

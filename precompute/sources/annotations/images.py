"""The images of a folder whose boxes stand in files of their own, and these files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from precompute.errors import SourceError, first_few
from precompute.options import BuildOptions
from precompute.sources.box_checks import CheckedBoxes
from precompute.sources.checks import check_keys
from precompute.sources.folders.splits import split_of, split_positions
from precompute.sources.folders.walk import IMAGE_EXTENSIONS, Folder, walk
from precompute.sources.source import Sources
from precompute.targets.keypoints import Skeleton

__all__ = [
    "FoundImage",
    "FoundImages",
    "check_unique",
    "find_files",
    "find_images",
    "listed",
    "path_below",
    "raise_problems",
    "sources_of",
    "without_role",
]

ROLES = ("jpegimages", "images")  # the first one in a path is the one that counts


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One image file.

    Attributes:
        key: Of the source.
        plain: Its path without suffix, the folders that name a role (images/) left out, those of splits kept: what its
            annotation is called too.
        split: By its folder, or None.
        path: Absolute, posix.
        num_bytes: Of the file.
    """

    key: str
    plain: str
    split: str | None
    path: str
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class FoundImages:
    """All images of a folder, sorted by key.

    Attributes:
        top: The folder that was given.
        images: At least one.
        strangers: Files that were passed over.
    """

    top: Path
    images: list[FoundImage]
    strangers: int


def find_images(top: Path, options: BuildOptions) -> FoundImages:
    """Find the images below a folder: those in images/ or JPEGImages/ where there are such, else all.

    Raises:
        SourceError: There are none, or folders are named like splits where they cannot be.
    """
    given = None if options.images is None else Path(os.path.abspath(top / options.images))  # noqa: PTH100
    start = given if given is not None and given.is_dir() else top
    tree = walk(start)
    roles = ROLES if options.images is None or start is not top else (options.images.lower(),)
    placed = [(folder, without_role(folder.parts, roles)) for folder in tree.folders if folder.files]
    inside = [(folder, context) for folder, context in placed if len(context) < len(folder.parts)]
    chosen = inside or ([] if options.images is not None and start is top else placed)
    if not chosen:
        where = f"a folder {options.images}/ with images" if options.images else "images"
        raise SourceError(
            f"{top}: there are no images: expected {where}, files with the extensions {' '.join(IMAGE_EXTENSIONS)}."
        )
    images = sorted(_images(top, chosen, options), key=lambda image: (image.key, image.path))
    check_keys((image.key for image in images), where=str(top), remedy="Rename the files or their folders.")
    return FoundImages(top=top, images=images, strangers=tree.num_files - len(images))


def sources_of(
    found: FoundImages,
    images: Sequence[FoundImage],
    checked: CheckedBoxes,
    *,
    splits: list[str | None],
    class_names: list[str],
    notes: Sequence[str],
    skeleton: Skeleton | None = None,
) -> Sources:
    """Return images with their boxes as sources.

    Args:
        found: All images of the folder.
        images: Those that annotations name, sorted by key.
        checked: Their boxes, checked.
        splits: Of each.
        class_names: Of the boxes.
        notes: What the user should hear, before what the check has to say.
        skeleton: Of keypoints.
    """
    return Sources(
        root=found.top,
        keys=[image.key for image in images],
        images=[path_below(found.top, image.path) for image in images],
        boxes=checked.column,
        splits=splits,
        num_bytes=[image.num_bytes for image in images],
        class_names=class_names,
        strangers=found.strangers,
        notes=[*notes, *checked.notes],
        skeleton=skeleton,
    )


def _images(top: Path, chosen: Sequence[tuple[Folder, tuple[str, ...]]], options: BuildOptions) -> Iterator[FoundImage]:
    positions = split_positions([context for _, context in chosen], where=str(top))
    suffix = options.image_suffix
    for i, (folder, context) in enumerate(chosen):
        split, of_key = None, context
        if positions is not None:
            at = positions[i]
            split = split_of(context[at])
            of_key = context if options.split_in_key else (*context[:at], *context[at + 1 :])
        for name, num_bytes in folder.files:
            stem = os.path.splitext(name)[0]  # noqa: PTH122 (a Path a file is slow)
            if stem.endswith(suffix) and len(stem) > len(suffix):
                stem = stem.removesuffix(suffix)
                path = f"{folder.path.rstrip('/')}/{name}"
                yield FoundImage("/".join((*of_key, stem)), "/".join((*context, stem)), split, path, num_bytes)


def without_role(parts: tuple[str, ...], roles: Iterable[str]) -> tuple[str, ...]:
    """Return a path without the last of its folders that names a role."""
    for i in reversed(range(len(parts))):
        if parts[i].lower() in roles:
            return (*parts[:i], *parts[i + 1 :])
    return parts


def find_files(top: Path, suffixes: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield folders on the way and name of each file with one of these suffixes, sorted; hidden ones are left out."""
    for folder, folders, names in os.walk(top, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        parts = Path(folder).relative_to(top).parts
        if len(parts) > 64:
            raise SourceError(f"{top}: links to folders lead in a circle at {folder}. Remove the links.")
        for name in sorted(names):
            if name.lower().endswith(tuple(suffixes)) and not name.startswith("."):
                yield parts, name


def check_unique(found: FoundImages) -> None:
    """Refuse images that share a key.

    Raises:
        SourceError: Some do.
    """
    pairs = [(a, b) for a, b in pairwise(found.images) if a.key == b.key]
    if pairs:
        hint = " If splits use the same names for different images, give --split-in-key."
        raise SourceError(
            f"{found.top}: images that share a key ({len(pairs):,}):\n"
            f"{first_few([f'{a.path}, {b.path} (key {a.key!r})' for a, b in pairs])}\n"
            "Expected one image a key; rename or remove one of them."
            + (hint if any(a.split != b.split for a, b in pairs) else "")
        )


def path_below(top: Path, path: str) -> str:
    """Return a path below the folder that was given.

    Raises:
        SourceError: It does not lie there.
    """
    start = top.as_posix().rstrip("/") + "/"
    if not path.startswith(start):
        raise SourceError(f"{path}: lies outside of {top}; give the folder that holds images and annotations.")
    return path[len(start) :]


def raise_problems(what: str, problems: Sequence[str | None]) -> None:
    """Raise a SourceError of all problems, if there are any."""
    texts = [problem for problem in problems if problem is not None]
    if texts:
        raise SourceError("\n".join([what, *texts]))


def listed(what: str, lines: Sequence[str], remedy: str) -> str | None:
    """Return a problem with its first lines; None without any."""
    return f"{what} ({len(lines):,}):\n{first_few(lines)}\n{remedy}" if lines else None

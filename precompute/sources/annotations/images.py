"""The images of a folder whose boxes stand in files of their own, and these files."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

from precompute.errors import SourceError, first_few
from precompute.fields.string_column import StringColumn
from precompute.images.file_kinds import IMAGE_EXTENSIONS, unreadable_text
from precompute.options.build_options import BuildOptions
from precompute.sources.checks import check_keys
from precompute.sources.found import Found, FoundColumn
from precompute.sources.split_folders import split_of, split_positions, stay_in_keys
from precompute.sources.unicode_forms import UnicodeForms
from precompute.sources.walk import Folder, walk
from precompute.text.format import format_count

__all__ = [
    "Choose",
    "FoundImage",
    "FoundImages",
    "MatchedFiles",
    "PathParts",
    "check_unique",
    "find_files",
    "find_images",
    "last_part",
    "listed",
    "match_files",
    "path_below",
    "raise_problems",
    "sources_of",
    "unnamed_note",
    "without_role",
]

ROLES = ("jpegimages", "images")  # the first one in a path is the one that counts

PathParts: TypeAlias = tuple[tuple[str, ...], str]  # folders on the way to a file, and its name


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One image file.

    Attributes:
        key: Key of the source.
        plain: Its path without suffix, the folders that name a role (images/) left out, those of splits kept: what its
            annotation is called too.
        split: Split that its folder says, or None.
        path: Absolute path, posix.
        num_bytes: Size of the file.
    """

    key: str
    plain: str
    split: str | None
    path: str
    num_bytes: int


@dataclass(frozen=True, kw_only=True)
class FoundImages:
    """Images of a folder, sorted by key.

    Attributes:
        top: The folder that was given.
        images: At least one, unless none was chosen.
        num_ignored_files: Files that were passed over.
        passed: Endings of these, each with its number.
        left_out: Plain paths of images that the annotations which were asked for do not speak of.
    """

    top: Path
    images: list[FoundImage]
    num_ignored_files: int
    passed: Mapping[str, int] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    def left_out_note(self, given: str | None) -> list[str]:
        """Return what is said of images that were left out."""
        return unnamed_note(len(self.left_out), f"--annotations {given} does not name")


Choose: TypeAlias = Callable[[Sequence[FoundImage]], Sequence[bool]]


def unnamed_note(number: int, who: str) -> list[str]:
    """Return what is said of images that no annotation is read for: ``who`` does not name them."""
    return (
        [f"{format_count(number, 'image')} that {who} {'was' if number == 1 else 'were'} passed over."]
        if number
        else []
    )


class MatchedFiles(NamedTuple):
    """Files with annotations: the plain path of the image of each, and where all of these images lie."""

    files: dict[str, Path]
    start: str

    def chosen(self, images: Sequence[FoundImage]) -> list[bool]:
        """Tell of each image whether it lies where the files say something; of all, where no file has an image."""
        fits = any(image.plain in self.files for image in images)
        return [not fits or image.plain.startswith(self.start) for image in images]


def find_images(top: Path, options: BuildOptions, choose: Choose | None = None) -> FoundImages:
    """Find the images below a folder: those in images/ or JPEGImages/ where there are such, else all.

    Args:
        top: Folder of the source.
        options: Options of the build.
        choose: Tells which of them count, before keys and splits are made of their folders; all without.

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
        unreadable = unreadable_text(tree.passed)
        raise SourceError(
            f"{top}: there are no images: {unreadable + ' E' if unreadable else 'e'}xpected {where}, files with the "
            f"extensions {' '.join(IMAGE_EXTENSIONS)}."
        )
    images = [(i, image) for i, image in _images(chosen, options.image_suffix)]
    wanted = [True] * len(images) if choose is None else choose([image for _, image in images])
    kept = [pair for pair, keep in zip(images, wanted, strict=True) if keep]
    contexts = [context for _, context in chosen]
    positions = _positions(top, contexts, sorted({i for i, _ in kept}), strict=choose is None)
    keep_split = options.split_in_key or stay_in_keys(contexts, positions)
    found = [_with_key(image, contexts[i], positions[i], keep_split=keep_split) for i, image in kept]
    found.sort(key=lambda image: (image.key, image.path))
    check_keys((image.key for image in found), where=str(top), remedy="Rename the files or their folders.")
    left_out = frozenset(image.plain for (_, image), keep in zip(images, wanted, strict=True) if not keep)
    return FoundImages(
        top=top, images=found, num_ignored_files=tree.num_files - len(images), passed=tree.passed, left_out=left_out
    )


def _positions(
    top: Path, contexts: Sequence[tuple[str, ...]], used: Sequence[int], *, strict: bool
) -> Sequence[int | None]:
    """Return where in each path the split's folder is: by all folders, else by those that count alone."""
    try:
        return split_positions(contexts, where=str(top)) or [None] * len(contexts)
    except SourceError:
        if strict:
            raise
    positions: list[int | None] = [None] * len(contexts)
    try:
        of_used = split_positions([contexts[i] for i in used], where=str(top))
    except SourceError:
        return positions  # the annotations that were named say what belongs together, whatever folders are called
    for i, position in zip(used, of_used or (), strict=of_used is not None):
        positions[i] = position
    return positions


def sources_of(
    found: FoundImages,
    images: Sequence[FoundImage],
    field: FoundColumn,
    *,
    splits: list[str | None],
    notes: Sequence[str],
) -> Found:
    """Return images with their objects as sources.

    Args:
        found: All images of the folder.
        images: Images that annotations name.
        field: Their objects.
        splits: Split of each image.
        notes: Notes for the user, before what the check has to say.
    """
    return Found(
        where=str(found.top),
        root=found.top,
        keys=StringColumn(image.key for image in images),
        images=StringColumn(path_below(found.top, image.path) for image in images),
        fields=[field],
        splits=splits,
        num_bytes=array("q", (image.num_bytes for image in images)),
        num_ignored_files=found.num_ignored_files,
        passed=found.passed,
        notes=notes,
    )


def _images(chosen: Sequence[tuple[Folder, tuple[str, ...]]], suffix: str) -> Iterator[tuple[int, FoundImage]]:
    """Yield the number of its folder with each image, whose key is its plain path so far."""
    for i, (folder, context) in enumerate(chosen):
        for name, num_bytes in folder.files:
            stem = os.path.splitext(name)[0]  # noqa: PTH122 (a Path a file is slow)
            if stem.endswith(suffix) and len(stem) > len(suffix):
                plain = "/".join((*context, stem.removesuffix(suffix)))
                yield i, FoundImage(plain, plain, None, f"{folder.path.rstrip('/')}/{name}", num_bytes)


def _with_key(image: FoundImage, context: tuple[str, ...], at: int | None, *, keep_split: bool) -> FoundImage:
    if at is None:
        return image
    of_key = context if keep_split else (*context[:at], *context[at + 1 :])
    return replace(image, key="/".join((*of_key, image.plain.rpartition("/")[2])), split=split_of(context[at]))


def match_files(
    images: Iterable[FoundImage], top: Path, folder: Path, files: Sequence[PathParts], roles: Sequence[str]
) -> MatchedFiles:
    """Return the files of a folder by the plain paths of their images.

    Args:
        images: All images of the source.
        top: The source's folder.
        folder: Folder of the files.
        files: Folders on the way from there, and name, of each.
        roles: Names of folders that are no part of plain paths; that of the folder that was given, or one above it, is
            none either where images are found so.
    """
    there = {image.plain for image in images}
    forms = UnicodeForms(there)
    parts = folder.relative_to(top).parts if folder.is_relative_to(top) else ()
    starts = [without_role(parts, roles), *(parts[:i] + parts[i + 1 :] for i in reversed(range(len(parts)))), parts, ()]
    matched = []
    for start in dict.fromkeys(starts):
        named = {}
        for of_file, name in files:
            stem = os.path.splitext(name)[0]  # noqa: PTH122 (a Path a file is slow)
            named[forms.find("/".join((*start, *without_role(of_file, roles), stem)))] = folder.joinpath(*of_file, name)
        matched.append(MatchedFiles(named, "".join(f"{part}/" for part in start)))
    return max(matched, key=lambda found: len(there & found.files.keys()))


def without_role(parts: tuple[str, ...], roles: Iterable[str]) -> tuple[str, ...]:
    """Return a path without the last of its folders that names a role."""
    for i in reversed(range(len(parts))):
        if parts[i].lower() in roles:
            return (*parts[:i], *parts[i + 1 :])
    return parts


def find_files(top: Path, suffixes: Sequence[str]) -> list[PathParts]:
    """Return folders on the way and name of each file with one of these suffixes, sorted; hidden ones are left out.

    Raises:
        SourceError: Folders cannot be read, or links lead nowhere or in a circle.
    """
    folders = walk(top, extensions=tuple(suffixes)).folders
    return [(folder.parts, name) for folder in folders for name in sorted(folder.files.names)]


def last_part(name: str) -> str:
    """Return the name of a file, whichever slashes its folders are written with."""
    return name.replace("\\", "/").rpartition("/")[2]


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

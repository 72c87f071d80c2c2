"""Images of a folder, matched with the files that hold their boxes."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product, takewhile
from pathlib import Path
from typing import NamedTuple, TypeAlias

from precompute.errors import SourceError
from precompute.fields.string_column import StringColumn
from precompute.images.file_kinds import IMAGE_EXTENSIONS, unreadable_text
from precompute.options.build_options import BuildOptions
from precompute.sources.found import Found, FoundColumn
from precompute.sources.found_files import FoundFile, FoundFiles, RoleFolder, in_role, parts_of, relative, split_role
from precompute.sources.problems import Problems
from precompute.sources.split_folders import split_positions
from precompute.sources.unicode_forms import UnicodeForms
from precompute.sources.walk import Files, walk
from precompute.storage.paths import absolute
from precompute.text.format import format_count

__all__ = [
    "Choose",
    "FoundImages",
    "MatchedFiles",
    "PathParts",
    "check_partners",
    "find_beside",
    "find_files",
    "find_images",
    "match_files",
    "path_below",
    "sources_of",
    "unnamed_note",
]

ROLES = ("jpegimages", "images")  # the first one in a path is the one that counts

PathParts: TypeAlias = tuple[tuple[str, ...], str]  # folders on the way to a file, and its name


@dataclass(frozen=True, kw_only=True)
class FoundImages:
    """Images of a folder, sorted by key.

    Attributes:
        top: The folder that was given.
        images: At least one, unless none was chosen.
        num_ignored_files: Number of files that were passed over.
        passed: Ending of these files → their number.
        left_out: Plain paths of images that the requested annotations do not mention.
        excluded: Images that the user left out.
    """

    top: Path
    images: FoundFiles
    num_ignored_files: int
    passed: Mapping[str, int] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    excluded: Sequence[FoundFile] = ()

    @property
    def excluded_places(self) -> set[str]:
        """Plain paths of images that the user left out."""
        return {image.place for image in self.excluded}

    def strangers(self, files: Mapping[str, Path]) -> list[str]:
        """Return the files that belong to no image, not even to one that was left out; see `match_files`."""
        known = {image.place for image in self.images} | self.excluded_places | self.left_out
        return [str(path) for place, path in files.items() if place not in known]

    def left_out_note(self, given: str | None) -> list[str]:
        """Return the note on images that were left out."""
        return unnamed_note(len(self.left_out), f"--annotations {given} does not name")


Choose: TypeAlias = Callable[[Sequence[FoundFile]], Sequence[bool]]


def unnamed_note(number: int, who: str) -> list[str]:
    """Return the note on images that `who`, such as a file, does not name."""
    were = "was" if number == 1 else "were"
    return [f"{format_count(number, 'image')} that {who} {were} passed over."] if number else []


class MatchedFiles(NamedTuple):
    """Files with annotations, by the plain paths of their images, and the place where these images lie."""

    files: dict[str, Path]
    start: str


def find_images(top: Path, options: BuildOptions, choose: Choose | None = None) -> FoundImages:
    """Find the images below a folder: those in images/ or JPEGImages/ if there are such folders, else all.

    Args:
        top: Folder of the source.
        options: Options of the build.
        choose: Tells which images count, before keys and splits are made from their folders; None: all.

    Raises:
        SourceError: There are no images, or folders are named like splits where they cannot be.
    """
    given = None if options.images is None else absolute(top / options.images)
    start = given if given is not None and given.is_dir() else top
    tree = walk(start)
    roles = ROLES if options.images is None or start is not top else (options.images.lower(),)
    filled = [folder for folder in tree.folders if folder.files]
    chosen = in_role(filled, roles)
    if not chosen and (options.images is None or start is not top):
        chosen = [(folder, folder.parts) for folder in filled]
    if not chosen:
        where = f"a folder {options.images}/ with images" if options.images else "images"
        unreadable = unreadable_text(tree.passed)
        raise SourceError(
            f"{top}: there are no images: {unreadable + ' E' if unreadable else 'e'}xpected {where}, files with the "
            f"extensions {' '.join(IMAGE_EXTENSIONS)}."
        )
    parts = parts_of(chosen, options.image_suffix)
    num_images, left_out = sum(len(part.files) for part in parts), frozenset[str]()
    if choose is not None:
        parts, left_out = _only(parts, choose)
    left = ((folder, split_role(folder.parts, roles)[1]) for folder in tree.excluded_images())
    excluded = FoundFiles(parts_of(left, options.image_suffix), None, split_in_key=False)
    return FoundImages(
        top=top,
        images=FoundFiles(parts, _positions(top, parts, strict=choose is None), split_in_key=options.split_in_key),
        num_ignored_files=tree.num_files - num_images,
        passed=tree.passed,
        left_out=left_out,
        excluded=[file._replace(is_excluded=True) for file in excluded],
    )


def _only(parts: Sequence[RoleFolder], choose: Choose) -> tuple[list[RoleFolder], frozenset[str]]:
    """Return the folders with only the images that count, and the places of the others."""
    images = list(FoundFiles(parts, None, split_in_key=False))
    kept = {image.path for image, keep in zip(images, choose(images), strict=True) if keep}
    chosen = [
        replace(part, files=Files(file for file in part.files if f"{part.path.rstrip('/')}/{file[0]}" in kept))
        for part in parts
    ]
    return chosen, frozenset(image.place for image in images if image.path not in kept)


def _positions(top: Path, parts: Sequence[RoleFolder], *, strict: bool) -> Sequence[int | None]:
    """Return the position of the split's folder in each path: from all folders, else only from those that count."""
    every = range(len(parts))
    for chosen in (every, [i for i in every if parts[i].files]):
        try:
            of_chosen = split_positions([parts[i].context for i in chosen], where=str(top)) or ()
        except SourceError:
            if strict:
                raise
            continue
        position = dict(zip(chosen, of_chosen, strict=False))
        return [position.get(i) for i in every]
    return [None for _ in every]  # annotations that were named say what belongs together, whatever folders are called


def sources_of(
    found: FoundImages,
    images: Iterable[FoundFile],
    field: FoundColumn,
    *,
    splits: Mapping[str, str | None] | None = None,
    notes: Sequence[str],
) -> Found:
    """Return images with their objects as sources.

    Args:
        found: All images of the folder.
        images: Images that annotations name.
        field: Their objects.
        splits: Path of an image → its split, where folders do not decide it.
        notes: Notes for the user that come before those of the check.
    """
    images, splits = list(images), splits or {}
    return Found(
        where=str(found.top),
        root=found.top,
        keys=StringColumn(image.key for image in images),
        images=StringColumn(path_below(found.top, image.path) for image in images),
        fields=[field],
        splits=[splits.get(image.path, image.split) for image in images],
        num_bytes=array("q", (image.num_bytes for image in images)),
        num_ignored_files=found.num_ignored_files,
        passed=found.passed,
        notes=notes,
    )


def match_files(
    images: Iterable[FoundFile], top: Path, folder: Path, files: Sequence[PathParts], roles: Sequence[str]
) -> MatchedFiles:
    """Return the files of a folder by the plain paths of their images.

    Args:
        images: All images of the source.
        top: The source's folder.
        folder: Folder of the files.
        files: Folders on the way from `folder` to each file, and its name.
        roles: Names of folders that are not part of places. The given folder, one above it, or one that all files lie
            in is not part of places either, if images are found in that way.
    """
    there = {image.place for image in images}
    forms = UnicodeForms(there)
    parts = folder.relative_to(top).parts if folder.is_relative_to(top) else ()
    without = [_without(parts, i, i + 1) for i in reversed(range(len(parts)))]
    starts = dict.fromkeys([split_role(parts, roles)[1], *without, parts, ()])
    levels = zip(*{of_file for of_file, _ in files}, strict=False)
    shared = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
    matched = []
    for start, left_out in product(starts, (None, *((i, i + 1) for i in range(shared)), (0, shared))):
        named = {}
        for of_file, name in files:
            below = split_role(of_file, roles)[1] if left_out is None else _without(of_file, *left_out)
            stem = os.path.splitext(name)[0]  # noqa: PTH122 (a Path a file is slow)
            named[forms.find("/".join((*start, *below, stem)))] = folder.joinpath(*of_file, name)
        matched.append(MatchedFiles(named, "".join(f"{part}/" for part in start)))
    return max(matched, key=lambda found: len(there & found.files.keys()))


def _without(parts: tuple[str, ...], first: int, end: int) -> tuple[str, ...]:
    return (*parts[:first], *parts[end:])


def find_beside(
    top: Path, folder: Path, files: Sequence[PathParts], roles: Sequence[str], options: BuildOptions
) -> tuple[FoundImages, MatchedFiles]:
    """Find images, and the files with their annotations. Where a folder was named, only images with a file there count.

    Args:
        top: Folder of the source.
        folder: Folder of the files: `top`, or one that the user named.
        files: See `match_files`.
        roles: See `match_files`.
        options: Options of the build.

    Raises:
        SourceError: See `find_images`.
    """

    def choose(images: Sequence[FoundFile]) -> list[bool]:
        of_files, start = match_files(images, top, folder, files, roles)
        has_none = not any(image.place in of_files for image in images)  # of all: then all are told
        return [has_none or image.place.startswith(start) for image in images]

    found = find_images(top, options, None if folder == top else choose)
    return found, match_files(found.images, top, folder, files, roles)


def check_partners(
    found: FoundImages,
    images: Iterable[FoundFile],
    files: Mapping[str, Path],
    options: BuildOptions,
    without: str,
    *,
    all_files: bool = True,
) -> tuple[list[FoundFile], list[str]]:
    """Return the images that have a file with annotations, and notes on images and files that are left out.

    Args:
        found: All images of the folder.
        images: Images that count.
        files: Place of an image → its file.
        options: Options of the build, which may accept files without a partner.
        without: Advice for images without a file.
        all_files: Whether each file needs an image.

    Raises:
        SourceError: There are more files without a partner than are accepted.
    """
    images = list(images)
    paired = [image for image in images if image.place in files]
    alone = found.strangers(files) if all_files else []
    lacking = [path_below(found.top, image.path) for image in images if image.place not in files]
    problems = Problems(f"{found.top}: images and annotations do not fit together.")
    problems.add_unmatched("Images without an annotation", lacking, without)
    problems.add_unmatched(
        "Annotations without an image", alone, "Expected an image of the same name; remove the others."
    )
    notes = problems.leave_out(options, len(images))
    problems.check()
    return paired, notes


def find_files(top: Path, suffixes: Sequence[str]) -> list[PathParts]:
    """Return the folders on the way and the name of each file with one of these suffixes, sorted, without hidden files.

    Raises:
        SourceError: Folders cannot be read, or links lead nowhere or in a circle.
    """
    folders = walk(top, extensions=tuple(suffixes)).folders
    return [(folder.parts, name) for folder in folders for name in sorted(folder.files.names)]


def path_below(top: Path, path: str) -> str:
    """Return a path relative to the given folder.

    Raises:
        SourceError: The path does not lie below it.
    """
    below = relative(path, top)
    if below is None:
        raise SourceError(f"{path}: lies outside of {top}; give the folder that holds images and annotations.")
    return below

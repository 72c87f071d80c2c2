"""The images of a folder whose boxes stand in files of their own, and these files."""

from __future__ import annotations

import os
from array import array
from collections import defaultdict
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
from precompute.sources.found_files import FoundFile, FoundFiles, RoleFolder, part_of, split_role
from precompute.sources.problems import Problems, Unmatched
from precompute.sources.split_folders import split_positions
from precompute.sources.unicode_forms import UnicodeForms
from precompute.sources.walk import Files, walk
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
    "prefer_kept",
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
        num_ignored_files: Files that were passed over.
        passed: Endings of these, each with its number.
        left_out: Plain paths of images that the annotations which were asked for do not speak of.
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

    def by_name(self) -> dict[str, list[FoundFile]]:
        """Return the images, those that the user left out too, by the names of their files."""
        by_name = defaultdict[str, list[FoundFile]](list)
        for image in (*self.images, *self.excluded):
            by_name[image.path.rpartition("/")[2]].append(image)
        return by_name

    def left_out_note(self, given: str | None) -> list[str]:
        """Return what is said of images that were left out."""
        return unnamed_note(len(self.left_out), f"--annotations {given} does not name")


Choose: TypeAlias = Callable[[Sequence[FoundFile]], Sequence[bool]]


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

    def chosen(self, images: Sequence[FoundFile]) -> list[bool]:
        """Tell of each image whether it lies where the files say something; of all, where no file has an image."""
        fits = any(image.place in self.files for image in images)
        return [not fits or image.place.startswith(self.start) for image in images]


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
    placed = [(folder, split_role(folder.parts, roles)[1]) for folder in tree.folders if folder.files]
    inside = [(folder, context) for folder, context in placed if len(context) < len(folder.parts)]
    chosen = inside or ([] if options.images is not None and start is top else placed)
    if not chosen:
        where = f"a folder {options.images}/ with images" if options.images else "images"
        unreadable = unreadable_text(tree.passed)
        raise SourceError(
            f"{top}: there are no images: {unreadable + ' E' if unreadable else 'e'}xpected {where}, files with the "
            f"extensions {' '.join(IMAGE_EXTENSIONS)}."
        )
    parts = [part_of(folder, context, options.image_suffix) for folder, context in chosen]
    num_images = sum(len(part.files) for part in parts)
    left_out = frozenset[str]()
    if choose is not None:
        parts, left_out = _only(parts, choose)
    contexts = [part.context for part in parts]
    used = [i for i, part in enumerate(parts) if part.files]
    excluded = [
        part_of(folder, split_role(folder.parts, roles)[1], options.image_suffix) for folder in tree.excluded_images()
    ]
    positions = _positions(top, contexts, used, strict=choose is None)
    return FoundImages(
        top=top,
        images=FoundFiles(parts, positions, split_in_key=options.split_in_key),
        num_ignored_files=tree.num_files - num_images,
        passed=tree.passed,
        left_out=left_out,
        excluded=[file._replace(is_excluded=True) for file in FoundFiles(excluded, None, split_in_key=False)],
    )


def _only(parts: Sequence[RoleFolder], choose: Choose) -> tuple[list[RoleFolder], frozenset[str]]:
    """Return the folders with the images that count, and the places of the others."""
    images = list(FoundFiles(parts, None, split_in_key=False))
    wanted = choose(images)
    kept = {image.path for image, keep in zip(images, wanted, strict=True) if keep}
    left_out = frozenset(image.place for image in images if image.path not in kept)
    chosen = [
        replace(part, files=Files(file for file in part.files if f"{part.path.rstrip('/')}/{file[0]}" in kept))
        for part in parts
    ]
    return chosen, left_out


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
        splits: Path of an image → its split, where it is not the one that folders say.
        notes: Notes for the user, before what the check has to say.
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
        files: Folders on the way from there, and name, of each.
        roles: Names of folders that are no part of places; that of the folder that was given, one above it, or one
            that all files lie in, is none either where images are found so.
    """
    there = {image.place for image in images}
    forms = UnicodeForms(there)
    parts = folder.relative_to(top).parts if folder.is_relative_to(top) else ()
    without = [_without(parts, _one(i)) for i in reversed(range(len(parts)))]
    starts = dict.fromkeys([split_role(parts, roles)[1], *without, parts, ()])
    levels = zip(*{of_file for of_file, _ in files}, strict=False)
    shared = range(sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels)))
    matched = []
    for start, left_out in product(starts, (None, *map(_one, shared), slice(0, len(shared)))):
        named = {}
        for of_file, name in files:
            below = split_role(of_file, roles)[1] if left_out is None else _without(of_file, left_out)
            stem = os.path.splitext(name)[0]  # noqa: PTH122 (a Path a file is slow)
            named[forms.find("/".join((*start, *below, stem)))] = folder.joinpath(*of_file, name)
        matched.append(MatchedFiles(named, "".join(f"{part}/" for part in start)))
    return max(matched, key=lambda found: len(there & found.files.keys()))


def find_beside(
    top: Path, folder: Path, files: Sequence[PathParts], roles: Sequence[str], options: BuildOptions
) -> tuple[FoundImages, MatchedFiles]:
    """Find images, and the files with their annotations; of images those alone that files of a named folder lie for.

    Args:
        top: Folder of the source.
        folder: Folder of the files: the same, or one that was named.
        files: See `match_files`.
        roles: See `match_files`.
        options: Options of the build.

    Raises:
        SourceError: See `find_images`.
    """

    def choose(images: Sequence[FoundFile]) -> list[bool]:
        return match_files(images, top, folder, files, roles).chosen(images)

    found = find_images(top, options, None if folder == top else choose)
    return found, match_files(found.images, top, folder, files, roles)


def _one(i: int) -> slice:
    return slice(i, i + 1)


def _without(parts: tuple[str, ...], left_out: slice) -> tuple[str, ...]:
    return (*parts[: left_out.start], *parts[left_out.stop :])


def prefer_kept(images: Sequence[FoundFile]) -> Sequence[FoundFile]:
    """Return the images that the user did not leave out; where there are none, the first of those left out."""
    return [image for image in images if not image.is_excluded] or images[:1]


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
        images: Those that count.
        files: Place of an image → its file.
        options: Options of the build, which accept files without a partner or none.
        without: What helps where images have no file.
        all_files: Each file has to have an image.

    Raises:
        SourceError: There are more files without a partner than are accepted.
    """
    images = list(images)
    paired = [image for image in images if image.place in files]
    there = {image.place for image in found.images} | found.excluded_places | found.left_out
    alone = [str(path) for place, path in files.items() if all_files and place not in there]
    unmatched = Unmatched(options, len(images))
    lacking = [path_below(found.top, image.path) for image in images if image.place not in files]
    unmatched.add("Images without an annotation", lacking, without)
    unmatched.add("Annotations without an image", alone, "Expected an image of the same name; remove the others.")
    problems = Problems(f"{found.top}: images and annotations do not fit together.")
    notes = unmatched.settle(problems)
    problems.check()
    return paired, notes


def find_files(top: Path, suffixes: Sequence[str]) -> list[PathParts]:
    """Return folders on the way and name of each file with one of these suffixes, sorted; hidden ones are left out.

    Raises:
        SourceError: Folders cannot be read, or links lead nowhere or in a circle.
    """
    folders = walk(top, extensions=tuple(suffixes)).folders
    return [(folder.parts, name) for folder in folders for name in sorted(folder.files.names)]


def path_below(top: Path, path: str) -> str:
    """Return a path below the folder that was given.

    Raises:
        SourceError: It does not lie there.
    """
    start = top.as_posix().rstrip("/") + "/"
    if not path.startswith(start):
        raise SourceError(f"{path}: lies outside of {top}; give the folder that holds images and annotations.")
    return path[len(start) :]

"""Which folders hold images and which hold masks, found from their names or as told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from precompute.errors import SourceError, UsageError
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.options.build_options import BuildOptions
from precompute.sources.folders.siblings import find_siblings
from precompute.sources.found_files import RoleFolder, part_of, split_role
from precompute.sources.split_folders import split_of
from precompute.sources.walk import Files, Folder, Tree, walk
from precompute.storage.paths import absolute, as_path, is_url

__all__ = ["LAYOUTS", "Layout", "find_layout"]

LAYOUTS = """Expected one of
  cats/1.jpg, dogs/2.jpg …                       a folder a class
  images/a.jpg with masks/a.png …                equal names, any suffixes
either with folders train/, val/, test/ above or below. Folders of other names: --images and --masks; names that differ:
--image-suffix and --mask-suffix."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Images, and masks unless the folders are classes.

    Attributes:
        images: At least one file in all.
        masks: None for a folder a class.
        num_ignored_files: Files and hidden folders that were passed over.
        passed: Endings of the files among them that are not called like images, each with its number.
        notes: Notes for the user.
        empty_folders: Folders in which files were expected but not found; only the topmost.
        outside: Images that lie in neither role's folder.
        excluded: Gives the plain paths of images that the user left out, with folders of splits and without.
    """

    images: list[RoleFolder]
    masks: list[RoleFolder] | None
    num_ignored_files: int
    empty_folders: list[str]
    outside: list[str]
    passed: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    excluded: Callable[[], set[str]] = set


def find_layout(root: Path, options: BuildOptions) -> Layout:
    """Find out which folders below the root hold images and which hold masks.

    Raises:
        SourceError: Folders that were named are not there.
        UsageError: Options cannot tell images and masks apart.
    """
    _check_suffixes(options)
    images, masks = _given(root, options.images, "images"), _given(root, options.masks, "masks")
    if isinstance(images, str | None) and isinstance(masks, str | None):
        tree = walk(root)
        excluded = partial(_excluded, tree, (images or "images").lower(), options)
        return replace(_searched(tree, images, masks, options), passed=tree.passed, excluded=excluded)
    return _named(root, images, masks, options)


def _check_suffixes(options: BuildOptions) -> None:
    for option in ("image_suffix", "mask_suffix"):
        flag, suffix = f"{option} (--{option.replace('_', '-')})", getattr(options, option)
        if not isinstance(suffix, str) or "/" in suffix:
            raise UsageError(f"{flag}: expected the end of a file's name, '_mask' say, got {suffix!r}.")
        stem, extension = os.path.splitext(suffix)  # noqa: PTH122 (a Path named .png has no suffix)
        if extension.lower() in IMAGE_EXTENSIONS or stem.lower() in IMAGE_EXTENSIONS:
            raise UsageError(f"{flag}: expected no file extension, as in '_mask', got {suffix!r}.")


def _given(root: Path, folder: str | Path | None, option: str) -> Path | str | None:
    """Return the folder that was given, or its bare name when it is not directly below the root."""
    if folder is None:
        return None
    if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
        raise UsageError(f"{option} (--{option}): expected a folder, got {folder!r}.")
    path = absolute(as_path(folder) if is_url(folder) else root / folder)
    if path.is_dir():
        return path
    if not is_url(folder) and len(Path(folder).parts) == 1:
        return str(folder)
    raise SourceError(f"--{option} {folder}: there is no folder {path}. Give a path below {root}, or an absolute one.")


# Folders that were named.


def _named(root: Path, images: Path | str | None, masks: Path | str | None, options: BuildOptions) -> Layout:
    if isinstance(images, str) or isinstance(masks, str):
        option, folder = ("images", images) if isinstance(images, str) else ("masks", masks)
        raise SourceError(f"--{option} {folder}: there is no such folder in {root}.")
    image_dir, mask_dir = images or _child(root, "images"), masks or _child(root, "masks")
    if image_dir is None:
        raise SourceError(
            f"{root}: --masks {options.masks} was given, but there is no folder images/. "
            "Name the folder of the images with --images."
        )
    if mask_dir is None:
        tree = walk(image_dir)
        return replace(_as_classes(tree, options, strip=None), passed=tree.passed)
    if image_dir == mask_dir:
        tree = walk(image_dir)
        excluded = partial(_excluded, tree, None, options)
        return replace(_one_folder(tree, options, strip=None), passed=tree.passed, excluded=excluded)
    image_tree = walk(image_dir, skip=mask_dir)
    mask_tree = walk(mask_dir, skip=image_dir)
    pairs = _as_pairs(
        [(folder, folder.parts) for folder in image_tree.folders],
        [(folder, folder.parts) for folder in mask_tree.folders],
        options,
        num_ignored_files=image_tree.num_ignored_files + mask_tree.num_ignored_files,
        outside=[],
        passed=image_tree.passed + mask_tree.passed,
    )
    return replace(pairs, excluded=partial(_excluded, image_tree, None, options))


def _excluded(tree: Tree, role: str | None, options: BuildOptions) -> set[str]:
    """Return the plain paths of images that the user left out."""
    parts = [part_of(folder, _context(folder.parts, role), options.image_suffix) for folder in tree.excluded_images()]
    plain = {(*part.context, stem) for part in parts for stem in part.stems()}
    bare = {(*(name for name in names[:-1] if split_of(name) is None), names[-1]) for names in plain}
    return {"/".join(names) for names in plain | bare}


def _child(root: Path, name: str) -> Path | None:
    return min((p for p in root.iterdir() if p.name.lower() == name and p.is_dir()), default=None)


# Folders that are found.


def _searched(tree: Tree, images: str | None, masks: str | None, options: BuildOptions) -> Layout:
    image_name, mask_name = (images or "images").lower(), (masks or "masks").lower()
    by_role: dict[str | None, list[tuple[Folder, tuple[str, ...]]]] = {image_name: [], mask_name: [], None: []}
    for folder in tree.folders:
        role, context = split_role(folder.parts, (image_name, mask_name))
        by_role[role].append((folder, context))
    for option, given, name in [("images", images, image_name), ("masks", masks, mask_name)]:
        if given is not None and not by_role[name]:
            raise SourceError(f"--{option} {given}: there is no folder of this name in {tree.top}, at any level.")
    if by_role[image_name] and by_role[mask_name] and image_name != mask_name:
        outside = [f"{folder.path}/{name}" for folder, _ in by_role[None] for name, _ in folder.files]
        named = images is not None or masks is not None  # what lies elsewhere was left out on purpose
        num_ignored_files = tree.num_ignored_files + (len(outside) if named else 0)
        outside = [] if named else outside
        return _as_pairs(
            by_role[image_name], by_role[mask_name], options, num_ignored_files=num_ignored_files, outside=outside
        )
    if images is not None:
        return _named_folders(tree, by_role[image_name], image_name, options)
    if siblings := _siblings(tree, options):
        return siblings
    in_images = all(split_role(f.parts, (image_name,))[0] for f in tree.folders if f.files)
    return _unpaired(tree, options, strip=image_name if in_images else None)


def _siblings(tree: Tree, options: BuildOptions) -> Layout | None:
    """Return folders beside those of their masks, where all are such and no option says what they are."""
    if options.masks or options.mask_suffix or options.image_suffix:
        return None
    found = find_siblings([folder for folder in tree.folders if folder.files], options.class_names or ())
    if found is None:
        return None
    given = replace(options, mask_suffix=found.mask_suffix)
    layout = _as_pairs(found.images, found.masks, given, num_ignored_files=tree.num_ignored_files, outside=[])
    return replace(layout, notes=[found.note])


def _named_folders(
    tree: Tree, chosen: list[tuple[Folder, tuple[str, ...]]], name: str, options: BuildOptions
) -> Layout:
    """The images' folders were named and no others serve as masks: what lies outside of them is passed over."""
    inside = Tree(tree.top, [folder for folder, _ in chosen])
    layout = _unpaired(inside, options, strip=name)
    passed = tree.num_ignored_files + tree.num_files - inside.num_ignored_files - inside.num_files
    return replace(layout, num_ignored_files=layout.num_ignored_files + passed)


def _unpaired(tree: Tree, options: BuildOptions, *, strip: str | None) -> Layout:
    both = options.images is not None and options.masks is not None
    if options.mask_suffix or both:
        return _one_folder(tree, options, strip=strip)
    return _as_classes(tree, options, strip=strip)


# From folders to parts.


def _as_pairs(
    images: list[tuple[Folder, tuple[str, ...]]],
    masks: list[tuple[Folder, tuple[str, ...]]],
    options: BuildOptions,
    *,
    num_ignored_files: int,
    outside: list[str],
    passed: Mapping[str, int] | None = None,
) -> Layout:
    image_parts = [part_of(folder, context, options.image_suffix) for folder, context in images]
    mask_parts = [part_of(folder, context, options.mask_suffix) for folder, context in masks]
    folders = [folder for folder, _ in images + masks]
    kept = sum(len(part.files) for part in image_parts + mask_parts)
    return Layout(
        images=image_parts,
        masks=mask_parts,
        num_ignored_files=num_ignored_files + sum(len(folder.files) for folder in folders) - kept,
        # A folder of strangers alone is passed over with them: colour pictures beside the masks, say.
        empty_folders=_empty_folders([(folder, len(folder.files) + folder.num_ignored_files) for folder in folders]),
        outside=outside,
        passed=passed or {},
    )


def _as_classes(tree: Tree, options: BuildOptions, *, strip: str | None) -> Layout:
    parts = [part_of(f, _context(f.parts, strip), options.image_suffix) for f in tree.folders]
    kept = [len(part.files) for part in parts]
    return Layout(
        images=parts,
        masks=None,
        num_ignored_files=tree.num_ignored_files + tree.num_files - sum(kept),
        empty_folders=_empty_folders(list(zip(tree.folders, kept, strict=True))),
        outside=[],
    )


def _one_folder(tree: Tree, options: BuildOptions, *, strip: str | None) -> Layout:
    """Images and masks side by side, told apart by suffix: the longer one that fits, or none at all."""
    suffixes = (options.image_suffix, options.mask_suffix)
    if suffixes[0] == suffixes[1]:
        raise UsageError(
            f"{tree.top}: images and masks are in one folder, so their names must tell them apart, but "
            f"--image-suffix is {suffixes[0]!r} and --mask-suffix is {suffixes[1]!r}. Give two that differ."
        )
    longer, shorter = sorted(suffixes, key=len, reverse=True)
    parts: dict[str, list[RoleFolder]] = {longer: [], shorter: []}
    for folder in tree.folders:
        context = _context(folder.parts, strip)
        first = part_of(folder, context, longer)
        taken = set(first.files.names)
        rest = Folder(folder.parts, folder.path, Files(file for file in folder.files if file[0] not in taken))
        parts[longer].append(first)
        parts[shorter].append(part_of(rest, context, shorter))
    kept = sum(len(part.files) for side in parts.values() for part in side)
    return Layout(
        images=parts[options.image_suffix],
        masks=parts[options.mask_suffix],
        num_ignored_files=tree.num_ignored_files + tree.num_files - kept,
        empty_folders=_empty_folders(
            [(folder, len(folder.files) + folder.num_ignored_files) for folder in tree.folders]
        ),
        outside=[],
    )


def _context(parts: tuple[str, ...], strip: str | None) -> tuple[str, ...]:
    return parts if strip is None else split_role(parts, (strip,))[1]


def _empty_folders(counts: list[tuple[Folder, int]]) -> list[str]:
    """Return the topmost folders below which nothing was counted."""
    holding = {prefix for folder, count in counts if count for prefix in _ancestry(folder.path)}
    empty_folders = {folder.path for folder, _ in counts} - holding
    return sorted(path for path in empty_folders if path.rpartition("/")[0] not in empty_folders)


def _ancestry(path: str) -> list[str]:
    """Return the path and all folders above it."""
    return [path[:i] for i, character in enumerate(path) if character == "/"] + [path]

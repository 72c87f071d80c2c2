"""Which folders hold images and which hold masks, from their names or from options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeGuard, cast

from precompute.errors import SourceError, UsageError
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import of_field
from precompute.options.sources import LABEL, MASK
from precompute.sources.field_names import check_file_name
from precompute.sources.folders.siblings import find_siblings
from precompute.sources.found_files import RoleFolder, parts_of, split_role
from precompute.sources.split_folders import split_of
from precompute.sources.walk import Files, Folder, Tree, walk
from precompute.storage.paths import absolute, as_path, is_url
from precompute.text.names import with_flag

__all__ = ["LAYOUTS", "Layout", "find_layout"]

LAYOUTS = """Expected one of
  cats/1.jpg, dogs/2.jpg …                       a folder a class
  images/a.jpg with masks/a.png …                equal names, any suffixes
either with folders train/, val/, test/ above or below. Folders of other names: --images and --masks; names that differ:
--image-suffix and --mask-suffix."""


Placed: TypeAlias = list[tuple[Folder, tuple[str, ...]]]  # folders, each with its context


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The files of images, and those beside them.

    Attributes:
        images: Folders of images, with at least one file in all.
        beside: Name of a field of masks → their folders; empty where folders are classes.
        num_ignored_files: Number of files and hidden folders that were passed over.
        passed: Ending of such files that do not have names of images → their number.
        notes: Notes for the user.
        empty_folders: Topmost folders in which files were expected but not found.
        outside: Images that lie in neither role's folder.
        excluded: Returns the plain paths of images that the user left out, with folders of splits and without.
    """

    images: list[RoleFolder]
    beside: Mapping[str, list[RoleFolder]]
    num_ignored_files: int
    passed: Mapping[str, int]
    notes: Sequence[str]
    empty_folders: list[str]
    outside: Sequence[str]
    excluded: Callable[[], set[str]]


class _Roles(NamedTuple):
    """Folders of images, and those beside them by field.

    Attributes:
        images: Folders of images.
        beside: Name of a field of masks → their folders; empty where folders are classes.
        by_name: Whether images and masks lie in the same folders, so that names of files tell them apart.
        mask_suffix: End of the masks' stems; None: that of the options.
        notes: Notes for the user.
        outside: Images that lie in the folders of no role.
    """

    images: Placed
    beside: Mapping[str, Placed] = {}
    by_name: bool = False
    mask_suffix: str | None = None
    notes: Sequence[str] = ()
    outside: Sequence[str] = ()


def find_layout(root: Path, options: BuildOptions) -> Layout:
    """Find out which folders below the root hold images and which hold masks.

    Raises:
        SourceError: Folders that the user named do not exist.
        UsageError: Options cannot tell images and masks apart.
    """
    _check_suffixes(options)
    for name in options.mask_folders:
        check_file_name(name, "masks")
    images = _given(root, options.images, "images")
    masks = {name: _given(root, folder, "masks") for name, folder in options.mask_folders.items()}
    if _are_names(images, masks):
        tree = walk(root)
        return _layout([tree], _searched(tree, images, masks, options), options, role=(images or "images").lower())
    image_dir, mask_dirs = _named(root, images, masks, options)
    if mask_dirs == {MASK: image_dir}:
        tree = walk(image_dir)
        placed = _placed(tree.folders, None)
        return _layout([tree], _Roles(placed, {MASK: placed}, by_name=True), options, role=None)
    _check_apart(image_dir, mask_dirs)
    every = (image_dir, *mask_dirs.values())
    trees = [walk(folder, skip=[other for other in every if other != folder]) for folder in every]
    of_images, *of_masks = (_placed(tree.folders, None) for tree in trees)
    return _layout(trees, _Roles(of_images, dict(zip(mask_dirs, of_masks, strict=True))), options, role=None)


def _are_names(images: Path | str | None, masks: Mapping[str, Path | str | None]) -> TypeGuard[str | None]:
    """Return whether all folders are named alone, or not at all, so that they are searched at any level."""
    return all(isinstance(folder, str | None) for folder in (images, *masks.values()))


def _check_apart(image_dir: Path, mask_dirs: Mapping[str, Path]) -> None:
    """Refuse one folder for several masks, or for one of several masks and the images."""
    seen = {image_dir: "images"}
    for name, folder in mask_dirs.items():
        if folder in seen:
            raise UsageError(
                f"masks (--masks): {name}: {folder} is the folder of {seen[folder]}, too; expected one for each."
            )
        seen[folder] = name


def _layout(trees: Sequence[Tree], roles: _Roles, options: BuildOptions, *, role: str | None) -> Layout:
    """Return the files of folders whose role is known.

    Args:
        trees: All folders, those of images first.
        roles: Folders that hold images and masks.
        options: Options of the build.
        role: Name of folders of images that is not part of keys.
    """
    if roles.by_name:
        images, masks = _told_apart(trees[0].top, roles.images, options)
        beside = {MASK: masks}
    else:
        suffix = options.mask_suffix if roles.mask_suffix is None else roles.mask_suffix
        images = parts_of(roles.images, options.image_suffix)
        beside = {name: parts_of(placed, suffix) for name, placed in roles.beside.items()}
    folders = [folder for folder, _ in chain(roles.images, *roles.beside.values())]
    kept = [len(part.files) for part in chain(images, *beside.values())]
    # A folder in which nothing fits is passed over as a whole, such as colour pictures beside the masks.
    held = kept if not beside else [len(folder.files) + folder.num_ignored_files for folder in folders]
    every = sum(tree.num_files + tree.num_ignored_files for tree in trees)
    return Layout(
        images=images,
        beside=beside,
        num_ignored_files=every - sum(kept) - len(roles.outside),
        passed=sum((tree.passed for tree in trees), Counter()),
        notes=roles.notes,
        empty_folders=_empty_folders(dict(zip((folder.path for folder in folders), held, strict=True))),
        outside=roles.outside,
        excluded=partial(_excluded, trees[0], role, options),
    )


def _check_suffixes(options: BuildOptions) -> None:
    for option in ("image_suffix", "mask_suffix"):
        flag, suffix = with_flag(option), getattr(options, option)
        if "/" in suffix:
            raise UsageError(f"{flag}: expected the end of a file's name, '_mask' say, got {suffix!r}.")
        if suffix.lower().endswith(IMAGE_EXTENSIONS):
            raise UsageError(f"{flag}: expected no file extension, as in '_mask', got {suffix!r}.")


def _given(root: Path, folder: str | None, option: str) -> Path | str | None:
    """Return the folder that the user named, or its bare name if it is not directly below the root."""
    if folder is None:
        return None
    if not folder:
        raise UsageError(f"{option} (--{option}): expected a folder, got {folder!r}.")
    path = absolute(as_path(folder) if is_url(folder) else root / folder)
    if path.is_dir():
        return path
    if not is_url(folder) and len(Path(folder).parts) == 1:
        return folder
    raise SourceError(f"--{option} {folder}: there is no folder {path}. Give a path below {root}, or an absolute one.")


# Folders that were named.


def _named(
    root: Path, images: Path | str | None, masks: Mapping[str, Path | str | None], options: BuildOptions
) -> tuple[Path, dict[str, Path]]:
    """Return the folder of the images, and those of the masks by field if there are any."""
    for option, folder in (("images", images), *(("masks", folder) for folder in masks.values())):
        if isinstance(folder, str):
            raise SourceError(f"--{option} {folder}: there is no such folder in {root}.")
    image_dir = images or _child(root, "images")
    if image_dir is None:
        given = " ".join(str(folder) for folder in options.mask_folders.values())
        raise SourceError(
            f"{root}: --masks {given} was given, but there is no folder images/. "
            "Name the folder of the images with --images."
        )
    mask_dirs = {name: folder or _child(root, "masks") for name, folder in masks.items()}
    return cast(Path, image_dir), {name: cast(Path, folder) for name, folder in mask_dirs.items() if folder}


def _child(root: Path, name: str) -> Path | None:
    return min((p for p in root.iterdir() if p.name.lower() == name and p.is_dir()), default=None)


# Folders that are found.


def _searched(tree: Tree, images: str | None, masks: Mapping[str, Any], options: BuildOptions) -> _Roles:
    image_name = (images or "images").lower()
    mask_names = {name: (folder or "masks").lower() for name, folder in masks.items()}
    by_role: dict[str | None, Placed] = {role: [] for role in (image_name, *mask_names.values(), None)}
    for folder in tree.folders:
        role, context = split_role(folder.parts, (image_name, *mask_names.values()))
        by_role[role].append((folder, context))
    given = [("images", images), *(("masks", folder) for folder in masks.values())]
    for option, name in given:
        if name is not None and not by_role[name.lower()]:
            raise SourceError(f"--{option} {name}: there is no folder of this name in {tree.top}, at any level.")
    roles = [image_name, *mask_names.values()]
    if len(masks) > 1 and len(set(roles)) < len(roles):
        raise UsageError(f"masks (--masks): expected another folder for each, got {', '.join(roles)} with the images'.")
    if len(set(roles)) > 1 and all(by_role[role] for role in roles):
        outside = [f"{folder.path}/{name}" for folder, _ in by_role[None] for name in folder.files.names]
        named = any(name is not None for _, name in given)  # what lies elsewhere was left out on purpose
        beside = {name: by_role[role] for name, role in mask_names.items()}
        return _Roles(by_role[image_name], beside, outside=[] if named else outside)
    if images is None and (siblings := _siblings(tree, options)):
        return siblings
    placed = by_role[image_name]
    if images is None:
        in_images = all(split_role(folder.parts, (image_name,))[0] for folder in tree.folders if folder.files)
        placed = _placed(tree.folders, image_name if in_images else None)
    if options.mask_suffix or (options.images is not None and options.masks is not None):
        return _Roles(placed, {MASK: placed}, by_name=True)
    return _Roles(placed)


def _siblings(tree: Tree, options: BuildOptions) -> _Roles | None:
    """Return folders of images that each stand beside their masks' folder, if all do and no option names folders."""
    if options.masks or options.mask_suffix or options.image_suffix:
        return None
    names = of_field(options.class_names, LABEL) or ()
    found = find_siblings([folder for folder in tree.folders if folder.files], names)
    if found is None:
        return None
    return _Roles(found.images, {MASK: found.masks}, mask_suffix=found.mask_suffix, notes=[found.note])


# Files.


def _told_apart(top: Path, placed: Placed, options: BuildOptions) -> tuple[list[RoleFolder], list[RoleFolder]]:
    """Return images and masks in the same folders, told apart by suffix: the longest suffix that fits counts."""
    suffixes = (options.image_suffix, options.mask_suffix)
    if suffixes[0] == suffixes[1]:
        raise UsageError(
            f"{top}: images and masks are in one folder, so their names must tell them apart, but "
            f"--image-suffix is {suffixes[0]!r} and --mask-suffix is {suffixes[1]!r}. Give two that differ."
        )
    longer, shorter = sorted(suffixes, key=len, reverse=True)
    first = parts_of(placed, longer)
    rest = Placed()
    for (folder, context), part in zip(placed, first, strict=True):
        taken = set(part.files.names)
        rest.append((replace(folder, files=Files(file for file in folder.files if file[0] not in taken)), context))
    parts = {longer: first, shorter: parts_of(rest, shorter)}
    return parts[options.image_suffix], parts[options.mask_suffix]


def _excluded(tree: Tree, role: str | None, options: BuildOptions) -> set[str]:
    """Return the plain paths of images that the user left out."""
    parts = parts_of(_placed(tree.excluded_images(), role), options.image_suffix)
    plain = {(*part.context, stem) for part in parts for stem in part.stems()}
    bare = {(*(name for name in names[:-1] if split_of(name) is None), names[-1]) for names in plain}
    return {"/".join(names) for names in plain | bare}


def _placed(folders: Iterable[Folder], role: str | None) -> Placed:
    """Return folders with their contexts, without the parts that are named like a role."""
    return [(folder, folder.parts if role is None else split_role(folder.parts, (role,))[1]) for folder in folders]


def _empty_folders(counts: Mapping[str, int]) -> list[str]:
    """Return the topmost folders below which nothing was counted."""
    ends = {
        path: [i for i, letter in enumerate(f"{path}/") if letter == "/"] for path, count in counts.items() if count
    }
    holding = {path[:i] for path, of_path in ends.items() for i in of_path}
    empty = counts.keys() - holding
    return sorted(path for path in empty if path.rpartition("/")[0] not in empty)

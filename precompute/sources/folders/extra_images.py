"""Further images in folders of their own, beside the images that any layout of folders has found."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, first_few
from precompute.fields.file_column import ExtraImageColumn
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.options.build_options import BuildOptions
from precompute.sources.field_names import check_file_name, check_names
from precompute.sources.found import Found, FoundColumn
from precompute.sources.found_files import FoundFiles, Identity, in_role, parts_of
from precompute.sources.pairs import Pairs, files_of, in_all, pair
from precompute.sources.problems import Problems
from precompute.sources.split_folders import split_of, split_positions
from precompute.sources.walk import walk
from precompute.storage.paths import absolute, as_path
from precompute.text.notes import SummarizedNote

__all__ = ["folders_apart", "with_extra_images"]

EXTENSIONS = (*IMAGE_EXTENSIONS, ".npy")
SAME_KEY = "Expected one {} of the same key: the same path below its folder, without the extension."


def folders_apart(top: Path, options: BuildOptions) -> Iterator[str]:
    """Yield the folders of further images, as `PassedOver` takes them."""
    for folder in (options.extra_images or {}).values():
        path = _path_of(top, folder)
        yield folder.strip("/").lower() if path is None else path.as_posix()


def _path_of(top: Path, folder: str) -> Path | None:
    """Return the path of a folder below the top; None for a bare name that folders at any depth may have."""
    path = absolute(as_path(top / folder))
    return path if path.is_dir() or "/" in folder.strip("/") else None


def with_extra_images(found: Found, top: Path, options: BuildOptions) -> Found:
    """Return sources with the further images of each, which `--extra-images` names folders of.

    Raises:
        SourceError: A folder is not there, an image has no further image, or several.
        UsageError: A name cannot be used.
    """
    if found.problems is not None:
        found.problems.check()
    check_names([*(one.column.own_name for one in found.fields), *(options.extra_images or {})])
    problems, notes = Problems(f"{top}: images and further images do not fit together."), list[str]()
    every, pairs = dict[str, FoundFiles](), dict[str, Pairs]()
    for name, folder in (options.extra_images or {}).items():
        check_file_name(name)
        every[name] = files = _files(top, folder, name, options)
        by_split = found.splits is not None and any(files.splits())
        pairs[name] = of = pair(_identities(found, by_split=by_split), files.identities(by_split=by_split))
        alone = [f"{found.images[i]} (key {found.keys[i]!r})" for i in of.images_alone]
        problems.add_unmatched(f"Images that have no {name}", alone, SAME_KEY.format(name))
        again = [f"{files[first].path}, {files[i].path}" for first, i in of.again]
        problems.add(f"Files of {name} for one image", again, "Expected one an image; rename or move the others.")
        if of.files_alone:
            without = [files[i].path for i in of.files_alone]
            notes.append(
                SummarizedNote(f"{name} without an image, passed over ({len(without):,}):\n{first_few(without)}")
            )
    notes += problems.leave_out(options, len(found.keys))
    problems.check()
    kept = in_all(pairs.values())
    return _with_files(found, kept, {name: files_of(files, pairs[name], kept) for name, files in every.items()}, notes)


def _files(top: Path, folder: str, name: str, options: BuildOptions) -> FoundFiles:
    """Return the files of one name."""
    path = _path_of(top, folder)
    if path is None:
        every = walk(top, extensions=EXTENSIONS, into_apart=True).folders
        folders = in_role(every, (folder.strip("/").lower(),))
    elif not path.is_dir():
        folders = []
    else:
        folders = [(one, one.parts) for one in walk(path, extensions=EXTENSIONS, into_apart=True).folders]
    parts = [part for part in parts_of(folders, "") if part.files]
    flag = f"extra_images (--extra-images) {name}={folder}"
    if not parts:
        raise SourceError(
            f"{flag}: there is no folder of this name in {top} with files that end with {', '.join(EXTENSIONS)}."
        )
    outside = [part.path for part in parts if not part.path.startswith(f"{top.as_posix().rstrip('/')}/")]
    if outside:
        raise SourceError(
            f"{flag}: {outside[0]} lies elsewhere than {top}; give a folder that holds both as SOURCE, and name the "
            "folder of the images with --images."
        )
    positions = split_positions([part.context for part in parts], where=flag)
    return FoundFiles(parts, positions, split_in_key=options.split_in_key)


def _identities(found: Found, *, by_split: bool) -> list[Identity]:
    """Return the identity of each image; keys that hold the splits' folders are taken without these."""
    splits = found.splits or [None] * len(found.keys)
    plain = [_without_split(key, split) for key, split in zip(found.keys, splits, strict=True)]
    in_keys = all(one is not None for one, split in zip(plain, splits, strict=True) if split is not None)
    keys = [key if one is None or not in_keys else one for key, one in zip(found.keys, plain, strict=True)]
    return list(zip(splits if by_split else repeat(None, len(keys)), keys, strict=True))


def _without_split(key: str, split: str | None) -> str | None:
    """Return a key without the first folder that means a split; None if there is none."""
    *folders, stem = key.split("/")
    at = next((i for i, folder in enumerate(folders) if split is not None and split_of(folder) == split), None)
    return None if at is None else "/".join([*folders[:at], *folders[at + 1 :], stem])


def _with_files(found: Found, kept: Sequence[int], files: Mapping[str, FoundFiles], notes: Sequence[str]) -> Found:
    """Return the sources at some positions, with a column for each kind of files."""

    def of_kept(values: Sequence[Any]) -> list[Any]:
        return [values[i] for i in kept]

    further = (ExtraImageColumn(name=name, values=of.paths(found.root)) for name, of in files.items())
    fields = [one._replace(column=one.column.take(kept)) for one in found.fields]
    sizes = zip(of_kept(found.num_bytes), *(of.num_bytes for of in files.values()), strict=True)
    return replace(
        found,
        keys=of_kept(found.keys),
        images=of_kept(found.images),
        num_bytes=array("q", map(sum, sizes)),
        fields=[*fields, *map(FoundColumn, further)],
        splits=None if found.splits is None else of_kept(found.splits),
        groups=None if found.groups is None else of_kept(found.groups),
        notes=[*found.notes, *notes],
    )

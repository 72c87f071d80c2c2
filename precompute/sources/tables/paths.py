"""Paths in a table → files: where they lie, how large they are, and the keys that follow from them."""

from __future__ import annotations

import os
import re
import stat
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from precompute.errors import SourceError
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.sources.tables.files import Table
from precompute.sources.unicode_forms import UnicodeForms, existing_path
from precompute.storage.paths import absolute, as_path, common_folder, is_remote, is_url
from precompute.storage.snapshot import seen_at_once
from precompute.text.format import format_count

CHUNK = 4096  # paths that are looked at together
NOT_PLAIN = re.compile(r"^[./]|//|/\.|[:\\]", re.MULTILINE)  # paths that may not lie below the root as they stand

__all__ = ["check_filled", "file_sizes", "find_paths", "make_keys", "shared_root"]


def check_filled(table: Table, column: str, values: Sequence[Any], remedy: str) -> None:
    """Refuse empty cells.

    Raises:
        SourceError: There are some; with the lines of the first, and what to do.
    """
    if not table.typed and all(values):
        return
    empty = [i for i, value in enumerate(values) if value is None or value == "" or value != value]
    if empty:
        raise SourceError(
            f"{table.path}: column {column}: {len(empty):,} of "
            f"{format_count(len(values), 'cell is', 'cells are')} empty:\n"
            f"{table.listed(empty)}\n{remedy}"
        )


def find_paths(table: Table, column: str, values: Sequence[Any], root: Path) -> tuple[list[str], list[str]]:
    """Return the absolute path of each file of a column, and notes.

    Args:
        table: The table, for messages.
        column: Name of the column.
        values: Cells of the column: paths below the root, absolute ones, URLs, or names without an extension.
        root: Folder that relative paths start from, absolute.

    Raises:
        SourceError: Cells are empty, or names without an extension fit no file or several.
    """
    check_filled(table, column, values, "Expected the path of a file in each.")
    names, paths, top = list(map(str, values)), list[str](), root.as_posix().rstrip("/")
    for first in range(0, len(names), CHUNK):
        chunk = names[first : first + CHUNK]
        if NOT_PLAIN.search("\n".join(chunk)) is None:
            paths += [f"{top}/{name}" for name in chunk]
        else:
            paths += [_absolute(root, name) for name in chunk]
    if is_remote(root):
        return paths, []
    paths = _as_it_is_there(paths)
    if any(_has_extension(name) for name in names):
        return paths, []
    if any(os.path.exists(path) for path in paths[:100]):  # noqa: PTH110 (files without an extension)
        return paths, []
    return _with_extensions(table, column, paths)


def _as_it_is_there(paths: list[str]) -> list[str]:
    """Return paths in the Unicode forms of the files that they mean."""
    return [path if path.isascii() else existing_path(path) for path in paths]


def _absolute(root: Path, name: str) -> str:
    if is_url(name):
        return str(as_path(name))
    path = absolute(root / name)
    return str(path) if is_remote(path) else path.as_posix()


def _has_extension(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS  # noqa: PTH122 (a Path a file is slow)


def _with_extensions(table: Table, column: str, stems: list[str]) -> tuple[list[str], list[str]]:
    """Return the files that names without an extension mean, as `image_id` often has them."""
    there: dict[str, list[str]] = {}
    for folder in {stem.rpartition("/")[0] for stem in stems}:
        for name in _names(folder):
            stem, extension = os.path.splitext(name)  # noqa: PTH122
            if extension.lower() in IMAGE_EXTENSIONS:
                there.setdefault(f"{folder}/{stem}", []).append(f"{folder}/{name}")
    forms = UnicodeForms(there)
    found = [there.get(forms.find(stem), []) for stem in stems]
    several = [i for i, paths in enumerate(found) if len(paths) > 1]
    if several:
        raise SourceError(
            f"{table.path}: column {column} has names without an extension, and several files fit:\n"
            f"{table.listed(several, lambda i: ': ' + ', '.join(found[i]))}\nWrite the names with their extensions."
        )
    paths = [paths[0] if paths else stem for paths, stem in zip(found, stems, strict=True)]
    example = next((path for path, fitting in zip(paths, found, strict=True) if fitting), None)
    if example is None:
        return paths, []
    extension = os.path.splitext(example)[1]  # noqa: PTH122
    return paths, [f"column {column} has names without an extension: files of these names were taken, {extension} say."]


def _names(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return  # that the files are not there is said with all others


def file_sizes(table: Table, paths: Sequence[str], root: Path, role: str) -> array[int]:
    """Return the size of each file, in bytes.

    Raises:
        SourceError: Files are not there.
    """
    sizes, missing = array("q"), dict[int, str]()
    with seen_at_once(root):
        for i, path in enumerate(paths):
            try:
                status = as_path(path).stat() if "://" in path else os.stat(path)  # noqa: PTH116
            except (OSError, ValueError) as error:
                missing[i] = f": {path}: {getattr(error, 'strerror', None) or error}"
                continue
            if not stat.S_ISREG(status.st_mode):
                missing[i] = f": {path}: not a file"
            sizes.append(status.st_size)
    if missing:
        slashes = " Paths are written with /." if any("\\" in paths[i] for i in missing) else ""
        raise SourceError(
            f"{table.path}: {len(missing):,} of {format_count(len(paths), f'{role} file')} cannot be found:\n"
            f"{table.listed(list(missing), missing.__getitem__)}\n"
            f"Relative paths start from {root}; --root names another folder.{slashes} Lines of files that are gone "
            "have to be taken out of the table."
        )
    return sizes


def make_keys(paths: Sequence[str], root: Path) -> list[str]:
    """Return the path of each image without its extension: below the root, or below the folder that all share."""
    top = f"{root.as_posix().rstrip('/')}/"
    if not all(path.startswith(top) for path in paths):
        shared = common_folder({path.rpartition("/")[0] or "/" for path in paths})
        if shared is None:
            raise SourceError("The images lie on different drives or stores and share no folder: give --key-column.")
        top = f"{shared.as_posix().rstrip('/')}/"
    return [os.path.splitext(path[len(top) :])[0] for path in paths]  # noqa: PTH122


def shared_root(paths: Sequence[str], root: Path) -> Path | None:
    """Return the folder that all stored paths start from: the root if all are below it."""
    top = f"{root.as_posix().rstrip('/')}/"
    if all(path.startswith(top) for path in paths):
        return root
    return common_folder({path.rpartition("/")[0] or "/" for path in paths})

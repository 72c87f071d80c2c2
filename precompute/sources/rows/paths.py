"""Paths in cells → files, with their sizes and the keys that follow from the paths."""

from __future__ import annotations

import os
import re
import stat
from array import array
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import chain
from pathlib import Path
from typing import cast

from precompute.errors import SourceError, UsageError, first_few
from precompute.images.file_kinds import IMAGE_EXTENSIONS
from precompute.options.build_options import BuildOptions
from precompute.sources.rows.cells import Cells, Rows
from precompute.sources.unicode_forms import UnicodeForms, existing_path
from precompute.storage.paths import absolute, as_path, common_folder, is_remote, is_url
from precompute.storage.snapshot import seen_at_once
from precompute.text.format import format_count

__all__ = ["below", "file_bytes", "find_paths", "make_keys", "shared_root"]

CHUNK = 4096  # paths that are looked at together
NOT_PLAIN = re.compile(r"^[./]|//|/\.|[:\\]", re.MULTILINE)  # paths that may not lie below the root as they stand
STATS_AT_A_TIME = 32
MAX_SHOWN = 300  # characters of a path in a message


def find_paths(cells: Cells, root: Path, file: str) -> tuple[list[str], list[str]]:
    """Return the absolute path of each file of a column, and notes.

    Args:
        cells: Relative paths, absolute paths, URLs, or names without an extension.
        root: Folder that relative paths start from, absolute.
        file: Words for such a file in messages: ``"an image file"``.

    Raises:
        SourceError: Cells are empty, or names without an extension fit no file or several.
        UsageError: Cells hold no paths.
    """
    cells.check_filled("Expected the path of a file in each.")
    names, paths, top = _texts(cells, file), list[str](), root.as_posix().rstrip("/")
    for first in range(0, len(names), CHUNK):
        chunk = names[first : first + CHUNK]
        if NOT_PLAIN.search("\n".join(chunk)) is None:
            paths += [f"{top}/{name}" for name in chunk]
        else:
            paths += [_absolute(root, name) for name in chunk]
    if is_remote(root):
        return paths, []
    paths = [path if path.isascii() else existing_path(path) for path in paths]
    have_extension = any(os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS for name in names)  # noqa: PTH122
    if have_extension or any(map(os.path.exists, paths[:100])):  # files without an extension
        return paths, []
    return _with_extensions(cells, paths)


def _texts(cells: Cells, file: str) -> Sequence[str]:
    if set(map(type, cells.values)) <= {str}:
        return cells.values
    for i, value in enumerate(cells.values):
        if not isinstance(value, str | os.PathLike):
            shape = getattr(value, "shape", None)
            got = f"an array of shape {tuple(shape)}; write it to a file first" if shape else f"{value!r:.80}"
            raise UsageError(f"{cells.called}: expected the path of {file} for {cells.tell(i)}, got {got}.")
    return [str(os.fspath(value)) for value in cells.values]


def _absolute(root: Path, name: str) -> str:
    if is_url(name):
        return str(as_path(name))
    if is_remote(root):
        return str(absolute(cast(Path, root / name)))
    path = os.path.abspath(os.path.join(root, name))  # noqa: PTH100, PTH118 (a Path a file is slow)
    return path if os.sep == "/" else path.replace(os.sep, "/")


def _with_extensions(cells: Cells, stems: list[str]) -> tuple[list[str], list[str]]:
    """Return the files that names without an extension mean, as columns `image_id` often hold them."""
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
        listed = first_few(several, tell=lambda i: f"{cells.tell(i)}: {', '.join(found[i])}")
        raise SourceError(
            f"{cells.called} has names without an extension, and several files fit:\n{listed}\n"
            "Write the names with their extensions."
        )
    paths = [paths[0] if paths else stem for paths, stem in zip(found, stems, strict=True)]
    example = next((path for path, fitting in zip(paths, found, strict=True) if fitting), None)
    if example is None:
        return paths, []
    extension = os.path.splitext(example)[1]  # noqa: PTH122
    return paths, [f"{cells.called} has names without an extension: files of these names were taken, {extension} say."]


def _names(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return  # that the files are not there is said with all others


def file_bytes(
    rows: Rows, files: Collection[tuple[Sequence[str], Sequence[int]]], num: int, options: BuildOptions
) -> tuple[array[int], dict[int, str]]:
    """Return the size of each source's files in bytes, and (row → what is missing) for rows without their files.

    Args:
        rows: The sources, for messages.
        files: Absolute paths, with the row that each belongs to.
        num: Number of rows.
        options: Options of the build, which may accept some rows without their files.

    Raises:
        SourceError: More files are missing than are accepted.
    """
    root, sizes, missing = rows.root or Path.cwd(), array("q", bytes(8 * num)), list[tuple[int, str]]()
    every = chain.from_iterable(paths for paths, _ in files)
    with seen_at_once(root), ThreadPoolExecutor(STATS_AT_A_TIME) as threads:
        # For URLs, each may cost a request; and a listing that was seen at once is known only in this context.
        asked = {path: threads.submit(copy_context().run, as_path(path).stat) for path in every if "://" in path}
        for paths, owners in files:
            for path, owner in zip(paths, owners, strict=True):
                try:
                    status = asked[path].result() if path in asked else os.stat(path)  # noqa: PTH116
                except (OSError, ValueError) as error:
                    missing.append((owner, f"{path:.{MAX_SHOWN}}: {getattr(error, 'strerror', None) or error}"))
                    continue
                if not stat.S_ISREG(status.st_mode):
                    missing.append((owner, f"{path}: not a file"))
                sizes[owner] += status.st_size
    lost = dict(missing)
    if len(lost) > min(options.allowed_unmatched(num), num - 1):
        _refuse(rows, root, missing, sum(len(paths) for paths, _ in files))
    return sizes, lost


def _refuse(rows: Rows, root: Path, missing: Sequence[tuple[int, str]], num: int) -> None:
    slashes = " Paths are written with /." if any("\\" in text for _, text in missing) else ""
    named = "" if rows.root is None else "; --root names another folder"
    raise SourceError(
        f"{rows.where}: {len(missing):,} of {format_count(num, 'file')} cannot be found:\n"
        f"{first_few(missing, tell=lambda one: f'{rows.tell(one[0])}: {one[1]}')}\n"
        f"Relative paths start from {root}{named}.{slashes} Sources whose files are gone have to be taken out, or are "
        f"left out with --skip-unmatched {len(dict(missing))}."
    )


def make_keys(paths: Sequence[str], root: Path | None) -> list[str]:
    """Return the key of each image: its path without extension, relative to the root or the folder that all share."""
    base = shared_root([paths], root)
    if base is None:
        raise SourceError(
            "The images lie on different drives or stores and share no folder: give a key for each (keys, or "
            "--key-column)."
        )
    return [os.path.splitext(path)[0] for path in below(base, paths)]  # noqa: PTH122


def shared_root(files: Collection[Sequence[str]], root: Path | None) -> Path | None:
    """Return the folder of several lists of paths: the root if all are below it, else the deepest that all share."""
    if root is not None:
        top = f"{root.as_posix().rstrip('/')}/"
        if all(path.startswith(top) for path in chain.from_iterable(files)):
            return root
    return common_folder({path.rpartition("/")[0] or "/" for path in chain.from_iterable(files)})


def below(root: Path | None, paths: Sequence[str]) -> list[str]:
    """Return paths relative to a root; unchanged without one."""
    start = 0 if root is None else len(root.as_posix().rstrip("/")) + 1
    return [path[start:] for path in paths]

"""Files that lists from Python name: their paths, that they are there, and the folder that all share."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError, first_few
from precompute.sources.unicode_forms import existing_path
from precompute.storage.paths import as_path, common_folder, is_url
from precompute.text.format import format_count

__all__ = ["below", "check_files", "common_parent", "file_path"]

STATS_AT_A_TIME = 32


def file_path(path: Any, role: str, where: str | int) -> str:
    """Return an absolute posix path."""
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        file = "an image file" if role == "image" else "a mask file"
        raise UsageError(f"{role}s: expected the path of {file} for {where!r}, got {_described(path)}.")
    if is_url(path):
        return str(as_path(path))
    absolute = os.path.abspath(os.fspath(path))  # noqa: PTH100 (resolve would follow links)
    absolute = existing_path(absolute)
    return absolute.replace(os.sep, "/") if os.sep != "/" else absolute


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return f"an array of shape {tuple(shape)}; write it to a file first" if shape else f"{value!r:.80}"


def check_files(paths: list[str]) -> list[int]:
    """Return the sizes in bytes."""
    sizes, missing = [], []
    with ThreadPoolExecutor(STATS_AT_A_TIME) as threads:  # of URLs, each is a request
        asked = {path: threads.submit(as_path(path).stat) for path in paths if is_url(path)}
    for path in paths:
        try:
            status = asked[path].result() if path in asked else os.stat(path)  # noqa: PTH116 (a Path a file is slow)
        except (OSError, ValueError) as error:
            missing.append(f"{path}: {getattr(error, 'strerror', None) or error}")
            continue
        if not stat.S_ISREG(status.st_mode):
            missing.append(f"{path}: not a file")
        sizes.append(status.st_size)
    if missing:
        raise SourceError(
            f"{len(missing):,} of {format_count(len(paths), 'file')} cannot be found:\n{first_few(missing)}\n"
            f"Check the paths; relative ones start from {Path.cwd()}."
        )
    return sizes


def common_parent(paths: list[str]) -> Path | None:
    """Return the folder that all files lie below; None on several drives."""
    return common_folder({path.rpartition("/")[0] or "/" for path in paths})


def below(root: Path | None, paths: list[str]) -> list[str]:
    """Return the paths from a root on; as they are without one."""
    if root is None:
        return paths
    start = len(root.as_posix().rstrip("/")) + 1
    return [path[start:] for path in paths]

"""Folders of small files, and how they are refused as sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from precompute.errors import SourceError
from precompute.options.build_options import BuildOptions
from precompute.sources.folders.find import find_in_folders
from precompute.sources.found import assemble
from precompute.storage.paths import absolute, as_path
from precompute.table.sources import Sources


def find_sources(root: str | Path, *, image_only: bool = False, **options: object) -> Sources:
    """Return the sources of a folder of classes, or of images and masks."""
    target = "none" if image_only else "auto"
    return assemble(find_in_folders(absolute(as_path(root)), BuildOptions.make(target=target, **options)))


def make(root: Path, *paths: str) -> Path:
    """Write a small file at each path; a path that ends with a slash is a folder."""
    for path in paths:
        if path.endswith("/"):
            (root / path).mkdir(parents=True, exist_ok=True)
            continue
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x" * len(path))
    return root


def refused(root: Path, **options: object) -> str:
    with pytest.raises(SourceError) as caught:
        find_sources(root, **options)
    return str(caught.value)

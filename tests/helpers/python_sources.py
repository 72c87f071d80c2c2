"""Sources from Python, as a build finds them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from precompute.options.build_options import BuildOptions
from precompute.sources.find import find
from precompute.table.sources import Source, Sources


def from_lists(
    *, class_names: Sequence[str] | None = None, options: BuildOptions | None = None, **lists: Any
) -> Sources:
    """Return sources of parallel lists."""
    return find(None, options or BuildOptions(class_names=class_names and list(class_names)), lists)


def from_iterable(
    sources: Iterable[Source], *, class_names: Sequence[str] | None = None, options: BuildOptions | None = None
) -> Sources:
    """Return sources of single ones."""
    return find(sources, options or BuildOptions(class_names=class_names and list(class_names)))

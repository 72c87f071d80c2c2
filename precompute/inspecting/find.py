"""`precompute.find`: what a build would take for its sources, without anything decoded or written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from precompute.options.build_options import BuildOptions
from precompute.options.option import shows_options
from precompute.plan.splits import assign_splits
from precompute.sources.chosen import limit_sources
from precompute.sources.find import find as find_sources
from precompute.sources.python import read_arguments
from precompute.sources.summary import FoundSources
from precompute.table.sources import Source, Sources

__all__ = ["divide", "find"]


@shows_options(BuildOptions)
def find(source: str | Path | Iterable[Source] | None = None, **options: Any) -> FoundSources:
    """Return what a build would take for its sources; nothing is decoded, and nothing written.

    `print` shows what was found in a few lines; so does a notebook. `to_rows()` returns each source as a dictionary.

    Args:
        source: A folder, the URL of one in an object store, a table, or an iterable of `Source`; None with lists.
        **options: Options of `precompute.build`, and its lists such as `images` and `labels`. Only those that concern
            sources have an effect: `target`, `annotations`, `class_names`, `validation_split`, `limit` …

    Returns:
        How the sources were read, how many there are of each split and class, what was passed over and left out, and
        the sources themselves, in the order of their keys.

    Raises:
        SourceError: There are no sources, or some are unmatched, ambiguous or doubled; all problems are listed.
        UsageError: An option is not known, has a bad value, or does not fit these sources.
        StorageError: An object store cannot be reached, refuses, or fails.
    """
    lists, chosen = read_arguments(options)
    found = find_sources(source, chosen, lists)
    return FoundSources.of(found, divide(found, chosen))


def divide(sources: Sources, options: BuildOptions) -> Sources:
    """Return the sources that a build would use, with their splits."""
    limited = limit_sources(sources, options.limit)
    return assign_splits(limited, validation_split=options.validation_split, test_split=options.test_split)

"""Groups of sources (a patient, a scene, a video) from a pattern in their keys."""

from __future__ import annotations

import re
from dataclasses import replace

from precompute.errors import SourceError, UsageError, first_few
from precompute.table.sources import Sources
from precompute.text.format import format_count
from precompute.text.notes import SummarizedNote

__all__ = ["check_pattern", "group_by"]

OPTION = "group_by (--group-by)"


def check_pattern(pattern: object) -> re.Pattern[str]:
    """Return a pattern as a regular expression.

    Raises:
        UsageError: It is none.
    """
    if not isinstance(pattern, str) or not pattern:
        raise UsageError(f"{OPTION}: expected a regular expression such as '^(patient[0-9]+)_', got {pattern!r}.")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"{OPTION}: {pattern!r} is no regular expression ({error}). Expected one that finds the group in each key, "
            "such as '^(patient[0-9]+)_'; * and ? do not stand for file names here."
        ) from error


def group_by(sources: Sources, pattern: str | None) -> Sources:
    """Return the sources with their groups.

    Args:
        sources: Sources without groups.
        pattern: Regular expression that is searched in each key. What stands in its parentheses is the group, joined by
            ``/`` where there are several; without parentheses, all that it finds. None: the sources stay as they are.

    Raises:
        UsageError: The pattern is none, or the sources have groups already.
        SourceError: Keys do not match, or leave the group empty: such a source might stand on both sides of a split.
    """
    if pattern is None:
        return sources
    expression = check_pattern(pattern)
    if sources.groups is not None:
        raise UsageError(f"{OPTION}: the sources come with groups of their own; give one or the other.")
    groups = [_group(expression, key) for key in sources.keys]
    lacking = [key for key, group in zip(sources.keys, groups, strict=True) if not group]
    if lacking:
        raise SourceError(
            f"{OPTION}: {pattern!r} finds no group in {len(lacking):,} of {format_count(len(sources), 'key')}:\n"
            f"{first_few(lacking)}\n"
            "Expected one in each, so that none stands apart by mistake. Keys are paths without the folders of images, "
            "masks and splits, and without the extension; two patterns are joined by |, and |(.+) at the end lets each "
            "remaining source be a group of its own."
        )
    number = len(set(groups))
    note = (
        f"{OPTION}: {format_count(len(sources), 'source')} in {format_count(number, 'group')}, such as {groups[0]!r}."
    )
    if number == len(sources):
        note += " EACH SOURCE IS ALONE in its group: the pattern takes in more than the group's name."
    told = SummarizedNote(note, is_whole=number < len(sources))
    return replace(sources, groups=list(groups), notes=[*sources.notes, told])


def _group(expression: re.Pattern[str], key: str) -> str:
    found = expression.search(key)
    if found is None:
        return ""
    parts = [part for part in found.groups() if part is not None] if expression.groups else [found[0]]
    return "/".join(parts)

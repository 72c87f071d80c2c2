"""Options applied to sources of any layout after they were found; and refusal of options that do not fit them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from precompute.errors import SourceError, UsageError, first_few
from precompute.fields.box_column import KEYPOINT_OPTIONS
from precompute.fields.column import Column
from precompute.fields.string_column import StringColumn
from precompute.images.file_kinds import unreadable_text
from precompute.options.build_options import BuildOptions
from precompute.options.of_fields import by_field, of_field
from precompute.options.sources import LABEL, MASK
from precompute.sources.classes import given_names
from precompute.sources.problems import check_options_of_fields, refuse_options
from precompute.sources.unicode_forms import RENAME
from precompute.table.sources import Sources
from precompute.text.format import format_count, is_unicode
from precompute.text.notes import SummarizedNote

__all__ = ["apply_options", "limit_sources"]

OF_OBJECTS = ("instances", "boxes", "mask")  # what can be made of masks of single objects
OF_MASKS = ("num_classes", "ignore_class", "mask_map", "mask_offset", "mask_colors")
GROUP_BY = "group_by (--group-by)"


def apply_options(sources: Sources, options: BuildOptions, *, have_groups: bool) -> Sources:
    """Return the sources with the target, names and groups that were asked for.

    Args:
        sources: Sources as they were found.
        options: Options of the build.
        have_groups: Whether sources have the groups of ``--group-by`` already.

    Raises:
        UsageError: An option does not fit these sources.
        SourceError: Keys have no group, or names are not UTF-8.
    """
    sources = _drop_empty(sources) if options.drop_empty else sources
    sources = _choose_target(sources, options)
    if unreadable := unreadable_text(sources.passed):
        sources = replace(sources, notes=[*sources.notes, unreadable])
    if not sources.masks:
        refuse_options(options, ("mask_offset", "mask_colors"), "is for masks, and these sources have none.")
    sources = _name_colors(sources, options)
    _check_target(sources, options)
    if not sources.targets:
        refuse_options(options, ("class_names",), "these sources are images alone, of no classes.")
    _check_fields(sources, options)
    if not any(column.has_classes for column in sources.targets):
        refuse_options(options, ("class_names",), f"is for classes; these sources have none, but {sources.kind}.")
    sources = sources if have_groups or options.group_by is None else _group_by(sources, options.group_by)
    _check_names(sources)
    _check_numbers(sources, options)
    return sources


def _name_colors(sources: Sources, options: BuildOptions) -> Sources:
    """Return the sources with the class names that files of colours hold, or that were given for them."""
    for column in sources.masks if options.mask_colors is not None else ():
        colors = of_field(options.mask_colors, column.name)
        if colors is not None and not sources.names_of(column.name):
            names = colors.names or given_names(options, column.name) or []
            sources = sources.with_names(column.name, names)
    return sources


def _drop_empty(sources: Sources) -> Sources:
    """Return the sources that have objects."""
    counts = next((column.counts for column in sources.targets if column.counts is not None), None)
    if counts is None:
        raise UsageError("drop_empty: it leaves out images without boxes; these sources have no boxes.")
    kept = np.flatnonzero(counts).tolist()
    dropped = len(sources) - len(kept)
    note = f"{format_count(dropped, 'image without boxes', 'images without boxes')} left out."
    told = SummarizedNote(note, left_out={"images without boxes (--drop-empty)": dropped})
    notes = [told if "--drop-empty leaves them out" in old else old for old in sources.notes]
    return replace(sources.take(kept), notes=notes) if dropped else sources


def _choose_target(sources: Sources, options: BuildOptions) -> Sources:
    """Return the sources with the requested target made from their objects."""
    column = next((column for column in sources.targets if column.can_be), None)
    if column is None:
        target = options.target
        lacking = next((other.lacks(target) for other in sources.targets), "no masks of objects")
        if target in OF_OBJECTS and lacking and not any(is_meant(target, other) for other in sources.targets):
            raise UsageError(f"target: {target} needs masks of single objects, and these sources have {lacking}.")
        return sources
    merged = MASK not in sources.columns  # else that is the mask which is meant
    target = next((word for word in options.targets if word in OF_OBJECTS and (word != MASK or merged)), "auto")
    if options.mask_colors and not (sources.masks and by_field(options.mask_colors)):
        raise UsageError("mask_colors: masks of single objects hold no colours; give their classes otherwise.")
    ignored = of_field(options.ignore_class, MASK)
    chosen, names, notes = column.as_target(target, sources.names_of(column.name), ignored)
    return replace(sources.with_column(chosen, column, names), notes=[*sources.notes, *notes])


def _check_target(sources: Sources, options: BuildOptions) -> None:
    """Refuse sources with other targets than requested, and options for keypoints where there are none."""
    lacking = [word for word in options.targets if not any(is_meant(word, column) for column in sources.targets)]
    if lacking and len(options.targets) == 1:
        raise UsageError(
            f"target (--target): expected {options.target}, but these sources have a target of kind {sources.kind}. "
            "Keypoints are read from COCO files whose categories name them, from YOLO's where data.yaml has kpt_shape, "
            "from a table that is named with --annotations, and from Python."
        )
    if lacking:
        found = ", ".join(_shown(column) for column in sources.targets) or "images alone"
        raise UsageError(f"target (--target): these sources have no {lacking[0]}; they have: {found}.")
    further = [column for column in sources.targets if options.targets and not _is_named(column, options)]
    if further:
        raise UsageError(
            f"target (--target): these sources have {_shown(further[0])} besides {options.target}; name it there, too."
        )
    own = {name for column in sources.targets for name in column.own_options}
    others = [name for name in KEYPOINT_OPTIONS if name not in own]
    refuse_options(options, others, f"is for keypoints; these sources have none, but {sources.kind}.")
    ignored = [name for column in sources.targets for name in column.ignored_options]
    if any(getattr(options, name) for name in ignored):
        raise UsageError("min_visibility, min_area: they say which boxes are kept; these objects have keypoints alone.")


def is_meant(word: str, column: Column) -> bool:
    """Return whether a word of ``--target`` means a column: its name, its kind, or ``mask`` for all masks."""
    names = {column.name, column.own_name, column.kind}
    return word in names or (word == LABEL and column.is_of_image) or (word == MASK and column.has_class_ids)


def _is_named(column: Column, options: BuildOptions) -> bool:
    """Return whether the user has asked for a target: numbers that are learnt have an option of their own."""
    return not column.has_classes or any(is_meant(word, column) for word in options.targets)


def _shown(column: Column) -> str:
    return column.own_name if column.own_name == column.kind else f"{column.own_name} ({column.kind})"


def _check_fields(sources: Sources, options: BuildOptions) -> None:
    """Refuse options for targets that are not there, and those for which several could be meant."""
    classes = [column.name for column in sources.targets if column.has_classes]
    also = [LABEL] if any(column.is_of_image for column in sources.targets) else []
    check_options_of_fields(options, ("class_names",), classes, "classes", also)
    check_options_of_fields(options, OF_MASKS, [column.name for column in sources.masks], "masks")


def _check_numbers(sources: Sources, options: BuildOptions) -> None:
    """Refuse options for learnt numbers where there are no such numbers."""
    learnt = [column.own_name for column in sources.targets if "mirror_negates" in column.own_options]
    unknown = [name for name in options.mirror_negates or [] if name not in learnt]
    if unknown:
        raise UsageError(
            f"mirror_negates (--mirror-negates): {unknown[0]!r} is no number that is learnt; these are: "
            f"{', '.join(learnt) or 'none (--value-columns, values)'}."
        )
    if options.missing_values != "refuse" and not learnt:
        raise UsageError("missing_values (--missing-values): is for numbers that are learnt; these sources have none.")


def limit_sources(sources: Sources, limit: int | None) -> Sources:
    """Return a fixed choice of sources for a quick try: those whose keys have the smallest hashes."""
    if limit is None or limit >= len(sources):
        return sources
    hashes = [hashlib.blake2b(key.encode(), digest_size=8, person=b"augonce-limit-1").digest() for key in sources.keys]
    chosen = sorted(range(len(sources)), key=lambda i: (hashes[i], sources.keys[i]))[:limit]
    taken = sources.take(sorted(chosen))
    # Notes that count boxes, objects or keypoints count those of the chosen sources.
    of_all, of_taken = ([note for one in table.targets for note in one.notes()] for table in (sources, taken))
    counted = dict(zip(of_all, of_taken, strict=True))
    return replace(taken, notes=[counted.get(note, note) for note in sources.notes])


# Groups (a patient, a scene, a video) from a pattern in keys.


def _group_by(sources: Sources, pattern: str) -> Sources:
    """Return the sources with their groups.

    Args:
        sources: Sources without groups.
        pattern: Regular expression that is searched in each key. The text in its parentheses is the group, joined by
            ``/`` for several; without parentheses, the whole match is.

    Raises:
        UsageError: The pattern is not valid, or the sources have groups already.
        SourceError: Keys do not match, or give an empty group: such a source might stand on both sides of a split.
    """
    if not pattern:
        raise UsageError(f"{GROUP_BY}: expected a regular expression such as '^(patient[0-9]+)_', got {pattern!r}.")
    try:
        expression = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"{GROUP_BY}: {pattern!r} is no regular expression ({error}). Expected one that finds the group in each "
            "key, such as '^(patient[0-9]+)_'; * and ? do not stand for file names here."
        ) from error
    if sources.groups is not None:
        raise UsageError(f"{GROUP_BY}: the sources come with groups of their own; give one or the other.")
    groups = [_group(expression, key) for key in sources.keys]
    lacking = [key for key, group in zip(sources.keys, groups, strict=True) if not group]
    if lacking:
        raise SourceError(
            f"{GROUP_BY}: {pattern!r} finds no group in {len(lacking):,} of {format_count(len(sources), 'key')}:\n"
            f"{first_few(lacking)}\n"
            "Expected one in each, so that none stands apart by mistake. Keys are paths without the folders of images, "
            "masks and splits, and without the extension; two patterns are joined by |, and |(.+) at the end lets each "
            "remaining source be a group of its own."
        )
    of_sources, number = format_count(len(sources), "source"), len(set(groups))
    note = f"{GROUP_BY}: {of_sources} in {format_count(number, 'group')}, such as {groups[0]!r}."
    if number == len(sources):
        note += " EACH SOURCE IS ALONE in its group: the pattern takes in more than the group's name."
    told = SummarizedNote(note, is_whole=number < len(sources))
    return replace(sources, groups=list(groups), notes=[*sources.notes, told])


def _group(expression: re.Pattern[str], key: str) -> str:
    found = expression.search(key)
    if found is None:
        return ""
    return "/".join(part for part in found.groups() if part is not None) if expression.groups else found[0]


# Names.


def _check_names(sources: Sources) -> None:
    """Refuse sources with a name that no text file can hold."""
    root = [] if sources.root is None else [sources.root.as_posix()]
    groups = [group for group in set(sources.groups or ()) if group is not None]
    texts = (column.texts() for column in sources.columns.values())
    names = sources.names_by_field.values()
    every: Iterator[Sequence[str]] = iter((root, sources.images, *texts, *names, groups))
    foreign = [
        name
        for names in every
        if not (isinstance(names, StringColumn) and names.are_unicode())
        for name in names
        if not is_unicode(name)
    ]
    if foreign:
        raise SourceError(f"names that are no UTF-8 ({len(foreign):,}):\n{first_few(foreign)}\n{RENAME}")

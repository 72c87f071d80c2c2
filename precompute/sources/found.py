"""From the sources that a layout found to the table of sources: the steps that all layouts share.

A layout says where images lie, and what it knows of each: its split, its group, the values of its fields. Everything
else is done here: keys are checked, each must stand for one image, sources are sorted, and named classes without
sources are noted.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from precompute.errors import SourceError, first_few
from precompute.fields.column import Column, columns_by_name
from precompute.fields.string_column import StringColumn, ascend
from precompute.sources.problems import Problems
from precompute.table.sources import Sources
from precompute.text.notes import SummarizedNote

__all__ = ["Found", "FoundColumn", "assemble", "check_keys", "key_problem"]


MAX_KEY_BYTES = 1_024
CHUNK = 4096  # keys that are looked at together
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SUSPECT = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]|\.\.|\|/")  # a key that starts with / follows a bar


class FoundColumn(NamedTuple):
    """The values of one field as a layout found them.

    Attributes:
        column: One value for each source.
        class_names: Names of its classes, in the order of their indices; empty for values without classes.
        notes: Notes for the user.
    """

    column: Column
    class_names: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """Sources as a layout found them, in any order.

    Attributes:
        where: Beginning of messages: the folder, the table, or ``sources``.
        root: Folder that paths are relative to; None where they share none.
        keys: Key of each source.
        images: Path of each image below `root`, absolute without one.
        num_bytes: Size of the files of each source.
        fields: The sources' fields beside their images.
        splits: Split of each source where the layout says it; else None.
        splits_are_new: Splits come from where older versions did not look; a dataset with other splits keeps them.
        groups: Group of each source, or None when no source has one.
        names_groups: Whether ``--group-by`` named the column of the groups.
        tell: Position of a source → its name in messages; None: the path of its image.
        key_remedy: Advice where several sources share a key.
        again_remedy: Advice where an image comes again; empty where images were found in folders, and so come once.
        num_ignored_files: Number of files that were passed over.
        passed: Ending of these files → their number.
        empty_folders: Folders in which images were expected and none lie.
        problems: Problems so far; they are raised together with those found here.
        notes: Notes for the user.
        layout: Name of the layout in the guide's table of layouts.
    """

    where: str
    root: Path | None
    keys: Sequence[str]
    images: Sequence[str]
    num_bytes: Sequence[int]
    fields: Sequence[FoundColumn] = ()
    splits: list[str | None] | None = None
    splits_are_new: bool = False
    groups: list[str | None] | None = None
    names_groups: bool = False
    tell: Callable[[int], str] | None = None
    key_remedy: str = "Rename one of them, or remove it if it is a copy."
    again_remedy: str = ""
    num_ignored_files: int = 0
    passed: Mapping[str, int] = field(default_factory=dict)
    empty_folders: Sequence[str] = ()
    problems: Problems | None = None
    notes: Sequence[str] = ()
    layout: str = ""


def assemble(found: Found) -> Sources:
    """Return sources as a table, sorted by key.

    Raises:
        SourceError: Keys cannot be stored, several sources share one, or the layout has found problems.
    """
    check_keys(found.keys, where=found.where, remedy=found.key_remedy)
    order = None
    if not ascend(found.keys):
        order = _order_once(found)
    elif found.problems is not None:
        found.problems.check()
    sources = Sources(
        root=found.root,
        keys=_compact(found.keys),
        images=_compact(found.images),
        columns=columns_by_name(*(one.column for one in found.fields)),
        splits=[None] * len(found.keys) if found.splits is None else found.splits,
        splits_are_new=found.splits_are_new,
        groups=found.groups if any(found.groups or ()) else None,
        num_bytes=found.num_bytes if isinstance(found.num_bytes, array) else array("q", found.num_bytes),
        names_by_field={one.column.name: list(one.class_names) for one in found.fields if one.column.is_target},
        num_ignored_files=found.num_ignored_files,
        passed=found.passed,
        empty_folders=found.empty_folders,
        layout=found.layout,
        notes=[*found.notes, *(note for one in found.fields for note in one.notes), *_absent(found.fields)],
    )
    return sources if order is None else sources.take(order)


def _compact(texts: Sequence[str]) -> StringColumn:
    return texts if isinstance(texts, StringColumn) else StringColumn(texts)


def _order_once(found: Found) -> list[int]:
    """Return the positions of sources in the order of their keys, which must be unique."""
    keys, images, splits = list(found.keys), found.images, found.splits
    order = sorted(range(len(keys)), key=keys.__getitem__)
    same = [(a, b) for a, b in pairwise(order) if keys[a] == keys[b]]
    again, others = list[tuple[int, int]](), list[tuple[int, int]]()
    for a, b in same:
        (again if found.again_remedy and images[a] == images[b] else others).append((a, b))
    remedy = found.key_remedy
    if not found.again_remedy and splits is not None and any(splits[a] != splits[b] for a, b in same):
        remedy += " If different images have the same name in different splits, give --split-in-key."
    tell = found.tell or images.__getitem__

    def tell_pair(pair: tuple[int, int]) -> str:
        return f"{tell(pair[0])}, {tell(pair[1])} (key {keys[pair[0]]!r})"

    problems = found.problems or Problems(f"{found.where}: keys that stand for several sources.")
    problems.add("Images that come again", again, found.again_remedy, tell_pair)
    problems.add("Images that share a key", others, remedy, tell_pair)
    problems.check()
    return order


def _absent(fields: Sequence[FoundColumn]) -> Iterator[str]:
    """Yield a note if there are named classes without any source or object."""
    for column, names, _ in fields:
        counts = column.class_counts(range(len(column)), len(names)) if names else []
        absent = [name for name, number in zip(names, counts, strict=False) if not number]
        if absent:
            what = "a source" if column.is_of_image else "an object"
            yield SummarizedNote(f"Classes without {what}:\n{first_few(absent)}")


# Keys.


def key_problem(key: object) -> str | None:
    """Return what is wrong with a key; None if nothing is."""
    if not isinstance(key, str):
        return f"expected text, got {type(key).__name__}"
    try:
        num_bytes = len(key.encode())
    except UnicodeEncodeError:
        return "not valid Unicode"
    if not key:
        return "empty"
    if num_bytes > MAX_KEY_BYTES:
        return f"{num_bytes:,} bytes of UTF-8, at most {MAX_KEY_BYTES:,} are allowed"
    if key.startswith("/"):
        return "starts with '/'"
    if "\\" in key:
        return "holds a backslash"
    if _CONTROL.search(key):
        return "holds a control character"
    if ".." in key and ".." in key.split("/"):
        return "holds a '..' part"
    return None


def _surely_fine(keys: Sequence[Any]) -> bool:
    """Return whether a quick look at all keys shows that all are fine; checking each takes ten times as long."""
    try:
        joined = "|" + "|".join(keys)
    except TypeError:
        return False
    return all(keys) and max(map(len, keys)) * 4 <= MAX_KEY_BYTES and _SUSPECT.search(joined) is None


def check_keys(keys: Sequence[object], *, where: str, remedy: str) -> None:
    """Check that each key can be stored, and is no path that leads elsewhere.

    Raises:
        SourceError: Some keys cannot be used; the message names the first five with their reasons.
    """
    problems = list[str]()
    for chunk in (keys[first : first + CHUNK] for first in range(0, len(keys), CHUNK)):
        if not _surely_fine(chunk):
            # ascii() shows what a terminal could not print, and does not let control characters through.
            problems += [f"{ascii(key)[:200]}: {problem}" for key in chunk if (problem := key_problem(key)) is not None]
    if problems:
        raise SourceError(f"{where}: keys that cannot be used:\n{first_few(sorted(problems))}\n{remedy}")

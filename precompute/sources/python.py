"""Sources from Python: an iterable of `Source`, or parallel lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from precompute.errors import SourceError, UsageError, first_few
from precompute.options.build_options import BuildOptions
from precompute.options.sources import LABEL, MASK
from precompute.sources.classes import given_names
from precompute.sources.found import Found
from precompute.sources.rows.cells import Cells, NamedCells, Rows
from precompute.sources.rows.find import find_rows
from precompute.table.sources import Source
from precompute.text.format import format_count

__all__ = ["from_iterable", "from_lists", "read_arguments"]

# Argument → the field of `Source` that each entry is, and the role of the column.
ROLES = {
    "images": "image",
    "labels": "label",
    "masks": "mask",
    "boxes": "boxes",
    "keypoints": "keypoints",
    "instances": "instances",
    "splits": "split",
    "groups": "group",
    "keys": "key",
    "weights": "weight",
}
NAMED = ("values", "extra", "extra_images")  # dictionaries of lists by name
LISTS = (*ROLES, *NAMED)
MASKS = "masks"  # a list, or a dictionary of lists
# What `--target` calls them → the lists that are read for it.
OF_TARGETS = {
    "label": ("labels",),
    "mask": (MASKS, "instances"),
    "boxes": ("boxes", "instances"),
    "keypoints": ("boxes", "keypoints"),
    "instances": ("instances",),
}
OBJECTS = ("boxes", "keypoints", "instances")
TARGETS = ("labels", MASKS, *OBJECTS)


def read_arguments(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], BuildOptions]:
    """Return the lists among the arguments of a call, and the options; some names can mean either.

    Raises:
        UsageError: An argument is not known, or has a bad value.
    """
    given = {name: arguments.get(name) for name in LISTS}
    lists = {name: of for name, of in given.items() if of is not None and not _is_option(of)}
    known = {f.name for f in fields(BuildOptions)}
    options = {
        name: value
        for name, value in arguments.items()
        if name not in lists and (name in known or name not in LISTS or value is not None)
    }
    return lists, BuildOptions.make(**options)


def _is_option(given: Any) -> bool:
    """Return whether a value is a folder, or folders by name, and no list."""
    folders = given.values() if isinstance(given, Mapping) else [given]
    return bool(folders) and all(isinstance(folder, str | Path) for folder in folders)


def from_iterable(sources: Iterable[Source], options: BuildOptions) -> Found:
    """Put sources into columns.

    Args:
        sources: Sources with the same targets: a label or a list of labels, a mask or a dictionary of them, a list of
            boxes, or of objects with masks, or keypoints (all with boxes, too, or none), numbers; or no target.
        options: Options of the build: names of classes, which numeric labels index; names and pairs of keypoints.

    Raises:
        UsageError: A field has a bad value.
        SourceError: Files are missing, or labels are unknown.
    """
    items = list(sources)
    for i, item in enumerate(items):
        if not isinstance(item, Source):
            raise UsageError(f"sources[{i}]: expected a precompute.Source, got {type(item).__name__}.")
    lists: dict[str, Any] = {name: [getattr(item, role) for item in items] for name, role in ROLES.items()}
    several = any(isinstance(mask, Mapping) for mask in lists[MASKS])
    for what in (*NAMED, MASKS) if several else NAMED:
        of_sources = [_mapping(what, getattr(item, ROLES.get(what, what))) for item in items]
        lists[what] = _by_name(what, of_sources, lists["keys"])
    return from_lists(lists, options)


def from_lists(lists: Mapping[str, Any], options: BuildOptions) -> Found:
    """Return sources from lists of equal length: the i-th entry of each belongs to the i-th image.

    Args:
        lists: Name (`ROLES`) → list of what `Source` has for each image. Only images are required. Without keys, the
            key of an image is its path below the folder that all share, without the extension. `values`, `extra` and
            `extra_images` are dictionaries of such lists, and `masks` may be one.
        options: Options of the build, as in `from_iterable`.

    Raises:
        UsageError: Lengths differ, or a list holds bad values.
        SourceError: Files are missing, or labels are unknown.
    """
    by_name = (*NAMED, MASKS) if isinstance(lists.get(MASKS), Mapping) else NAMED
    of_names = {what: _mapping(what, lists.get(what)) for what in by_name}
    every = {name: lists.get(name) for name in ROLES if name not in by_name}
    every |= {_called(what, name): column for what, of in of_names.items() for name, column in of.items()}
    _check_indexes(every)
    given = {name: _list_of(name, column) for name, column in every.items() if column is not None or name not in ROLES}
    _check_lengths(given)
    named = {
        what: [(name, Cells(_called(what, name), given[_called(what, name)])) for name in of]
        for what, of in of_names.items()
    }
    return _find({name: given[name] for name in ROLES if name in given}, named, options)


def _find(columns: dict[str, list[Any]], named: Mapping[str, NamedCells], options: BuildOptions) -> Found:
    """Return sources from lists; lists without any entry are left out."""
    if not columns["images"]:
        raise SourceError("There are no sources: the list of images is empty.")
    columns = {
        name: column
        for name, column in columns.items()
        if name in ("images", "keys") or any(entry is not None for entry in column)
    }
    keys: Sequence[Any] | None = columns.get("keys")
    columns = _wanted(columns, named, options)
    _check_targets(
        columns, keys or range(len(columns["images"])), [what for what in ("values", MASKS) if named.get(what)]
    )
    rows = Rows(
        where="sources",
        layout="lists from Python",
        columns={ROLES[name]: Cells(name, column) for name, column in columns.items() if name != MASKS},
        values=named["values"],
        extra=named["extra"],
        extra_images=named["extra_images"],
        masks=_wanted_masks(columns, named.get(MASKS, ()), options),
        class_names=given_names(options, LABEL, "labels"),
    )
    return replace(
        find_rows(rows if keys is None else rows.named(lambda i: f"{keys[i]!r:.80}"), options),
        key_remedy="Keys made from paths leave out the extension; give keys yourself where that is not enough.",
        again_remedy="Expected each image once, or keys of its own for each time.",
    )


def _wanted(
    columns: dict[str, list[Any]], named: Mapping[str, NamedCells], options: BuildOptions
) -> dict[str, list[Any]]:
    """Return the columns without targets that the user does not want, where there are several."""
    there = [name for name in TARGETS if name in columns or named.get(name)]
    wanted = {name for word in options.targets for name in OF_TARGETS.get(word, ())}
    wanted |= {MASKS for name, _ in named.get(MASKS, ()) if name in options.targets}
    if len(there) < 2 or not wanted.intersection(there):
        return columns
    if MASKS in there and "instances" not in options.targets and "boxes" not in options.targets:
        wanted.discard("instances")
    return {name: column for name, column in columns.items() if name not in TARGETS or name in wanted}


def _wanted_masks(columns: Mapping[str, list[Any]], masks: NamedCells, options: BuildOptions) -> NamedCells:
    if MASKS in columns:
        return [(MASK, Cells(MASKS, columns[MASKS]))]
    names = [name for name, _ in masks]
    if not options.targets or MASK in options.targets or not set(names).intersection(options.targets):
        return masks
    return [(name, cells) for name, cells in masks if name in options.targets]


def _check_targets(columns: Mapping[str, list[Any]], keys: Sequence[Any], more: Sequence[str]) -> None:
    """Refuse two kinds of objects, and several targets of which some sources lack one."""
    objects = [name for name in OBJECTS if name in columns]
    if len(objects) > 1 and objects != ["boxes", "keypoints"]:
        raise UsageError(
            f"Expected one kind of objects, got both {' and '.join(objects)}: boxes, keypoints alone or with boxes, or "
            "instances for objects with a mask each."
        )
    there = [name for name in TARGETS if name in columns]
    counted = [_counted(name, columns[name], keys) for name in there]
    if len(there) + len(more) > 1 and counted != there:
        raise UsageError(
            f"Expected the same targets for all sources, got {' and '.join([*counted, *more])}: several targets are "
            "learnt together where each source has all of them. --target picks some."
        )


def _counted(name: str, column: Sequence[Any], keys: Sequence[Any]) -> str:
    """Return the name of a list, with a count and an example if some sources have no entry."""
    given = [key for key, entry in zip(keys, column, strict=True) if entry is not None]
    return name if len(given) == len(column) else f"{name} ({len(given):,}, such as of {given[0]!r:.80})"


# Lists.


def _list_of(name: str, column: Any) -> list[Any]:
    """Return the entries of a list, an array, or a column of a table.

    Raises:
        UsageError: It is no list; or a text, a dictionary or a whole table, whose items would be letters or names; or a
            set, which has no order.
    """
    expected = f"{name}: expected a list with an entry for each image, got"
    if isinstance(column, str | bytes | os.PathLike):
        raise UsageError(f"{expected} {column!r:.60}.")
    if isinstance(column, set | frozenset):
        raise UsageError(f"{expected} a {type(column).__name__}, which has no order; give a list.")
    if isinstance(column, Mapping):
        raise UsageError(f"{expected} a {type(column).__name__}; give its values in the order of the images.")
    if hasattr(column, "columns"):
        raise UsageError(f"{expected} a whole {type(column).__name__}; give one of its columns.")
    if not isinstance(column, Iterable):
        raise UsageError(f"{expected} {type(column).__name__}.")
    return list(column)


def _check_indexes(columns: Mapping[str, Any]) -> None:
    """Check that columns of tables have the same index, since entries belong together by position."""
    indexes = {name: index for name, column in columns.items() if (index := _index_of(column)) is not None}
    for name, index in indexes.items():
        first = next(iter(indexes))
        pairs = zip(indexes[first], index, strict=False)
        differing = [f"position {i}: {a!r} and {b!r}" for i, (a, b) in enumerate(pairs) if a != b]
        if differing:
            raise UsageError(
                f"{name}: its index differs from that of {first}, but entries belong together by position:\n"
                f"{first_few(differing)}\nPut both in one order, such as {name}.loc[{first}.index]; or, where the "
                "order is right, give both with .reset_index(drop=True)."
            )


def _index_of(column: Any) -> list[Any] | None:
    """Return the index of a pandas Series or the like; None for lists, which have a method of that name."""
    index = getattr(column, "index", None)
    return None if index is None or callable(index) else list(index)


def _check_lengths(lists: Mapping[str, list[Any]]) -> None:
    count = len(lists["images"])
    for name, values in lists.items():
        if len(values) != count:
            raise UsageError(
                f"{name}: expected an entry for each of {format_count(count, 'image')}, got {len(values):,}. "
                "Entries belong together by position; check where the lists come from."
            )


# Numbers and extra values by name.


def _called(what: str, name: object) -> str:
    return f"{what}[{name!r}]"


def _mapping(what: str, given: Any) -> Mapping[Any, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(f"{what}: expected a dictionary by name, got {type(given).__name__}.")
    return given or {}


def _by_name(what: str, of_sources: Sequence[Mapping[str, Any]], keys: Sequence[Any]) -> dict[str, list[Any]]:
    """Return one list for each name from the dictionaries of all sources."""
    names = list(of_sources[0]) if of_sources else []
    for i, of_source in enumerate(of_sources):
        if of_source.keys() != of_sources[0].keys():
            raise UsageError(
                f"{what}: expected the same names for all sources, got {', '.join(names) or 'none'} for {keys[0]!r}, "
                f"{', '.join(map(str, of_source)) or 'none'} for {keys[i]!r}."
            )
    return {name: [of_source[name] for of_source in of_sources] for name in names}

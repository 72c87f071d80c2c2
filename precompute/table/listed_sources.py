"""The listed sources of a generation, compared with the sources that are found now."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain, compress, count, repeat
from operator import eq
from typing import Any

import numpy as np

from precompute.dataset.manifest import Target
from precompute.errors import DatasetError
from precompute.fields.column import Column, columns_by_name
from precompute.fields.field import Schema
from precompute.fields.string_column import StringColumn
from precompute.storage.paths import as_path
from precompute.table.listing import Listing
from precompute.table.sources import Sources

__all__ = ["compare_listing", "sources_of_listing", "stored_splits"]

COMPARED = ("image", "group", "copies", "num_bytes")


def stored_splits(listings: Mapping[str, Listing], keys: Sequence[str]) -> list[str | None]:
    """Return the split in which each key is listed; None for new keys.

    Args:
        listings: Split → its listing.
        keys: Sorted keys of the sources.
    """
    found: list[str | None] = [None] * len(keys)
    for split, listing in listings.items():
        listed = iter(listing)
        waiting = next(listed, None)
        for i, key in enumerate(keys):
            while waiting is not None and waiting < key:
                waiting = next(listed, None)
            if waiting is None:
                break
            if waiting == key:
                found[i] = split
    return found


def sources_of_listing(
    listing: Mapping[str, Listing],
    root: str | None,
    class_names: Sequence[str],
    schema: Schema | None = None,
) -> Sources:
    """Return the sources that a generation was made from, without looking for them again.

    Args:
        listing: Split → listing.
        root: Folder that the sources' paths are below, or None.
        class_names: Class names of the target; of several, those of the leading one.
        schema: Fields of the dataset's records; None: those that follow from the listing alone.

    Raises:
        DatasetError: Splits differ in their fields.
    """
    of_split = sorted(listing.items())
    spots = merge(*(zip(one, repeat(number), count()) for number, (_, one) in enumerate(of_split)))
    numbers, positions = array("b"), array("q")
    for _, number, i in spots:
        numbers.append(number)
        positions.append(i)

    def column(name: str) -> Iterator[Any]:
        columns = [getattr(one, name) for _, one in of_split]
        return (columns[number][i] for number, i in zip(numbers, positions, strict=True))

    first = np.cumsum([0, *(len(one) for _, one in of_split)])
    places = first[np.asarray(numbers, np.int64)] + np.asarray(positions)
    columns = list(_joined([one for _, one in of_split]))
    columns = columns if schema is None else [one.described_by(schema) for one in columns]
    sources = Sources(
        root=None if root is None else as_path(root),
        keys=StringColumn(column("sorted_keys")),
        images=StringColumn(column("images")),
        columns=columns_by_name(*(one.take(places.tolist()) for one in columns)),
        splits=[of_split[number][0] for number in numbers],
        groups=[group or None for group in column("groups")] if any(any(one.groups) for _, one in of_split) else None,
        num_bytes=array("q", column("num_bytes")),
        segments=array("H", column("segments")) if any(any(one.segments) for _, one in of_split) else None,
        copies=list(column("copies")),
        names_by_field={name: Target.of(of).class_names for name, of in schema.targets.items()}
        if schema is not None
        else {},
    )
    leading = sources.leading_target
    return sources if leading is None else sources.with_names(leading.name, list(class_names))


def _joined(listings: Sequence[Listing]) -> Iterator[Column]:
    """Yield the columns of several listings, one after the other."""
    filled = [listing.columns for listing in listings if len(listing)]
    for name in dict.fromkeys(chain.from_iterable(filled)):
        parts = [columns[name] for columns in filled if name in columns]
        if len(parts) < len(filled) or len(set(map(type, parts))) > 1:
            raise DatasetError(f"lists of sources: {parts[0].entry_key}: expected it in all splits, or in none.")
        try:
            yield type(parts[0]).joined(parts)
        except ValueError as error:
            raise DatasetError(f"lists of sources: {parts[0].entry_key}: {error}.") from error


def compare_listing(stored: Mapping[str, Listing], sources: Sources, *, fixed: Collection[str] = ()) -> list[str]:
    """Return how the sources found now differ from the stored listings, one line per difference.

    Args:
        stored: Split → its stored listing.
        sources: Sources found now, with their splits.
        fixed: Keys of sources that were bad; their files had to be changed, and may have another size.
    """
    if sum(map(len, stored.values())) == len(sources) and all(
        _is_same(listing, sources, split) for split, listing in stored.items()
    ):
        return []
    lines, seen = [], {split: bytearray(len(listing)) for split, listing in stored.items()}
    cursors = dict.fromkeys(stored, 0)
    for i, key in enumerate(sources.keys):
        found = _find(stored, cursors, key, sources.splits[i])
        if found is None:
            lines.append(f"{key}: new, not in the dataset")
            continue
        split, position = found
        seen[split][position] = True
        changed = _changes(stored[split], position, sources, i) - ({"num_bytes"} if key in fixed else set())
        changed |= {"split"} if split != sources.splits[i] else set()
        if changed:
            lines.append(f"{key}: {', '.join(sorted(changed))} changed")
    gone = (key for split, listing in stored.items() for key, was in zip(listing, seen[split], strict=True) if not was)
    return [*lines, *(f"{key}: gone, but in the dataset" for key in gone)]


def _is_same(listing: Listing, sources: Sources, split: str) -> bool:
    """Return whether a listing equals the sources of a split, comparing whole columns."""
    here = bytearray(of == split for of in sources.splits)
    num = sum(here)

    def of_split(column: Iterable[Any] | None, none: Any) -> Iterator[Any]:
        return repeat(none, num) if column is None else compress(column, here)

    groups = None if sources.groups is None else (group or "" for group in sources.groups)
    pairs: list[tuple[Iterable[Any], Iterator[Any]]] = [
        (listing.sorted_keys, of_split(sources.keys, "")),
        (listing.images, of_split(sources.images, "")),
        (listing.groups, of_split(groups, "")),
        (listing.copies, of_split(sources.copies, 1)),
        (listing.num_bytes, of_split(sources.num_bytes, 0)),
    ]
    stored, found = listing.columns, _by_listed_name(sources)
    return num == len(listing) and (
        not num
        or (
            all(all(map(eq, old, new)) for old, new in pairs)
            and stored.keys() == found.keys()
            and all(column.same(stored[name], here) for name, column in found.items())
        )
    )


def _by_listed_name(sources: Sources) -> dict[str, Column]:
    return {column.listed_name: column for column in sources.columns.values()}


def _find(
    stored: Mapping[str, Listing], cursors: dict[str, int], key: str, split: str | None
) -> tuple[str, int] | None:
    """Return split and position of a key in the listings, looking first at the next position of its present split."""
    for name in sorted(stored, key=lambda name: name != split):
        keys, position = stored[name].sorted_keys, cursors[name]
        if position == len(keys) or keys[position] != key:
            found = stored[name].position(key)
            if found is None:
                continue
            position = found
        cursors[name] = position + 1
        return name, position
    return None


def _changes(listing: Listing, position: int, sources: Sources, i: int) -> set[str]:
    """Return the keys of an entry under which a source differs from its listing."""
    was = (listing.images[position], listing.groups[position], listing.copies[position], listing.num_bytes[position])
    group = "" if sources.groups is None else sources.groups[i] or ""
    now = (sources.images[i], group, sources.num_copies(i), sources.num_bytes[i])
    changed = {name for name, a, b in zip(COMPARED, was, now, strict=True) if a != b}
    stored, found = listing.columns, _by_listed_name(sources)
    for name in stored.keys() | found.keys():
        if name in found:
            changed |= found[name].changed_keys(i, stored.get(name), position)
        else:
            changed |= stored[name].changed_keys(position, None, i)
    return changed

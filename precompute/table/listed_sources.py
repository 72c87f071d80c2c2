"""A generation's listed sources held against those that are found now."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import merge
from itertools import compress, count, repeat
from operator import eq
from typing import Any

import numpy as np

from precompute.fields.boxes import UNKNOWN_SIZE, BoxColumn
from precompute.fields.skeleton import Skeleton
from precompute.storage.paths import as_path
from precompute.table.entry_checks import HASHES, Entry
from precompute.table.extras import Extras, column_of_values
from precompute.table.instance_column import InstanceColumn
from precompute.table.listing import Listing, box_fields
from precompute.table.sources import Sources
from precompute.table.string_column import StringColumn

__all__ = ["compare_listing", "sources_of_listing", "stored_splits"]


def stored_splits(listings: Mapping[str, Listing], keys: Sequence[str]) -> list[str | None]:
    """Return the split in which each key is listed, None for those that are new.

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
    *,
    kind: str = "instances",
    skeleton: Skeleton | None = None,
) -> Sources:
    """Return the sources that a generation was made from, without looking for them again.

    Args:
        listing: Split → its listing.
        root: Folder that their paths are below, or None.
        class_names: Names of the target's classes.
        kind: Kind of the target, where objects have masks.
        skeleton: Skeleton of keypoints, or None without any.
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

    masked, several = (any(any(getattr(one, name)) for _, one in of_split) for name in ("masks", "groups"))
    labels = list(column("labels"))
    label_sets = [label for label in labels if isinstance(label, tuple)]
    boxes = _joined_boxes([one for _, one in of_split], numbers, positions)
    if isinstance(boxes, InstanceColumn):
        boxes = replace(boxes, target=kind)
    no_label = masked or label_sets or boxes is not None
    return Sources(
        root=None if root is None else as_path(root),
        keys=StringColumn(column("sorted_keys")),
        images=StringColumn(column("images")),
        masks=StringColumn(mask for mask in column("masks") if mask) if masked else None,
        labels=None if no_label else [label for label in labels if isinstance(label, int)] or None,
        label_sets=label_sets or None,
        boxes=boxes,
        splits=[of_split[number][0] for number in numbers],
        groups=[group or None for group in column("groups")] if several else None,
        num_bytes=array("q", column("num_bytes")),
        copies=list(column("copies")),
        extra=_joined_extras([one for _, one in of_split], numbers, positions),
        class_names=list(class_names),
        skeleton=skeleton,
    )


def _joined_boxes(listings: Sequence[Listing], numbers: array[int], positions: array[int]) -> BoxColumn | None:
    """Return the boxes of sources, each given by the number of its listing and its position there."""
    columns = [column for listing in listings if (column := listing.boxes) is not None]
    if not columns:
        return None
    first = np.cumsum([0, *map(len, columns)])
    return type(columns[0]).joined(columns).take(first[np.asarray(numbers)] + np.asarray(positions))


def _joined_extras(listings: Sequence[Listing], numbers: array[int], positions: array[int]) -> Extras | None:
    """Return weights and extra values of sources, each given by the number of its listing and its position there."""
    spots = list(zip(numbers, positions, strict=True))
    names = list(dict.fromkeys(name for listing in listings for name in listing.extra))
    return {
        name: column_of_values(name, [listings[number].extra[name][i] for number, i in spots], str) for name in names
    } or None


def compare_listing(stored: Mapping[str, Listing], sources: Sources, *, fixed: Collection[str] = ()) -> list[str]:
    """Return how the sources found now differ from a stored list, one line each.

    Args:
        stored: Split → its listing as it is stored.
        sources: Found now, their splits assigned.
        fixed: Keys whose files may have another size: they were bad, and had to be changed.
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
        changed = _changes(stored[split].entry(position), _entry(sources, i))
        if key in fixed:
            changed = [name for name in changed if name != "num_bytes"]
        if split != sources.splits[i]:
            changed.append("split")
        if changed:
            lines.append(f"{key}: {', '.join(sorted(changed))} changed")
    gone = (key for split, listing in stored.items() for key, was in zip(listing, seen[split], strict=True) if not was)
    return [*lines, *(f"{key}: gone, but in the dataset" for key in gone)]


def _is_same(listing: Listing, sources: Sources, split: str) -> bool:
    """Tell whether a listing holds the sources of a split as they are, a whole column at a time."""
    here = bytearray(of == split for of in sources.splits)
    num = sum(here)

    def of_split(column: Iterable[Any] | None, none: Any) -> Iterator[Any]:
        return repeat(none, num) if column is None else compress(column, here)

    labels = sources.labels if sources.label_sets is None else sources.label_sets
    groups = None if sources.groups is None else (group or "" for group in sources.groups)
    pairs: list[tuple[Iterable[Any], Iterator[Any]]] = [
        (listing.sorted_keys, of_split(sources.keys, "")),
        (listing.images, of_split(sources.images, "")),
        (listing.masks, of_split(sources.masks, "")),
        (listing.groups, of_split(groups, "")),
        (listing.labels, of_split(labels, None)),
        (listing.copies, of_split(sources.copies, 1)),
        (listing.num_bytes, of_split(sources.num_bytes, 0)),
    ]
    return (
        num == len(listing)
        and all(all(map(eq, old, new)) for old, new in pairs)
        and _same_boxes(listing, sources, split)
        and _same_extras(listing, sources, split)
    )


def _same_extras(listing: Listing, sources: Sources, split: str) -> bool:
    extras = sources.extra or {}
    return listing.extra.keys() == extras.keys() and all(
        all(map(eq, values, (extras[name].values[i] for i in sources.of_split(split))))
        for name, values in listing.extra.items()
    )


def _same_boxes(listing: Listing, sources: Sources, split: str) -> bool:
    if listing.boxes is None or sources.boxes is None:
        return listing.boxes is sources.boxes
    return listing.boxes.same(sources.boxes.take(list(sources.of_split(split))))


def _find(
    stored: Mapping[str, Listing], cursors: dict[str, int], key: str, split: str | None
) -> tuple[str, int] | None:
    """Return split and position of a key: looked for first in the split where it is now, at what comes next there."""
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


def _entry(sources: Sources, i: int) -> Entry:
    """Return the entry of a source, without what is known only from decoding it."""
    label, boxes = sources.label(i), None if sources.boxes is None else sources.boxes.of(i)
    fields = {
        "key": sources.keys[i],
        "image": sources.images[i],
        "mask": None if sources.masks is None else sources.masks[i],
        "label": list(label) if isinstance(label, tuple) else label,
        **box_fields(boxes),
        "group": None if sources.groups is None else sources.groups[i],
        "extra": sources.extra_of(i),
        "copies": sources.num_copies(i),
        "num_bytes": sources.num_bytes[i],
    }
    return {name: value for name, value in fields.items() if value is not None}


def _changes(old: Entry, new: Entry) -> list[str]:
    if old.get("boxes_size") == list(UNKNOWN_SIZE):  # of an image that could not be read, and can be by now
        old = {**old, "boxes_size": new.get("boxes_size")}
    return [name for name in old.keys() | new.keys() if name not in HASHES and old.get(name) != new.get(name)]

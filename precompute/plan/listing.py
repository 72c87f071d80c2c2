"""The list of a split's sources, as JSON lines: what a generation was made from."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from precompute.boxes import BoxColumn, Boxes
from precompute.dataset.manifest import Label
from precompute.errors import DatasetError
from precompute.options import MOST_COPIES
from precompute.sources.source import Sources
from precompute.storage.paths import as_path

__all__ = [
    "Entry",
    "boxes_of_entry",
    "compare_listing",
    "label_of",
    "listing_lines",
    "read_listing",
    "sources_of_listing",
    "split_of_keys",
]

Entry = dict[str, Any]
_KINDS: dict[str, type] = {
    **dict.fromkeys(("key", "image", "mask", "group", "sha256", "mask_sha256"), str),
    **dict.fromkeys(("copies", "num_bytes"), int),
}


def listing_lines(
    sources: Sources,
    split: str,
    sha256: Mapping[str, str] | None = None,
    mask_sha256: Mapping[str, str] | None = None,
) -> bytes:
    """Return the content of a split's sources file, a line a source, sorted by key."""
    lines = [
        json.dumps(
            {k: v for k, v in _entry(sources, i, sha256 or {}, mask_sha256 or {}).items() if v is not None},
            ensure_ascii=False,
        )
        for i in sources.of_split(split)
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _entry(sources: Sources, i: int, sha256: Mapping[str, str], mask_sha256: Mapping[str, str]) -> Entry:
    key, label, boxes = sources.keys[i], sources.label(i), sources.boxes_of(i)
    return {
        "key": key,
        "image": sources.images[i],
        "mask": None if sources.masks is None else sources.masks[i],
        "label": list(label) if isinstance(label, tuple) else label,
        "boxes": None if boxes is None else boxes.to_rows(),
        "boxes_size": None if boxes is None or boxes.size is None else list(boxes.size),
        "group": None if sources.groups is None else sources.groups[i],
        "copies": sources.num_copies(i),
        "num_bytes": sources.num_bytes[i],
        "sha256": sha256.get(key),
        "mask_sha256": mask_sha256.get(key),
    }


def read_listing(path: Path) -> dict[str, Entry]:
    """Return the entries of a sources file by key.

    Raises:
        DatasetError: It is missing or not valid.
    """
    try:
        entries = [json.loads(line) for line in path.read_bytes().splitlines()]
        for number, entry in enumerate(entries, 1):
            _check_entry(entry, f"{path}: line {number}")
        return {entry["key"]: entry for entry in entries}
    except OSError as error:
        raise DatasetError(f"{path}: the list of sources cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not a list of sources in JSON lines ({error!r}).") from error


def _check_entry(entry: Any, where: str) -> None:
    """Refuse what no build writes: each field is used as it stands, some as file names."""
    if not isinstance(entry, dict):
        raise DatasetError(f"{where}: expected an object, got {entry!r:.60}.")
    missing = [name for name in ("key", "image", "num_bytes") if name not in entry]
    if missing:
        raise DatasetError(f"{where}: the field {missing[0]!r} is missing.")
    for name, value in entry.items():
        kind = _KINDS.get(name)
        if kind is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise DatasetError(f"{where}: {name}: expected {kind.__name__}, got {value!r:.60}.")
        if kind is str and not _is_name(value):
            raise DatasetError(f"{where}: {name}: {value!r:.60} cannot be a name.")
    if not _is_label(entry.get("label", 0)):
        raise DatasetError(f"{where}: label: expected a class index or a list of them, got {entry['label']!r:.60}.")
    _check_boxes(entry, where)
    if not 1 <= entry.get("copies", 1) <= MOST_COPIES:
        raise DatasetError(f"{where}: copies: expected 1 to {MOST_COPIES}, got {entry['copies']!r:.60}.")


def _check_boxes(entry: Entry, where: str) -> None:
    rows, size = entry.get("boxes", []), entry.get("boxes_size", [1, 1])
    if not (isinstance(rows, list) and all(map(_is_box, rows))):
        raise DatasetError(f"{where}: boxes: expected a list of four sides, class index and flags each.")
    if not (isinstance(size, list) and len(size) == 2 and all(_is_index(n) and 0 < n < 2**31 for n in size)):
        raise DatasetError(f"{where}: boxes_size: expected width and height, got {size!r:.60}.")


def _is_box(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 6:
        return False
    sides = all(isinstance(side, int | float) and not isinstance(side, bool) and abs(side) < 2**31 for side in row[:4])
    return sides and _is_index(row[4]) and _is_index(row[5]) and 0 <= row[4] < 2**31 and 0 <= row[5] < 256


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_label(value: Any) -> bool:
    numbers = value if isinstance(value, list) else [value]
    return all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)


def _is_name(value: str) -> bool:
    try:
        return bool(value) and b"\0" not in value.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


def label_of(entry: Entry) -> Label | None:
    """Return the class or the classes of a source; None when it has a mask."""
    label: Any = entry.get("label")
    return tuple(label) if isinstance(label, list) else label


def boxes_of_entry(entry: Entry) -> Boxes | None:
    """Return the boxes of a source; None when it has another target."""
    if "boxes" not in entry:
        return None
    size = entry.get("boxes_size")
    return Boxes.of_rows(entry["boxes"], None if size is None else (size[0], size[1]))


def split_of_keys(listing: Mapping[str, Mapping[str, Entry]]) -> dict[str, str]:
    """Return the split that each key was assigned to."""
    return {key: split for split, entries in listing.items() for key in entries}


def sources_of_listing(
    listing: Mapping[str, Mapping[str, Entry]], root: str | None, class_names: Sequence[str]
) -> Sources:
    """Return the sources that a generation was made from, without looking for them again."""
    pairs = sorted((key, split) for split, entries in listing.items() for key in entries)
    entries = [listing[split][key] for key, split in pairs]
    labels = [label_of(entry) for entry in entries]
    label_sets = [label for label in labels if isinstance(label, tuple)]
    masks = [entry.get("mask") for entry in entries]
    groups = [entry.get("group") for entry in entries]
    boxes = [found for entry in entries if (found := boxes_of_entry(entry)) is not None]
    no_label = any(masks) or label_sets or boxes
    return Sources(
        root=None if root is None else as_path(root),
        keys=[key for key, _ in pairs],
        images=[entry["image"] for entry in entries],
        masks=[mask for mask in masks if mask is not None] if any(masks) else None,
        labels=None if no_label else [label for label in labels if isinstance(label, int)],
        label_sets=label_sets or None,
        boxes=BoxColumn.of_images(boxes) if boxes else None,
        splits=[split for _, split in pairs],
        groups=groups if any(groups) else None,
        num_bytes=[entry["num_bytes"] for entry in entries],
        copies=[entry.get("copies", 1) for entry in entries],
        class_names=list(class_names),
    )


def compare_listing(
    stored: Mapping[str, Mapping[str, Entry]], sources: Sources, *, mended: Collection[str] = ()
) -> list[str]:
    """Return how the sources found now differ from a stored list, one line each.

    Args:
        stored: Split → key → entry.
        sources: Found now, their splits assigned.
        mended: Keys whose files may have another size: they were bad, and had to be changed.
    """
    old = {key: (split, entry) for split, entries in stored.items() for key, entry in entries.items()}
    lines = []
    for i, key in enumerate(sources.keys):
        if key not in old:
            lines.append(f"{key}: new, not in the dataset")
            continue
        split, entry = old.pop(key)
        now = {k: v for k, v in _entry(sources, i, {}, {}).items() if v is not None}
        changed = [k for k in now.keys() | entry.keys() if not k.endswith("sha256") and now.get(k) != entry.get(k)]
        if key in mended:
            changed = [k for k in changed if k != "num_bytes"]
        if split != sources.splits[i]:
            changed.append("split")
        if changed:
            lines.append(f"{key}: {', '.join(sorted(changed))} changed")
    return [*lines, *(f"{key}: gone, but in the dataset" for key in old)]

"""The list of a split's sources, as JSON lines: what a generation was made from."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import Label
from precompute.errors import DatasetError
from precompute.options import MOST_COPIES
from precompute.sources.source import Sources
from precompute.storage.paths import as_path

__all__ = [
    "Entry",
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
    key, label = sources.keys[i], sources.label(i)
    return {
        "key": key,
        "image": sources.images[i],
        "mask": None if sources.masks is None else sources.masks[i],
        "label": list(label) if isinstance(label, tuple) else label,
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
    if not 1 <= entry.get("copies", 1) <= MOST_COPIES:
        raise DatasetError(f"{where}: copies: expected 1 to {MOST_COPIES}, got {entry['copies']!r:.60}.")


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
    return Sources(
        root=None if root is None else as_path(root),
        keys=[key for key, _ in pairs],
        images=[entry["image"] for entry in entries],
        masks=[mask for mask in masks if mask is not None] if any(masks) else None,
        labels=[label for label in labels if isinstance(label, int)] if not any(masks) and not label_sets else None,
        label_sets=label_sets or None,
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

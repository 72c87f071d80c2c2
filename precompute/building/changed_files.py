"""Have the sources' files changed since rows were made from them?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from precompute.building.folder import StoredGeneration
from precompute.building.receipts import read_receipt
from precompute.dataset.paths import DatasetPaths
from precompute.fields.instances import Instances
from precompute.storage.paths import as_path
from precompute.storage.snapshot import seen_at_once
from precompute.table.sources import Sources

__all__ = ["changed_files", "fixed_keys", "num_changed"]


def changed_files(out: Path, stored: StoredGeneration, sources: Sources) -> list[str]:
    """Return the sources whose content differs from what rows were made from, one line each.

    Sizes were compared before; only files that are younger than the manifest are read.
    """
    if stored.manifest is None:
        return []
    written = DatasetPaths(out).manifest.stat().st_mtime
    found = []
    with _all_seen(sources):
        for split, listing in stored.listing.items():
            # Keys were compared before: the sources of a split are those that it lists, in one order.
            for i, *expected in zip(sources.of_split(split), listing.sha256, listing.mask_sha256, strict=True):
                for path, sha256 in zip(_files(sources, i), expected, strict=False):
                    if sha256 is not None and path.stat().st_mtime > written and _sha256(path) != sha256:
                        found.append((i, f"{sources.keys[i]}: the content of {path} changed"))
                if expected[1] is not None and _other_masks(sources, i, written, expected[1]):
                    found.append((i, f"{sources.keys[i]}: the masks of its objects changed"))
    return [line for _, line in sorted(found)]


def _all_seen(sources: Sources) -> AbstractContextManager[None]:
    return seen_at_once() if sources.root is None else seen_at_once(sources.root)


def _other_masks(sources: Sources, i: int, written: float, expected: str) -> bool:
    """Tell whether the files with the masks of a source's objects hold other bytes than they did."""
    paths, instances = _instance_files(sources, i), sources.boxes_of(i)
    if not isinstance(instances, Instances) or all(path.stat().st_mtime <= written for path in paths):
        return False
    return instances.digest(map(_sha256, paths)) != expected


def _files(sources: Sources, i: int) -> Iterator[Path]:
    yield sources.path(sources.images[i])
    if sources.masks is not None:
        yield sources.path(sources.masks[i])


def _instance_files(sources: Sources, i: int) -> list[Path]:
    instances = sources.boxes_of(i)
    if not isinstance(instances, Instances) or instances.size is not None:
        return []
    return [as_path(shape) for shape in instances.shapes]


def fixed_keys(out: Path, stored: StoredGeneration) -> set[str]:
    """Return the keys that were found bad, and are in no row: their files were to be changed."""
    if stored.manifest is not None:
        return {entry["key"] for entry in stored.manifest.skipped}
    receipts = map(read_receipt, DatasetPaths(out).receipts(stored.plan.generation).glob("*.json"))
    return {bad.key for receipt in receipts if receipt is not None for bad in receipt.bad}


def num_changed(out: Path, stored: StoredGeneration, sources: Sources) -> int:
    """Return how many of the sources that were left out have files of another size, or younger than the manifest."""
    written, skipped = DatasetPaths(out).manifest.stat().st_mtime, fixed_keys(out, stored)
    listed = {key: entry for key in skipped for of in stored.listing.values() if (entry := of.get(key)) is not None}
    positions = {key: sources.position(key) for key in listed}
    with _all_seen(sources):
        return sum(
            sources.num_bytes[i] != listed[key]["num_bytes"]
            or any(path.stat().st_mtime > written for path in _files(sources, i))
            or any(path.stat().st_mtime > written for path in _instance_files(sources, i))
            for key, i in positions.items()
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

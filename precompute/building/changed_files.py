"""Have the sources' files changed since rows were made from them?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from precompute.building.folder import StoredGeneration
from precompute.building.receipts import read_receipt
from precompute.dataset.paths import DatasetPaths
from precompute.fields.column import digest_of_fields
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
            for i, sha256, of_files in zip(sources.of_split(split), listing.sha256, listing.mask_sha256, strict=True):
                found += [
                    (i, f"{sources.keys[i]}: {text} changed")
                    for text in _changed(sources, i, written, sha256, of_files)
                ]
    return [line for _, line in sorted(found)]


def _all_seen(sources: Sources) -> AbstractContextManager[None]:
    return seen_at_once() if sources.root is None else seen_at_once(sources.root)


def _changed(sources: Sources, i: int, written: float, sha256: str | None, of_files: str | None) -> Iterator[str]:
    """Yield what is changed of a source's files: those that are younger than what was written, and hold other bytes.

    Args:
        sources: All sources.
        i: Position of the source.
        written: When rows were made, in seconds.
        sha256: What the image held then; None where it is not known.
        of_files: Likewise of the files beside it.
    """
    image = sources.path(sources.images[i])
    if sha256 is not None and image.stat().st_mtime > written and _sha256(image) != sha256:
        yield f"the content of {image}"
    if of_files is None:
        return
    values = {name: column.located(column[i], sources.path) for name, column in sources.columns.items()}
    files = {name: [as_path(path) for path in sources.columns[name].files(value)] for name, value in values.items()}
    younger = [name for name, paths in files.items() if any(path.stat().st_mtime > written for path in paths)]
    if younger and _digest(sources, values, files) != of_files:
        yield " or ".join(sources.columns[name].files_text(values[name]) for name in younger)


def _digest(sources: Sources, values: Mapping[str, Any], files: Mapping[str, Sequence[Path]]) -> str | None:
    """Return the sha256 of the files beside an image, read anew; see `digest_of_fields`."""
    return digest_of_fields(
        {
            name: sources.columns[name].digest(values[name], [_sha256(path) for path in paths])
            for name, paths in files.items()
            if sources.columns[name].has_files
        }
    )


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
            or any(path.stat().st_mtime > written for path in (sources.path(sources.images[i]), *sources.files(i)))
            for key, i in positions.items()
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

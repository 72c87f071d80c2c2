"""`precompute.inspect`: what a dataset holds. Loads nothing heavy."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from precompute.dataset.leases import held_rows
from precompute.dataset.manifest import BoxCounts, Manifest, Row, Split
from precompute.dataset.paths import DatasetPaths
from precompute.options.plain_values import converts_arguments
from precompute.plan.versions import other_versions
from precompute.report.inspection import Inspection, RowGroup, SplitInspection
from precompute.storage.paths import as_path
from precompute.table.listing import Listing
from precompute.table.listing_file import read_listing

__all__ = ["inspect"]


@converts_arguments
def inspect(out: str | Path) -> Inspection:
    """Return what a dataset holds; reads the manifest and the lists of sources, no shard.

    Args:
        out: The dataset's folder.

    Raises:
        DatasetError: Manifest or lists of sources are missing or not valid.
    """
    folder = as_path(out)
    manifest = Manifest.load(folder)
    held = held_rows(folder)
    listed = {(manifest.generation, name, row.row) for name, split in manifest.splits.items() for row in split.rows}
    return Inspection(
        out=folder,
        manifest=manifest,
        splits={
            name: _inspect_split(folder, manifest, name, sorted(row for _, s, row in held & listed if s == name))
            for name in manifest.splits
        },
        other_versions=other_versions(manifest.settings["pixels"]["versions"]),
        held_elsewhere=len(held - listed),
    )


def _inspect_split(out: Path, manifest: Manifest, name: str, held: list[int]) -> SplitInspection:
    split = manifest.splits[name]
    listing = read_listing(DatasetPaths(out).sources(manifest.generation, name))
    skipped = {entry["key"] for entry in manifest.skipped if entry["split"] == name}
    used, boxes = [i for i, key in enumerate(listing) if key not in skipped], listing.boxes
    return SplitInspection(
        num_sources=len(listing),
        num_skipped=len(skipped),
        num_places=split.num_places,
        num_rows=len(split.rows),
        num_records=sum(row.num_records for row in split.rows),
        num_shards=len(split.rows) * split.num_blocks,
        num_bytes=sum(row.num_bytes for row in split.rows),
        rows=_group(split),
        held=held,
        class_counts=_count_classes(manifest, listing, used),
        boxes=BoxCounts.total(row.boxes for row in split.rows),
        num_lost=_num_lost(split, listing, used) if manifest.target.kind == "instances" else 0,
        num_without=0 if boxes is None else int((boxes.take(used).counts == 0).sum()),
    )


def _num_lost(split: Split, listing: Listing, used: list[int]) -> int:
    """Return how many objects of the sources are in no record, summed over all rows."""
    counts, boxes = listing.boxes, BoxCounts.total(row.boxes for row in split.rows)
    if counts is None or boxes is None:
        return 0
    a_row = sum(int(number) * listing.copies[i] for i, number in zip(used, counts.take(used).counts, strict=True))
    return a_row * len(split.rows) - boxes.num_boxes


def _group(split: Split) -> list[RowGroup]:
    """Return the rows by seed, in the order of their first numbers; the original row is a group of its own."""
    groups: dict[tuple[int, bool], list[Row]] = {}
    for row in sorted(split.rows, key=lambda row: row.row):
        groups.setdefault((row.seed, row.original), []).append(row)
    return [
        RowGroup(
            rows=[row.row for row in rows],
            seed=seed,
            variants=sorted(row.variant for row in rows if row.variant is not None),
        )
        for (seed, _), rows in groups.items()
    ]


def _count_classes(manifest: Manifest, listing: Listing, used: list[int]) -> list[int]:
    if manifest.target.kind == "mask":
        return []
    if listing.boxes is not None:
        found = np.bincount(listing.boxes.take(used).labels, minlength=manifest.target.num_classes)
        return [int(number) for number in found]
    labels = [listing.labels[i] for i in used]
    counts = Counter(index for label in labels for index in (label if isinstance(label, tuple) else (label,)))
    return [counts[label] for label in range(manifest.target.num_classes)]

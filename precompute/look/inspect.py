"""`precompute.inspect`: what a dataset holds, as data and as text for people. Loads nothing heavy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from precompute.dataset.leases import held_rows
from precompute.dataset.manifest import BoxCounts, Manifest, Row, Split
from precompute.dataset.paths import DatasetPaths
from precompute.plain_values import takes_plain_values
from precompute.plan.listing import Listing
from precompute.plan.listing_file import read_listing
from precompute.plan.versions import other_versions
from precompute.storage.paths import as_path

__all__ = ["Inspection", "RowGroup", "SplitInspection", "inspect"]


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """Rows of one seed.

    Attributes:
        rows: Their numbers, sorted.
        seed: Of their draws.
        variants: Of their draws; empty for the original row.
    """

    rows: list[int]
    seed: int
    variants: list[int]

    @property
    def original(self) -> bool:
        """Whether this is the original row: sources through the validation pipeline."""
        return not self.variants


@dataclass(frozen=True, kw_only=True)
class SplitInspection:
    """What one split holds.

    Attributes:
        num_sources: Listed sources, the skipped ones included.
        num_skipped: Sources that are left out of all rows.
        num_places: Places of the grid: sources times copies.
        num_rows: Listed rows.
        num_records: Records in all rows.
        num_shards: Files.
        num_bytes: Of all shards.
        rows: Listed rows by seed.
        held: Rows that living readers hold.
        class_counts: Sources of each class, or of each label, or boxes of each class, skipped ones left out; empty for
            masks.
        boxes: Counts of the boxes in all records; None without boxes.
        num_without: Sources that have no boxes, skipped ones left out.
        num_lost: Of objects with masks: how many are lacking in all records together, cut off, too small, or without a
            pixel in the first place.
    """

    num_sources: int
    num_skipped: int
    num_places: int
    num_rows: int
    num_records: int
    num_shards: int
    num_bytes: int
    rows: list[RowGroup]
    held: list[int]
    class_counts: list[int]
    boxes: BoxCounts | None = None
    num_without: int = 0
    num_lost: int = 0

    @property
    def record_bytes(self) -> int:
        """Mean size of a record, its framing included."""
        return self.num_bytes // max(1, self.num_records)


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a dataset holds.

    Attributes:
        out: Its folder.
        manifest: Everything that its manifest says.
        splits: What each split holds.
        other_versions: Package → (version that wrote the dataset, installed version), where these differ.
        held_elsewhere: Rows of earlier generations, or no longer listed, that living readers hold.
    """

    out: Path
    manifest: Manifest
    splits: dict[str, SplitInspection]
    other_versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    held_elsewhere: int = 0

    def text(self) -> str:
        """Return the report for people."""
        from precompute.look.report import report

        return report(self)


@takes_plain_values
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

"""`precompute.inspect`: what a dataset holds. Loads nothing heavy."""

from __future__ import annotations

from pathlib import Path

from precompute.dataset.leases import all_rows, held_rows
from precompute.dataset.manifest import Manifest, Row, Split
from precompute.fields.counts import BoxCounts, FieldCounts
from precompute.fields.field import Field
from precompute.inspecting.inspection import Inspection, RowGroup, SplitInspection
from precompute.options.plain_values import converts_arguments
from precompute.plan.versions import other_versions
from precompute.storage.paths import as_path
from precompute.table.listing import Listing
from precompute.table.listing_file import stored_listing

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
    listed = set(all_rows(manifest))
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
    listing = stored_listing(out, manifest, name)
    skipped = manifest.skipped_keys(name)
    used = [i for i, key in enumerate(listing) if key not in skipped]
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
        fields={name: _count(field, split, listing, used) for name, field in manifest.schema.items()},
    )


def _count(field: Field, split: Split, listing: Listing, used: list[int]) -> FieldCounts:
    """Return the counts of a field in a split, over the sources in use."""
    num_records = sum(row.num_records for row in split.rows)
    if not field.classes:
        return FieldCounts(num_records=num_records)
    stored = BoxCounts.total(row.boxes for row in split.rows)
    column = listing.columns.get(field.name)
    if column is None:  # no source is listed
        return FieldCounts(classes=[0] * len(field.classes), num_records=num_records)
    classes, found = column.class_counts(used, len(field.classes)), column.take(used).counts
    if found is None or stored is None:
        return FieldCounts(classes=classes, num_records=num_records)
    a_row = sum(int(number) * listing.copies[i] for i, number in zip(used, found, strict=True))
    return FieldCounts(
        classes=classes,
        num_records=num_records,
        stored=stored,
        num_without=int((found == 0).sum()),
        num_lost=a_row * len(split.rows) - stored.num_boxes,
    )


def _group(split: Split) -> list[RowGroup]:
    """Return the rows grouped by seed, in the order of their first numbers; the original row is a group of its own."""
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

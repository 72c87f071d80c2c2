"""The plan of a generation and of its rows: pure data, made before anything is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from precompute.dataset.json_files import dump
from precompute.dataset.manifest import Manifest, Origin, Segmented, Split
from precompute.dataset.paths import MAX_ROW
from precompute.errors import BuildError
from precompute.fields.image import ImageField

__all__ = ["GenerationPlan", "Measured", "RowPlan", "SplitPlan", "listed_rows", "missing_rows"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a sample of the sources tells of the fields of records.

    Attributes:
        mask_dtype: Type of masks as they are stored; None without masks.
        attributes: Name of a field → those of its attributes that the sample tells.
    """

    mask_dtype: str | None = None
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RowPlan:
    """One row to be written.

    Attributes:
        row: Number of this row, never used before.
        seed: Augmentation seed of this row.
        variant: Variant of this row; −1 for the original row.
    """

    row: int
    seed: int
    variant: int


@dataclass(frozen=True, kw_only=True)
class SplitPlan(Segmented):
    """The columns of a split's grid, and what a record costs.

    Attributes:
        record_bytes: Mean size of a record, in the sample from which the number of blocks was chosen.
        record_s: Mean time to make a record of that sample, in seconds.
    """

    record_bytes: int
    record_s: float


@dataclass(frozen=True, kw_only=True)
class GenerationPlan:
    """The plan of a generation: settings, sources and blocks; rows come and go within it.

    Attributes:
        name: The dataset's name.
        generation: Folder of the generation: g0001, g0002 …
        fingerprint: Hash of `settings["pixels"]`.
        settings: Everything that a later build is compared with.
        image: Shape and encoding of all images.
        mask_dtype: Type of masks as they are stored; None for classes.
        normalize: Split → the numbers of a Normalize that was taken off its pipeline, or None.
        splits: Split → its blocks.
        skipped: Bad sources accepted so far: key, split, reason.
        counters: Counts of the sample, in the form of the manifest's counters.
        origin: How the sources were found.
        rows: Split → rows that it has from the start: those of the generation that it replaces.
    """

    name: str
    generation: str
    fingerprint: str
    settings: dict[str, Any]
    image: ImageField
    mask_dtype: str | None
    normalize: dict[str, dict[str, Any] | None]
    splits: dict[str, SplitPlan]
    skipped: list[dict[str, str]] = field(default_factory=list)
    counters: dict[str, Any] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)
    rows: dict[str, list[RowPlan]] = field(default_factory=dict)

    @property
    def measured(self) -> Measured:
        """What the sample told of the fields."""
        return Measured(mask_dtype=self.mask_dtype, attributes=self.settings["pixels"].get("fields", {}))

    def to_bytes(self) -> bytes:
        """Return the content of the draft's file."""
        return dump(dataclasses.asdict(self))

    @classmethod
    def of_manifest(cls, manifest: Manifest) -> GenerationPlan:
        """Return the plan of a listed generation, from its manifest."""
        return cls(
            name=manifest.name,
            generation=manifest.generation,
            fingerprint=manifest.fingerprint,
            settings=manifest.settings,
            image=manifest.image,
            mask_dtype=next((dtype for field in manifest.schema.values() if (dtype := field.ids_dtype)), None),
            normalize=manifest.normalize,
            splits={name: _split_plan(split) for name, split in manifest.splits.items()},
            skipped=manifest.skipped,
            origin=manifest.origin,
        )


def _split_plan(split: Split) -> SplitPlan:
    records = sum(row.num_records for row in split.rows) or 1
    mean = sum(row.num_bytes for row in split.rows) // records
    return SplitPlan(segments=split.segments, record_bytes=mean, record_s=0.0)


def listed_rows(manifest: Manifest) -> dict[str, list[RowPlan]]:
    """Return split → the plans of its listed rows."""
    return {
        name: [RowPlan(row=row.row, seed=row.seed, variant=row.stored_variant) for row in split.rows]
        for name, split in manifest.splits.items()
    }


def missing_rows(wanted: Sequence[tuple[int, int]], taken: Collection[tuple[int, int]], *, first: int) -> list[RowPlan]:
    """Return rows to write, with numbers that were not used before.

    Args:
        wanted: (seed, variant) of each row that shall be listed.
        taken: (seed, variant) of the rows that are there.
        first: The next free row number.

    Raises:
        BuildError: The numbers are used up.
    """
    missing = [pair for pair in wanted if pair not in taken]
    if first + len(missing) > MAX_ROW + 1:
        raise BuildError(
            f"row numbers end at {MAX_ROW} and are never used again; {len(missing)} more do not fit. Build with "
            "--replace: a new generation starts at 0."
        )
    return [RowPlan(row=first + i, seed=seed, variant=variant) for i, (seed, variant) in enumerate(missing)]

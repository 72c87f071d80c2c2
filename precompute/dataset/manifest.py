"""The manifest: read, checked, and written as JSON (see FORMAT.md).

A manifest that was altered, or that other programs wrote, is checked and refused here.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

from precompute.dataset.json_files import dump, parse_json, read_json
from precompute.dataset.paths import MAX_ROW, DatasetPaths
from precompute.dataset.schema_json import IMAGE_ONLY, Target, from_format_1, schema_of_json, schema_to_json
from precompute.errors import DatasetError
from precompute.fields.counts import BoxCounts
from precompute.fields.field import MAX_CLASS_IDS, Schema
from precompute.fields.image import ImageField
from precompute.fields.registry import values_of_schema
from precompute.storage.paths import as_path

__all__ = [
    "IMAGE_ONLY",
    "ORIGINAL_VARIANT",
    "SPLITS",
    "BoxCounts",
    "Label",
    "Manifest",
    "Origin",
    "Row",
    "Segment",
    "Segmented",
    "Split",
    "Target",
    "is_dataset",
]

FORMAT = "augment-once"
VERSION = (2, 0)
ORIGINAL_VARIANT = -1  # what the original row's records hold where others hold their variant
SPLITS = ("train", "validation", "test")
INT64 = 2**63
MAX_BLOCKS = 99_999  # five digits in a shard's name

Label: TypeAlias = int | tuple[int, ...]  # a class index; with several labels an image, those of all, sorted


@dataclass(frozen=True, kw_only=True)
class Row:
    """One listed row: every place of a split once, under one (seed, variant)."""

    row: int
    seed: int
    variant: int | None
    original: bool
    num_records: int
    num_bytes: int
    sha256: str
    boxes: BoxCounts | None = None  # where records have boxes

    @property
    def stored_variant(self) -> int:
        """The value of `augment/variant` in the row's records."""
        return ORIGINAL_VARIANT if self.variant is None else self.variant

    @property
    def drawn(self) -> str:
        """The draws of its records, in words."""
        return "original" if self.original else f"seed {self.seed}, variant {self.variant}"


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Sources that came to a split together: a range of its blocks, which is sorted and cut by itself.

    Attributes:
        num_places: Number of places: sources times copies.
        num_blocks: Number of blocks that these are cut into.
    """

    num_places: int
    num_blocks: int


@dataclass(frozen=True, kw_only=True)
class Segmented:
    """The columns of a split's grid.

    Attributes:
        segments: Segments in the order of their blocks.
    """

    segments: list[Segment]

    @property
    def num_places(self) -> int:
        """Number of places of all segments."""
        return sum(segment.num_places for segment in self.segments)

    @property
    def num_blocks(self) -> int:
        """Number of blocks of all segments."""
        return sum(segment.num_blocks for segment in self.segments)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Number of places and of blocks of each segment."""
        return [(segment.num_places, segment.num_blocks) for segment in self.segments]


@dataclass(frozen=True, kw_only=True)
class Split(Segmented):
    """The grid of a split."""

    num_records: int
    sources_sha256: str
    next_row: int
    rows: list[Row]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How the sources were found; empty in datasets from before this was kept.

    Attributes:
        layout: How they were read: ``"a folder a class"``, ``"COCO"`` …
        num_passed_over: Number of files that were passed over.
        passed_over: Ending of such files that are no images → their number.
        left_out: What options left out, such as ``"images without boxes (--drop-empty)"`` → how many.
    """

    layout: str = ""
    num_passed_over: int = 0
    passed_over: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that a reader needs to know; what it does not list does not exist.

    Attributes:
        mirroring: Flips that a reader may add to training records: ``"horizontal"``, ``"vertical"``, both or neither.
            Empty in datasets of format 1.0.
        conflicts: `num_sources`, the number of sources with the same image as another source and another label or mask,
            and `examples`, pairs of keys; empty when there are none.
        counters: Counts of the sources: ``"empty"``, objects whose masks hold no pixel; ``"overlap"``, pixels of merged
            masks that belong to several objects; ``"numbered"``, masks of a sample whose ids seem to be numbers of
            objects: `number`, `num_sources`, `examples` (keys).
        origin: How the sources were found.
    """

    name: str
    generation: str
    fingerprint: str
    settings: dict[str, Any]
    schema: Schema
    normalize: dict[str, dict[str, Any] | None]
    splits: dict[str, Split]
    skipped: list[dict[str, str]] = field(default_factory=list)
    leaks: list[dict[str, Any]] = field(default_factory=list)
    cpu_features: list[str] = field(default_factory=list)
    mirroring: list[str] = field(default_factory=list)
    conflicts: dict[str, Any] = field(default_factory=dict)
    counters: dict[str, Any] = field(default_factory=dict)
    origin: Origin = field(default_factory=Origin)

    @classmethod
    def load(cls, folder: str | Path) -> Manifest:
        """Read the manifest of a dataset.

        Raises:
            DatasetError: It is missing, not valid, or of a newer major format.
        """
        path = DatasetPaths(as_path(folder)).manifest
        content = read_json(path, missing="build the dataset first, or check the path")
        if content.get("format") != FORMAT:
            raise DatasetError(f"{path}: expected a manifest with format {FORMAT!r}, got {content.get('format')!r}.")
        version = content.get("version")
        if not (isinstance(version, list) and version and isinstance(version[0], int)):
            raise DatasetError(f"{path}: expected version [major, minor], got {version!r}.")
        if not 1 <= version[0] <= VERSION[0]:
            raise DatasetError(
                f"{path}: the dataset has format {version[0]}, this version reads formats 1 to {VERSION[0]}. "
                f"Install a version of augment-once that reads format {version[0]}."
            )
        if version[0] == 1:
            content = from_format_1(content, str(path))
        content["schema"] = schema_of_json(content.get("schema"), f"{path}: schema")
        manifest = parse_json(cls, content, str(path))
        manifest._check_names(path)
        _check_limits(manifest, path)
        return manifest

    def _check_names(self, path: Path) -> None:
        # File names are made from these: none may lead out of the folder.
        for field_name, value, pattern in (
            ("name", self.name, r"[a-z][a-z0-9_]*"),
            ("generation", self.generation, r"g[0-9]{4}"),
            *(("splits", split, "|".join(SPLITS)) for split in self.splits),
        ):
            if not re.fullmatch(pattern, value):
                raise DatasetError(f"{path}: {field_name}: {value!r} is not a name that precompute gives.")

    @property
    def most_boxes(self) -> int:
        """Largest number of boxes in a record, over all listed rows of all splits."""
        counts = BoxCounts.total(row.boxes for split in self.splits.values() for row in split.rows)
        return 0 if counts is None else counts.most_boxes

    @property
    def image(self) -> ImageField:
        """Size, channels and encoding of the images."""
        return cast(ImageField, self.schema["image"])

    @property
    def extra(self) -> dict[str, str]:
        """Name → type (int, float, text) of weights and extra values."""
        return values_of_schema(self.schema)

    @functools.cached_property
    def target(self) -> Target:
        """The target; of several, the one that strata and copies follow: the label, else the first."""
        leading = self.schema.leading_target
        return Target(kind=IMAGE_ONLY, num_classes=0, class_names=[]) if leading is None else Target.of(leading)

    @property
    def targets(self) -> dict[str, Target]:
        """All targets by the names of their fields."""
        return {name: Target.of(field) for name, field in self.schema.targets.items()}

    def shard_path(self, folder: Path, split: str, row: int, block: int) -> Path:
        """Return the path of the shard of one block in one row."""
        num_blocks = self.splits[split].num_blocks
        return DatasetPaths(folder).shard(self.name, self.generation, split, row, block, num_blocks)

    def skipped_keys(self, split: str) -> set[str]:
        """Return the keys of the sources of a split that are left out of all rows."""
        return {entry["key"] for entry in self.skipped if entry["split"] == split}

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        content = {**dataclasses.asdict(self), "schema": schema_to_json(self.schema)}
        return dump({"format": FORMAT, "version": list(VERSION), **content})


def is_dataset(folder: Path) -> bool:
    """Return whether a folder holds a dataset, or the beginning of one: the lock, a plan."""
    paths = DatasetPaths(folder)
    try:
        begun = (paths.build / "lock").exists() or (paths.build / "lock.json").exists()
        if begun or any(paths.build.glob("g*/plan.json")):
            return True
        return read_json(paths.manifest, missing="no dataset").get("format") == FORMAT
    except (DatasetError, OSError):
        return False


# Limits of values


@dataclass(frozen=True, kw_only=True)
class _MaskSettings:
    mask_map: dict[str, int] = field(default_factory=dict)
    mask_offset: int = 0
    mask_colors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Pixels(_MaskSettings):
    pipelines: dict[str, dict[str, Any]]
    versions: dict[str, str]
    quality: int | None
    min_visibility: float = 0.0
    min_area: float = 0.0
    further_masks: dict[str, _MaskSettings] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Dataset:
    root: str | None = None
    num_classes: int | dict[str, int] | None = None
    ignore_class: int | dict[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class _Settings:
    pixels: _Pixels
    dataset: _Dataset


@dataclass(frozen=True, kw_only=True)
class _Skipped:
    key: str
    split: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Leak:
    splits: list[str]
    num_sources: int
    examples: list[list[str]]


@dataclass(frozen=True, kw_only=True)
class _Conflicts:
    num_sources: int = 0
    examples: list[list[str]] = field(default_factory=list)


def _check_limits(manifest: Manifest, path: Path) -> None:
    """Refuse a manifest whose entries have the right types but values that make no sense.

    Raises:
        DatasetError: A value makes no sense; the message names the entry.
    """
    settings = parse_json(_Settings, manifest.settings, f"{path}: settings")
    for i, skipped in enumerate(manifest.skipped):
        parse_json(_Skipped, skipped, f"{path}: skipped[{i}]")
    for i, leak in enumerate(manifest.leaks):
        parse_json(_Leak, leak, f"{path}: leaks[{i}]")
    parse_json(_Conflicts, manifest.conflicts, f"{path}: conflicts")
    for name, value, allowed in _values(manifest, settings.pixels):
        if not allowed:
            raise DatasetError(f"{path}: {name}: {str(value)[:60]!r} is not what precompute writes.")


def _values(manifest: Manifest, pixels: _Pixels) -> Iterator[tuple[str, Any, bool]]:
    """Yield name and value of each entry, and whether the value makes sense."""
    for what, counts in manifest.counters.items():
        yield f"counters: {what}", counts, _is_counter(counts)
    for side in manifest.mirroring:
        yield "mirroring", side, side in ("horizontal", "vertical")
    yield from _mask_values(pixels, "settings: pixels")
    for name, of_mask in pixels.further_masks.items():
        yield from _mask_values(of_mask, f"settings: pixels: further_masks: {name:.60}")
    for split_name, split in manifest.splits.items():
        for name, value, allowed in _split_values(split):
            yield f"splits: {split_name}: {name}", value, allowed


def _mask_values(settings: _MaskSettings, where: str) -> Iterator[tuple[str, Any, bool]]:
    for old, new in settings.mask_map.items():
        yield f"{where}: mask_map", {old: new}, bool(re.fullmatch(r"[0-9]{1,5}", old)) and 0 <= new < MAX_CLASS_IDS
    yield f"{where}: mask_offset", settings.mask_offset, abs(settings.mask_offset) < MAX_CLASS_IDS
    for color, new in settings.mask_colors.items():
        allowed = bool(re.fullmatch(r"#[0-9a-f]{6}", color)) and 0 <= new < MAX_CLASS_IDS
        yield f"{where}: mask_colors", {color: new}, allowed


def _is_counter(counts: Any) -> bool:
    if not isinstance(counts, dict):
        return False
    numbers, examples = [counts.get(name) for name in ("number", "num_sources")], counts.get("examples")
    return all(type(number) is int and 0 <= number < INT64 for number in numbers) and (
        isinstance(examples, list) and all(isinstance(key, str) for key in examples)
    )


def _split_values(split: Split) -> Iterator[tuple[str, Any, bool]]:
    yield "segments", split.segments, bool(split.segments)
    for segment in split.segments:
        yield "num_places", segment.num_places, 0 <= segment.num_places < INT64
        yield "num_blocks", segment.num_blocks, segment.num_blocks >= 1
    yield "num_blocks", split.num_blocks, split.num_blocks <= MAX_BLOCKS
    for row in split.rows:
        yield "row", row.row, 0 <= row.row <= MAX_ROW
        yield "seed", row.seed, -INT64 <= row.seed < INT64
        yield "variant", row.variant, -1 <= row.stored_variant < INT64
        if row.boxes is not None:
            counts = (row.boxes.num_boxes, row.boxes.most_boxes, row.boxes.num_empty)
            yield "boxes", row.boxes, all(0 <= count < INT64 for count in counts)

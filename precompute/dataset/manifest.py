"""The manifest and the row files: read, checked, and written as JSON (see FORMAT.md)."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from precompute.dataset.json_files import decode_json, dump, parse_json, read_json
from precompute.dataset.limits import check_limits
from precompute.dataset.paths import DatasetPaths
from precompute.errors import DatasetError
from precompute.storage.paths import as_path
from precompute.targets.keypoints import Skeleton

__all__ = [
    "OBJECTS",
    "ORIGINAL_VARIANT",
    "SPLITS",
    "BoxCounts",
    "Image",
    "Label",
    "Manifest",
    "Row",
    "RowFile",
    "Shard",
    "Split",
    "Target",
    "read_row_file",
]

FORMAT = "augment-once"
VERSION = (1, 1)
ORIGINAL_VARIANT = -1  # what the original row's records hold where others hold their variant
SPLITS = ("train", "validation", "test")
OBJECTS = ("boxes", "keypoints", "instances")  # kinds of target that are lists of objects

Label: TypeAlias = int | tuple[int, ...]  # a class index; with several labels an image, those of all, sorted


@dataclass(frozen=True, kw_only=True)
class Image:
    """Shape and encoding of every image: uint8 [height, width, channels], RGB."""

    height: int
    width: int
    channels: int
    encoding: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """What records are labelled with.

    Attributes:
        kind: ``"class"``, ``"multilabel"`` (any number of classes an image), ``"mask"``, ``"boxes"``, ``"keypoints"``,
            ``"instances"``, boxes with a mask each, or ``"image"``: images alone.
        num_classes: Number of classes; for masks one more than the largest class id.
        class_names: Name of each class; may be empty for masks.
        encoding: Of masks: ``"png"`` or ``"raw"``; else None.
        dtype: Of masks: ``"uint8"`` or ``"uint16"``; else None.
        ignore_class: Of masks: the id of pixels that count neither in loss nor in metrics.
        keypoints: Of keypoints: their skeleton; else None.
    """

    kind: str
    num_classes: int
    class_names: list[str]
    encoding: str | None = None
    dtype: str | None = None
    ignore_class: int | None = None
    keypoints: Skeleton | None = None


@dataclass(frozen=True, kw_only=True)
class BoxCounts:
    """What there is of boxes in some records.

    Attributes:
        num_boxes: In all of them.
        most_boxes: In one of them, at most.
        num_empty: Records without any.
    """

    num_boxes: int = 0
    most_boxes: int = 0
    num_empty: int = 0

    def __add__(self, other: BoxCounts) -> BoxCounts:
        return BoxCounts(
            num_boxes=self.num_boxes + other.num_boxes,
            most_boxes=max(self.most_boxes, other.most_boxes),
            num_empty=self.num_empty + other.num_empty,
        )

    @classmethod
    def of_record(cls, num_boxes: int) -> BoxCounts:
        """Return the counts of one record."""
        return cls(num_boxes=num_boxes, most_boxes=num_boxes, num_empty=int(num_boxes == 0))

    @classmethod
    def total(cls, counts: Iterable[BoxCounts | None]) -> BoxCounts | None:
        """Return the counts of all together; None when not all of them have any."""
        every = list(counts)
        known = [of_one for of_one in every if of_one is not None]
        return sum(known, cls()) if len(known) == len(every) and known else None


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
        """What the row's records hold as `augment/variant`."""
        return ORIGINAL_VARIANT if self.variant is None else self.variant


@dataclass(frozen=True, kw_only=True)
class Split:
    """The grid of a split."""

    num_places: int
    num_records: int
    num_blocks: int
    sources_sha256: str
    next_row: int
    rows: list[Row]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that a reader needs to know; what it does not list does not exist.

    Attributes:
        mirroring: What a reader may do to training records of its own accord: ``"horizontal"``, ``"vertical"``, both
            or neither. Empty in datasets of format 1.0.
        conflicts: `num_sources` whose image is that of another source with another label or mask, and `examples`, pairs
            of keys; empty when there are none.
        remarks: What was counted in the sources: ``"empty"``, objects whose masks hold no pixel; ``"overlap"``, pixels
            that belong to several objects, of masks that were merged; ``"numbered"``, masks of a sample whose ids seem
            to be numbers of objects: `number`, `num_sources`, `examples`, keys.
    """

    name: str
    generation: str
    fingerprint: str
    settings: dict[str, Any]
    image: Image
    target: Target
    normalize: dict[str, dict[str, Any] | None]
    splits: dict[str, Split]
    skipped: list[dict[str, str]] = field(default_factory=list)
    leaks: list[dict[str, Any]] = field(default_factory=list)
    cpu_features: list[str] = field(default_factory=list)
    mirroring: list[str] = field(default_factory=list)
    conflicts: dict[str, Any] = field(default_factory=dict)
    remarks: dict[str, Any] = field(default_factory=dict)

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
        if version[0] != VERSION[0]:
            raise DatasetError(
                f"{path}: the dataset has format {version[0]}, this version reads format {VERSION[0]}. "
                f"Install a version of augment-once that reads format {version[0]}."
            )
        manifest = parse_json(cls, content, str(path))
        manifest._check_names(path)
        check_limits(manifest, path)
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
        """Boxes that a record has, at most, in all listed rows of all splits."""
        counts = BoxCounts.total(row.boxes for split in self.splits.values() for row in split.rows)
        return 0 if counts is None else counts.most_boxes

    @property
    def extra(self) -> dict[str, str]:
        """Name → type (int, float, text) of what each record has beside image and target; weight is one of them."""
        types: dict[str, str] = self.settings.get("dataset", {}).get("extra", {})
        return types

    def shard_path(self, folder: Path, split: str, row: int, block: int) -> Path:
        """Return where the shard of one block in one row lies."""
        num_blocks = self.splits[split].num_blocks
        return DatasetPaths(folder).shard(self.name, self.generation, split, row, block, num_blocks)

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return dump({"format": FORMAT, "version": list(VERSION), **dataclasses.asdict(self)})


@dataclass(frozen=True, kw_only=True)
class Shard:
    """What is known of one file of a row."""

    num_records: int
    num_bytes: int
    sha256: str
    boxes: BoxCounts | None = None  # where records have boxes


@dataclass(frozen=True, kw_only=True)
class RowFile:
    """Counts and hashes of one row, a shard a block. Never changed once the manifest lists it."""

    generation: str
    split: str
    row: int
    seed: int
    variant: int | None
    original: bool
    shards: list[Shard]

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return dump(dataclasses.asdict(self))


def read_row_file(folder: Path, manifest: Manifest, split: str, row: Row) -> RowFile:
    """Read the row file that the manifest lists.

    Raises:
        DatasetError: It is missing, or is not the one that the manifest names by its sha256.
    """
    path = DatasetPaths(folder).row_file(manifest.generation, split, row.row)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: the manifest lists row {row.row} of {split}, but: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise DatasetError(f"{path}: this is not the row file that the manifest names by its sha256; it was altered.")
    parsed = parse_json(RowFile, decode_json(path, content), str(path))
    if len(parsed.shards) != manifest.splits[split].num_blocks:
        raise DatasetError(
            f"{path}: expected {manifest.splits[split].num_blocks} shards, one a block, got {len(parsed.shards)}."
        )
    return parsed

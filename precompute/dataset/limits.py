"""What a manifest may say: a file that was altered, or made by others, is refused here rather than believed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from precompute.dataset.json_files import parse_json
from precompute.dataset.paths import MAX_ROW
from precompute.errors import DatasetError
from precompute.targets.keypoints import is_skeleton

if TYPE_CHECKING:
    from precompute.dataset.manifest import Manifest, Split

__all__ = ["check_limits"]

INT64 = 2**63
MOST_BLOCKS = 99_999  # five digits in a shard's name
MOST_PIXELS = 2**28
MOST_CLASS_IDS = 2**16


@dataclass(frozen=True, kw_only=True)
class _Pixels:
    pipelines: dict[str, dict[str, Any]]
    versions: dict[str, str]
    quality: int | None
    mask_map: dict[str, int] = field(default_factory=dict)
    min_visibility: float = 0.0
    min_area: float = 0.0
    mask_offset: int = 0
    mask_colors: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Dataset:
    root: str | None = None
    num_classes: int | None = None
    ignore_class: int | None = None


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


def check_limits(manifest: Manifest, path: Path) -> None:
    """Refuse a manifest whose fields have the right types and senseless values.

    Raises:
        DatasetError: It is one; names the field.
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
    """Yield name, value, and whether it is one that makes sense."""
    image, target = manifest.image, manifest.target
    encodings, dtypes = (("png", "raw"), ("uint8", "uint16")) if target.kind == "mask" else ((None,), (None,))
    yield "image", image, min(image.height, image.width) > 0 and image.height * image.width <= MOST_PIXELS
    yield "image: channels", image.channels, image.channels in (1, 3, 4)
    yield "image: encoding", image.encoding, image.encoding in ("jpeg", "png", "raw")
    kinds = ("class", "multilabel", "mask", "boxes", "keypoints", "instances", "image")
    yield "target: kind", target.kind, target.kind in kinds
    if target.kind == "keypoints" or target.keypoints is not None:
        known = target.keypoints is not None and target.kind == "keypoints" and is_skeleton(target.keypoints)
        yield "target: keypoints", target.keypoints, known
    yield "target: encoding", target.encoding, target.encoding in encodings
    yield "target: dtype", target.dtype, target.dtype in dtypes
    yield "target: num_classes", target.num_classes, 0 <= target.num_classes <= MOST_CLASS_IDS
    yield "target: ignore_class", target.ignore_class, 0 <= (target.ignore_class or 0) < MOST_CLASS_IDS
    for name, kind in manifest.extra.items():
        known = bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name)) and kind in ("int", "float", "text")
        yield "settings: dataset: extra", {name: kind}, known
    for what, counts in manifest.remarks.items():
        yield f"remarks: {what}", counts, _is_remark(counts)
    for side in manifest.mirroring:
        yield "mirroring", side, side in ("horizontal", "vertical")
    for old, new in pixels.mask_map.items():
        name = "settings: pixels: mask_map"
        yield name, {old: new}, bool(re.fullmatch(r"[0-9]{1,5}", old)) and 0 <= new < MOST_CLASS_IDS
    yield "settings: pixels: mask_offset", pixels.mask_offset, abs(pixels.mask_offset) < MOST_CLASS_IDS
    for color, new in pixels.mask_colors.items():
        name = "settings: pixels: mask_colors"
        yield name, {color: new}, bool(re.fullmatch(r"#[0-9a-f]{6}", color)) and 0 <= new < MOST_CLASS_IDS
    for split_name, split in manifest.splits.items():
        for name, value, allowed in _split_values(split):
            yield f"splits: {split_name}: {name}", value, allowed


def _is_remark(counts: Any) -> bool:
    if not isinstance(counts, dict):
        return False
    numbers, examples = [counts.get(name) for name in ("number", "num_sources")], counts.get("examples")
    return all(type(number) is int and 0 <= number < INT64 for number in numbers) and (
        isinstance(examples, list) and all(isinstance(key, str) for key in examples)
    )


def _split_values(split: Split) -> Iterator[tuple[str, Any, bool]]:
    yield "num_places", split.num_places, 0 <= split.num_places < INT64
    yield "num_blocks", split.num_blocks, 1 <= split.num_blocks <= MOST_BLOCKS
    for row in split.rows:
        yield "row", row.row, 0 <= row.row <= MAX_ROW
        yield "seed", row.seed, -INT64 <= row.seed < INT64
        yield "variant", row.variant, -1 <= row.stored_variant < INT64
        if row.boxes is not None:
            counts = (row.boxes.num_boxes, row.boxes.most_boxes, row.boxes.num_empty)
            yield "boxes", row.boxes, all(0 <= count < INT64 for count in counts)

"""From the files of a source to its pixels and target in memory, checked against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.dataset.manifest import Label
from precompute.errors import RejectedSource
from precompute.fields.boxes import UNKNOWN_SIZE, Boxes
from precompute.fields.instances import Instances
from precompute.images.decode import decode_colors, decode_mask, decode_shrunk, orientation_of
from precompute.images.instance_masks import (
    EMPTY,
    OVERLAP,
    load_instances,
    merge_instances,
    plain_boxes,
    shrink_instances,
)
from precompute.images.mask_files import UnlistedColors, changed_ids, ids_of_colors
from precompute.images.shrink import shrink_mask
from precompute.pipelines.mask_rules import AllowedIds
from precompute.pipelines.pipeline import Target
from precompute.rendering.spec import RecordSpec

__all__ = ["Decoded", "decode_source"]

OPAQUE_ALPHA, TURNED = "opaque_alpha", "turned"  # what is counted, beside what becomes of masks


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A source in memory.

    Attributes:
        key: The source's key.
        filename: Name of the image file.
        image: uint8 [H, W, 1, 3 or 4], grey, RGB or RGBA; shrunk if it was larger than the spec allows.
        mask: uint8 or uint16 [H, W], or None; shrunk likewise.
        label: Class index, sorted class indices where images have several labels, or None.
        sha256: SHA-256 of the image file's bytes.
        mask_sha256: SHA-256 of the mask file's bytes, or None.
        boxes: Boxes around its objects, or None.
        full_size: Height and width of a source that was shrunk, before that; None for others.
        extra: Weight and extra values by name, which travel along; None without.
        remarks: What is to be counted, such as objects without a pixel: what → how many.
    """

    key: str
    filename: str
    image: NDArray[np.uint8]
    mask: NDArray[Any] | None
    label: Label | None
    sha256: str
    mask_sha256: str | None
    boxes: Boxes | None = None
    full_size: tuple[int, int] | None = None
    extra: Mapping[str, Any] | None = None
    remarks: Mapping[str, int] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        """What is moved with the pixels."""
        return self.boxes if self.mask is None else self.mask

    @cached_property
    def class_ids(self) -> NDArray[np.int64]:
        """The ids that the mask holds, ascending; none without a mask."""
        return np.flatnonzero(np.bincount(self.mask.reshape(-1))) if self.mask is not None else np.zeros(0, np.int64)

    @cached_property
    def _allowed(self) -> dict[frozenset[int], AllowedIds]:
        return {}  # one source serves many records

    def allowed_ids(self, fills: frozenset[int]) -> AllowedIds:
        """Return the ids that masks made of this source may hold: its own, and these fills."""
        if fills not in self._allowed:
            self._allowed[fills] = AllowedIds.of({*self.class_ids.tolist(), *fills})
        return self._allowed[fills]

    def with_mask_dtype(self, dtype: str) -> Decoded:
        """Return the source with its mask in another integer type that holds its ids."""
        return self if self.mask is None else replace(self, mask=self.mask.astype(dtype, copy=False))


def decode_source(
    key: str, image: Path, mask: Path | None, label: Label | None, spec: RecordSpec, boxes: Boxes | None = None
) -> Decoded:
    """Read and decode one source.

    Raises:
        RejectedSource: A file is missing or not usable; the message names it.
    """
    content, (pixels, full_size, opaque_alpha) = _read(
        image,
        lambda content: decode_shrunk(content, spec.max_source_size, spec.color_mode, spec.scale, spec.alpha),
    )
    shrunk = full_size != pixels.shape[:2]
    turned = (mask is not None or boxes is not None) and orientation_of(content) != 1
    ids, mask_hash = None, None
    if mask is not None:
        mask_content, stored = _read(
            mask, lambda content: (decode_colors if spec.mask_colors else decode_mask)(content, spec.alpha)
        )
        ids = _with_path(mask, lambda: _class_ids(stored, spec))
        mask_hash = hashlib.sha256(mask_content).hexdigest()
        if ids.shape != full_size:
            raise RejectedSource(
                f"{mask}: is {ids.shape[1]}×{ids.shape[0]} pixels, but its image {image} is "
                f"{full_size[1]}×{full_size[0]}; both must have one size"
            )
        ids = shrink_mask(ids, pixels.shape[:2]) if shrunk else ids
        turned = turned and orientation_of(content) != orientation_of(mask_content)
    remarks: dict[str, int] = {}
    if isinstance(boxes, Instances):
        boxes, ids, mask_hash, remarks = _objects(image, boxes, full_size, pixels.shape[:2], spec)
    elif boxes is not None:
        boxes = _of_size(image, full_size, boxes)
    return Decoded(
        key=key,
        filename=image.name,
        image=pixels,
        mask=ids,
        label=label,
        sha256=hashlib.sha256(content).hexdigest(),
        mask_sha256=mask_hash,
        boxes=boxes,
        full_size=full_size if shrunk else None,
        remarks=remarks | ({OPAQUE_ALPHA: 1} if opaque_alpha else {}) | ({TURNED: 1} if turned else {}),
    )


def _objects(
    image: Path, instances: Instances, full_size: tuple[int, int], size: tuple[int, int], spec: RecordSpec
) -> tuple[Boxes | None, NDArray[Any] | None, str, dict[str, int]]:
    """Return what becomes of masks of single objects: them or boxes, or class ids; their hash, and remarks."""
    loaded, mask_hash, num_empty = load_instances(image, instances, full_size, spec.alpha)
    remarks = {EMPTY: num_empty} if num_empty else {}
    if spec.kind == "boxes":
        return plain_boxes(loaded), None, mask_hash, remarks
    if spec.kind != "mask":
        return loaded if size == full_size else shrink_instances(loaded, size), None, mask_hash, remarks
    merged, overlap = merge_instances(loaded, spec.ignore_class)
    remarks |= {OVERLAP: overlap} if overlap else {}
    ids = _with_path(image, lambda: _class_ids(merged, spec))
    return None, ids if size == full_size else shrink_mask(ids, size), mask_hash, remarks


def _of_size(image: Path, full_size: tuple[int, int], boxes: Boxes) -> Boxes:
    """Return the boxes with the size of their image, before it was shrunk: as shares they stay where they are."""
    height, width = full_size
    if boxes.size == UNKNOWN_SIZE:
        return replace(boxes, size=(width, height))
    if boxes.size is not None and boxes.size != (width, height):
        turned = boxes.size == (height, width) and ": was it turned by its EXIF orientation after it was annotated?"
        raise RejectedSource(
            f"{image}: is {width}×{height} pixels (width × height), but its boxes are meant for "
            f"{boxes.size[0]}×{boxes.size[1]}{turned or ''}; annotate it as it is shown upright, or fix the size"
        )
    return boxes


def _read(path: Path, decode: Any) -> tuple[bytes, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RejectedSource(f"{path}: cannot be read: {error.strerror}") from error
    return content, _with_path(path, lambda: decode(content))


def _with_path(path: Path, function: Any) -> Any:
    try:
        return function()
    except UnlistedColors as error:
        raise UnlistedColors(error.counts, where=f"{path}: ") from error
    except RejectedSource as error:
        raise RejectedSource(f"{path}: {error}") from error


def _class_ids(stored: NDArray[Any], spec: RecordSpec) -> NDArray[Any]:
    """Return the class ids of a decoded mask, in the dtype of records."""
    if spec.mask_colors:
        ids: NDArray[Any] = ids_of_colors(stored, spec.mask_colors)
    else:
        ids = changed_ids(stored, spec.mask_map, spec.mask_offset)
    present = np.flatnonzero(np.bincount(ids.reshape(-1)))
    unknown = [int(i) for i in present if i > spec.max_class_id and i != spec.ignore_class]
    if unknown:
        raise RejectedSource(
            f"holds class ids {', '.join(map(str, unknown[:5]))}; expected ids up to {spec.max_class_id}: "
            "give --num-classes, map them with --mask-map, or name one as --ignore-class"
        )
    return ids.astype(spec.mask_dtype, copy=False)

"""One pure function makes a record: (source, pipeline, seed, variant, copy) → bytes.

The task, the preview, verification and making one record again all call it, so none of them can differ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from precompute.boxes import UNKNOWN_SIZE, Boxes
from precompute.color_modes import CHANNELS, Scale
from precompute.dataset.manifest import Label
from precompute.errors import RejectedSource
from precompute.instances import Instances
from precompute.keypoints import Skeleton
from precompute.record.box_features import box_features
from precompute.record.example import Value, encode_example
from precompute.record.extra_features import extra_features
from precompute.record.instance_features import instance_features
from precompute.record.instance_masks import (
    EMPTY,
    OVERLAP,
    load_instances,
    merge_instances,
    plain_boxes,
    shrink_instances,
)
from precompute.record.instance_rules import large_enough
from precompute.record.mask_files import UnlistedColors, changed_ids, ids_of_colors
from precompute.record.mask_ids import AllowedIds, UnknownIds
from precompute.record.pipeline import Pipeline, Target
from precompute.record.pixels import decode_colors, decode_mask, decode_shrunk, encode_image, encode_mask
from precompute.record.point_features import point_features
from precompute.record.shrinking import shrink_mask

__all__ = ["Decoded", "RecordSpec", "augment", "decode_source", "encode_record", "render", "source_id"]

SOURCE_ID_PERSON = b"augonce-source-1"
NUM_SOURCE_IDS = 2**53  # what a float64 holds exactly


@dataclass(frozen=True, kw_only=True)
class RecordSpec:
    """What every record of a dataset has in common.

    Attributes:
        height: Of image and mask, pixels; None while it is being found out.
        width: Likewise.
        encoding: ``"jpeg"``, ``"png"`` or ``"raw"``.
        quality: Of JPEG, 1 to 100.
        kind: ``"class"``, ``"multilabel"``, ``"mask"``, ``"boxes"``, ``"keypoints"``, ``"instances"`` or ``"image"``.
        class_names: Name of each class index; empty for masks without names.
        mask_map: Id in the file → class id.
        mask_offset: Added to the ids in the file that the map does not name.
        mask_colors: (packed colour, class id), in the order of the colours, where masks hold colours; else empty.
        max_class_id: Largest id that a mask may hold after the map, the ignore class apart.
        ignore_class: Id that may stand in masks beside the classes.
        mask_dtype: ``"uint8"`` or ``"uint16"``.
        max_source_size: Pixels that the longer side of a source may have; larger ones are shrunk while decoding.
        skeleton: Of keypoints, else None.
        color_mode: ``"grayscale"``, ``"rgb"`` or ``"rgba"``.
        scale: How more than 8 bits a channel become 8; None: they are refused.
        min_area: Pixels that must be left of the mask of a single object.
    """

    height: int | None
    width: int | None
    encoding: str
    quality: int
    kind: str
    class_names: tuple[str, ...] = ()
    mask_map: tuple[tuple[int, int], ...] = ()
    mask_offset: int = 0
    mask_colors: tuple[tuple[int, int], ...] = ()
    max_class_id: int = 255
    ignore_class: int | None = None
    mask_dtype: str = "uint8"
    max_source_size: int | None = None
    min_area: float = 0.0
    skeleton: Skeleton | None = None
    color_mode: str = "rgb"
    scale: Scale | None = None

    @property
    def channels(self) -> int:
        """Of images: 1, 3 or 4."""
        return CHANNELS[self.color_mode]

    @property
    def mask_encoding(self) -> str:
        """Masks are raw beside raw images, else PNG."""
        return "raw" if self.encoding == "raw" else "png"


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A source in memory.

    Attributes:
        key: The source's key.
        filename: Name of the image file.
        image: uint8 [H, W, 1, 3 or 4], grey, RGB or RGBA; shrunk if it was larger than the spec allows.
        mask: uint8 or uint16 [H, W], or None; shrunk likewise.
        label: Class index, sorted class indices where images have several labels, or None.
        sha256: Of the image file's bytes.
        mask_sha256: Of the mask file's bytes, or None.
        boxes: Around its objects, or None.
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
    def _allowed(self) -> dict[frozenset[int], AllowedIds]:
        return {}  # one source serves many records

    def allowed_ids(self, fills: frozenset[int]) -> AllowedIds:
        """Return the ids that masks made of this source may hold: its own, and these fills."""
        if fills not in self._allowed:
            mask = np.zeros(0, np.uint8) if self.mask is None else self.mask
            self._allowed[fills] = AllowedIds.of_mask(mask, fills)
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
    content, (pixels, full_size) = _read(
        image, lambda content: decode_shrunk(content, spec.max_source_size, spec.color_mode, spec.scale)
    )
    shrunk = full_size != pixels.shape[:2]
    ids, mask_hash = None, None
    if mask is not None:
        mask_content, stored = _read(mask, decode_colors if spec.mask_colors else decode_mask)
        ids = _with_path(mask, lambda: _class_ids(stored, spec))
        mask_hash = hashlib.sha256(mask_content).hexdigest()
        if ids.shape != full_size:
            raise RejectedSource(
                f"{mask}: is {ids.shape[1]}×{ids.shape[0]} pixels, but its image {image} is "
                f"{full_size[1]}×{full_size[0]}; both must have one size"
            )
        ids = shrink_mask(ids, pixels.shape[:2]) if shrunk else ids
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
        remarks=remarks,
    )


def _objects(
    image: Path, instances: Instances, full_size: tuple[int, int], size: tuple[int, int], spec: RecordSpec
) -> tuple[Boxes | None, NDArray[Any] | None, str, dict[str, int]]:
    """Return what becomes of masks of single objects: them or boxes, or class ids; their hash, and remarks."""
    loaded, mask_hash, num_empty = load_instances(image, instances, full_size)
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
            f"{boxes.size[0]}×{boxes.size[1]}{turned or ''}; annotate it as it is shown upright, or mend the size"
        )
    return boxes


def augment(
    source: Decoded, pipeline: Pipeline, spec: RecordSpec, *, seed: int, variant: int, copy: int = 0
) -> tuple[NDArray[np.uint8], Any]:
    """Return image and mask, or image and boxes, of one variant, checked against what records must be.

    Raises:
        RejectedSource: The pipeline failed on this source, or gave another size or type.
        UnknownIds: It made class ids that the source does not hold.
    """
    try:
        image, target = pipeline.apply(
            source.image, source.target, seed=seed, key=source.key, variant=variant, copy=copy
        )
    except Exception as error:  # a transform may raise anything
        raise RejectedSource(
            f"{source.filename}: the pipeline failed at variant {variant} (seed {seed}): "
            f"{type(error).__name__}: {error}"
        ) from error
    if isinstance(target, Boxes) and spec.skeleton is not None:
        target = target.flipped(spec.skeleton.flip_pairs)
    if spec.channels == 1 and isinstance(image, np.ndarray) and image.ndim == 2:
        image = image[..., None]
    if isinstance(target, Instances):
        target = large_enough(target, spec.min_area)
    mask = None if isinstance(target, Boxes) else target
    wrong = _wrong_output(image, mask, spec)
    if wrong:
        raise RejectedSource(f"{source.filename}: at variant {variant} (seed {seed}) the pipeline gave {wrong}")
    if mask is not None:
        _check_ids(source, mask, pipeline, spec, f"{source.filename}: at variant {variant} (seed {seed})")
    return image, target


def _check_ids(source: Decoded, mask: NDArray[Any], pipeline: Pipeline, spec: RecordSpec, where: str) -> None:
    fills = pipeline.mask_fills if spec.ignore_class is None else pipeline.mask_fills | {spec.ignore_class}
    unknown = source.allowed_ids(fills).unknown(mask)
    if unknown:
        raise UnknownIds(
            f"{where} the pipeline made class ids that its mask does not hold: {', '.join(map(str, unknown[:5]))}"
            f"{' …' if len(unknown) > 5 else ''}. Interpolation other than nearest blends ids "
            "(mask_interpolation); a transform that fills says so in fill_mask; to change ids, use --mask-map"
        )


def render(source: Decoded, pipeline: Pipeline, spec: RecordSpec, *, seed: int, variant: int, copy: int = 0) -> bytes:
    """Return the record of one variant of a source, as serialized tf.train.Example.

    Raises:
        RejectedSource: The pipeline failed on this source, or gave another size or type.
    """
    image, target = augment(source, pipeline, spec, seed=seed, variant=variant, copy=copy)
    return encode_record(source, image, target, spec, seed=seed, variant=variant, copy=copy)


def encode_record(
    source: Decoded,
    image: NDArray[np.uint8],
    target: Target,
    spec: RecordSpec,
    *,
    seed: int,
    variant: int,
    copy: int = 0,
) -> bytes:
    """Return the record of what `augment` gave for a source."""
    features: dict[str, Value] = {
        "augment/copy": copy,
        "augment/key": source.key.encode(),
        "augment/seed": seed,
        "augment/variant": variant,
        "image/encoded": encode_image(image, spec.encoding, spec.quality),
        "image/filename": source.filename.encode(),
        "image/format": spec.encoding.encode(),
        "image/height": image.shape[0],
        "image/source_id": str(source_id(source.key)).encode(),
        "image/width": image.shape[1],
    }
    if source.extra is not None:
        features |= extra_features(source.extra)
    if isinstance(source.label, int):
        features["image/class/label"] = source.label
        features["image/class/text"] = spec.class_names[source.label].encode()
    elif source.label is not None:
        names = [spec.class_names[label].encode() for label in source.label]
        features["image/class/label"] = np.array(source.label, np.int64)
        features["image/class/text"] = np.array(names, object)  # an array keeps its type when it is empty
    size = {"height": image.shape[0], "width": image.shape[1]}
    if isinstance(target, Instances):
        features |= instance_features(target, spec.class_names, **size)
    elif isinstance(target, Boxes):
        boxed = spec.skeleton is None or spec.skeleton.boxed
        features |= box_features(target, spec.class_names, boxed=boxed, **size)
        features |= {} if spec.skeleton is None else point_features(target, spec.skeleton)
    elif target is not None:
        features["image/segmentation/class/encoded"] = encode_mask(target, spec.mask_encoding)
        features["image/segmentation/class/format"] = spec.mask_encoding.encode()
    return encode_example(features)


def source_id(key: str) -> int:
    """Return the number that stands for a key: some readers parse `image/source_id` as a number."""
    hashed = hashlib.blake2b(key.encode(), digest_size=8, person=SOURCE_ID_PERSON).digest()
    return int.from_bytes(hashed, "little") % NUM_SOURCE_IDS


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


def _wrong_output(image: Any, mask: Any, spec: RecordSpec) -> str | None:
    """Return what is wrong with a pipeline's output, or None."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        return f"an image of type {getattr(image, 'dtype', type(image).__name__)} where uint8 is expected"
    if image.ndim != 3 or image.shape[2] != spec.channels:
        return f"an image of shape {image.shape} where [height, width, {spec.channels}] is expected"
    expected = (spec.height or image.shape[0], spec.width or image.shape[1])
    if image.shape[:2] != expected:
        return (
            f"{image.shape[0]}×{image.shape[1]} pixels where {expected[0]}×{expected[1]} (height × width) are expected"
        )
    if mask is not None and (mask.shape != expected or mask.dtype != np.dtype(spec.mask_dtype)):
        return f"a mask of shape {mask.shape} and type {mask.dtype} where {expected} and {spec.mask_dtype} are expected"
    return None

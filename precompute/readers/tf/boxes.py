"""Boxes and their keypoints as tensors: parsed, moved along with fresh steps, handed out as was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from precompute.dataset.manifest import OBJECTS, Manifest
from precompute.errors import UsageError
from precompute.fields.skeleton import Skeleton

__all__ = [
    "BoxFormat",
    "box_parser",
    "box_weigher",
    "choose_box_format",
    "move_boxes",
    "move_keypoints",
    "to_output_format",
]

CORNERS = ("xyxy", "yxyx", "xywh", "center_xywh")  # in Keras' wording; with rel_ before it: shares of width and height
FORMATS = (*CORNERS, *(f"rel_{corners}" for corners in CORNERS))
SIDES = ("ymin", "xmin", "ymax", "xmax")
LABEL_KEY = "image/object/class/label"
PARTS = ("labels", "mask", "crowd", "difficult")  # what the parser gives, in this order, after the boxes
FLAG_KEYS = {"crowd": "image/object/is_crowd", "difficult": "image/object/difficult"}
MASK_KEY = "image/object/mask"
POINT_PARTS = ("keypoints", "visibility")  # what the parser gives of them, in this order
KEY = "image/object/keypoint/"


@dataclass(frozen=True, kw_only=True)
class BoxFormat:
    """How boxes are handed out.

    Attributes:
        name: One of FORMATS.
        ragged: Whether boxes are ragged tensors.
        size: Boxes an image, padded to that; None: as many as the fullest image of a batch has.
        masks: Each box has a mask.
        cut: Whether the user chose the size, so that more boxes are left out; else more are an error.
        skeleton: Skeleton of keypoints, or None.
    """

    name: str
    ragged: bool
    size: int | None
    cut: bool
    skeleton: Skeleton | None = None
    masks: bool = False

    @property
    def has_boxes(self) -> bool:
        """Whether objects have boxes, or keypoints alone."""
        return self.skeleton is None or self.skeleton.boxed

    @property
    def parts(self) -> tuple[str, ...]:
        """What the parser gives, in this order."""
        boxes = ("boxes", *PARTS) if self.has_boxes else PARTS
        return (*boxes, *(("masks",) if self.masks else ()), *(() if self.skeleton is None else POINT_PARTS))


def choose_box_format(
    manifest: Manifest, *, box_format: str | None, max_boxes: int | None, ragged: bool, held: bool
) -> BoxFormat | None:
    """Return how boxes are handed out; None where records have none.

    Args:
        manifest: The manifest: its largest count of boxes is the size of dense tensors, so that shapes are static.
        box_format: One of FORMATS; None: ``"xyxy"``.
        max_boxes: Boxes an image, in place of the manifest's.
        ragged: Whether boxes are to be ragged tensors.
        held: Whether boxes are held in memory, all batches together.

    Raises:
        UsageError: There is no such format, the records have no boxes, or arguments contradict each other.
    """
    if manifest.target.kind not in OBJECTS:
        if box_format is not None or max_boxes is not None or ragged:
            raise UsageError(f"box_format, max_boxes, ragged: the records of {manifest.name} have no boxes.")
        return None
    if box_format is not None and box_format not in FORMATS:
        raise UsageError(f"box_format: expected one of {', '.join(FORMATS)}, got {box_format!r}.")
    if ragged and max_boxes is not None:
        raise UsageError("max_boxes: ragged tensors hold all boxes; give one of the two.")
    largest = max(1, manifest.most_boxes)
    return BoxFormat(
        name=box_format or "xyxy",
        ragged=ragged,
        size=(None if ragged and not held else largest) if max_boxes is None else max_boxes,
        cut=max_boxes is not None,
        skeleton=manifest.target.keypoints,
        masks=manifest.target.kind == "instances",
    )


def box_parser(manifest: Manifest, boxes: BoxFormat) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """Return the features to parse, and a function from them to a dictionary of dense tensors.

    ``boxes`` float32 [B, N, 4] as y_min, x_min, y_max, x_max in pixels, padded with 0; ``labels`` int64 [B, N], padded
    with −1; ``mask``, ``crowd``, ``difficult`` bool [B, N]; where objects have masks ``masks`` bool [B, N, H, W]; and
    what `_parse_keypoints` gives.
    """
    height, width = manifest.image.height, manifest.image.width
    sides = [(f"image/object/bbox/{side}", float(width if side[0] == "x" else height)) for side in SIDES]
    skeleton = boxes.skeleton
    spec = {key: tf.io.RaggedFeature(tf.float32) for key, _ in sides} if boxes.has_boxes else {}
    spec |= {} if skeleton is None else _keypoint_spec()
    parse_masks = _mask_parser(height, width, boxes.size) if boxes.masks else None
    if parse_masks is not None:
        spec[MASK_KEY] = tf.io.RaggedFeature(tf.string)
    spec |= {key: tf.io.RaggedFeature(tf.int64) for key in (LABEL_KEY, *FLAG_KEYS.values())}

    def parse(features: Any) -> dict[str, Any]:
        counts = features[LABEL_KEY].row_lengths()
        if boxes.size is not None and not boxes.cut:
            message = f"a record has more boxes than the {boxes.size} known when it was opened: open it again."
            tf.debugging.assert_less_equal(tf.reduce_max(counts), tf.cast(boxes.size, counts.dtype), message)
        longest = tf.reduce_max(counts) if boxes.size is None else boxes.size

        def dense(key: str, padding: Any) -> Any:
            padded = features[key].to_tensor(padding, shape=[None, boxes.size])
            return padded if boxes.size is None else tf.ensure_shape(padded, [counts.shape[0], boxes.size])

        found = (
            {"boxes": tf.stack([dense(key, 0.0) * scale for key, scale in sides], axis=-1)} if boxes.has_boxes else {}
        )
        found |= {
            "labels": dense(LABEL_KEY, -1),
            "mask": tf.sequence_mask(tf.minimum(counts, tf.cast(longest, counts.dtype)), longest),
            **{name: dense(key, 0) > 0 for name, key in FLAG_KEYS.items()},
            **({} if parse_masks is None else {"masks": parse_masks(features[MASK_KEY])}),
        }
        if skeleton is not None:
            found |= _parse_keypoints(features, longest, skeleton, height=height, width=width)
        return found

    return spec, parse


def move_boxes(targets: dict[str, Any], moves: Any, skeleton: Skeleton | None = None) -> dict[str, Any]:
    """Return the boxes where `moves` took the pixels; those that left the image are padding from then on."""
    kept, found = targets["mask"], {}
    masks = _move_masks(targets["masks"], moves) if "masks" in targets else None
    if "boxes" in targets:
        moved = moves.boxes(targets["boxes"]) if masks is None else _boxes_around(masks)
        kept &= tf.reduce_all(moved[..., :2] < moved[..., 2:], axis=-1)
        found["boxes"] = tf.where(kept[..., None], moved, 0.0)
    found |= {
        "labels": tf.where(kept, targets["labels"], -1),
        "mask": kept,
        **{name: targets[name] & kept for name in FLAG_KEYS},
        **({} if masks is None else {"masks": masks}),
    }
    if skeleton is not None:
        points = move_keypoints(targets, moves, skeleton)
        found["keypoints"] = tf.where(kept[..., None, None], points["keypoints"], 0.0)
        found["visibility"] = tf.where(kept[..., None], points["visibility"], 0)
    return found


def to_output_format(targets: dict[str, Any], boxes: BoxFormat, *, height: int, width: int) -> dict[str, Any]:
    """Return boxes in the format that was asked for, and keypoints in its unit."""
    found = {**targets, "boxes": _formatted(targets["boxes"], boxes, height, width)} if boxes.has_boxes else {**targets}
    if boxes.skeleton is not None and boxes.name.startswith("rel_"):
        found["keypoints"] = targets["keypoints"] / tf.constant([width, height], tf.float32)
    if not boxes.ragged:
        return found
    mask = found.pop("mask")
    return {name: tf.ragged.boolean_mask(values, mask) for name, values in found.items()}


def _formatted(corners: Any, boxes: BoxFormat, height: int, width: int) -> Any:
    y_min, x_min, y_max, x_max = tf.unstack(corners, axis=-1)
    if boxes.name.startswith("rel_"):
        y_min, x_min, y_max, x_max = y_min / height, x_min / width, y_max / height, x_max / width
    sizes = (x_max - x_min, y_max - y_min)
    sides = {
        "xyxy": (x_min, y_min, x_max, y_max),
        "yxyx": (y_min, x_min, y_max, x_max),
        "xywh": (x_min, y_min, *sizes),
        "center_xywh": ((x_min + x_max) / 2, (y_min + y_max) / 2, *sizes),
    }[boxes.name.removeprefix("rel_")]
    return tf.stack(sides, axis=-1)


def box_weigher(class_weights: list[float]) -> Callable[[Any], Any]:
    """Return a function from dense boxes to a weight for each, float32 [B, N]; 0 where there is padding."""
    weights = tf.constant([*class_weights, 0.0], tf.float32)
    return lambda targets: tf.gather(weights, tf.where(targets["mask"], targets["labels"], len(class_weights)))


# Masks of single objects as tensors: parsed, and moved along with fresh steps


def _mask_parser(height: int, width: int, size: int | None) -> Callable[[Any], Any]:
    """Return a function from PNGs, ragged string [B, (N)], to masks, bool [B, N, height, width], padded with false.

    Args:
        height: Height of the images.
        width: Width of the images.
        size: Masks an image; None: as many as the fullest image of a batch has.
    """

    def decode_one(encoded: Any) -> Any:
        return tf.ensure_shape(tf.io.decode_png(encoded, channels=1), (height, width, 1))

    def parse(encoded: Any) -> Any:
        kept = encoded if size is None else encoded[:, :size]  # what has no room is not decoded
        spec = tf.TensorSpec((height, width, 1), tf.uint8)
        decoded = tf.map_fn(decode_one, kept.flat_values, fn_output_signature=spec)
        masks = tf.RaggedTensor.from_row_splits(decoded[..., 0] > 0, kept.row_splits, validate=False)
        padded = masks.to_tensor(False, shape=[None, size, height, width])
        return tf.ensure_shape(padded, [encoded.shape[0], size, height, width])

    return parse


def _move_masks(masks: Any, moves: Any) -> Any:
    """Return masks, bool [B, N, H, W], where `moves` takes the pixels."""
    moved = moves.pixels(tf.transpose(masks, [0, 2, 3, 1]))
    return tf.transpose(moved, [0, 3, 1, 2])


def _boxes_around(masks: Any) -> Any:
    """Return the boxes around masks, float32 [B, N, 4] as y_min, x_min, y_max, x_max in pixels; 0 without a pixel."""
    sides = []
    for axis in (-1, -2):
        there = tf.reduce_any(masks, axis=axis)  # rows, then columns, that have a pixel
        some = tf.reduce_any(there, axis=-1)
        first = tf.argmax(tf.cast(there, tf.uint8), axis=-1)
        last = there.shape[-1] - tf.argmax(tf.cast(there[..., ::-1], tf.uint8), axis=-1)
        sides += [tf.where(some, side, 0) for side in (first, last)]
    y_min, y_max, x_min, x_max = (tf.cast(side, tf.float32) for side in sides)
    return tf.stack([y_min, x_min, y_max, x_max], axis=-1)


# Keypoints as tensors: parsed beside boxes, moved along with fresh steps, left and right changing places


def _keypoint_spec() -> dict[str, Any]:
    """Return the features to parse."""
    spec: dict[str, Any] = {f"{KEY}{axis}": tf.io.RaggedFeature(tf.float32) for axis in "xy"}
    return spec | {f"{KEY}visibility": tf.io.RaggedFeature(tf.int64)}


def _parse_keypoints(features: Any, size: Any, skeleton: Skeleton, *, height: int, width: int) -> dict[str, Any]:
    """Return `keypoints` float32 [B, size, K, 2] as x, y in pixels, and `visibility` int64 [B, size, K]; padded with 0.

    Args:
        features: Features, parsed by `_keypoint_spec`.
        size: Objects an image, a number or a tensor.
        skeleton: Skeleton of the keypoints.
        height: Height of the image, pixels.
        width: Width of the image, pixels.
    """
    fixed = size if isinstance(size, int) else None
    num = len(skeleton)

    def dense(name: str, padding: Any) -> Any:
        padded = features[f"{KEY}{name}"].to_tensor(padding, shape=[None, None if fixed is None else fixed * num])
        return tf.reshape(padded, [-1, size, num])

    points = tf.stack([dense("x", 0.0) * float(width), dense("y", 0.0) * float(height)], axis=-1)
    return {"keypoints": points, "visibility": dense("visibility", 0)}


def move_keypoints(targets: dict[str, Any], moves: Any, skeleton: Skeleton) -> dict[str, Any]:
    """Return keypoints where `moves` took the pixels; those that left the image are no longer labelled."""
    points, visibility = targets["keypoints"], targets["visibility"]
    size = tf.constant([moves.width, moves.height], points.dtype)
    mirror = tf.stack([moves.mirror_x, moves.mirror_y], axis=-1)[:, None, None]
    shift = tf.cast(tf.stack([moves.shift_x, moves.shift_y], axis=-1), points.dtype)[:, None, None]
    moved = tf.where(mirror, size - points, points) + shift
    inside = tf.reduce_all((moved >= 0) & (moved <= size), axis=-1) & (visibility > 0)
    moved, visibility = tf.where(inside[..., None], moved, 0.0), tf.where(inside, visibility, 0)
    if skeleton.flip_pairs:
        order = np.arange(len(skeleton))
        for left, right in skeleton.flip_pairs:
            order[[left, right]] = right, left
        mirrored = tf.math.logical_xor(moves.mirror_x, moves.mirror_y)[:, None, None]
        moved = tf.where(mirrored[..., None], tf.gather(moved, order, axis=2), moved)
        visibility = tf.where(mirrored, tf.gather(visibility, order, axis=2), visibility)
    return {"keypoints": moved, "visibility": visibility}

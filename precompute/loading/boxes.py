"""Boxes and their keypoints as tensors: parsed, moved along with fresh steps, handed out as was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from precompute.dataset.manifest import OBJECTS, Manifest
from precompute.errors import UsageError
from precompute.loading.instances import MASK_KEY, boxes_around, mask_parser, move_masks
from precompute.loading.keypoints import POINT_PARTS, move_points, parse_points, point_spec
from precompute.targets.keypoints import Skeleton

__all__ = ["BoxFormat", "box_parser", "box_weigher", "choose_box_format", "hand_out", "move_boxes"]

CORNERS = ("xyxy", "yxyx", "xywh", "center_xywh")  # in Keras' wording; with rel_ before it: shares of width and height
FORMATS = (*CORNERS, *(f"rel_{corners}" for corners in CORNERS))
SIDES = ("ymin", "xmin", "ymax", "xmax")
LABEL_KEY = "image/object/class/label"
PARTS = ("labels", "mask", "crowd", "difficult")  # what the parser gives, in this order, after the boxes
FLAG_KEYS = {"crowd": "image/object/is_crowd", "difficult": "image/object/difficult"}


@dataclass(frozen=True, kw_only=True)
class BoxFormat:
    """How boxes are handed out.

    Attributes:
        name: One of FORMATS.
        ragged: As ragged tensors.
        size: Boxes an image, padded to that; None: as many as the fullest image of a batch has.
        masks: Each box has a mask.
        cut: Whether the user chose the size, so that more boxes are left out; else more are an error.
        skeleton: Of keypoints, or None.
    """

    name: str
    ragged: bool
    size: int | None
    cut: bool
    skeleton: Skeleton | None = None
    masks: bool = False

    @property
    def boxed(self) -> bool:
        """Whether objects have boxes, or keypoints alone."""
        return self.skeleton is None or self.skeleton.boxed

    @property
    def parts(self) -> tuple[str, ...]:
        """What the parser gives, in this order."""
        boxes = ("boxes", *PARTS) if self.boxed else PARTS
        return (*boxes, *(("masks",) if self.masks else ()), *(() if self.skeleton is None else POINT_PARTS))


def choose_box_format(
    manifest: Manifest, *, box_format: str | None, max_boxes: int | None, ragged: bool, held: bool
) -> BoxFormat | None:
    """Return how boxes are handed out; None where records have none.

    Args:
        manifest: Its largest count of boxes is the size of dense tensors, so that shapes are static.
        box_format: One of FORMATS; None: ``"xyxy"``.
        max_boxes: Boxes an image, in place of the manifest's.
        ragged: As ragged tensors.
        held: In memory, all batches together.

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
    what `parse_points` gives.
    """
    height, width = manifest.image.height, manifest.image.width
    sides = [(f"image/object/bbox/{side}", float(width if side[0] == "x" else height)) for side in SIDES]
    skeleton = boxes.skeleton
    spec = {key: tf.io.RaggedFeature(tf.float32) for key, _ in sides} if boxes.boxed else {}
    spec |= {} if skeleton is None else point_spec()
    parse_masks = mask_parser(height, width, boxes.size) if boxes.masks else None
    if parse_masks is not None:
        spec[MASK_KEY] = tf.io.RaggedFeature(tf.string)
    spec |= {key: tf.io.RaggedFeature(tf.int64) for key in (LABEL_KEY, *FLAG_KEYS.values())}

    def parse(features: Any) -> dict[str, Any]:
        counts = features[LABEL_KEY].row_lengths()
        if boxes.size is not None and not boxes.cut:
            said = f"a record has more boxes than the {boxes.size} known when it was opened: open it again."
            tf.debugging.assert_less_equal(tf.reduce_max(counts), tf.cast(boxes.size, counts.dtype), said)
        longest = tf.reduce_max(counts) if boxes.size is None else boxes.size

        def dense(key: str, padding: Any) -> Any:
            padded = features[key].to_tensor(padding, shape=[None, boxes.size])
            return padded if boxes.size is None else tf.ensure_shape(padded, [counts.shape[0], boxes.size])

        found = {"boxes": tf.stack([dense(key, 0.0) * scale for key, scale in sides], axis=-1)} if boxes.boxed else {}
        found |= {
            "labels": dense(LABEL_KEY, -1),
            "mask": tf.sequence_mask(tf.minimum(counts, tf.cast(longest, counts.dtype)), longest),
            **{name: dense(key, 0) > 0 for name, key in FLAG_KEYS.items()},
            **({} if parse_masks is None else {"masks": parse_masks(features[MASK_KEY])}),
        }
        if skeleton is not None:
            found |= parse_points(features, longest, skeleton, height=height, width=width)
        return found

    return spec, parse


def move_boxes(targets: dict[str, Any], moves: Any, skeleton: Skeleton | None = None) -> dict[str, Any]:
    """Return the boxes where `moves` took the pixels; those that left the image are padding from then on."""
    kept, found = targets["mask"], {}
    masks = move_masks(targets["masks"], moves) if "masks" in targets else None
    if "boxes" in targets:
        moved = moves.boxes(targets["boxes"]) if masks is None else boxes_around(masks)
        kept &= tf.reduce_all(moved[..., :2] < moved[..., 2:], axis=-1)
        found["boxes"] = tf.where(kept[..., None], moved, 0.0)
    found |= {
        "labels": tf.where(kept, targets["labels"], -1),
        "mask": kept,
        **{name: targets[name] & kept for name in FLAG_KEYS},
        **({} if masks is None else {"masks": masks}),
    }
    if skeleton is not None:
        points = move_points(targets, moves, skeleton)
        found["keypoints"] = tf.where(kept[..., None, None], points["keypoints"], 0.0)
        found["visibility"] = tf.where(kept[..., None], points["visibility"], 0)
    return found


def hand_out(targets: dict[str, Any], boxes: BoxFormat, *, height: int, width: int) -> dict[str, Any]:
    """Return boxes in the format that was asked for, and keypoints in its unit."""
    found = {**targets, "boxes": _formatted(targets["boxes"], boxes, height, width)} if boxes.boxed else {**targets}
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

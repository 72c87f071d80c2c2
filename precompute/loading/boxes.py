"""Boxes as tensors: parsed, moved along with fresh steps, and handed out in the format that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from precompute.dataset.manifest import OBJECTS, Manifest
from precompute.errors import UsageError
from precompute.loading.instances import MASK_KEY, boxes_around, mask_parser, move_masks

__all__ = ["PARTS", "BoxFormat", "box_parser", "box_weigher", "choose_box_format", "hand_out", "move_boxes"]

CORNERS = ("xyxy", "yxyx", "xywh", "center_xywh")  # in Keras' wording; with rel_ before it: shares of width and height
FORMATS = (*CORNERS, *(f"rel_{corners}" for corners in CORNERS))
SIDES = ("ymin", "xmin", "ymax", "xmax")
LABEL_KEY = "image/object/class/label"
PARTS = ("boxes", "labels", "mask", "crowd", "difficult")  # what the parser gives, in this order
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
    """

    name: str
    ragged: bool
    size: int | None
    cut: bool
    masks: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what the parser gives, in this order."""
        return (*PARTS, "masks") if self.masks else PARTS


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
        masks=manifest.target.kind == "instances",
    )


def box_parser(manifest: Manifest, boxes: BoxFormat) -> tuple[dict[str, Any], Callable[[Any], Any]]:
    """Return the features to parse, and a function from them to a dictionary of dense tensors.

    ``boxes`` float32 [B, N, 4] as y_min, x_min, y_max, x_max in pixels, padded with 0; ``labels`` int64 [B, N], padded
    with −1; ``mask``, ``crowd``, ``difficult`` bool [B, N]; where objects have masks ``masks`` bool [B, N, H, W].
    """
    height, width = manifest.image.height, manifest.image.width
    sides = [(f"image/object/bbox/{side}", float(width if side[0] == "x" else height)) for side in SIDES]
    spec = {key: tf.io.RaggedFeature(tf.float32) for key, _ in sides}
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

        return {
            "boxes": tf.stack([dense(key, 0.0) * scale for key, scale in sides], axis=-1),
            "labels": dense(LABEL_KEY, -1),
            "mask": tf.sequence_mask(tf.minimum(counts, tf.cast(longest, counts.dtype)), longest),
            **{name: dense(key, 0) > 0 for name, key in FLAG_KEYS.items()},
            **({} if parse_masks is None else {"masks": parse_masks(features[MASK_KEY])}),
        }

    return spec, parse


def move_boxes(targets: dict[str, Any], moves: Any) -> dict[str, Any]:
    """Return the boxes where `moves` took the pixels; those that left the image are padding from then on."""
    masks = move_masks(targets["masks"], moves) if "masks" in targets else None
    moved = moves.boxes(targets["boxes"]) if masks is None else boxes_around(masks)
    kept = targets["mask"] & tf.reduce_all(moved[..., :2] < moved[..., 2:], axis=-1)
    return {
        "boxes": tf.where(kept[..., None], moved, 0.0),
        "labels": tf.where(kept, targets["labels"], -1),
        "mask": kept,
        **{name: targets[name] & kept for name in FLAG_KEYS},
        **({} if masks is None else {"masks": masks}),
    }


def hand_out(targets: dict[str, Any], boxes: BoxFormat, *, height: int, width: int) -> dict[str, Any]:
    """Return boxes in the format that was asked for."""
    y_min, x_min, y_max, x_max = tf.unstack(targets["boxes"], axis=-1)
    if boxes.name.startswith("rel_"):
        y_min, x_min, y_max, x_max = y_min / height, x_min / width, y_max / height, x_max / width
    sizes = (x_max - x_min, y_max - y_min)
    sides = {
        "xyxy": (x_min, y_min, x_max, y_max),
        "yxyx": (y_min, x_min, y_max, x_max),
        "xywh": (x_min, y_min, *sizes),
        "center_xywh": ((x_min + x_max) / 2, (y_min + y_max) / 2, *sizes),
    }[boxes.name.removeprefix("rel_")]
    found = {**targets, "boxes": tf.stack(sides, axis=-1)}
    if not boxes.ragged:
        return found
    mask = found.pop("mask")
    return {name: tf.ragged.boolean_mask(values, mask) for name, values in found.items()}


def box_weigher(class_weights: list[float]) -> Callable[[Any], Any]:
    """Return a function from dense boxes to a weight for each, float32 [B, N]; 0 where there is padding."""
    weights = tf.constant([*class_weights, 0.0], tf.float32)
    return lambda targets: tf.gather(weights, tf.where(targets["mask"], targets["labels"], len(class_weights)))

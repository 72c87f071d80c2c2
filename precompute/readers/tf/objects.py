"""Objects as tensors: boxes, masks and keypoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from precompute.fields.keypoints import POINT_KEY
from precompute.fields.objects import BOX_KEY, FLAG_KEYS, LABEL_KEY, MASK_KEY, ObjectsField
from precompute.fields.skeleton import Skeleton
from precompute.readers.tf.fields import BoxArguments, FieldTensors, Parts, tensors_of
from precompute.readers.tf.fresh import Moves

__all__ = ["ObjectsTensors", "move_keypoints"]

CORNERS = ("xyxy", "yxyx", "xywh", "center_xywh")  # in Keras' wording; with rel_ before it: shares of width and height
FORMATS = (*CORNERS, *(f"rel_{corners}" for corners in CORNERS))
SIDES = ("ymin", "xmin", "ymax", "xmax")
FLAGS = {name: FLAG_KEYS[name] for name in ("crowd", "difficult")}  # those that are handed out
BOX_BYTES = 27  # four sides of 4 bytes, a label of 8, three flags
POINT_BYTES = 16  # x and y of 4 bytes, visibility of 8


class ObjectsTensors(FieldTensors[ObjectsField]):
    """Objects of images, padded to [B, N, …]; see `load`. Until they are handed out, boxes are in pixels, y before x.

    Attributes:
        box_format: One of FORMATS.
        ragged: Whether objects are handed out as ragged tensors.
        size: Number of objects per image, N; None: as many as the fullest image of a batch has.
        cut: Whether objects beyond `size` are left out; else they are an error.
    """

    has_classes = True

    def __init__(self, field: ObjectsField, manifest: Manifest) -> None:
        super().__init__(field, manifest)
        self.box_format, self.ragged, self.cut = "xyxy", False, False
        self.size: int | None = max(1, manifest.most_boxes)
        self.height, self.width = manifest.image.height, manifest.image.width
        parts = {"boxes": field.has_boxes, "labels": True, "mask": True, "crowd": True, "difficult": True}
        parts |= {"masks": field.has_masks, **dict.fromkeys(("keypoints", "visibility"), field.keypoints is not None)}
        self.parts = tuple(name for name, there in parts.items() if there)

    @property
    def num_bytes(self) -> int:
        """Memory of an example with the largest number of objects, in bytes."""
        points = 0 if self.field.keypoints is None else POINT_BYTES * len(self.field.keypoints)
        masks = self.height * self.width if self.field.has_masks else 0
        return self.manifest.most_boxes * (BOX_BYTES + points + masks)

    def with_box_arguments(self, given: BoxArguments, *, held: bool) -> ObjectsTensors:
        """Return the twin that hands out objects as asked.

        By default N is the largest count of any record, so that shapes are static.
        """
        formed = ObjectsTensors(self.field, self.manifest)
        formed.box_format, formed.ragged = given.box_format or "xyxy", given.ragged
        if formed.box_format not in FORMATS:
            raise UsageError(f"box_format: expected one of {', '.join(FORMATS)}, got {given.box_format!r}.")
        if given.ragged and given.max_boxes is not None:
            raise UsageError("max_boxes: ragged tensors hold all boxes; give one of the two.")
        if not self.field.has_boxes and formed.box_format not in ("xyxy", "rel_xyxy"):
            raise UsageError(
                f"box_format: the objects of {self.manifest.name} have keypoints and no boxes, so that "
                f"{given.box_format!r} changes nothing but the unit; expected 'xyxy' (pixels) or 'rel_xyxy' (shares of "
                "width and height)."
            )
        if given.max_boxes is not None:
            formed.size, formed.cut = given.max_boxes, True
        elif given.ragged and not held:
            formed.size = None
        return formed

    def spec(self) -> dict[str, Any]:
        """Return the features of all parts."""
        floats = [f"{BOX_KEY}{side}" for side in SIDES] if self.field.has_boxes else []
        whole = [LABEL_KEY, *FLAGS.values()]
        if self.field.keypoints is not None:
            floats += [f"{POINT_KEY}x", f"{POINT_KEY}y"]
            whole.append(f"{POINT_KEY}visibility")
        spec: dict[str, Any] = {key: tf.io.RaggedFeature(tf.float32) for key in floats}
        spec |= {key: tf.io.RaggedFeature(tf.int64) for key in whole}
        return spec | ({MASK_KEY: tf.io.RaggedFeature(tf.string)} if self.field.has_masks else {})

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the parts.

        ``boxes`` float32 [B, N, 4] as y_min, x_min, y_max, x_max in pixels, padded with 0; ``labels`` int64 [B, N],
        padded with −1; ``mask``, ``crowd``, ``difficult`` bool [B, N]; where objects have masks ``masks`` bool
        [B, N, H, W]; where they have keypoints ``keypoints`` float32 [B, N, K, 2] as x, y in pixels, ``visibility``
        int64 [B, N, K], both padded with 0.
        """
        counts = features[LABEL_KEY].row_lengths()
        if self.size is not None and not self.cut:
            message = f"a record has more boxes than the {self.size} known when it was opened: open it again."
            tf.debugging.assert_less_equal(tf.reduce_max(counts), tf.cast(self.size, counts.dtype), message)
        longest = tf.reduce_max(counts) if self.size is None else self.size

        def dense(key: str, padding: Any) -> Any:
            padded = features[key].to_tensor(padding, shape=[None, self.size])
            return padded if self.size is None else tf.ensure_shape(padded, [batch_size, self.size])

        found: Parts = {}
        if self.field.has_boxes:
            lengths = {"x": float(self.width), "y": float(self.height)}
            sides = [dense(f"{BOX_KEY}{side}", 0.0) * lengths[side[0]] for side in SIDES]
            found["boxes"] = tf.stack(sides, axis=-1)
        found |= {
            "labels": dense(LABEL_KEY, -1),
            "mask": tf.sequence_mask(tf.minimum(counts, tf.cast(longest, counts.dtype)), longest),
            **{name: dense(key, 0) > 0 for name, key in FLAGS.items()},
        }
        if self.field.has_masks:
            found["masks"] = self._parse_masks(features[MASK_KEY])
        if self.field.keypoints is not None:
            found |= self._parse_keypoints(features, longest, len(self.field.keypoints))
        return found

    def _parse_masks(self, encoded: Any) -> Any:
        """Return masks, bool [B, N, H, W], padded with false, of PNGs, ragged string [B, (N)]."""
        size, shape = self.size, (self.height, self.width, 1)
        kept = encoded if size is None else encoded[:, :size]  # what has no room is not decoded

        def decode_one(encoded: Any) -> Any:
            return tf.ensure_shape(tf.io.decode_png(encoded, channels=1), shape)

        decoded = tf.map_fn(decode_one, kept.flat_values, fn_output_signature=tf.TensorSpec(shape, tf.uint8))
        masks = tf.RaggedTensor.from_row_splits(decoded[..., 0] > 0, kept.row_splits, validate=False)
        padded = masks.to_tensor(False, shape=[None, size, self.height, self.width])
        return tf.ensure_shape(padded, [encoded.shape[0], size, self.height, self.width])

    def _parse_keypoints(self, features: dict[str, Any], longest: Any, num: int) -> Parts:
        """Return `keypoints` and `visibility`, padded to K keypoints per object and N objects per image."""
        length = None if self.size is None else self.size * num

        def dense(name: str, padding: Any) -> Any:
            padded = features[f"{POINT_KEY}{name}"].to_tensor(padding, shape=[None, length])
            return tf.reshape(padded, [-1, longest, num])

        points = tf.stack([dense("x", 0.0) * float(self.width), dense("y", 0.0) * float(self.height)], axis=-1)
        return {"keypoints": points, "visibility": dense("visibility", 0)}

    def move(self, parts: Parts, moves: Moves) -> Parts:
        """Return the objects where `moves` took the pixels; those that left the image are padding from then on."""
        kept, found = parts["mask"], Parts()
        masks = _move_masks(parts["masks"], moves) if self.field.has_masks else None
        if self.field.has_boxes:
            moved = moves.boxes(parts["boxes"]) if masks is None else _boxes_around(masks)
            kept &= tf.reduce_all(moved[..., :2] < moved[..., 2:], axis=-1)
            found["boxes"] = tf.where(kept[..., None], moved, 0.0)
        found |= {
            "labels": tf.where(kept, parts["labels"], -1),
            "mask": kept,
            **{name: parts[name] & kept for name in FLAGS},
            **({} if masks is None else {"masks": masks}),
        }
        if self.field.keypoints is not None:
            points = move_keypoints(parts, moves, self.field.keypoints)
            found["keypoints"] = tf.where(kept[..., None, None], points["keypoints"], 0.0)
            found["visibility"] = tf.where(kept[..., None], points["visibility"], 0)
        return found

    def hand_out(self, parts: Parts) -> Any:
        """Return boxes in the requested format, and keypoints in its unit."""
        found = {**parts}
        if self.field.has_boxes:
            found["boxes"] = _formatted(parts["boxes"], self.box_format, self.height, self.width)
        if self.field.keypoints is not None and self.box_format.startswith("rel_"):
            found["keypoints"] = parts["keypoints"] / tf.constant([self.width, self.height], tf.float32)
        if not self.ragged:
            return found
        mask = found.pop("mask")
        return {name: tf.ragged.boolean_mask(values, mask) for name, values in found.items()}

    def class_weigher(self, weights: Sequence[float] | None) -> Callable[[Parts], Any] | None:
        """Return a function to one weight per object, float32 [B, N]; 0 for padding."""
        if weights is None:
            return None
        of_ids = tf.constant([*weights, 0.0], tf.float32)
        return lambda parts: tf.gather(of_ids, tf.where(parts["mask"], parts["labels"], len(weights)))


tensors_of.register(ObjectsField, ObjectsTensors)


def _formatted(corners: Any, box_format: str, height: int, width: int) -> Any:
    y_min, x_min, y_max, x_max = tf.unstack(corners, axis=-1)
    if box_format.startswith("rel_"):
        y_min, x_min, y_max, x_max = y_min / height, x_min / width, y_max / height, x_max / width
    sizes = (x_max - x_min, y_max - y_min)
    sides = {
        "xyxy": (x_min, y_min, x_max, y_max),
        "yxyx": (y_min, x_min, y_max, x_max),
        "xywh": (x_min, y_min, *sizes),
        "center_xywh": ((x_min + x_max) / 2, (y_min + y_max) / 2, *sizes),
    }[box_format.removeprefix("rel_")]
    return tf.stack(sides, axis=-1)


# Masks of single objects, moved along with fresh steps


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


# Keypoints, moved along with fresh steps, left and right changing places


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

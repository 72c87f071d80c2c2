"""Masks of single objects as tensors: parsed, and moved along with fresh steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

__all__ = ["MASK_KEY", "boxes_around", "mask_parser", "move_masks"]

MASK_KEY = "image/object/mask"


def mask_parser(height: int, width: int, size: int | None) -> Callable[[Any], Any]:
    """Return a function from PNGs, ragged string [B, (N)], to masks, bool [B, N, height, width], padded with false.

    Args:
        height: Of the images.
        width: Likewise.
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


def move_masks(masks: Any, moves: Any) -> Any:
    """Return masks, bool [B, N, H, W], where `moves` takes the pixels."""
    moved = moves.pixels(tf.transpose(masks, [0, 2, 3, 1]))
    return tf.transpose(moved, [0, 3, 1, 2])


def boxes_around(masks: Any) -> Any:
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

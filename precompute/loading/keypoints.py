"""Keypoints as tensors: parsed beside boxes, moved along with fresh steps, left and right changing places."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from precompute.targets.keypoints import Skeleton

__all__ = ["POINT_PARTS", "move_points", "parse_points", "point_spec"]

POINT_PARTS = ("keypoints", "visibility")  # what the parser gives of them, in this order
KEY = "image/object/keypoint/"


def point_spec() -> dict[str, Any]:
    """Return the features to parse."""
    spec: dict[str, Any] = {f"{KEY}{axis}": tf.io.RaggedFeature(tf.float32) for axis in "xy"}
    return spec | {f"{KEY}visibility": tf.io.RaggedFeature(tf.int64)}


def parse_points(features: Any, size: Any, skeleton: Skeleton, *, height: int, width: int) -> dict[str, Any]:
    """Return `keypoints` float32 [B, size, K, 2] as x, y in pixels, and `visibility` int64 [B, size, K]; padded with 0.

    Args:
        features: Parsed by `point_spec`.
        size: Objects an image, a number or a tensor.
        skeleton: Of the keypoints.
        height: Of the image, pixels.
        width: Likewise.
    """
    fixed = size if isinstance(size, int) else None
    num = len(skeleton)

    def dense(name: str, padding: Any) -> Any:
        padded = features[f"{KEY}{name}"].to_tensor(padding, shape=[None, None if fixed is None else fixed * num])
        return tf.reshape(padded, [-1, size, num])

    points = tf.stack([dense("x", 0.0) * float(width), dense("y", 0.0) * float(height)], axis=-1)
    return {"keypoints": points, "visibility": dense("visibility", 0)}


def move_points(targets: dict[str, Any], moves: Any, skeleton: Skeleton) -> dict[str, Any]:
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

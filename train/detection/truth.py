"""The boxes of a batch as one tensor, which losses and scores take like any other target.

It has one row per object, float32 [B, N, 7]: x_min, y_min, x_max, y_max in pixels; label, −1 for padding; kind; weight.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

__all__ = ["COUNTED", "CROWD", "DIFFICULT", "KIND", "LABEL", "WEIGHT", "WIDTH", "pack"]

LABEL, KIND, WEIGHT, WIDTH = 4, 5, 6, 7
COUNTED, DIFFICULT, CROWD = 0, 1, 2  # the last two are neither to be found nor wrong to be found


def pack(targets: Any, *weights: Any) -> Any:
    """Return the rows for boxes of `precompute.load`, dense and in its format xyxy, with their weights.

    Args:
        targets: Targets of `load`.
        *weights: Weight of each object [B, N]; without it, each weighs 1.
    """
    kind = tf.where(targets["crowd"], CROWD, tf.where(targets["difficult"], DIFFICULT, COUNTED))
    labels = tf.where(targets["mask"], targets["labels"], -1)
    (weight,) = weights or (tf.ones(tf.shape(labels)),)
    columns = [tf.cast(column, tf.float32)[..., None] for column in (labels, kind, weight)]
    return tf.concat([targets["boxes"], *columns], axis=-1)

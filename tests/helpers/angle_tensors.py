"""The twin in tf.data of the type of field that tests alone know; apart, since workers have no TensorFlow."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from precompute.readers.tf.fields import FieldTensors, Parts, tensors_of
from precompute.readers.tf.fresh import Moves
from tests.helpers.angles import MOST, AngleField

__all__ = ["AngleTensors"]


class AngleTensors(FieldTensors[AngleField]):
    """float32 [B, MOST], not a number where an image has fewer."""

    parts = ("angles",)

    @property
    def num_bytes(self) -> int:
        return 4 * MOST

    def spec(self) -> dict[str, Any]:
        return {self.field.key: tf.io.RaggedFeature(tf.float32)}

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        return {"angles": features[self.field.key].to_tensor(float("nan"), shape=[batch_size, MOST])}

    def move(self, parts: Parts, moves: Moves) -> Parts:
        mirrored = tf.math.logical_xor(moves.mirror_x, moves.mirror_y)
        return {"angles": tf.where(mirrored[:, None], 0.0 - parts["angles"], parts["angles"])}


tensors_of.register(AngleField, AngleTensors)

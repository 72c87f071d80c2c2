"""Values as tensors."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from precompute.fields.value import ValueField
from precompute.readers.tf.fresh import Moves
from precompute.readers.tf.tensors import FieldTensors, Parts

__all__ = ["ValueTensors"]

TYPES = {"int": tf.int64, "float": tf.float32, "text": tf.string}
VALUE_BYTES = 64  # of a text, roughly


class ValueTensors(FieldTensors[ValueField]):
    """int64, float32 or string [B]; a float is not a number where it is missing."""

    parts = ("values",)

    @property
    def num_bytes(self) -> int:
        """As many as a text, so that texts have room."""
        return VALUE_BYTES

    def spec(self) -> dict[str, Any]:
        """Return the value."""
        return {self.field.key: tf.io.FixedLenFeature([], TYPES[self.field.dtype])}

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the values."""
        return {"values": features[self.field.key]}

    def move(self, parts: Parts, moves: Moves) -> Parts:
        """Return the values, of the other sign where the image is mirrored, if they are such."""
        if not self.field.mirror_negates:
            return parts
        mirrored = tf.math.logical_xor(moves.mirror_x, moves.mirror_y)
        return {"values": tf.where(mirrored, 0.0 - parts["values"], parts["values"])}

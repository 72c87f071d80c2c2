"""Labels as tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from precompute.fields.label import LabelField
from precompute.readers.tf.class_weights import ClassWeights, gather_weights, weights_of_classes
from precompute.readers.tf.tensors import FieldTensors, Parts

__all__ = ["LabelTensors"]


class LabelTensors(FieldTensors[LabelField]):
    """int64 [B], the class; of several labels uint8 [B, number of classes], 1 for each that is there."""

    parts = ("labels",)
    has_classes = True

    @property
    def num_bytes(self) -> int:
        """8, or a byte a class."""
        return self.field.num_classes if self.field.several else 8

    def spec(self) -> dict[str, Any]:
        """Return the labels."""
        return {
            self.field.key: tf.io.VarLenFeature(tf.int64) if self.field.several else tf.io.FixedLenFeature([], tf.int64)
        }

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the labels."""
        if not self.field.several:
            return {"labels": features[self.field.key]}
        there = tf.sparse.to_indicator(features[self.field.key], self.field.num_classes)
        return {"labels": tf.ensure_shape(tf.cast(there, tf.uint8), (batch_size, self.field.num_classes))}

    def class_weigher(self, given: ClassWeights | None) -> Callable[[Parts], Any] | None:
        """Return a function to weights in the labels' shape; 0 for what is no class, 1 for labels not there."""
        if given is None:
            return None
        weights = weights_of_classes(self.field, given)
        if self.field.several:
            return lambda parts: tf.where(parts["labels"] > 0, tf.constant(weights, tf.float32), 1.0)
        return lambda parts: gather_weights(weights, parts["labels"])

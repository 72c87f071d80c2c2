"""Masks as tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from precompute.fields.mask import MaskField
from precompute.readers.tf.class_weights import ClassWeights, gather_weights, weights_of_classes
from precompute.readers.tf.fresh import Moves
from precompute.readers.tf.images import pixel_decoder
from precompute.readers.tf.tensors import FieldTensors, Parts

__all__ = ["MaskTensors"]


class MaskTensors(FieldTensors[MaskField]):
    """A class id a pixel: uint8 [B, H, W]; int32 with more than 256 classes."""

    parts = ("ids",)
    has_classes = True

    @property
    def num_bytes(self) -> int:
        """A byte a pixel, or four."""
        return self.manifest.image.height * self.manifest.image.width * int(self._dtype.size)

    @property
    def _dtype(self) -> Any:
        return tf.uint8 if self.field.num_classes <= 256 else tf.int32

    def spec(self) -> dict[str, Any]:
        """Return the encoded mask."""
        return {self.field.key: tf.io.FixedLenFeature([], tf.string)}

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the class ids."""
        shape = (self.manifest.image.height, self.manifest.image.width, 1)
        ids = pixel_decoder(self.field.encoding, shape, tf.as_dtype(self.field.dtype))(features[self.field.key])
        return {"ids": tf.cast(tf.squeeze(ids, axis=-1), self._dtype)}

    def move(self, parts: Parts, moves: Moves) -> Parts:
        """Return the class ids, moved as the pixels are."""
        return {"ids": moves.pixels(parts["ids"])}

    def class_weigher(self, given: ClassWeights | None) -> Callable[[Parts], Any]:
        """Return a function to a weight a pixel, which Keras wants; 0 for the ignore class and for what is no class."""
        ignored, num_classes = self.field.ignore_class, self.field.num_classes
        weights = [1.0] * num_classes if given is None else weights_of_classes(self.field, given, ignored)
        if ignored is not None and ignored < num_classes:
            weights[ignored] = 0.0
        return lambda parts: gather_weights(weights, parts["ids"])

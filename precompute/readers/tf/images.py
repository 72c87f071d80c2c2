"""Images as tensors, and how pixels are decoded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from precompute.fields.image import ImageField
from precompute.readers.tf.fresh import Moves
from precompute.readers.tf.tensors import FieldTensors, Parts

__all__ = ["ImageTensors", "pixel_decoder"]


class ImageTensors(FieldTensors[ImageField]):
    """uint8 [B, H, W, C]."""

    parts = ("pixels",)

    @property
    def num_bytes(self) -> int:
        """A byte a pixel and channel."""
        return math.prod(self._shape)

    @property
    def _shape(self) -> tuple[int, int, int]:
        return self.field.height, self.field.width, self.field.channels

    def spec(self) -> dict[str, Any]:
        """Return the encoded image."""
        return {self.field.key: tf.io.FixedLenFeature([], tf.string)}

    def parse(self, features: dict[str, Any], batch_size: int | None) -> Parts:
        """Return the pixels."""
        return {"pixels": pixel_decoder(self.field.encoding, self._shape, tf.uint8)(features[self.field.key])}

    def move(self, parts: Parts, moves: Moves) -> Parts:
        """Return the pixels, moved."""
        return {"pixels": moves.pixels(parts["pixels"])}


def pixel_decoder(encoding: str, shape: tuple[int, int, int], dtype: Any) -> Callable[[Any], Any]:
    """Return a function from string [B] to `dtype` [B, *shape]."""
    if encoding == "raw":
        return lambda encoded: tf.reshape(tf.io.decode_raw(encoded, dtype), (-1, *shape))

    def decode_one(encoded: Any) -> Any:
        if encoding == "jpeg":
            # TensorFlow's default is INTEGER_FAST: up to 18 levels off what other decoders give, and hardly faster.
            pixels = tf.io.decode_jpeg(encoded, channels=shape[2], dct_method="INTEGER_ACCURATE")
        else:
            pixels = tf.io.decode_png(encoded, channels=shape[2], dtype=dtype)
        return tf.ensure_shape(pixels, shape)

    # One call a batch, batches in parallel: as fast as a call a record, and the parsing is shared.
    return lambda encoded: tf.map_fn(decode_one, encoded, fn_output_signature=tf.TensorSpec(shape, dtype))

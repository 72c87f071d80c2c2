"""Records → tensors: parsed and decoded a batch at a time, inside tf.data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.readers.tf.boxes import BoxFormat, box_parser
from precompute.readers.tf.extras import extra_key

__all__ = ["batch_parser"]

EXTRA_TYPES = {"int": tf.int64, "float": tf.float32, "text": tf.string}


def batch_parser(
    manifest: Manifest, box_format: BoxFormat | None = None, extra: Sequence[str] = ()
) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function from encoded records, string [B], to images, targets, extra values and keys.

    There are no targets where images are alone. Of extra values there are those that were asked for.

    Boxes come in parts, dense and in pixels, whatever is handed out in the end (see `precompute.readers.tf.boxes`).
    """
    image, target = manifest.image, manifest.target
    names = ("image/encoded", "augment/key")
    spec: dict[str, Any] = dict.fromkeys(names, tf.io.FixedLenFeature([], tf.string))
    extra_keys = [extra_key(name) for name in extra]
    types = [EXTRA_TYPES[manifest.extra[name]] for name in extra]
    spec |= {key: tf.io.FixedLenFeature([], dtype) for key, dtype in zip(extra_keys, types, strict=True)}
    if target.kind == "class":
        spec["image/class/label"] = tf.io.FixedLenFeature([], tf.int64)
    elif target.kind == "multilabel":
        spec["image/class/label"] = tf.io.VarLenFeature(tf.int64)
    elif box_format is not None:
        box_spec, parse_boxes = box_parser(manifest, box_format)
        spec |= box_spec
    elif target.kind == "mask":
        spec["image/segmentation/class/encoded"] = tf.io.FixedLenFeature([], tf.string)
    shape = (image.height, image.width, image.channels)
    decode_image = _decoder(image.encoding, shape, tf.uint8)
    decode_mask = _decoder(target.encoding or "png", (*shape[:2], 1), tf.as_dtype(target.dtype or "uint8"))

    def parse(records: Any) -> tuple[Any, ...]:
        features = tf.io.parse_example(records, spec)
        images = decode_image(features["image/encoded"])
        last = (*(features[key] for key in extra_keys), features["augment/key"])
        if target.image_only:
            return images, *last
        if target.kind == "class":
            labels = features["image/class/label"]
        elif target.kind == "multilabel":
            there = tf.sparse.to_indicator(features["image/class/label"], target.num_classes)
            labels = tf.ensure_shape(tf.cast(there, tf.uint8), (records.shape[0], target.num_classes))
        elif box_format is not None:
            return images, *parse_boxes(features).values(), *last
        else:
            labels = tf.squeeze(decode_mask(features["image/segmentation/class/encoded"]), axis=-1)
            labels = tf.cast(labels, tf.uint8 if target.num_classes <= 256 else tf.int32)
        return images, labels, *last

    return parse


def _decoder(encoding: str, shape: tuple[int, int, int], dtype: Any) -> Callable[[Any], Any]:
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

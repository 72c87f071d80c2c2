"""Records → tensors: parsed and decoded a batch at a time, inside tf.data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from precompute.readers.tf.twins import Twins

__all__ = ["batch_parser"]

SOURCE_KEY = "augment/key"


def batch_parser(twins: Twins) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function from encoded records, string [B], to the parts of all fields in order, and the sources' keys.

    Args:
        twins: Twins of the fields that are read.
    """
    spec: dict[str, Any] = {SOURCE_KEY: tf.io.FixedLenFeature([], tf.string)}
    for twin in twins.values():
        spec |= twin.spec()

    def parse(records: Any) -> tuple[Any, ...]:
        features = tf.io.parse_example(records, spec)
        parts = [twin.parse(features, records.shape[0]) for twin in twins.values()]
        flat = [of_field[name] for twin, of_field in zip(twins.values(), parts, strict=True) for name in twin.parts]
        return *flat, features[SOURCE_KEY]

    return parse

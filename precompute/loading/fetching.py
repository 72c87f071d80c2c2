"""Shards fetched from an object store before TensorFlow opens them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from precompute.dataset.shard_cache import ShardCache

__all__ = ["fetching"]


def fetching(cache: ShardCache) -> Callable[[Any], Any]:
    """Return a function for the graph: local names of shards, string [n] → the same, once their files are there."""

    def fetch(names: Any) -> Any:
        cache.fetch([name.decode() for name in names])
        return names

    def fetched(names: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(fetch, [names], tf.string), names.shape)

    return fetched

"""Variables that tf.data reads: what Python tells a graph."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tensorflow as tf

__all__ = ["plain_variable"]


def plain_variable(value: Any) -> Any:
    """Return a variable in main memory, also inside a strategy's scope.

    There `tf.Variable` would make one copy a replica, on devices that tf.data does not reach. A scope belongs to its
    thread; so a thread of its own is outside it.
    """

    def make() -> Any:
        with tf.device("CPU:0"):
            return tf.Variable(value, trainable=False)

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(make).result()

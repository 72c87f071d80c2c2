"""A TensorBoard log, as TensorFlow's own reader sees it."""

from __future__ import annotations

import tensorflow as tf


def read_log(folder):
    """Return split → tag → step → value, as TensorFlow's own reader sees all event files; a step comes once."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for path in sorted(folder.glob("*/events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                steps = found.setdefault(path.parent.name, {}).setdefault(value.tag, {})
                assert event.step not in steps
                steps[event.step] = value.simple_value
    return found

"""Which shards are damaged, once TensorFlow has found that one is: its own words name no file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import tensorflow as tf

from precompute.errors import first_few
from precompute.text.format import format_count

__all__ = ["describe_damage", "last_words"]

AROUND = re.compile(r"\{\{.*?\}\}|\[Op:.*")  # where in the program it was


def describe_damage(paths: Iterable[str | bytes]) -> str | None:
    """Read shards again, to say which are damaged, where, and what to do; None where all can be read."""
    faults = [f"{path}: {fault}" for path in map(os.fsdecode, paths) if (fault := _fault(path)) is not None]
    if not faults:
        return None
    return (
        f"{format_count(len(faults), 'shard')} cannot be read:\n{first_few(faults)}\nRun the same `precompute build` "
        "again with --check full: it puts back what is missing or altered."
    )


def _fault(path: str) -> str | None:
    num_records = 0
    try:
        for _ in tf.data.TFRecordDataset(path):
            num_records += 1
    except tf.errors.NotFoundError:
        return "missing"
    except tf.errors.OpError as error:
        return f"record {num_records} is damaged or cannot be read ({last_words(error)})"
    return None


def last_words(error: tf.errors.OpError) -> str:
    """Return what TensorFlow says after it has told where in the program it was."""
    lines = [AROUND.sub("", line).strip() for line in str(error.message).splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith("[[")), "")

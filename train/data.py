"""The datasets of a run, with targets that the model can learn."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PrecomputeError
from train.options import FitOptions
from train.tasks import Task
from train.weights import add_weights

__all__ = ["RunData", "check_targets", "explained", "load_data", "load_in_order"]

CHECKED_IMAGES = 1000  # a split; reading these takes about a second, and every batch is checked again when it is used
OUTSIDE = "augment-once: class id without an output:"


@dataclass(frozen=True, kw_only=True)
class RunData:
    """What a run reads.

    Attributes:
        train: Batches of (images, targets) or (images, targets, weights), a row an epoch.
        validation: The same of the validation split, in fixed order; None if there is none.
        epoch_row: Callback that ties the row to the epoch.
        steps: Batches an epoch.
        num_rows: Rows that the epochs take turns with.
        judged_on: The split whose score decides which epoch is best.
    """

    train: Any
    validation: Any | None
    epoch_row: Any
    steps: int
    num_rows: int
    judged_on: str


def load_data(
    dataset: Path, manifest: Manifest, task: Task, options: FitOptions, *, class_weights: list[float] | None = None
) -> RunData:
    """Open train and, where there is one, validation; with class weights, train's batches have a third component."""
    train = precompute.load(
        dataset,
        split="train",
        batch_size=options.batch_size,
        shuffle_seed=options.seed,
        allow_leak=options.allow_leak,
    )
    validation = None
    if "validation" in manifest.splits:
        validation = precompute.load(
            dataset, split="validation", batch_size=options.batch_size, allow_leak=options.allow_leak
        )
    guarded = _guard_targets(train, task)
    return RunData(
        train=guarded if class_weights is None else add_weights(guarded, class_weights),
        validation=_guard_targets(validation, task) if validation is not None else None,
        epoch_row=precompute.EpochRow(train),
        steps=int(train.cardinality()),
        num_rows=len(manifest.splits["train"].rows),
        judged_on="train" if validation is None else "validation",
    )


def load_in_order(dataset: Path, manifest: Manifest, split: str, *, batch_size: int, allow_leak: bool) -> Any:
    """Open the first row of a split without shuffling."""
    first = manifest.splits[split].rows[0].row
    return precompute.load(
        dataset, split=split, batch_size=batch_size, rows=[first], shuffle=False, allow_leak=allow_leak
    )


def check_targets(dataset: Path, manifest: Manifest, task: Task, options: FitOptions) -> None:
    """Look at the first images of train and validation, so that class ids without an output are found at once.

    Raises:
        DatasetError: There are some.
    """
    for split in ("train", "validation"):
        if split not in manifest.splits:
            continue
        batches = load_in_order(dataset, manifest, split, batch_size=options.batch_size, allow_leak=options.allow_leak)
        found = [np.unique(targets) for _, targets in batches.take(-(-CHECKED_IMAGES // options.batch_size))]
        task.check_targets(np.concatenate(found), f"{dataset}: {split}")


@contextlib.contextmanager
def explained(dataset: Path, task: Task) -> Iterator[None]:
    """Turn TensorFlow's errors that a user can act on into ours."""
    try:
        yield
    except tf.errors.DataLossError as error:
        raise DatasetError(
            f"{dataset}: a shard is damaged ({_first_line(error)}). Run `precompute verify` to see which."
        ) from error
    except tf.errors.ResourceExhaustedError as error:
        raise PrecomputeError(
            f"out of memory ({_first_line(error)}). Try a smaller --batch-size or --base-channels."
        ) from error
    except tf.errors.InvalidArgumentError as error:
        found = re.search(re.escape(OUTSIDE) + r"\D*(\d+)", str(error))
        if found:
            task.check_targets(np.array([int(found[1])]), f"{dataset}: train or validation")
        raise


def _guard_targets(dataset: Any, task: Task) -> Any:
    """Stop at class ids that the model has no output for: they would become a loss of NaN."""

    def check(images: Any, targets: Any) -> tuple[Any, Any]:
        ids = tf.cast(targets, tf.int32)
        outside = (ids < 0) | (ids >= task.num_target_values)
        if task.ignore_class is not None:
            outside &= ids != task.ignore_class
        worst = tf.reduce_max(tf.where(outside, tf.abs(ids), -1))
        with tf.control_dependencies([tf.debugging.Assert(worst < 0, [OUTSIDE, worst])]):
            return images, tf.identity(targets)

    return dataset.map(check, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]

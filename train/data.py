"""The datasets of a run, with targets that the model can learn."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import precompute
from precompute.dataset.manifest import Manifest
from precompute.dataset.rows import Reading
from precompute.errors import DatasetError, PrecomputeError
from precompute.readers.tf.order import describe_damage
from precompute.storage.paths import as_path, is_remote
from train.checkpoint import TrainingState
from train.devices import fits, fitting_batch_size
from train.learnt_targets import choose_targets
from train.options import EvaluateOptions, FitOptions
from train.start import check_no_limits
from train.tasks import OneTarget, Task, make_task, part_of

__all__ = [
    "FEW_ROWS",
    "HIGH_REUSE",
    "check_targets",
    "choose_fresh",
    "describe_reuse",
    "fit_task",
    "forget_missing_row",
    "leaves_out",
    "load_in_order",
    "load_train",
    "load_validation",
    "num_variants",
    "open_dataset",
    "readings_of",
    "reuse_of",
    "translate_errors",
]

CHECKED_IMAGES = 1000  # a split; reading these takes about a second, and every batch is checked again when it is used
# Errors of fetching shards from an object store, in the form in which TensorFlow passes them on.
FETCHING = re.compile(r"(?:StorageError|DatasetError): (.+?)\nTraceback", re.DOTALL)
OUTSIDE = "augment-once: class id without an output:"
# No branch or loop of Python depends on a tensor here; AutoGraph's search for them takes seconds at the first graphs.
PLAIN = tf.autograph.experimental.do_not_convert


def open_dataset(dataset: str | Path, options: FitOptions) -> tuple[Path, Manifest, Task]:
    """Return the folder of a dataset, its manifest with the targets to learn alone, and their task.

    Raises:
        UsageError: An option does not fit the dataset, or Keras would end a training before its time.
        DatasetError: The dataset cannot be read, or has no train split.
    """
    check_no_limits()
    path = as_path(dataset)
    manifest = choose_targets(Manifest.load(path), options.target)
    if "train" not in manifest.splits:
        raise DatasetError(f"{path}: there is no train split, only {', '.join(manifest.splits)}.")
    task = make_task(manifest, ignore_class=options.ignore_class)
    task.check_options(options)
    return path, manifest, task


def load_train(
    dataset: Path,
    manifest: Manifest,
    task: Task,
    options: FitOptions,
    state: TrainingState,
    *,
    num_devices: int = 1,
    class_weights: Any = None,
) -> tuple[Any, Any]:
    """Open the train split: for the rest of an interrupted epoch, or for the rest of the run.

    Args:
        dataset: Folder of the dataset.
        manifest: Manifest of the dataset.
        task: Task, which decides which targets can be learnt.
        options: Options of the run.
        state: State of the run.
        num_devices: Number of devices that share each batch; all of them get images of every batch.
        class_weights: One weight per class, by target if there are several, or None.

    Returns:
        Batches of (images, targets), or with weights (images, targets, weights), one row per epoch; and the callback
        that ties rows to epochs.
    """
    weighs = options.sample_weights == "auto"
    is_weighted = any(field.is_weight for field in manifest.schema.values())
    apart = weighs and is_weighted and class_weights is not None and task.weighs_objects
    whole = precompute.load(
        dataset,
        split="train",
        batch_size=options.batch_size,
        rows="follow",
        readings=[Reading(**reading) for reading in state.readings],
        start_batch=state.batch,
        shuffle_seed=options.seed,
        fresh=state.fresh or choose_fresh(options, manifest),
        clean_from=max(0, options.epochs - options.clean_epochs) if options.clean_epochs else None,
        targets=list(manifest.schema.targets),
        lease_dir=options.lease_dir,
        drop_remainder=leaves_out(manifest, options, num_devices=num_devices) > 0,
        class_weights=class_weights,
        sample_weights=weighs and not apart,
        extra=["weight"] if apart else [],  # of images, where the third component weighs objects
        cache=cache_of(options),
        allow_leak=options.allow_leak,
    )
    return _guard_targets(whole, task), precompute.EpochRow(whole)


def choose_fresh(options: FitOptions, manifest: Manifest) -> str:
    """Return the argument `fresh` of `precompute.load` for a run that begins now."""
    if options.fresh == "auto":
        return "auto" if reuse_of(options, manifest) > HIGH_REUSE else "off"
    return {"on": "auto", "off": "off"}[options.fresh]


def cache_of(options: FitOptions) -> str | bool:
    """Return the argument `cache` of `precompute.load`."""
    return "auto" if options.cache == "auto" else False


def leaves_out(manifest: Manifest, options: FitOptions, *, num_devices: int) -> int:
    """Return the number of images that an epoch leaves out because the last batch is too small for all devices."""
    num_images = manifest.splits["train"].num_records
    if fits(num_images, batch_size=options.batch_size, num_devices=num_devices):
        return 0
    return num_images % options.batch_size


def load_validation(
    dataset: Path, manifest: Manifest, task: Task, options: FitOptions, *, num_devices: int = 1
) -> Any | None:
    """Open the validation split, in fixed order; None if there is none."""
    if "validation" not in manifest.splits:
        return None
    batch_size = fitting_batch_size(
        manifest.splits["validation"].num_records, batch_size=options.batch_size, num_devices=num_devices
    )
    validation = precompute.load(
        dataset,
        split="validation",
        batch_size=batch_size,
        targets=list(manifest.schema.targets),
        sample_weights=False,
        cache=cache_of(options),
        allow_leak=options.allow_leak,
        lease_dir=options.lease_dir,
    )
    return _guard_targets(validation, task)


def forget_missing_row(state: TrainingState, manifest: Manifest) -> Reading | None:
    """Remove the row of the interrupted epoch from the state if the dataset no longer lists it.

    Returns:
        The removed reading of the epoch; None if the row is still listed.
    """
    if not state.batch or not state.readings:
        return None
    reading = Reading(**state.readings[-1])
    if any(row.row == reading.row for row in manifest.splits["train"].rows):
        return None
    state.readings.pop()
    return reading


def readings_of(epoch_row: Any) -> list[dict[str, Any]]:
    """Return the readings of all epochs so far, in the form of a run's state."""
    return [dataclasses.asdict(reading) for reading in epoch_row.readings]


def load_in_order(
    dataset: Path, manifest: Manifest, task: Task, split: str, options: FitOptions | EvaluateOptions
) -> Any:
    """Open the first row of a split without shuffling, for reading it once."""
    first = manifest.splits[split].rows[0].row
    whole = precompute.load(
        dataset,
        split=split,
        batch_size=options.batch_size,
        rows=[first],
        shuffle=False,
        targets=list(manifest.schema.targets),
        sample_weights=False,
        cache=False,
        allow_leak=options.allow_leak,
    )
    return whole.map(PLAIN(lambda images, targets: (images, *task.pack(targets))))


def check_targets(dataset: Path, manifest: Manifest, task: Task, options: FitOptions) -> None:
    """Check the first images of train and validation, so that class ids without an output are found at once.

    Raises:
        DatasetError: There are class ids without an output.
    """
    classed = {name: part for name, part in task.parts.items() if part.num_classes}
    for split in ("train", "validation"):
        if split not in manifest.splits or not classed:
            continue
        batches = load_in_order(dataset, manifest, task, split, options)
        first = batches.take(-(-CHECKED_IMAGES // options.batch_size))
        found: dict[str, list[Any]] = {name: [] for name in classed}
        for _, targets in first:
            for name, part in classed.items():
                found[name].append(np.unique(part.class_ids(part_of(targets, name))))
        for name, part in classed.items():
            part.check_targets(np.concatenate(found[name]), _where(f"{dataset}: {split}", name))


def fit_task(dataset: Path, manifest: Manifest, task: Task, options: FitOptions) -> Task:
    """Return the task with the facts that it needs about the training targets, from one row.

    Raises:
        DatasetError: The targets hold nothing to learn.
    """

    def batches() -> Iterator[Any]:
        whole = load_in_order(dataset, manifest, task, "train", options)
        return (tf.nest.map_structure(np.asarray, targets) for _, targets in whole)

    return task.fitted_to(batches)


@contextlib.contextmanager
def translate_errors(dataset: Path, task: Task) -> Iterator[None]:
    """Turn TensorFlow's errors that a user can act on into ours."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        damage = None if is_remote(dataset) else describe_damage(_listed_shards(dataset))
        if damage is None:
            raise DatasetError(
                f"{dataset}: a shard is damaged or missing ({_first_line(error)}). "
                "Run `precompute verify` to see which."
            ) from error
        raise DatasetError(f"{dataset}: {damage}") from error
    except tf.errors.UnknownError as error:
        found = FETCHING.search(str(error))
        if found:
            raise DatasetError(found[1]) from error
        raise
    except tf.errors.ResourceExhaustedError as error:
        raise PrecomputeError(
            f"out of memory ({_first_line(error)}). Try a smaller --batch-size or --base-channels."
        ) from error
    except tf.errors.InvalidArgumentError as error:
        found = re.search(re.escape(OUTSIDE) + r"\W*(\w*)\W+(\d+)", str(error))
        if found:
            where = _where(f"{dataset}: train or validation", found[1])
            task.parts[found[1]].check_targets(np.array([int(found[2])]), where)
        raise


def _listed_shards(dataset: Path) -> Iterator[str]:
    """Yield the paths of all shards of a local dataset, those of its first rows first."""
    manifest = Manifest.load(dataset)
    for split, grid in manifest.splits.items():
        for row in grid.rows:
            for block in range(grid.num_blocks):
                yield str(manifest.shard_path(dataset, split, row.row, block))


def _guard_targets(dataset: Any, task: Task) -> Any:
    """Pack the targets, and stop at class ids without an output: they would become a loss of NaN."""

    def check(images: Any, targets: Any, *others: Any) -> tuple[Any, ...]:
        targets, *weights = task.pack(targets, *others)
        guards = [_guard(part, name, part_of(targets, name)) for name, part in task.parts.items() if part.num_classes]
        with tf.control_dependencies(guards):
            return images, tf.nest.map_structure(tf.identity, targets), *weights

    return dataset.map(PLAIN(check), num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _guard(part: OneTarget, name: str, targets: Any) -> Any:
    """Return an operation that fails where a target has class ids without an output."""
    ids = tf.cast(part.class_ids(targets), tf.int32)
    outside = (ids < 0) | (ids >= part.num_target_values)
    if part.ignore_class is not None:
        outside &= ids != part.ignore_class
    worst = tf.reduce_max(tf.where(outside, tf.abs(ids), -1))
    return tf.debugging.Assert(worst < 0, [OUTSIDE, name, worst])


def _where(place: str, name: str) -> str:
    """Return the words for a place in a dataset, with the target's name if there are several."""
    return f"{place}, {name}," if name else place


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


# Reuse: how often a run reads each stored variant, and what that means


# On ImageNet so many readings cost nothing (github.com/apple/ml-dr). On small data, from FEW_ROWS rows on, many more
# made no difference that could be seen; with one row, augmentation was worth nothing (scripts/parity).
HIGH_REUSE = 3
FEW_ROWS = 4


def reuse_of(options: FitOptions, manifest: Manifest) -> float:
    """Return epochs / rows, without the epochs on the original row."""
    return max(0, options.epochs - options.clean_epochs) / (num_variants(manifest) or 1)


def num_variants(manifest: Manifest) -> int:
    """Return the number of rows of variants to train on."""
    return sum(not row.original for row in manifest.splits["train"].rows)


def describe_reuse(reuse: float, num_rows: int) -> str:
    """Return what a number of readings means, and what to do about a high one."""
    if reuse <= 1:
        return "as with online augmentation, no variant is read twice"
    if reuse <= HIGH_REUSE:
        return "as good as online augmentation where this was measured"
    more = "more rows (`precompute build --variants N`), or new ones beside the training (`precompute follow`)"
    if num_rows >= FEW_ROWS:
        return f"high; on small data {FEW_ROWS} rows were enough, on others {more} may be worth their disk"
    return f"high, and so few rows are hardly better than no augmentation: take {more}"

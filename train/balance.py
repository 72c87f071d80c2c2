"""Class weights of a run. They are kept in its folder, since the rows that they were counted on may be removed."""

from __future__ import annotations

import json
from pathlib import Path

from precompute.dataset.manifest import Manifest
from precompute.errors import PrecomputeError
from train.data import load_in_order
from train.options import FitOptions
from train.run_folder import RunFolder
from train.tasks import Task
from train.weights import parse_weights

__all__ = ["class_weights_of_run", "keep_class_weights"]

COUNTED_IMAGES = 1000  # a share of each class's pixels is known well enough from these


def class_weights_of_run(
    dataset: Path, manifest: Manifest, task: Task, folder: RunFolder, options: FitOptions, *, is_new: bool
) -> list[float] | None:
    """Return one weight per class: those that the run began with, else those of `--class-weights`; None without any.

    Args:
        dataset: Folder of the dataset.
        manifest: Manifest of the dataset.
        task: The task, which counts classes.
        folder: Folder of the run.
        options: Options of the run.
        is_new: Whether the run has not begun yet; files in its folder are then of another run.

    Raises:
        UsageError: The option names an unknown class.
        PrecomputeError: The weights of the run cannot be read.
    """
    if options.class_weights == "none":
        return None
    if folder.class_weights.exists() and not is_new:
        return _stored_weights(folder, task)
    if options.class_weights == "balanced":
        batches = load_in_order(
            dataset, manifest, task, "train", batch_size=options.batch_size, allow_leak=options.allow_leak
        )
        if task.target == "mask":
            batches = batches.take(-(-COUNTED_IMAGES // options.batch_size))
        return task.balanced_weights(targets.numpy() for _, targets in batches)
    return parse_weights(options.class_weights, task.class_names)


def _stored_weights(folder: RunFolder, task: Task) -> list[float]:
    try:
        stored = json.loads(folder.class_weights.read_bytes())
        return [float(stored[name]) for name in task.class_names]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PrecomputeError(
            f"{folder.class_weights}: cannot be read as the weights of the classes ({error!r}). Put it back, or pass "
            "--restart to begin anew."
        ) from error


def keep_class_weights(folder: RunFolder, task: Task, weights: list[float] | None) -> None:
    """Write the class weights into the run's folder."""
    if weights:
        folder.write_json(folder.class_weights, dict(zip(task.class_names, weights, strict=True)))

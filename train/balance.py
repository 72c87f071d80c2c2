"""Which class weights a run trains with; they are kept with it, as rows that they were counted on may go."""

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
    """Return a weight a class: what the run has begun with, else what `--class-weights` asks for; None for none.

    Args:
        dataset: Folder of the dataset.
        manifest: Manifest of the dataset.
        task: The task, which counts.
        folder: Folder of the run.
        options: Options of the run.
        is_new: The run has not begun yet; what lies in its folder is of another one.

    Raises:
        UsageError: The option names what is not a class.
        PrecomputeError: What the run has kept cannot be read.
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
    """Keep them with the run."""
    if weights:
        folder.write_json(folder.class_weights, dict(zip(task.class_names, weights, strict=True)))

"""Class weights of a run. They are kept in its folder, since the rows that they were counted on may be removed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from precompute.dataset.manifest import Manifest
from precompute.errors import PrecomputeError, UsageError
from train.data import load_in_order
from train.files import write_json
from train.options import FitOptions
from train.run_folder import RunFolder
from train.tasks import OneTarget, Task, part_of, whole_of
from train.weights import parse_weights

__all__ = ["class_weights_of_run", "keep_class_weights", "name_class_weights"]

COUNTED_IMAGES = 1000  # a share of each class's pixels is known well enough from these


def class_weights_of_run(
    dataset: Path, manifest: Manifest, task: Task, folder: RunFolder, options: FitOptions, *, is_new: bool
) -> Any:
    """Return one weight per class: those that the run began with, else those of `--class-weights`; None without any.

    Where there are several targets, it is a dictionary of such weights by target.

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
    weighed = {name: part for name, part in task.parts.items() if "class_weights" in part.takes}
    if folder.class_weights.exists() and not is_new:
        return whole_of(_stored_weights(folder, weighed))
    if options.class_weights == "balanced":
        batches = load_in_order(dataset, manifest, task, "train", options)
        return whole_of({name: _balanced_weights(name, part, batches, options) for name, part in weighed.items()})
    if len(weighed) > 1:
        raise UsageError(
            f"--class-weights: {', '.join(weighed)} all have classes; expected none or balanced, got "
            f"{options.class_weights!r}."
        )
    return whole_of({name: parse_weights(options.class_weights, part.class_names) for name, part in weighed.items()})


def _balanced_weights(name: str, part: OneTarget, batches: Any, options: FitOptions) -> list[float]:
    if part.per_pixel:
        batches = batches.take(-(-COUNTED_IMAGES // options.batch_size))
    return part.balanced_weights(np.asarray(part_of(targets, name)) for _, targets in batches)


def _stored_weights(folder: RunFolder, weighed: Mapping[str, OneTarget]) -> dict[str, list[float]]:
    try:
        stored = json.loads(folder.class_weights.read_bytes())
        return {
            name: [float(part_of(stored, name)[of_class]) for of_class in part.class_names]
            for name, part in weighed.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PrecomputeError(
            f"{folder.class_weights}: cannot be read as the weights of the classes ({error!r}). Put it back, or pass "
            "--restart to begin anew."
        ) from error


def name_class_weights(task: Task, weights: Any) -> dict[str, dict[str, float]]:
    """Return the weights of a run by part and by the name of each class; empty without weights."""
    found: dict[str, dict[str, float]] = {}
    for name, part in task.parts.items() if weights else ():
        of_part = weights if not name else weights.get(name, [])
        found |= {name: dict(zip(part.class_names, of_part, strict=True))} if of_part else {}
    return found


def keep_class_weights(folder: RunFolder, task: Task, weights: Any) -> None:
    """Write the class weights into the run's folder."""
    if weights:
        write_json(folder.class_weights, whole_of(name_class_weights(task, weights)))

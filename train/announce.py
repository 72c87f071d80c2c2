"""The messages of a run before it begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import precompute
from precompute.dataset.manifest import Manifest
from train.balance import name_class_weights
from train.checkpoint import TrainingState
from train.data import describe_reuse, num_variants, reuse_of
from train.options import FitOptions
from train.tasks import Task

__all__ = ["announce", "describe_memory"]


def announce(
    dataset: Path,
    manifest: Manifest,
    task: Task,
    options: FitOptions,
    state: TrainingState,
    *,
    num_rows: int,
    num_parameters: int,
    class_weights: Any,
    notify: Callable[[str], None],
) -> None:
    """Print what is about to be trained, and on which data."""
    height, width, _ = task.shape
    notify(f"dataset     {dataset}: {task.describe_target()}, {height}×{width}")
    sizes = [f"{name} {split.num_records}" for name, split in manifest.splits.items()]
    notify(f"images      {', '.join(sizes)}")
    notify(f"rows        {num_rows}: variants of each training image, one an epoch in turn")
    reuse = reuse_of(options, manifest)
    meaning = describe_reuse(reuse, num_variants(manifest))
    notify(f"epochs      {options.epochs}, so reuse = epochs / rows = {reuse:.3g}: {meaning}")
    if state.fresh == "auto":
        moves = ["small shifts", *(f"{way} flips" for way in manifest.mirroring)]
        notify(f"fresh       {' and '.join(moves)} at each reading")
    name = task.model_name(options)
    notify(f"model       {name}, {num_parameters / 1e6:.2f} million parameters")
    for part, of_part in name_class_weights(task, class_weights).items():
        weights = [f"{name} {weight:.3g}" for name, weight in of_part.items()]
        notify(f"weights     {part + ': ' if part else ''}{', '.join(weights)}")
    if not state.is_new:
        within = f", batch {state.batch} of the next" if state.batch else ""
        notify(f"continuing  after epoch {state.epochs}{within}")
    if "validation" not in manifest.splits:
        notify(
            "NO VALIDATION SPLIT: the best epoch is chosen by its score on the training images, which says nothing "
            "about new ones. Build the dataset with --validation-split 0.2 to know."
        )


def describe_memory(datasets: dict[str, Any]) -> str:
    """Return the line that says which splits are held in memory.

    Args:
        datasets: Split → dataset of `precompute.load`, or one made from it.
    """
    plans = {split: precompute.EpochRow(dataset).cache_plan for split, dataset in datasets.items()}
    how = [f"{split} {'held' if plan.holds else 'read from files'} ({plan.reason})" for split, plan in plans.items()]
    return f"memory      {'; '.join(how)}"

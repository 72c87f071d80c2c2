"""The end of a run: its best model is measured, and pictures and `metrics.json` are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from precompute.dataset.manifest import Manifest
from train.checkpoint import TrainingState
from train.data import load_in_order
from train.measure import report
from train.options import FitOptions
from train.run_folder import RunFolder
from train.start import open_model
from train.tasks import Task

__all__ = ["conclude"]


def conclude(
    dataset: Path, manifest: Manifest, task: Task, folder: RunFolder, options: FitOptions, state: TrainingState
) -> dict[str, Any]:
    """Measure the best model, write pictures, and then metrics, which mark the run as finished."""
    split = "validation" if "validation" in manifest.splits else "train"
    rows = manifest.splits["train"].rows
    batches = load_in_order(
        dataset,
        manifest,
        task,
        split,
        batch_size=options.batch_size,
        allow_leak=options.allow_leak,
    )
    model = open_model(folder.model("best"))
    scores = report(model, task, batches, where=split, predictions=folder.predictions, scores=folder.scores)
    metrics: dict[str, Any] = {
        "epochs": state.epochs,
        "best_epoch": state.best_epoch,
        "judged_by": task.score,
        "judged_on": split,
        "best_score": state.best_score,
        "model": task.model_name(options),
        "num_parameters": model.count_params(),
        "num_images": {name: s.num_records for name, s in manifest.splits.items()},
        "num_rows": len(rows),
        "reuse": state.epochs / len(rows),
        "seconds": round(sum(entry["seconds"] for entry in state.history), 1),
        "scores": scores,
    }
    folder.write_json(folder.metrics, metrics)
    return metrics

"""`train evaluate`: the scores of a run's model on a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import Manifest
from precompute.errors import UsageError
from train.data import load_in_order, translate_errors
from train.files import of_part, write_json
from train.measure import report
from train.options import EvaluateOptions
from train.start import plain_keras
from train.trained import open_trained
from train.trained_on import check_not_trained_on

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of a split, and the files that hold them.

    Attributes:
        summary: Content of the JSON file.
        table: Main numbers as lines to print.
        json_path: JSON file of the scores.
        pictures: Predictions beside the truth, best, median and worst; then the scores. One of each for every target.
        notes: Notes for the user on the scores.
        is_final: Whether the run is finished.
    """

    summary: dict[str, Any]
    table: list[str]
    json_path: Path
    pictures: list[Path]
    notes: list[str]
    is_final: bool


@plain_keras()
def evaluate(run: str | Path, options: EvaluateOptions | None = None) -> Evaluation:
    """Evaluate a run's model, and write `evaluate-<split>.json` and `.png` into its folder.

    Raises:
        SettingsError: There is no run or no model yet, or the dataset is not of the kind the run was trained on.
        DatasetError: The run was trained on some of the split's sources.
        UsageError: The dataset has no such split.
    """
    options = options or EvaluateOptions()
    trained = open_trained(run, checkpoint=options.checkpoint, dataset=options.dataset)
    folder, dataset, manifest, task = trained.folder, trained.dataset, trained.manifest, trained.task
    _check_split(manifest, options.split, dataset)
    grid, notes = manifest.splits[options.split], trained.notes_on(options.split)
    if options.split != "train" and not options.allow_leak:
        unknown = check_not_trained_on(folder, dataset, manifest, options.split)
        notes += [] if unknown is None else [unknown]
    batches = load_in_order(dataset, manifest, task, options.split, options)
    json_path, predictions, scores_path = (
        folder.evaluation(options.split, suffix) for suffix in (".json", ".png", "-scores.png")
    )
    with translate_errors(dataset, task):
        scores = report(trained.model, task, batches, where=options.split, predictions=predictions, scores=scores_path)
    summary = {
        "run": str(folder.path),
        "checkpoint": options.checkpoint,
        "dataset": str(dataset),
        "split": options.split,
        "row": grid.rows[0].row,
        "num_images": grid.num_records,
        **scores,
    }
    write_json(json_path, summary)
    return Evaluation(
        summary=summary,
        table=task.describe(scores),
        json_path=json_path,
        pictures=[of_part(path, name) for path in (predictions, scores_path) for name in task.parts],
        notes=notes,
        is_final=folder.load_metrics() is not None,
    )


def _check_split(manifest: Manifest, split: str, dataset: Path) -> None:
    if split not in manifest.splits:
        share = "" if split == "train" else f" To have one, build with --{split}-split 0.1, or with a folder {split}/."
        raise UsageError(f"--split: {dataset} has {', '.join(manifest.splits)}; got {split!r}.{share}")

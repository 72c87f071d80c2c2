"""`train evaluate`: the scores of a run's model on a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import Manifest
from precompute.errors import SettingsError, UsageError
from train.data import explained, load_in_order
from train.measure import measure
from train.options import EvaluateOptions
from train.run_folder import RunFolder, RunSettings
from train.start import open_model, require_tensorflow
from train.tasks import Task, make_task
from train.tasks.own import import_model_code

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of a split and where they were written.

    Attributes:
        summary: What the JSON file holds.
        table: Its main numbers as lines to print.
        json_path: Of the scores.
        picture_path: Of predictions beside the truth.
    """

    summary: dict[str, Any]
    table: list[str]
    json_path: Path
    picture_path: Path


def evaluate(run: str | Path, options: EvaluateOptions | None = None) -> Evaluation:
    """Evaluate a run's model, and write `evaluate-<split>.json` and `.png` into its folder.

    Raises:
        SettingsError: There is no run or no model yet, or the dataset is not of the kind the run was trained on.
        UsageError: The dataset has no such split.
    """
    options = options or EvaluateOptions()
    require_tensorflow()
    folder = RunFolder(run)
    settings = folder.load_settings()
    dataset = Path(options.dataset if options.dataset is not None else settings.dataset)
    manifest = Manifest.load(dataset)
    task = make_task(manifest, ignore_class=settings.options.get("ignore_class"))
    if options.split not in manifest.splits:
        raise UsageError(f"--split: {dataset} has {', '.join(manifest.splits)}; got {options.split!r}.")
    model_path = folder.model(options.checkpoint)
    if not model_path.exists():
        raise SettingsError(f"{folder.path}: there is no {model_path.name} yet; an epoch has to finish first.")
    import_model_code(settings.options.get("model", ""))
    model = open_model(model_path)
    _check_fits(model, task, settings, dataset)

    grid = manifest.splits[options.split]
    batches = load_in_order(
        dataset, manifest, options.split, batch_size=options.batch_size, allow_leak=options.allow_leak
    )
    with explained(dataset, task):
        found = measure(model, task, batches, num_images=grid.num_records, where=options.split)
    scores = task.summarize(found.confusion)
    summary = {
        "run": str(folder.path),
        "checkpoint": options.checkpoint,
        "dataset": str(dataset),
        "split": options.split,
        "row": grid.rows[0].row,
        "num_images": grid.num_records,
        **scores,
    }
    json_path, picture_path = (folder.evaluation(options.split, suffix) for suffix in (".json", ".png"))
    folder.write_json(json_path, summary)
    folder.write_bytes(picture_path, task.draw(found.samples))
    return Evaluation(summary=summary, table=task.describe(scores), json_path=json_path, picture_path=picture_path)


def _check_fits(model: Any, task: Task, settings: RunSettings, dataset: Path) -> None:
    """Raise if a model cannot be judged on a dataset: other images, or classes that mean something else."""
    takes, gives = tuple(model.input_shape[1:]), model.output_shape[-1]
    wrong = []
    if takes != task.shape:
        wrong.append(f"  images: {takes} in the run, {task.shape} there")
    if gives != task.num_classes:
        wrong.append(f"  number of classes: {gives} in the run, {task.num_classes} there")
    elif settings.facts.get("classes") and list(task.class_names) != settings.facts["classes"]:
        wrong.append(f"  classes: {settings.facts['classes']} in the run, {list(task.class_names)} there")
    if wrong:
        raise SettingsError(f"{dataset} does not fit the model of the run:\n" + "\n".join(wrong))

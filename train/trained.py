"""A run's model with its dataset and settings, from which evaluate, predict and export start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PrecomputeError, SettingsError, first_few
from precompute.plan.settings import differences
from precompute.storage.paths import as_path
from train.learnt_targets import choose_targets, target_facts
from train.run_folder import RunFolder, RunSettings
from train.start import open_model, require_tensorflow
from train.tasks import Task, make_task, output_shapes
from train.tasks.own import import_model_code

__all__ = ["Trained", "open_run_model", "open_trained"]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model that fits a dataset.

    Attributes:
        folder: Folder of the run.
        model: Model from uint8 images [B, H, W, C] to float32 logits, or numbers.
        dataset: Folder of the dataset.
        manifest: Manifest of the dataset.
        task: Task of the dataset.
        settings: Settings of the run.
    """

    folder: RunFolder
    model: Any
    dataset: Path
    manifest: Manifest
    task: Task
    settings: RunSettings

    def notes_on(self, split: str) -> list[str]:
        """Return a note if the dataset prepares images of a split in another way than it did for the run."""
        before = self.settings.made.get("settings")
        if before is None:  # a run of an earlier version
            return []
        lines = differences(_preparing(before, split), _preparing(self.manifest.settings, split), where="for the run")
        if not lines:
            return []
        return [f"{self.dataset} prepares images otherwise than it did for the run:\n{first_few(lines)}"]


def _preparing(settings: dict[str, Any], split: str) -> dict[str, Any]:
    """Return the settings of a dataset that decide the images of a model."""
    pixels = settings.get("pixels", {})
    pipelines = pixels.get("pipelines", {})
    found = {name: pixels[name] for name in ("color_mode", "scale", "alpha", "max_source_size") if name in pixels}
    return {"pixels": found | {"pipelines": {split: pipelines[split]} if split in pipelines else {}}}


def open_trained(run: str | Path, *, checkpoint: str, dataset: str | Path | None = None) -> Trained:
    """Open a run's model with its dataset.

    Args:
        run: Folder of the run.
        checkpoint: ``"best"`` or ``"last"``.
        dataset: Folder of the dataset; the one that the run was trained on when None.

    Raises:
        SettingsError: There is no run or no model yet, or the dataset is not of the kind the run was trained on.
        DatasetError: The dataset is not there.
    """
    require_tensorflow()
    settings = RunFolder(run).load_settings()
    path = as_path(dataset if dataset is not None else settings.dataset)
    if dataset is None and not path.exists():
        raise DatasetError(f"{path}: the dataset of {run} is not there; where it has moved to, pass --dataset DIR.")
    manifest = choose_targets(Manifest.load(path), settings.options.get("target"))
    task = make_task(manifest, ignore_class=settings.options.get("ignore_class"))
    folder, _, model = open_run_model(run, checkpoint)
    _check_fits(model, task, manifest, settings, path)
    task = task.with_model(model)
    return Trained(folder=folder, model=model, dataset=path, manifest=manifest, task=task, settings=settings)


def open_run_model(run: str | Path, checkpoint: str) -> tuple[RunFolder, RunSettings, Any]:
    """Open a run's model without its dataset.

    Raises:
        SettingsError: There is no run or no model yet.
    """
    require_tensorflow()
    folder = RunFolder(run)
    settings = folder.load_settings()
    path = folder.model(checkpoint)
    if not path.exists():
        raise SettingsError(f"{folder.path}: there is no {path.name} yet; an epoch has to finish first.")
    try:
        import_model_code(settings.options.get("model", ""))
    except PrecomputeError as missing:  # only a model with classes of its own needs the code
        try:
            return folder, settings, open_model(path)
        except PrecomputeError as error:
            raise SettingsError(
                f"{path}: the code that it was made by cannot be had ({missing}). Run the command in the folder where "
                "the training was started, or put the code back."
            ) from error
    return folder, settings, open_model(path)


def _check_fits(model: Any, task: Task, manifest: Manifest, settings: RunSettings, dataset: Path) -> None:
    """Raise an error if a dataset does not fit a model: other images, or other classes or values."""
    takes = tuple(model.input_shape[1:])
    wrong = []
    target = target_facts(manifest)["target"]
    if settings.facts.get("target", target) != target:
        wrong.append(f"  target: {settings.facts['target']} in the run, {target} there")
    if takes != task.shape:
        wrong.append(f"  images: {takes} in the run, {task.shape} there")
    wrong += [f"  {line}" for line in task.misfits(settings.facts, output_shapes(model))]
    if wrong:
        raise SettingsError(f"{dataset} does not fit the model of the run:\n" + "\n".join(wrong))

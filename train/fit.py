"""`train fit`: a model trained from a dataset, in a run folder that can be continued."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, PrecomputeError, UsageError
from train.checkpoint import TrainingState, load_state, restore_model
from train.data import RunData, check_targets, explained, load_data, load_in_order
from train.measure import measure
from train.options import FitOptions
from train.recorder import Recorder
from train.run_folder import RunFolder, RunSettings
from train.start import open_model, require_tensorflow
from train.tasks import Task, make_task
from train.tasks.classify import is_whole_model

__all__ = ["FitResult", "fit"]

WARM_UP = 0.05  # share of all steps


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a run has come to.

    Attributes:
        folder: Of the run.
        state: Its history and best epoch.
        metrics: What `metrics.json` holds.
        table: Scores of the best model as lines to print.
        was_finished: There was nothing left to do.
    """

    folder: RunFolder
    state: TrainingState
    metrics: dict[str, Any]
    table: list[str]
    was_finished: bool


def fit(
    dataset: str | Path,
    *,
    run: str | Path,
    options: FitOptions | None = None,
    restart: bool = False,
    say: Callable[[str], None] = lambda line: None,
    progress_bar: bool = False,
) -> FitResult:
    """Train a model on a dataset, or go on with a run that was stopped.

    Args:
        dataset: Folder that `precompute` has written.
        run: Folder of the run, made if missing.
        options: All that can be chosen.
        restart: Throw away what an earlier run has left in the folder.
        say: Takes lines for the user.
        progress_bar: Let Keras show its bar instead of a line an epoch.

    Raises:
        UsageError: An option does not fit the dataset.
        SettingsError: The folder holds a run with other options or of another dataset.
        DatasetError: The dataset cannot be read, or has class ids that are not among its classes.
        PrecomputeError: The loss became infinite, memory ran out, another process trains in the folder …
    """
    options = options or FitOptions()
    require_tensorflow()
    dataset, folder = Path(dataset), RunFolder(run)
    manifest = Manifest.load(dataset)
    if "train" not in manifest.splits:
        raise DatasetError(f"{dataset}: there is no train split, only {', '.join(manifest.splits)}.")
    task = make_task(manifest, ignore_class=options.ignore_class)
    task.check_options(options)
    with folder.hold():
        folder.open(RunSettings.of(dataset, manifest, options), restart=restart)
        state = load_state(folder.checkpoint)
        metrics = folder.load_metrics()
        finished = metrics is not None and metrics["epochs"] == state.epochs >= options.epochs
        if metrics is None or not finished:
            job = _Job(dataset, manifest, task, folder, options, state, say)
            with explained(dataset, task):
                job.train(progress_bar=progress_bar)
                metrics = job.conclude()
    table = task.describe(metrics["scores"])
    return FitResult(folder=folder, state=state, metrics=metrics, table=table, was_finished=finished)


@dataclass
class _Job:
    """One call's part of a run: from where it stands to its end."""

    dataset: Path
    manifest: Manifest
    task: Task
    folder: RunFolder
    options: FitOptions
    state: TrainingState
    say: Callable[[str], None]

    def train(self, *, progress_bar: bool) -> None:
        """Train the epochs that are missing, each recorded when it ends."""
        state, options = self.state, self.options
        if not state.epochs:
            check_targets(self.dataset, self.manifest, self.task, options)
        data = load_data(self.dataset, self.manifest, self.task, options)
        keras.utils.set_random_seed(options.seed)
        network = _make_network(self.task, options, started=bool(state.epochs))
        model = _compile(network, self.task, options, steps=data.steps)
        if state.epochs:
            restore_model(self.folder.checkpoint, model)
        score = self.task.score if data.validation is None else f"val_{self.task.score}"
        quiet: Callable[[str], None] = lambda line: None  # noqa: E731
        recorder = Recorder(self.folder, network, state, score=score, say=quiet if progress_bar else self.say)
        if state.epochs:
            recorder.write_derived()
        self._say_start(data, model)
        model.fit(  # without epochs left, it does nothing
            data.train,
            validation_data=data.validation,
            epochs=options.epochs,
            initial_epoch=state.epochs,
            callbacks=[data.epoch_row, recorder],
            shuffle=False,  # the dataset does; else Keras warns that it cannot
            verbose=1 if progress_bar else 0,
        )
        recorder.write_curves()

    def conclude(self) -> dict[str, Any]:
        """Measure the best model and write pictures and metrics: the last is what marks the run as finished."""
        split = "validation" if "validation" in self.manifest.splits else "train"
        grid, rows = self.manifest.splits[split], self.manifest.splits["train"].rows
        batches = load_in_order(
            self.dataset,
            self.manifest,
            split,
            batch_size=self.options.batch_size,
            allow_leak=self.options.allow_leak,
        )
        model = open_model(self.folder.model("best"))
        found = measure(model, self.task, batches, num_images=grid.num_records, where=split)
        self.folder.write_bytes(self.folder.predictions, self.task.draw(found.samples))
        metrics: dict[str, Any] = {
            "epochs": self.state.epochs,
            "best_epoch": self.state.best_epoch,
            "judged_by": self.task.score,
            "judged_on": split,
            "best_score": self.state.best_score,
            "model": self.task.model_name(self.options),
            "num_parameters": model.count_params(),
            "num_images": {name: s.num_records for name, s in self.manifest.splits.items()},
            "num_rows": len(rows),
            "reuse": self.state.epochs / len(rows),
            "seconds": round(sum(entry["seconds"] for entry in self.state.history), 1),
            "scores": self.task.summarize(found.confusion),
        }
        self.folder.write_json(self.folder.metrics, metrics)
        return metrics

    def _say_start(self, data: RunData, model: Any) -> None:
        height, width, _ = self.task.shape
        target = "masks" if self.task.target == "mask" else "class labels"
        reuse = self.options.epochs / data.num_rows
        self.say(f"dataset     {self.dataset}: {target}, {self.task.num_classes} classes, {height}×{width}")
        sizes = [f"{name} {split.num_records}" for name, split in self.manifest.splits.items()]
        self.say(f"images      {', '.join(sizes)}")
        self.say(f"rows        {data.num_rows}: variants of each training image, one an epoch in turn")
        self.say(f"epochs      {self.options.epochs}, so reuse = epochs / rows = {reuse:.3g}")
        name = self.task.model_name(self.options)
        self.say(f"model       {name}, {model.count_params() / 1e6:.2f} million parameters")
        if self.state.epochs:
            self.say(f"continuing  after epoch {self.state.epochs}")
        if data.validation is None:
            self.say(
                "NO VALIDATION SPLIT: the best epoch is chosen by its score on the training images, which says nothing "
                "about new ones. Build the dataset with --validation-split 0.2 to know."
            )


def _make_network(task: Task, options: FitOptions, *, started: bool) -> Any:
    """Return the model, with the weights that a new run starts from."""
    if started:  # all weights come from the checkpoint; nothing is downloaded again
        return task.make_model(dataclasses.replace(options, weights="none"))
    if options.weights not in ("none", "imagenet") and not Path(options.weights).is_file():
        raise UsageError(
            f"--weights: expected none, imagenet or a file, got {options.weights!r}: there is no such file."
        )
    network = task.make_model(options)
    if is_whole_model(options.weights):
        try:
            with warnings.catch_warnings():  # Keras 3.15 warns of a list of its own that is in no file; a layer raises
                warnings.filterwarnings("ignore", message="Skipping nested container at '_operations_by_depth")
                network.load_weights(options.weights)
        except Exception as error:  # zipfile, h5py and Keras each raise their own
            raise PrecomputeError(f"--weights {options.weights}: does not fit this model: {error}") from error
    return network


def _compile(network: Any, task: Task, options: FitOptions, *, steps: int) -> Any:
    """Return a model to train that shares its weights with `network`, which stays free of our loss and metrics."""
    model = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    total = steps * options.epochs
    warm_up = max(1, round(total * WARM_UP))
    learning_rate = keras.optimizers.schedules.CosineDecay(
        options.learning_rate * 0.01,
        max(1, total - warm_up),
        alpha=0.01,
        warmup_target=options.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.Adam(learning_rate)
    model.compile(optimizer=optimizer, loss=task.make_loss(), metrics=task.make_metrics())
    return model

"""`train fit`: a model trained from a dataset, in a run folder that can be continued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError
from train.announce import announce
from train.checkpoint import TrainingState, load_state, restore_model
from train.compiled import compile_model, make_network
from train.conclude import conclude
from train.data import check_targets, explained, load_data
from train.environment import write_environment
from train.options import FitOptions
from train.recorder import Recorder
from train.run_folder import RunFolder, RunSettings
from train.start import require_tensorflow
from train.tasks import Task, make_task
from train.tensorboard import TensorBoardLog

__all__ = ["FitResult", "fit"]


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
                metrics = conclude(dataset, manifest, task, folder, options, state)
    table = task.describe(metrics["scores"])
    return FitResult(folder=folder, state=state, metrics=metrics, table=table, was_finished=finished)


@dataclass
class _Job:
    """One call's part of a run: from where it stands to its last epoch."""

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
        network = make_network(self.task, options, started=bool(state.epochs))
        model = compile_model(network, self.task, options, steps=data.steps)
        if state.epochs:
            restore_model(self.folder.checkpoint, model)
        score = self.task.score if data.validation is None else f"val_{self.task.score}"
        quiet: Callable[[str], None] = lambda line: None  # noqa: E731
        recorder = Recorder(self.folder, network, state, score=score, say=quiet if progress_bar else self.say)
        if state.epochs:
            recorder.write_derived()
        write_environment(self.folder)
        announce(
            self.dataset,
            self.manifest,
            self.task,
            options,
            state,
            num_rows=data.num_rows,
            num_parameters=model.count_params(),
            say=self.say,
        )
        model.fit(  # without epochs left, it does nothing
            data.train,
            validation_data=data.validation,
            epochs=options.epochs,
            initial_epoch=state.epochs,
            callbacks=[data.epoch_row, recorder, TensorBoardLog(self.folder.tensorboard, state)],
            shuffle=False,  # the dataset does; else Keras warns that it cannot
            verbose=1 if progress_bar else 0,
        )
        recorder.write_curves()

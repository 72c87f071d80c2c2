"""`train fit`: trains a model on a dataset, in a run folder from which it can be continued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, SettingsError
from precompute.storage.paths import as_path
from precompute.text.format import format_count
from train.announce import announce, describe_memory
from train.balance import class_weights_of_run, keep_class_weights
from train.checkpoint import TrainingState, load_state, restore_model
from train.compiled import compile_model, make_network, step_callbacks
from train.conclude import conclude
from train.data import (
    check_targets,
    choose_fresh,
    fit_task,
    forget_missing_row,
    leaves_out,
    load_train,
    load_validation,
    translate_errors,
)
from train.devices import make_strategy
from train.environment import write_environment
from train.files import of_part
from train.ineffective_options import Situation, check_ineffective_options
from train.interval import Interval
from train.learnt_targets import choose_targets
from train.options import FitOptions
from train.progress import Pace
from train.recorder import Recorder
from train.resume import Checkpoints, build_metrics, make_callbacks
from train.run_folder import RunFolder, RunSettings
from train.start import check_no_limits, open_model, plain_keras
from train.stopping import Stopping
from train.tasks import Task, make_task
from train.tensorboard import TensorBoardLog
from train.trained_on import check_weights, record_sources

__all__ = ["FitResult", "fit"]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """The result of a run.

    Attributes:
        folder: Folder of the run.
        state: State of the run, with its history and best epoch.
        metrics: Content of `metrics.json`.
        pictures: Predictions beside the truth, then the scores, one of each for every target.
        table: Scores of the best model as lines to print.
        was_finished: Whether there was nothing left to do.
    """

    folder: RunFolder
    state: TrainingState
    metrics: dict[str, Any]
    pictures: list[Path]
    table: list[str]
    was_finished: bool


@plain_keras()
def fit(
    dataset: str | Path,
    *,
    run: str | Path,
    options: FitOptions | None = None,
    restart: bool = False,
    say: Callable[[str], None] = lambda line: None,
    progress_bar: bool = False,
) -> FitResult:
    """Train a model on a dataset, or continue a run that was stopped.

    Args:
        dataset: Folder that `precompute` has written, or its URL in an object store.
        run: Folder of the run, made if missing.
        options: Options of the run.
        restart: Delete the files of an earlier run in the folder.
        say: Called with each line for the user.
        progress_bar: Show Keras's progress bar instead of one line per epoch.

    Raises:
        UsageError: An option does not fit the dataset.
        SettingsError: The folder holds a run with other options or of another dataset.
        DatasetError: The dataset cannot be read, or has class ids that are not among its classes.
        PrecomputeError: The loss became infinite, memory ran out, another process trains in the folder …
    """
    options = options or FitOptions()
    check_no_limits()
    dataset, folder = as_path(dataset), RunFolder(run)
    manifest = choose_targets(Manifest.load(dataset), options.target)
    if "train" not in manifest.splits:
        raise DatasetError(f"{dataset}: there is no train split, only {', '.join(manifest.splits)}.")
    task = make_task(manifest, ignore_class=options.ignore_class)
    task.check_options(options)
    note = None if options.allow_leak else check_weights(options.weights, dataset, manifest)
    if note is not None:
        say(f"NOTE: {note}")
    for field in manifest.schema.values():
        for warning in field.warnings(manifest.counters):
            say(f"NOTE: {warning}")
    with folder.hold():
        settings = RunSettings.of(dataset, manifest, options)
        folder.check(settings, restart=restart)
        is_new = restart or not folder.checkpoint.exists()
        for ineffective in check_ineffective_options(Situation(options=options, task=task), is_new=is_new):
            say(f"NOTE: {ineffective}")
        state = TrainingState() if restart else load_state(folder.checkpoint)
        metrics = None if restart else folder.load_metrics()
        complete = not state.batch and (state.stopped or state.epochs >= options.epochs)
        finished = complete and metrics is not None and metrics["epochs"] == state.epochs
        if metrics is not None and finished:
            folder.open(settings)
        else:
            with translate_errors(dataset, task):
                if state.epochs and any(part.knows_from_row for part in task.parts.values()):
                    task = task.with_model(open_model(folder.model("last")))
                else:
                    task = fit_task(dataset, manifest, task, options)
                job = _Job(dataset, manifest, task, folder, options, state, say)
                job.train(lambda: folder.open(settings, restart=restart), progress_bar=progress_bar)
                metrics = conclude(dataset, manifest, task, folder, options, state)
    table = task.describe(metrics["scores"])
    pictures = [of_part(path, name) for path in (folder.predictions, folder.scores) for name in task.parts]
    return FitResult(folder=folder, state=state, metrics=metrics, pictures=pictures, table=table, was_finished=finished)


@dataclass
class _Job:
    """The part of a run that one call trains: from its present state to its last epoch."""

    dataset: Path
    manifest: Manifest
    task: Task
    folder: RunFolder
    options: FitOptions
    state: TrainingState
    notify: Callable[[str], None]

    def train(self, begin: Callable[[], None], *, progress_bar: bool) -> None:
        """Train the missing epochs, and record each at its end.

        Args:
            begin: Prepares the folder. It is called after all checks, so that a refused run changes nothing there.
            progress_bar: Show Keras's progress bar.
        """
        state, options, folder = self.state, self.options, self.folder
        parts = self.dataset, self.manifest, self.task
        if state.is_new:
            check_targets(*parts, options)
            state.fresh = choose_fresh(options, self.manifest)
        weights = class_weights_of_run(*parts, folder, options, is_new=state.is_new)
        strategy = make_strategy(options.devices, batch_size=options.batch_size)
        num_devices = strategy.num_replicas_in_sync
        num_images, steps = self._measure_epoch(num_devices)
        validation = load_validation(*parts, options, num_devices=num_devices)
        with strategy.scope():
            network, model = self._make_model(steps)
        begin()
        record_sources(folder, self.dataset, self.manifest, options.weights)
        keep_class_weights(folder, self.task, weights)

        score = self.task.score if validation is None else f"val_{self.task.score}"
        pace = Pace(num_images=num_images, batch_size=options.batch_size, measures_waiting=num_devices == 1)
        steering = make_callbacks(options, score=score)
        interval = Interval.parse(options.checkpoint_every)
        stopping = Stopping()
        checkpoints = Checkpoints(folder, state, callbacks=steering, pace=pace, interval=interval, stopping=stopping)
        notify: Callable[[str], None] = (lambda line: None) if progress_bar else self.notify
        recorder = Recorder(
            folder, network, state, checkpoints=checkpoints, pace=pace, score=score, total=options.epochs, notify=notify
        )
        learning = [*step_callbacks(network, options, steps=steps), *steering]
        log = TensorBoardLog(folder.tensorboard, state)
        if state.epochs:
            recorder.write_derived()
        write_environment(folder)
        self._announce(model, weights)
        self._leave_missing_row()
        while state.epochs < options.epochs and not state.stopped:
            train, epoch_row = load_train(*parts, options, state, num_devices=num_devices, class_weights=weights)
            checkpoints.epoch_row = epoch_row
            if not state.batch:
                opened = {"train": train} | ({} if validation is None else {"validation": validation})
                self.notify(describe_memory(opened))
            else:
                build_metrics(model, train.element_spec)
            with stopping:
                model.fit(
                    train,
                    validation_data=validation,
                    epochs=state.epochs + 1 if state.batch else options.epochs,  # first what is left of one
                    initial_epoch=state.epochs,
                    callbacks=[epoch_row, *learning, pace, recorder, log, checkpoints],
                    shuffle=False,  # the dataset does; else Keras warns that it cannot
                    verbose=1 if progress_bar else 0,
                )
        recorder.write_curves()

    def _make_model(self, steps: int) -> tuple[Any, Any]:
        """Return the network to save, and the model that trains it, in the state of the last checkpoint."""
        keras.utils.set_random_seed(self.options.seed)
        if self.options.deterministic:
            tf.config.experimental.enable_op_determinism()
        network = make_network(self.task, self.options, started=not self.state.is_new)
        model = compile_model(network, self.task, self.options, steps=steps)
        if not self.state.is_new:
            restore_model(self.folder.checkpoint, model)
        return network, model

    def _measure_epoch(self, num_devices: int) -> tuple[int, int]:
        """Return the number of images and of batches of an epoch."""
        batch_size, num_images = self.options.batch_size, self.manifest.splits["train"].num_records
        left_out = leaves_out(self.manifest, self.options, num_devices=num_devices)
        steps = -(-(num_images - left_out) // batch_size)
        if self.state.batch and self.state.batch >= steps:
            raise SettingsError(
                f"--devices: the run was interrupted after batch {self.state.batch} of an epoch, which has no more "
                f"than {steps} with {format_count(num_devices, 'device')}. Go on with as many devices as before."
            )
        if left_out:
            self.notify(
                f"NOTE: each epoch leaves out {format_count(left_out, 'image')}: a last batch of so few does "
                "not reach all devices"
            )
        return num_images - left_out, steps

    def _announce(self, model: Any, class_weights: Any) -> None:
        """Print what is about to be trained."""
        announce(
            self.dataset,
            self.manifest,
            self.task,
            self.options,
            self.state,
            num_rows=len(self.manifest.splits["train"].rows),
            num_parameters=model.count_params(),
            class_weights=class_weights,
            notify=self.notify,
        )

    def _leave_missing_row(self) -> None:
        """Let the interrupted epoch continue with another row, with a note, if its own is no longer listed."""
        gone = forget_missing_row(self.state, self.manifest)
        if gone is not None:
            self.notify(
                f"row {gone.row} (seed {gone.seed}, variant {gone.variant}) is not in the dataset any more: what is "
                f"left of epoch {gone.epoch + 1} reads another row"
            )

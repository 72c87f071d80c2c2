"""`train fit`: trains a model on a dataset, in a run folder from which it can be continued, and measures the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import precompute
from precompute.dataset.manifest import Manifest
from precompute.errors import SettingsError
from precompute.text.format import format_count
from train.balance import class_weights_of_run, keep_class_weights, name_class_weights
from train.checkpoint import TrainingState, load_state, restore_model
from train.compiled import check_weights_file, compile_model, make_network, step_callbacks
from train.data import (
    check_targets,
    choose_fresh,
    describe_reuse,
    fit_task,
    forget_missing_row,
    leaves_out,
    load_in_order,
    load_train,
    load_validation,
    num_variants,
    open_dataset,
    reuse_of,
    translate_errors,
)
from train.devices import make_strategy
from train.environment import write_environment
from train.files import of_part, write_json
from train.ineffective_options import Situation, check_ineffective_options
from train.interval import Interval
from train.measure import report
from train.options import FitOptions
from train.progress import Pace
from train.recorder import Recorder
from train.resume import Checkpoints, build_metrics, make_callbacks
from train.run_folder import RunFolder, RunSettings
from train.start import open_model, plain_keras
from train.stopping import Stopping
from train.tasks import Task
from train.tensorboard import TensorBoardLog
from train.trained_on import check_weights, record_sources

__all__ = ["FitResult", "announce", "fit"]


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
    options, folder = options or FitOptions(), RunFolder(run)
    dataset, manifest, task = open_dataset(dataset, options)
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
            check_weights_file(options)
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
        announce(*parts, options, state, num_parameters=model.count_params(), class_weights=weights, notify=self.notify)
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

    def _leave_missing_row(self) -> None:
        """Let the interrupted epoch continue with another row, with a note, if its own is no longer listed."""
        gone = forget_missing_row(self.state, self.manifest)
        if gone is not None:
            self.notify(
                f"row {gone.row} (seed {gone.seed}, variant {gone.variant}) is not in the dataset any more: what is "
                f"left of epoch {gone.epoch + 1} reads another row"
            )


# What is said before a run


def announce(
    dataset: Path,
    manifest: Manifest,
    task: Task,
    options: FitOptions,
    state: TrainingState,
    *,
    num_parameters: int,
    class_weights: Any,
    notify: Callable[[str], None],
) -> None:
    """Print what is about to be trained, and on which data."""
    height, width, _ = task.shape
    notify(f"dataset     {dataset}: {task.describe_target()}, {height}×{width}")
    sizes = [f"{name} {split.num_records}" for name, split in manifest.splits.items()]
    notify(f"images      {', '.join(sizes)}")
    notify(f"rows        {len(manifest.splits['train'].rows)}: variants of each training image, one an epoch in turn")
    reuse = reuse_of(options, manifest)
    meaning = describe_reuse(reuse, num_variants(manifest))
    notify(f"epochs      {options.epochs}, so reuse = epochs / rows = {reuse:.3g}: {meaning}")
    if state.fresh == "auto":
        moves = ["small shifts", *(f"{way} flips" for way in manifest.mirroring)]
        notify(f"fresh       {' and '.join(moves)} at each reading")
    name = task.model_name(options)
    notify(f"model       {name}, {num_parameters / 1e6:.2f} million parameters")
    for part, by_class in name_class_weights(task, class_weights).items():
        weights = [f"{name} {weight:.3g}" for name, weight in by_class.items()]
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


# The end of a run


def conclude(
    dataset: Path, manifest: Manifest, task: Task, folder: RunFolder, options: FitOptions, state: TrainingState
) -> dict[str, Any]:
    """Measure the best model, write pictures, and then metrics, which mark the run as finished."""
    split = "validation" if "validation" in manifest.splits else "train"
    rows = manifest.splits["train"].rows
    batches = load_in_order(dataset, manifest, task, split, options)
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
    write_json(folder.metrics, metrics)
    return metrics

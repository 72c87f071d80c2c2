"""`train bench`: measures how fast this machine reads a dataset and takes steps, and which one a training waits for."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from precompute.dataset.manifest import Manifest
from precompute.text.format import format_count
from train.bench_options import BenchOptions
from train.checkpoint import TrainingState
from train.compiled import compile_model, make_network
from train.data import fit_task, load_train, open_dataset, translate_errors
from train.ineffective_options import Situation, check_ineffective_options
from train.learnt_targets import learnt_values
from train.options import FitOptions
from train.start import plain_keras
from train.tasks import Task

__all__ = [
    "BenchResult",
    "StepClock",
    "advise",
    "bench",
    "describe",
]

WARM_UP = 3  # steps before the clock: TensorFlow compiles in the first and settles in the next


@dataclass(frozen=True, kw_only=True)
class BenchResult:
    """The measurements on this machine.

    Attributes:
        loader: Images per second when reading from files, with nothing else running.
        memory: Images per second from rows held in memory; None where they are not held.
        step: Images per second when training on a batch in memory.
        together: Images per second when training from files, as in a first epoch.
        is_held: Whether rows are held in memory after their first reading.
        why_held: Why they are held or not.
        model: Name and size of the model.
        batch_size: Number of images per step.
        notes: Notes for the user on the options.
    """

    loader: float
    memory: float | None
    step: float
    together: float
    is_held: bool
    why_held: str
    model: str
    batch_size: int
    notes: list[str] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Speed of the loader divided by that of the step, after the first epochs."""
        return (self.memory or self.loader) / self.step

    @property
    def bound(self) -> str:
        """What a training waits for: ``"input-bound"`` or ``"compute-bound"``."""
        return "input-bound" if self.ratio < 1 else "compute-bound"


@plain_keras()
def bench(dataset: str | Path, options: BenchOptions | None = None) -> BenchResult:
    """Measure reading, training on a batch in memory, and both together, one after the other.

    Nothing is written, and no weights are kept.

    Args:
        dataset: Folder that `precompute` has written.
        options: Options of the planned training.

    Raises:
        UsageError: An option does not fit the dataset.
        DatasetError: The dataset cannot be read.
    """
    options = options or BenchOptions()
    fit = options.as_fit()
    dataset, manifest, task = open_dataset(dataset, fit)
    notes = check_ineffective_options(Situation(options=fit, task=task, is_timed=True))
    with translate_errors(dataset, task):
        task = fit_task(dataset, manifest, task, fit)
        return dataclasses.replace(_measure(dataset, manifest, task, fit, options), notes=notes)


def _measure(dataset: Path, manifest: Manifest, task: Task, fit: FitOptions, options: BenchOptions) -> BenchResult:
    streamed, _ = load_train(dataset, manifest, task, dataclasses.replace(fit, cache="off"), TrainingState())
    chosen, epoch_row = load_train(dataset, manifest, task, fit, TrainingState())
    plan = epoch_row.cache_plan
    loader = _reading(_epochs(streamed), options)
    memory = None
    if plan.holds:
        epoch_row.on_epoch_begin(0)  # one row, again and again
        memory = _reading(_epochs(chosen), options)
    batch, num_images = next(iter(streamed)), manifest.splits["train"].num_records
    keras.utils.set_random_seed(fit.seed)
    network = make_network(task, fit, started=False)
    model = compile_model(network, task, fit, steps=options.steps)
    num_steps, size = int(streamed.cardinality()), int(batch[0].shape[0])
    in_memory = tf.data.Dataset.from_tensors(batch).repeat(num_steps)
    return BenchResult(
        loader=loader,
        memory=memory,
        step=_training(model, in_memory, num_steps * size, options),
        together=_training(model, streamed, num_images, options),
        is_held=plan.holds,
        why_held=plan.reason,
        model=f"{task.model_name(fit)}, {model.count_params() / 1e6:.2f} million parameters",
        batch_size=fit.batch_size,
    )


def _epochs(dataset: Any) -> Iterator[Any]:
    while True:
        yield from dataset


def _reading(batches: Iterator[Any], options: BenchOptions) -> float:
    """Return images per second without the first batch, for which files are opened and threads started."""
    next(batches)
    began, num_images, num_batches = time.perf_counter(), 0, 0
    while num_batches < options.steps and time.perf_counter() - began < options.seconds:
        num_images += int(next(batches)[0].shape[0])
        num_batches += 1
    return num_images / (time.perf_counter() - began)


def _training(model: Any, dataset: Any, num_images: int, options: BenchOptions) -> float:
    clock = StepClock(options, num_images)
    while not clock.is_over:
        model.fit(dataset, epochs=1, shuffle=False, verbose=0, callbacks=[clock])
    return clock.num_images / clock.measured_s


class StepClock(keras.callbacks.Callback):  # type: ignore[misc]
    """Counts images and seconds of steps after the first few, and ends a training when there are enough.

    It is not an `async_safe` callback. So Keras waits for each step's numbers, and the step has ended on a GPU, too.

    Args:
        options: Options that say how many steps are enough.
        num_images: Number of images in an epoch; its last step has the rest of them.
        clock: Returns the time in seconds.
    """

    def __init__(self, options: BenchOptions, num_images: int, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self._options, self._of_epoch, self._clock = options, num_images, clock
        self._before = WARM_UP
        self._began = 0.0
        self._num_steps = self.num_images = 0
        self.measured_s = 0.0

    @property
    def is_over(self) -> bool:
        """Whether enough was measured."""
        return self._num_steps >= self._options.steps or self.measured_s >= self._options.seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock; the longer time of an epoch's first batch counts."""
        self._began = self._clock()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count a step, or leave it out as one of the first."""
        now = self._clock()
        if self._before:
            self._before -= 1
        else:
            size = self._options.batch_size
            self._num_steps += 1
            self.num_images += min(size, self._of_epoch - batch * size)
            self.measured_s += now - self._began
        self._began = now
        self.model.stop_training = self.is_over


# The report


JPEG = "precompute build --image-format jpeg"
LEVEL = 1.1  # below that a loader is hardly faster than the step: small changes decide who waits


def describe(result: BenchResult, dataset: Path, manifest: Manifest, options: BenchOptions) -> list[str]:
    """Return the lines of the report."""
    image, size = manifest.image, options.batch_size
    num_gpus = len(tf.config.list_logical_devices("GPU"))
    if result.memory is None:
        memory = f"not held in memory ({result.why_held})"
    else:
        memory = f"{_rate(result.memory, size)} from rows held in memory ({result.why_held})"
    slower = ", each on the same cores" if not num_gpus else ""
    than = f"{result.ratio:.3g} times as fast as the step"
    return [
        f"dataset     {dataset}: {image.height}×{image.width}, {image.encoding}, {_target_of(manifest)}",
        f"machine     {format_count(os.cpu_count() or 1, 'core')}, "
        f"{format_count(num_gpus, 'GPU') if num_gpus else 'no GPU'}",
        f"model       {result.model}, {format_count(size, 'image')} a step",
        f"loader      {_rate(result.loader, size)} from files",
        f"            {memory}",
        f"step        {_rate(result.step, size)} on a batch that is in memory",
        f"together    {_rate(result.together, size)} from files{slower}",
        f"{result.bound}: the loader is {than}",
        *(f"- {line}" for line in advise(result, manifest, options)),
    ]


def _target_of(manifest: Manifest) -> str:
    targets = manifest.schema.targets
    if len(targets) == 1 and not learnt_values(manifest.schema):
        return manifest.target.kind
    return ", ".join(field.own_name for field in targets.values()) or manifest.target.kind


def _rate(images_per_second: float, batch_size: int) -> str:
    return f"{images_per_second:,.0f} images/s, {1000 * batch_size / images_per_second:,.3g} ms a batch,"


def advise(result: BenchResult, manifest: Manifest, options: BenchOptions) -> list[str]:
    """Return advice on what to change, the most worthwhile first."""
    if result.bound == "compute-bound":
        return _advise_compute(result, manifest)
    return _advise_input(result, manifest, options)


def _advise_input(result: BenchResult, manifest: Manifest, options: BenchOptions) -> list[str]:
    advice = []
    if manifest.image.encoding != "jpeg":
        advice.append(
            f"JPEG may be read faster than {manifest.image.encoding}, and takes a fraction of the disk: {JPEG}"
        )
    if not result.is_held:
        advice.append(
            "--cache auto holds decoded rows in memory"
            if options.cache == "off"
            else f"fewer rows can be held in memory, where reading costs next to nothing (now: {result.why_held})"
        )
    if options.fresh != "off":
        advice.append("--fresh off saves the moves that are drawn at each reading, if there are rows enough")
    cores = os.cpu_count()
    advice.append(f"more cores: decoding takes all {cores} that are here, and grows with them")
    return advice


def _advise_compute(result: BenchResult, manifest: Manifest) -> list[str]:
    advice = []
    if result.ratio < LEVEL:
        advice.append("loader and step are about level: a faster step would wait for the loader")
    else:
        advice.append("the loader keeps up: nothing is to be won in reading or augmenting")
    if result.together < 0.9 * result.step and result.ratio >= LEVEL:
        advice.append("the model runs on the cores that decode: a GPU would leave them to the loader")
    if tf.config.list_logical_devices("GPU"):
        advice.append("a faster step: --precision mixed_float16 on recent GPUs, a larger --batch-size, --devices all")
    else:
        advice.append("a faster step: a GPU, a smaller model (--base-channels), smaller images")
    return advice

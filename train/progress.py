"""The speed of a run, and the share of time in which its device waits for data."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

__all__ = ["Pace"]

SAMPLED = 8  # on a GPU one step of so many is measured: it has to wait until the device is idle


class Pace(keras.callbacks.Callback):  # type: ignore[misc]
    """Counts images per second and the share of waiting in each epoch, without validation.

    A step waits from the moment when the device has nothing left to do until its batch is there. The host runs ahead of
    a GPU, so the time in `next` alone would include waiting that the GPU never notices. So the device finishes first;
    but only in some steps, since these lose their head start.

    Args:
        num_images: Number of images in an epoch.
        batch_size: Images per step; the last step may have fewer.
        measures_waiting: Whether waiting is measured, which is impossible on several devices.
        clock: Returns the time in seconds.
    """

    async_safe = True  # else Keras would wait for each step's numbers before it starts the next

    def __init__(
        self,
        *,
        num_images: int,
        batch_size: int,
        measures_waiting: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__()
        self._num_images = num_images
        self._batch_size = batch_size
        self._clock = clock
        self._has_gpu = bool(tf.config.list_logical_devices("GPU"))
        self._sampled = SAMPLED if self._has_gpu else 1
        self._measures = measures_waiting
        self._timed_step: Any = None
        self.begin({}, first_batch=0)

    def watch(self, model: Any) -> None:
        """Measure the waiting of a compiled model's steps, also after Keras has made their function anew.

        Keras takes a batch from the iterator inside that function; here the batch is taken before, and timed.
        """
        model.make_train_function()
        if model.train_function is self._timed_step:
            return
        take_step = model.train_function
        in_graph = tf.function(lambda batch: take_step([batch]), autograph=False)

        def timed_step(iterator: Any) -> Any:
            batch = self._take(iterator)
            if not self._steps:  # one graph for batches of any length, from the first step of every process on
                in_graph.get_concrete_function(iterator.element_spec)
            self._steps += 1
            return in_graph(batch)

        model.train_function = self._timed_step = timed_step

    def begin(self, spent: dict[str, float], *, first_batch: int) -> None:
        """Start the clock of an epoch.

        Args:
            spent: Result of `spent` when the epoch was interrupted, or nothing.
            first_batch: Number of batches that were finished then.
        """
        self._before = {"seconds": 0.0, "training": 0.0, "waiting": 0.0} | spent
        self._began = self._clock()
        self._trained: float | None = None
        self._done = self._first_batch = first_batch
        self._steps = self._measured = 0
        self._first_wait = self._other_waits = 0.0

    @property
    def spent(self) -> dict[str, float]:
        """Seconds of the epoch so far: all without validation, and the part spent waiting."""
        now = self._clock()
        training = (self._trained if self._trained is not None else now) - self._began
        mean = self._other_waits / max(1, self._measured)
        here = {
            "seconds": now - self._began,
            "training": training,
            "waiting": min(training, self._first_wait + mean * max(0, self._steps - 1)),
        }
        return {name: value + self._before[name] for name, value in here.items()}

    @property
    def rates(self) -> dict[str, float]:
        """Images per second and, where it is measured, the share of waiting."""
        spent = self.spent
        training = max(spent["training"], 1e-9)
        rates = {"images_per_second": min(self._done * self._batch_size, self._num_images) / training}
        return rates | ({"waiting": spent["waiting"] / training} if self._measures else {})

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Make sure that waiting is measured."""
        if self._measures:
            self.watch(self.model)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Add the rates to the numbers of the progress bar."""
        self._done = max(self._done, self._first_batch + batch + 1)  # calls may overtake each other
        if logs is not None:
            rates = self.rates
            logs["images/s"] = rates["images_per_second"]
            if "waiting" in rates:
                logs["wait"] = rates["waiting"]

    def on_test_begin(self, logs: Any = None) -> None:
        """Stop the clock of training: validation has begun."""
        self._finish_steps()
        self._trained = self._clock()

    def _take(self, iterator: Any) -> Any:
        first = not self._steps
        if not first and self._steps % self._sampled:
            return next(iterator)
        self._finish_steps()
        began = self._clock()
        batch = next(iterator)
        waited = self._clock() - began
        if first:  # files are opened and buffers filled: it speaks for no other step
            self._first_wait = waited
        else:
            self._other_waits += waited
            self._measured += 1
        return batch

    def _finish_steps(self) -> None:
        if self._has_gpu:
            tf.test.experimental.sync_devices()

"""Rates by a clock that the test turns, and how often checkpoints are due."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tensorflow as tf

from precompute.errors import UsageError
from train import progress
from train.interval import Interval
from train.progress import Pace


class Clock:
    """Stands still but for what a batch and a step add to it."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def add(self, seconds):
        self.now += seconds
        return True

    def step(self, batches):
        """Stand in for the function that Keras makes, of a step that takes three seconds."""
        return tf.numpy_function(lambda _: self.add(3.0), batches, tf.bool)


class Batches:
    """An iterator that lets its reader wait for each batch."""

    element_spec = tf.TensorSpec([], tf.bool)

    def __init__(self, clock, waits):
        self._clock = clock
        self._waits = iter(waits)

    def __next__(self):
        return tf.constant(self._clock.add(next(self._waits)))


def run_epoch(pace, clock, waits, *, spent=None, first_batch=0):
    model = SimpleNamespace(make_train_function=lambda: None, train_function=clock.step)
    pace.watch(model)
    pace.begin(spent or {}, first_batch=first_batch)
    iterator = Batches(clock, waits)
    for batch in range(len(waits)):
        model.train_function(iterator)
        pace.on_train_batch_end(batch, {})
    with pytest.raises(StopIteration):
        model.train_function(iterator)
    pace.on_test_begin()
    clock.add(50)  # validation


def test_waiting_is_the_time_until_a_batch_is_there():
    clock = Clock()
    pace = Pace(num_images=14, batch_size=4, clock=clock)
    run_epoch(pace, clock, [1, 1, 1, 1])
    assert pace.rates == {"images_per_second": pytest.approx(14 / 16), "waiting": pytest.approx(4 / 16)}
    assert pace.spent == {"seconds": 66, "training": 16, "waiting": 4}


def test_an_interrupted_epoch_has_the_times_of_both_parts():
    clock = Clock()
    pace = Pace(num_images=14, batch_size=4, clock=clock)
    run_epoch(pace, clock, [1, 1], spent={"seconds": 10.0, "training": 8.0, "waiting": 4.0}, first_batch=2)
    assert pace.spent == {"seconds": 68, "training": 16, "waiting": 6}
    assert pace.rates == {"images_per_second": pytest.approx(14 / 16), "waiting": pytest.approx(6 / 16)}


def test_on_a_gpu_few_steps_speak_for_all_but_the_first(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a device"])
    clock = Clock()
    pace = Pace(num_images=68, batch_size=4, clock=clock)
    assert progress.SAMPLED == 8
    run_epoch(pace, clock, [30] + [1 if step % 8 == 0 else 2 for step in range(1, 17)])
    assert pace.spent["waiting"] == pytest.approx(30 + 16 * 1)


def test_what_the_progress_bar_shows():
    clock, shown = Clock(), {"loss": 1.0}
    pace = Pace(num_images=8, batch_size=4, clock=clock)
    run_epoch(pace, clock, [1, 1])
    pace.on_train_batch_end(1, shown)
    assert shown == {"loss": 1.0, "images/s": pytest.approx(8 / 8), "wait": pytest.approx(2 / 8)}


def test_on_several_devices_nothing_is_said_of_waiting():
    clock, shown = Clock(), {"loss": 1.0}
    pace = Pace(num_images=8, batch_size=4, measures_waiting=False, clock=clock)
    clock.add(2)
    pace.on_train_batch_end(0, shown)
    assert shown == {"loss": 1.0, "images/s": 2.0}


def test_a_function_that_keras_has_made_anew_is_measured_too():
    clock, pace = Clock(), Pace(num_images=8, batch_size=4)
    model = SimpleNamespace(make_train_function=lambda: None, train_function=clock.step)
    pace.set_model(model)
    pace.on_epoch_begin(0)
    first = model.train_function
    pace.on_epoch_begin(1)
    assert model.train_function is first is not clock.step
    model.train_function = clock.step
    pace.on_epoch_begin(2)
    assert model.train_function is not clock.step


@pytest.mark.parametrize(
    ("text", "due", "not_due"),
    [
        ("60s", (0, 60.0), (1000, 59.9)),
        ("200", (200, 0.0), (199, 1000.0)),
    ],
)
def test_checkpoints_are_due_by_seconds_or_batches(text, due, not_due):
    interval = Interval.parse(text)
    assert interval.is_over(batches=due[0], seconds=due[1])
    assert not interval.is_over(batches=not_due[0], seconds=not_due[1])


def test_zero_means_at_the_end_of_an_epoch_alone():
    assert not Interval.parse("0").is_over(batches=10**9, seconds=1e9)


@pytest.mark.parametrize("text", ["", "s", "0s", "-1", "1.5s", "5m", "ten", "٣"])
def test_other_intervals_are_refused(text):
    with pytest.raises(UsageError, match=r"--checkpoint-every: expected seconds such as 60s, batches"):
        Interval.parse(text)

"""SIGINT, SIGTERM and SIGHUP to a training: it ends with its step, which is saved first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from tests.helpers.project import ROOT
from tests.helpers.trainer_datasets import write_classes
from train.checkpoint import load_state
from train.fit import fit
from train.options import FitOptions
from train.progress import Pace
from train.stopping import PATIENCE_S, SIGNALS, Stopping


class CameError(Exception):
    """A signal came to whoever handled it before."""


@pytest.fixture(params=SIGNALS, ids=lambda number: signal.Signals(number).name)
def number(request):
    def handle(number, frame):
        raise CameError(number)

    before = signal.signal(request.param, handle)
    yield request.param
    signal.signal(request.param, before)


def test_a_signal_is_kept_until_it_is_delivered(number):
    with Stopping() as stopping:
        stopping.holds = True
        signal.raise_signal(number)
        signal.raise_signal(number)  # they often come twice, to a process and to its group
        assert stopping.is_asked_for
        with pytest.raises(CameError):
            stopping.deliver()
        stopping.deliver()
        assert not stopping.is_asked_for


def test_a_signal_goes_through_where_nothing_is_kept(number):
    with Stopping(), pytest.raises(CameError):
        signal.raise_signal(number)
    with pytest.raises(CameError):
        signal.raise_signal(number)


def test_one_that_was_kept_to_the_end_is_not_lost(number):
    with pytest.raises(CameError), Stopping() as stopping:
        stopping.holds = True
        signal.raise_signal(number)


def test_who_insists_is_not_kept_waiting(number):
    seconds = [0.0]
    with Stopping(clock=lambda: seconds[0]) as stopping:
        stopping.holds = True
        signal.raise_signal(number)
        seconds[0] = PATIENCE_S
        with pytest.raises(CameError):
            signal.raise_signal(number)


def test_what_is_ignored_stays_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    with Stopping() as stopping:
        stopping.holds = True
        signal.raise_signal(number)
        assert not stopping.is_asked_for
    signal.signal(number, before)


def test_another_thread_is_left_alone():
    def enter():
        with Stopping():
            found.append(signal.getsignal(signal.SIGINT))

    found = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]


BY_DEFAULT = """
import signal
from train.stopping import Stopping
with Stopping() as stopping:
    stopping.holds = True
    signal.raise_signal(signal.SIGTERM)
    print("saved", flush=True)
    stopping.deliver()
    print("never")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM from others")
def test_the_system_s_own_way_is_kept():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", BY_DEFAULT], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "saved\n")


@pytest.mark.slow
def test_a_training_is_saved_at_the_end_of_the_step_that_a_signal_came_in(tmp_path, monkeypatch):
    def send(self, batch, logs=None, end=Pace.on_train_batch_end):
        end(self, batch, logs)
        if batch == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Pace, "on_train_batch_end", send)
    dataset = write_classes(tmp_path / "data", sizes={"train": 20, "validation": 3})
    options = FitOptions(epochs=2, batch_size=4, base_channels=2, checkpoint_every="0")
    with pytest.raises(KeyboardInterrupt):
        fit(dataset, run=tmp_path / "run", options=options)
    state = load_state(tmp_path / "run" / "checkpoint.npz")
    assert (state.epochs, state.batch) == (0, 3)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.undo()
    lines = []

    def say(line):
        lines.append(line)
        if line.startswith("continuing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(dataset, run=tmp_path / "run", options=options, say=say)
    assert lines[-1] == "continuing  after epoch 0, batch 3 of the next"

"""Ctrl-C, for real: SIGINT while workers are busy. Ends soon, keeps what is finished, and the same command goes on."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import precompute
from precompute.cli import main as run_precompute
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, rows_of, save, shard_hashes
from train.cli import main as run_train

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends signals to process groups")

# In a worker, the red source takes until the file `go` is there: whoever is interrupted is interrupted at it.
PIPELINES = """
import multiprocessing, time
from pathlib import Path
import albumentations as A

class Waiting(A.ImageOnlyTransform):
    def apply(self, img, **params):
        if tuple(img[0, 0]) == (255, 0, 0) and multiprocessing.current_process().name != "MainProcess":
            while not (Path(__file__).parent / "go").exists():
                time.sleep(0.02)
        return img

train = A.Compose([Waiting(p=1), A.HorizontalFlip(p=0.5), A.Resize(16, 16)])
validation = A.Compose([A.Resize(16, 16)])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty sources, a red one among them, and the file of pipelines."""
    draw_pairs(tmp_path / "data", 40)
    save(tmp_path / "data" / "images" / "s004.png", np.full((20, 18, 3), (255, 0, 0), np.uint8))
    save(tmp_path / "data" / "masks" / "s004.png", np.zeros((20, 18), np.uint8))
    (tmp_path / "pipelines.py").write_text(PIPELINES)
    return tmp_path


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    given = ["--pipeline", str(folder / "pipelines.py"), "--jobs", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", "precompute", *command, *given],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def build_of(folder: Path, out: Path, variants: int) -> list[str]:
    made = ["--variants", str(variants), "--validation-split", "0.25", "--image-format", "png"]
    return ["build", str(folder / "data"), str(out), *made]


def is_busy(out: Path) -> bool:
    """Whether a worker is at the red source, and another one has left a receipt."""
    at = set()
    for path in (out / ".build" / "at").glob("*"):
        with contextlib.suppress(OSError, ValueError):  # gone, or being written
            at.add(json.loads(path.read_bytes())[1])
    return "s004" in at and any((out / ".build" / "g0001" / "receipts").glob("*"))


STUBBORN = """
import sys, time
import precompute.program.interruption
precompute.program.interruption.PATIENCE_S = 0.5
def command():
    while True:
        try:
            print("waiting", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            pass
precompute.program.interruption.run_until_signal(command, "interrupted")
"""


def test_what_does_not_end_by_itself_is_ended() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "interrupted\n"
    assert process.returncode == 130


@pytest.mark.parametrize(("main", "command"), [(run_precompute, "verify"), (run_train, "evaluate")])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_the_exit_code_names_the_signal(main, command, name, code, monkeypatch, capsys) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    monkeypatch.setattr("precompute.program.run._run", lambda _: signal.raise_signal(number))
    assert main([command, "somewhere"]) == code
    assert capsys.readouterr().err.startswith("interrupted")
    assert signal.getsignal(number) == before


def signal_in_bursts(folder: Path, moments: list[float], number: int, *, group: bool) -> None:
    """Start a build for each moment; from then on signals come within 50 ms: the build says one line, and ends.

    Args:
        folder: Of the sources and the file of pipelines.
        moments: Seconds from the start of a build to its first signal.
        number: The signal.
        group: The whole group of processes gets it, as from a terminal.
    """
    for i, moment in enumerate(moments):
        out = folder / f"out{i}"
        process = start(folder, *build_of(folder, out, 2))  # waits for the file `go`, which never comes
        time.sleep(moment)
        for _ in range(1 + i % 4):
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if group else os.kill)(process.pid, number)
            time.sleep(0.05 * random.random())
        try:
            said = process.communicate(timeout=60)[1]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        lines = [line for line in said.splitlines() if not line.startswith(("note: ", "warning: ", "found ", "  "))]
        assert process.returncode == 128 + number, (moment, said)
        assert len(lines) == 1 and lines[0].startswith("interrupted: "), (moment, said)


def test_two_signals_are_one_line(folder: Path) -> None:
    signal_in_bursts(folder, [0.3, 0.9], signal.SIGINT, group=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)], ids=["ctrl-c", "scheduler"]
)
def test_any_number_of_signals_at_any_moment_is_one_line(folder: Path, number: int, group: bool) -> None:
    draws = random.Random(f"{number} {group}")
    moments = [draws.uniform(0.2, 4) for _ in range(4)]
    signal_in_bursts(folder, moments, number, group=group)


def interrupt(process: subprocess.Popen[str], out: Path, *, group: bool) -> str:
    """Send SIGINT when a worker is busy; returns what the command then said on standard error."""
    try:
        deadline = time.monotonic() + 120
        while not is_busy(out):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]  # the worker itself would take for ever
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 130, said
    assert "interrupted: what is finished is kept; run the same command again to go on." in said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("group", [pytest.param(False, marks=pytest.mark.slow), True], ids=["process", "group"])
@pytest.mark.slow
def test_a_build_is_interrupted_and_goes_on(folder: Path, group: bool) -> None:
    out, whole = folder / "out", folder / "whole" / "out"
    command = build_of(folder, out, 2)
    interrupt(start(folder, *command), out, group=group)
    assert not (out / "manifest.json").exists()
    proven = {path.stem for path in (out / ".build" / "g0001" / "receipts").glob("*.json")}  # train_r0000-00003
    shards = {re.sub(r".*-(\w+)\.tfrecord-(\d+)-.*", r"\1-\2", path.name): path for path in out.rglob("*.tfrecord-*")}
    kept = {shards[cell]: shards[cell].stat().st_mtime_ns for cell in proven}
    assert kept
    (folder / "go").touch()
    again = start(folder, *command)
    assert again.wait(120) == 0, again.communicate()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    pipeline, made = str(folder / "pipelines.py"), {"validation_split": 0.25, "image_format": "png", "quiet": True}
    precompute.build(folder / "data", whole, pipeline=pipeline, variants=2, backend="sequential", **made)
    assert shard_hashes(out) == shard_hashes(whole)
    assert not any((out / ".build" / "tmp").glob("*"))


@pytest.mark.slow
def test_follow_is_interrupted_and_goes_on(folder: Path) -> None:
    out, whole = folder / "out", folder / "whole" / "out"
    pipeline, made = str(folder / "pipelines.py"), {"validation_split": 0.25, "image_format": "png", "quiet": True}
    precompute.build(folder / "data", out, pipeline=pipeline, variants=2, backend="sequential", **made)
    said = interrupt(start(folder, "follow", str(out), "--keep", "4"), out, group=True)
    assert "wrote 0 new rows; train lists rows 0-1" in said
    assert rows_of(out) == [(0, 0, 0), (1, 0, 1)]
    assert precompute.verify(out, jobs=1).problems == []
    (folder / "go").touch()
    again = start(folder, "follow", str(out), "--keep", "4", "--rows", "2")
    assert again.wait(120) == 0, again.communicate()
    precompute.build(folder / "data", whole, pipeline=pipeline, variants=4, backend="sequential", **made)
    assert rows_of(out) == rows_of(whole)
    assert shard_hashes(out) == shard_hashes(whole)

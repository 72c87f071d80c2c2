"""What worker processes write: builds and rows of a follower, undisturbed and killed.

The killed ones run again until they are done. They have to come to what the undisturbed ones wrote, whenever they were
killed: the moment differs from run to run, what is noted does not.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from compare_commands import PATIENCE_S, Ended
from compare_data import photo, save, write_pipelines
from compare_observed import Observations

NUM_IMAGES = 128
MAX_RECEIPTS = 8  # of shards: when a program has left so many, or fewer, it is killed
MAX_WAIT_S = 0.1  # after that
WORKERS = ("--jobs", 2)


def write_by_workers(folder: Path, observed: Observations) -> None:
    """Build a dataset and let it grow, undisturbed; then do the same with each program killed once."""
    for i in range(NUM_IMAGES):
        save(folder / "photos" / ("cat", "dog")[i % 2] / f"p{i:03d}.png", photo(i))
    build = ["build", folder / "photos", "OUT", "--pipeline", write_pipelines(folder), "--variants", 3, *WORKERS]
    follow = ["follow", "OUT", "--keep", 9, *WORKERS]
    whole, killed = folder / "whole" / "data", folder / "killed" / "data"
    observed.add_said("workers built", *_run(build, whole))
    observed.add_said("workers followed", *_run([*follow, "--rows", 6], whole))
    observed.add_folder("workers followed", whole)
    _run_and_kill(build, killed)
    observed.add_said("workers built after a kill: last run", _run(build, killed).code, "", "")
    _run_and_kill([*follow, "--rows", 6], killed)
    if left := 9 - _num_rows(killed):
        _run([*follow, "--rows", left], killed)
    other = _other_shards(whole, killed)
    observed.add("workers killed: shards that are not those of the whole one", "\n".join(other))
    for name in other:  # for whoever looks into it
        observed.add(f"workers killed: {name}", _shards(killed).get(name, b""))


def _command(words: list[Any], out: Path) -> list[str]:
    return [sys.executable, "-m", "precompute", *(str(out) if word == "OUT" else str(word) for word in words)]


def _run(words: list[Any], out: Path) -> Ended:
    ended = subprocess.run(_command(words, out), capture_output=True, text=True, timeout=PATIENCE_S)
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def _run_and_kill(words: list[Any], out: Path) -> None:
    """Run a program until a moment that chance decides, and kill it with its workers, unless it ends before."""
    chance = random.Random()
    num_receipts, wait = chance.randint(0, MAX_RECEIPTS), chance.uniform(0, MAX_WAIT_S)
    process = subprocess.Popen(
        _command(words, out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    while process.poll() is None and len(list((out / ".build").glob("*/receipts/*"))) < num_receipts:
        time.sleep(0.002)
    time.sleep(wait)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    print(f"{words[0]}: {num_receipts} receipts and {wait:.3f} s, then ended with {process.returncode}")


def _shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "data").rglob("*.tfrecord-*")}


def _num_rows(out: Path) -> int:
    """Return how many rows train lists."""
    import precompute

    return int(precompute.inspect(out).splits["train"].num_rows)


def _other_shards(whole: Path, killed: Path) -> list[str]:
    """Return the shards that one of two datasets alone has, or that differ."""
    wanted, found = _shards(whole), _shards(killed)
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))

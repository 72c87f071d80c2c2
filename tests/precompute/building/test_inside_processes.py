"""Builds inside other processes and threads: they end at once, and say where there can be no workers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import precompute
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_classes, shard_hashes

SCRIPT = """
import concurrent.futures, multiprocessing, os, sys, threading
import albumentations as A
import joblib
import precompute

def build(name):
    pipeline = {"train": A.Compose([A.HorizontalFlip(p=0.5), A.Resize(16, 16)])}
    return precompute.build("data", f"{name}/out", pipeline=pipeline, variants=2, jobs=2).num_records

def in_process(method, **given):
    process = multiprocessing.get_context(method).Process(target=build, args=("made",), **given)
    process.start()
    process.join()
    assert process.exitcode == 0

def forked_beside_a_warm_pool():
    build("warm")
    in_process("fork")
    build("again")

def failing():
    process = multiprocessing.get_context("spawn").Process(target=fail)
    process.start()
    process.join()
    assert process.exitcode == 1

def fail():
    build("made")
    raise SystemExit(1)

def in_executor(method):
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as executor:
        assert executor.submit(build, "made").result() == 24

def in_pool():
    pool = multiprocessing.get_context("spawn").Pool(1)
    pool.apply(build, ("made",))
    pool.close()  # one that is ended by force leaves what it holds
    pool.join()

def in_thread():
    thread = threading.Thread(target=build, args=("made",))
    thread.start()
    thread.join()

CASES = {
    "fork": lambda: in_process("fork"),
    "spawn": lambda: in_process("spawn"),
    "forked-warm": forked_beside_a_warm_pool,
    "failing": failing,
    "executor": lambda: in_executor("spawn"),
    "daemon": lambda: in_process("spawn", daemon=True),
    "pool": in_pool,
    "thread": in_thread,
    "joblib": lambda: joblib.Parallel(2)(joblib.delayed(build)(name) for name in ("made", "other")),
    "joblib-threads": lambda: joblib.Parallel(2, backend="threading")([joblib.delayed(build)("made")]),
}

if __name__ == "__main__":
    CASES[sys.argv[1]]()
"""
ALONE = "note: here no processes can be started"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script, its sources, and the dataset that it makes, made here."""
    folder = tmp_path_factory.mktemp("inside")
    draw_classes(folder / "data")
    (folder / "script.py").write_text(SCRIPT)
    return folder


def run_inside(folder: Path, case: str) -> str:
    """Run a case of the script; returns what it said on standard error."""
    for name in ("made", "other", "warm", "again"):
        shutil.rmtree(folder / name, ignore_errors=True)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "script.py", case],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 100  # idle workers stay for 300 s
    for word in ("Traceback", "leaked", "Loky-backed"):
        assert word not in done.stderr
    return done.stderr


def is_as_made_here(folder: Path) -> bool:
    import albumentations as A

    pipeline = {"train": A.Compose([A.HorizontalFlip(p=0.5), A.Resize(16, 16)])}
    given = {"variants": 2, "backend": "sequential", "quiet": True}
    precompute.build(folder / "data", folder / "here" / "out", pipeline=pipeline, **given)
    return shard_hashes(folder / "made" / "out") == shard_hashes(folder / "here" / "out")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
def test_a_child_of_multiprocessing_ends_with_its_build(folder: Path) -> None:
    assert ALONE not in run_inside(folder, "fork")
    assert is_as_made_here(folder)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["spawn", "executor", "thread", "joblib", "failing"])
def test_other_ways_end_with_their_builds(folder: Path, case: str) -> None:
    assert ALONE not in run_inside(folder, case)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no fork")
def test_a_forked_process_leaves_the_workers_to_its_parent(folder: Path) -> None:
    assert ALONE not in run_inside(folder, "forked-warm")


@pytest.mark.slow
@pytest.mark.parametrize("case", ["daemon", "pool", "joblib-threads"])
def test_where_no_workers_can_be_started_that_is_said_and_records_are_made(folder: Path, case: str) -> None:
    assert run_inside(folder, case).count(ALONE) == 1

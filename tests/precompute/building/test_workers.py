"""How work is cut for workers, what their processes do with memory, and how their files reach the disk."""

from __future__ import annotations

import ctypes
import hashlib
import heapq
import os
import platform
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import precompute
from precompute.building import files
from precompute.building.execute import MAX_ROWS, MIN_CUT_S, cut_columns, run_side_by_side
from precompute.building.task import Slot, Task
from precompute.building.workers import Workers, start_workers
from precompute.errors import BuildError
from precompute.plan.generation import RowPlan
from precompute.program import memory
from precompute.records.tfrecord import read_records
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, options, save, shard_hashes

PLACE = Slot(key="k", copy=0, image="k.png", raw={"label": 0})


def column(block: int, num_places: int, num_rows: int) -> Task:
    rows = [RowPlan(row=row, seed=0, variant=row) for row in range(num_rows)]
    return Task(split="train", block=block, num_blocks=99, rows=rows, places=[PLACE] * num_places, skipped=[])


columns = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 300)), min_size=1, max_size=20).map(
    lambda sizes: [column(block, *size) for block, size in enumerate(sizes)]
)


# How work is cut


@given(columns=columns, jobs=st.integers(1, 64), record_s=st.sampled_from([0.0, 0.001, 0.04, 3.0]))
def test_cut_columns_hold_each_row_once(columns: list[Task], jobs: int, record_s: float) -> None:
    tasks = cut_columns(columns, jobs=jobs, record_s=record_s)
    assert Counter((t.block, row) for t in tasks for row in t.rows) == Counter(
        (c.block, row) for c in columns for row in c.rows
    )
    assert all(0 < len(task.rows) <= MAX_ROWS for task in tasks)
    assert len(tasks) >= min(jobs, sum(len(column.rows) for column in columns), len(columns))


@given(columns=columns, jobs=st.integers(1, 16), record_s=st.sampled_from([0.001, 0.04]))
def test_workers_end_at_nearly_the_same_time(columns: list[Task], jobs: int, record_s: float) -> None:
    tasks = cut_columns(columns, jobs=jobs, record_s=record_s)
    ends, row_s = [0.0] * jobs, max(len(task.places) for task in tasks) * record_s
    for task in tasks:  # each goes to the worker that is free first
        heapq.heapreplace(ends, ends[0] + len(task.places) * len(task.rows) * record_s)
    ideal = sum(ends) / jobs
    # A piece has at most half of a worker's share of what is left. So the last one, of whichever column, ends no later
    # than half of that column's share after the ideal end. Without the cuts it could be the whole column.
    column_s = max(len(column.places) * len(column.rows) for column in columns) * record_s
    assert max(ends) <= ideal + max(MIN_CUT_S, column_s / (2 * jobs)) + 2 * row_s


# Memory

CHURN = """
import resource, sys
import numpy as np
from precompute.program.memory import tune_malloc
kept = tune_malloc() if sys.argv[1] == "keep" else None

def churn():
    for _ in range(20):
        arrays = [np.ones(3 * 2**20, np.uint8) for _ in range(8)]
        del arrays

churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
churn()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def churn(how: str) -> tuple[str, int]:
    done = subprocess.run([sys.executable, "-c", CHURN, how], capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    return kept, int(faults)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a C library with an allocator of its own")
def test_freed_arrays_are_kept_for_the_next_ones() -> None:
    kept, faults = churn("keep")
    assert kept == "True"
    assert faults < 50
    assert churn("as it is")[1] > faults


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_the_allocator_is_left_alone_elsewhere(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("no C library is to be opened"))
    assert memory.tune_malloc.__wrapped__() is False


def test_a_c_library_without_mallopt_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert memory.tune_malloc.__wrapped__() is False


def test_an_allocator_that_refuses_is_asked_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Library:
        def mallopt(self, parameter: int, value: int) -> int:
            asked.append((parameter, value))
            return int(value != 64 * 2**20)

    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    assert memory.tune_malloc.__wrapped__() is True
    assert asked == [(-3, 64 * 2**20), (-3, 32 * 2**20), (-1, 256 * 2**20)]


BUILD_AND_TELL = """
import sys
from multiprocessing import active_children
from pathlib import Path
from tests.helpers.small_datasets import pipeline
import precompute

if __name__ == "__main__":
    options = {"pipeline": {"train": pipeline(256)}, "jobs": 2, "validation_split": 0.0, "quiet": True}
    precompute.build(sys.argv[1], sys.argv[2], variants=int(sys.argv[3]), **options)
    for worker in active_children():
        lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
        print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell what a process took")
@pytest.mark.slow
def test_a_worker_stays_below_200_mb_at_a_megapixel_and_64_rows(tmp_path: Path) -> None:
    for i in range(2):
        rng = np.random.default_rng(i)
        shape = (1024, 1024)
        save(tmp_path / "data" / "images" / f"s{i}.png", rng.integers(0, 255, (*shape, 3), dtype=np.uint8))
        save(tmp_path / "data" / "masks" / f"s{i}.png", rng.integers(0, 3, shape, dtype=np.uint8))
    done = subprocess.run(
        [sys.executable, "-c", BUILD_AND_TELL, tmp_path / "data", tmp_path / "out", "64"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    peaks = [int(line) for line in done.stdout.split()]
    assert len(peaks) == 2
    assert max(peaks) < 200, "MB"


# Starting


@pytest.mark.slow
def test_workers_that_start_first_are_those_that_decode_and_run_the_tasks() -> None:
    import joblib

    start_workers(2)
    before = set(joblib.externals.loky.get_reusable_executor(reuse=True)._processes)
    pids = run_side_by_side(Workers(jobs=2, backend="loky"), pid_beside, range(8))
    assert pids and {pid for pid, _ in pids} <= before
    assert [number for _, number in pids] == list(range(8)), "in order"


@pytest.mark.slow
def test_workers_that_nobody_calls_end_without_a_word() -> None:
    code = "from precompute.building.workers import start_workers; start_workers(2); print('refused')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")


def pid_beside(number: int) -> tuple[int, int]:
    return os.getpid(), number


@pytest.mark.slow
def test_where_a_worker_dies_this_process_makes_the_calls() -> None:
    found = run_side_by_side(Workers(jobs=2, backend="loky"), die_elsewhere, [os.getpid()] * 3)
    assert found == [os.getpid()] * 3


def die_elsewhere(survivor: int) -> int:
    if os.getpid() != survivor:
        os.kill(os.getpid(), signal.SIGKILL)
    return survivor


@pytest.mark.parametrize("workers", [Workers(jobs=1, backend="loky"), Workers(jobs=2, backend="threading")])
def test_no_workers_start_where_there_are_none(monkeypatch: pytest.MonkeyPatch, workers: Workers) -> None:
    import joblib

    monkeypatch.setattr(joblib, "Parallel", lambda **_: pytest.fail("workers were started"))
    assert run_side_by_side(workers, pid_beside, [0]) == [(os.getpid(), 0)]


# Files


def test_a_shard_that_was_synced_can_be_rolled_back(tmp_path: Path) -> None:
    with files.ShardWriter(tmp_path / "shard", tmp_path, buffer_bytes=8192) as writer:
        writer.write(b"first")
        writer.mark()
        writer.write(b"gone!")
        writer.sync()
        writer.rollback()
        writer.write(b"other")  # as long as what is gone
        sha256 = writer.finish()
        content = writer.temp_path.read_bytes()
        assert list(read_records(writer.temp_path)) == [b"first", b"other"]
    assert hashlib.sha256(content).hexdigest() == sha256


def test_what_is_written_after_a_sync_is_synced_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, real = list[int](), os.fsync
    monkeypatch.setattr(files.os, "fsync", lambda file: (synced.append(os.fstat(file).st_size), real(file)))
    with files.ShardWriter(tmp_path / "shard", tmp_path, buffer_bytes=8192) as writer:
        writer.write(b"first")
        writer.sync()
        writer.sync()
        writer.write(b"other")
        writer.mark()
        writer.write(b"gone!")
        writer.sync()
        writer.rollback()
        writer.finish()
    assert synced == [21, 63, 42]


def test_whole_files_share_the_sync_of_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {tmp_path / name / str(i): f"{name} {i}".encode() for name in "ab" for i in range(20)}
    for folder in {path.parent for path in contents}:
        folder.mkdir()
    folders, real = list[Path](), files.sync_folder
    monkeypatch.setattr(files, "sync_folder", lambda folder: (folders.append(folder), real(folder)))
    with ThreadPoolExecutor(4) as threads:
        files.write_all_whole(contents, tmp_path, threads)
    assert {path: path.read_bytes() for path in contents} == contents
    assert sorted(folders) == [tmp_path / "a", tmp_path / "b"]
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_of_whole_files_none_stays_when_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: Any) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(files, "_sync", fail)
    with ThreadPoolExecutor(4) as threads, pytest.raises(OSError, match="the disk is gone"):
        files.write_all_whole({tmp_path / str(i): b"" for i in range(9)}, tmp_path, threads)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("failing", range(0, 12, 3))
def test_a_sync_that_fails_once_fails_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """A second fsync of the same file would succeed, and prove nothing."""
    folder, real, seen = draw_pairs(tmp_path / "data", 12), os.fsync, list[str]()

    def fsync(file: int) -> None:
        name = str(Path(f"/proc/self/fd/{file}").readlink())
        if ".tfrecord-" in name:
            seen.append(name)
            if len(seen) == failing + 1:
                raise OSError("input/output error")
        real(file)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the system does not tell the name of an open file")
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", fsync)
        with pytest.raises(BuildError, match="input/output error"):
            precompute.build(folder, tmp_path / "out", **options(variants=12))
    assert not (tmp_path / "out/manifest.json").exists()
    precompute.build(folder, tmp_path / "out", **options(variants=12))
    precompute.build(folder, tmp_path / "whole/out", **options(variants=12))
    assert shard_hashes(tmp_path / "out") == shard_hashes(tmp_path / "whole/out")

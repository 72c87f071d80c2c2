"""Workers that never come back from a source: ended by `task_timeout`, and the source known by name."""

from __future__ import annotations

import os
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import sleep

import joblib
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor

import precompute
from precompute.building import heartbeat
from precompute.building.heartbeat import Heartbeat, sources_of_dead_workers
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, UsageError
from tests.helpers.small_datasets import draw_pairs, options, save, shard_hashes
from tests.helpers.stored_keys import keys_of

# Sleeps for ever in a worker, not in the process that tries the pipeline before the job.
PIPELINES = """
import os, time
from pathlib import Path
import albumentations as A

PARENT = {parent}
ONCE = Path({once!r})

class Hanging(A.ImageOnlyTransform):
    def apply(self, img, **params):
        if tuple(img[0, 0]) == (255, 0, 0) and os.getpid() != PARENT:
            if not ONCE.name or not ONCE.exists():
                ONCE.name and ONCE.touch()
                time.sleep(10_000)
        return img

train = A.Compose([Hanging(p=1), A.HorizontalFlip(p=0.5), A.Resize(16, 16)])
validation = A.Compose([A.Resize(16, 16)])
"""


def hanging(folder: Path, key: str, *, once: str = "") -> Path:
    """Draw 40 sources, one of which hangs; returns the file of pipelines."""
    draw_pairs(folder / "data", 40)
    save(folder / "data" / "images" / f"{key}.png", np.full((20, 18, 3), (255, 0, 0), np.uint8))
    save(folder / "data" / "masks" / f"{key}.png", np.zeros((20, 18), np.uint8))
    path = folder / "pipelines.py"
    path.write_text(PIPELINES.format(parent=os.getpid(), once=once))
    return path


@pytest.mark.parametrize("jobs", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.slow
def test_a_source_that_hangs_is_a_bad_source(tmp_path: Path, jobs: int) -> None:
    pipeline = hanging(tmp_path, "s004")
    timed = {"backend": "loky", "jobs": jobs, "task_timeout": 1.5, "validation_split": 0.0, "variants": 2}
    with pytest.raises(BadSourcesError) as caught:
        precompute.build(tmp_path / "data", tmp_path / "out", **options(pipeline=pipeline, **timed))
    assert "1 of 40 sources is bad" in str(caught.value)
    assert "s004.png: took longer than --task-timeout 1.5 s, twice" in str(caught.value)
    assert not (tmp_path / "out" / "manifest.json").exists()
    # Accepted, it is left out; that it hangs is known, and no worker needs to be ended for it again.
    untimed = options(pipeline=pipeline, validation_split=0.0, variants=2, skip_bad="1")
    precompute.build(tmp_path / "data", tmp_path / "out", **untimed)
    (entry,) = Manifest.load(tmp_path / "out").skipped
    assert entry["key"] == "s004" and "--task-timeout" in entry["reason"]
    assert len(keys_of(tmp_path / "out", "train", 1)) == 39


@pytest.mark.slow
def test_workers_that_start_anew_after_idling_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(abs)(number) for number in range(4))
    executor = get_reusable_executor(max_workers=2, reuse=True)
    for _ in range(len(executor._processes)):
        executor._call_queue.put(None)  # what a worker says to itself after five minutes without work
    while executor._processes:
        sleep(0.01)
    workers: list[BaseProcess] = []

    def children_when_one_is_ended() -> list[BaseProcess]:
        workers.extend(active_children())
        return active_children()

    monkeypatch.setattr(heartbeat, "active_children", children_when_one_is_ended)
    given = options(pipeline=hanging(tmp_path, "s004"), validation_split=0.0, skip_bad="1")
    timed = {"backend": "loky", "jobs": 1, "task_timeout": 1.5}
    precompute.build(tmp_path / "data", tmp_path / "out", **{**given, **timed})
    assert [entry["key"] for entry in Manifest.load(tmp_path / "out").skipped] == ["s004"]
    # All were ended when the first was: none stayed until it left by itself, with 0, after five more minutes.
    assert workers and all(worker.exitcode for worker in workers)


@pytest.mark.slow
def test_a_source_that_hangs_once_changes_nothing(tmp_path: Path) -> None:
    pipeline = hanging(tmp_path, "s004", once=str(tmp_path / "hung"))
    given = options(pipeline=pipeline, validation_split=0.0, variants=2)
    timed = {"backend": "loky", "jobs": 2, "task_timeout": 1.5}
    precompute.build(tmp_path / "data", tmp_path / "out", **{**given, **timed})
    assert (tmp_path / "hung").exists()
    precompute.build(tmp_path / "data", tmp_path / "whole" / "out", **given)
    assert shard_hashes(tmp_path / "out") == shard_hashes(tmp_path / "whole" / "out")
    assert not any((tmp_path / "out" / ".build" / "at").glob("*"))


def test_a_note_names_the_source_until_the_task_ends(tmp_path: Path) -> None:
    with Heartbeat(tmp_path) as note:
        note.leave()  # a task of skipped sources alone
        assert sources_of_dead_workers(tmp_path) == set()
    note = Heartbeat(tmp_path)
    note.at("train", "a/b")
    note.leave()
    assert sources_of_dead_workers(tmp_path) == {("train", "a/b")}  # a worker that dies while it flushes its shards


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task_timeout": 0}, "task_timeout: expected seconds above 0, got 0"),
        ({"task_timeout": float("nan")}, "task_timeout: expected seconds above 0, got nan"),
        ({"task_timeout": "soon"}, "task_timeout: expected seconds above 0, got 'soon'"),
        ({"task_timeout": 5, "backend": "threading"}, "task_timeout: needs backend loky, .* got threading"),
        ({"task_timeout": 5, "backend": "sequential"}, "task_timeout: needs backend loky, .* got sequential"),
    ],
)
def test_what_cannot_be_timed_is_refused(tmp_path: Path, given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        precompute.build(tmp_path, tmp_path / "out", **given)

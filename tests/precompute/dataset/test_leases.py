"""Leases: rows that somebody reads keep their files until that somebody is gone."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

import precompute
from precompute.dataset import leases
from precompute.dataset.leases import EXPIRES_S, Lease, held_rows, hold_again, hold_rows
from precompute.dataset.manifest import Manifest
from precompute.errors import DatasetError, UsageError
from tests.helpers.small_datasets import options
from tests.helpers.stored_records import Stored, build_rows

ROWS = [("g0001", "train", 0), ("g0001", "train", 3)]


def lease_files(out: Path) -> list[Path]:
    return sorted((out / ".leases").glob("*"))


def row_files(out: Path, row: int) -> list[Path]:
    return sorted(path for path in (out / "data").rglob(f"*train_r{row:04d}.*"))


def collected(out: Path) -> bool:
    """Whether no lease is left once what nobody refers to is collected."""
    gc.collect()
    return not lease_files(out)


# The files


def test_a_lease_names_its_rows_until_it_is_closed(tmp_path: Path) -> None:
    lease = Lease(tmp_path, ROWS)
    assert held_rows(tmp_path, now=time.time()) == set(ROWS)
    lease.close()
    lease.close()
    assert held_rows(tmp_path, now=time.time()) == set()
    assert lease_files(tmp_path) == []


def test_a_lease_ends_with_the_last_reference(tmp_path: Path) -> None:
    lease = Lease(tmp_path, ROWS)
    assert lease_files(tmp_path)
    del lease
    assert collected(tmp_path)


def test_a_lease_expires_unless_it_is_renewed(tmp_path: Path) -> None:
    lease = Lease(tmp_path, ROWS)
    assert held_rows(tmp_path, now=time.time() + EXPIRES_S - 5) == set(ROWS)
    assert held_rows(tmp_path, now=time.time() + EXPIRES_S + 5) == set()
    assert lease_files(tmp_path) == []
    lease.close()


def test_a_living_reader_renews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.01)
    lease = Lease(tmp_path, ROWS)
    os.utime(lease_files(tmp_path)[0], (0, 0))
    deadline = time.monotonic() + 10
    while lease_files(tmp_path)[0].stat().st_mtime == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert held_rows(tmp_path, now=time.time()) == set(ROWS)
    lease.close()


@pytest.mark.parametrize("ahead", [-2 * EXPIRES_S, 2 * EXPIRES_S])
def test_time_is_that_of_the_files_and_not_of_the_machine_that_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    lease, elsewhere = Lease(tmp_path, ROWS), Lease(tmp_path, MORE, tmp_path / "away")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + ahead)
    assert held_rows(tmp_path, lease_dir=tmp_path / "away") == {*ROWS, *MORE}
    assert len(lease_files(tmp_path)) == 1  # no trace of how it was found out
    os.utime(lease_files(tmp_path)[0], (now - EXPIRES_S - 5,) * 2)
    assert held_rows(tmp_path) == set()
    lease.close()
    elsewhere.close()


def test_a_folder_that_cannot_be_written_to_is_judged_by_the_clock_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = Lease(tmp_path, ROWS)

    def refuse(*_: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert held_rows(tmp_path) == set(ROWS)
    lease.close()


def test_a_lease_that_somebody_deleted_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.01)
    lease = Lease(tmp_path, ROWS)
    lease_files(tmp_path)[0].unlink()
    deadline = time.monotonic() + 10
    while held_rows(tmp_path) != set(ROWS):  # not by its files: for a moment it has its temporary name
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lease.close()
    assert lease_files(tmp_path) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rows": 3}', '{"rows": [["g0001"]]}'])
def test_what_is_no_lease_is_passed_over(tmp_path: Path, content: str) -> None:
    lease = Lease(tmp_path, ROWS)
    (tmp_path / ".leases/other.json").write_text(content)
    assert held_rows(tmp_path, now=time.time()) == set(ROWS)
    lease.close()


def test_only_files_are_looked_into_and_only_leases_are_deleted(tmp_path: Path) -> None:
    folder, precious = tmp_path / ".leases", tmp_path / "precious.json"
    lease = Lease(tmp_path, ROWS)
    named_like_one = [folder / f"{uuid.uuid4().hex}.json" for _ in range(4)]
    if hasattr(os, "mkfifo"):
        os.mkfifo(named_like_one[0])  # reading it would never end
    else:
        named_like_one[0].mkdir()
    named_like_one[1].mkdir()
    precious.write_text(json.dumps({"rows": MORE}))
    named_like_one[2].symlink_to(precious)
    with named_like_one[3].open("wb") as file:
        file.truncate(2**33)
    (folder / "settings.json").write_text(json.dumps({"rows": MORE}))
    assert held_rows(tmp_path, now=time.time()) == {*ROWS, *MORE}  # what reads as a lease is one, whatever its name
    held_rows(tmp_path, now=time.time() + 2 * EXPIRES_S)
    assert {path.name for path in folder.iterdir()} == {*(path.name for path in named_like_one), "settings.json"}
    assert precious.exists()
    lease.close()


def test_a_folder_for_leases_that_holds_other_files_keeps_them(tmp_path: Path) -> None:
    """`--lease-dir` given by mistake: old files of others are not taken for leases that have expired."""
    out, mistaken = tmp_path / "out", tmp_path / "configs"
    out.mkdir()
    mistaken.mkdir()
    names = ["package.json", "notes.tmp", "a.b"]
    for name in names:
        (mistaken / name).write_text("{}")
        os.utime(mistaken / name, (0, 0))
    (out / ".leases").symlink_to(mistaken)
    for lease_dir in (None, mistaken):
        assert held_rows(out, now=time.time(), lease_dir=lease_dir) == set()
    assert sorted(path.name for path in mistaken.iterdir()) == sorted(names)


def test_a_folder_that_cannot_be_written_to_has_no_lease(tmp_path: Path) -> None:
    (tmp_path / ".leases").write_text("")  # as good as read-only, also for root
    Lease(tmp_path, ROWS).close()
    Lease(tmp_path / "nowhere", ROWS).close()
    assert held_rows(tmp_path, now=time.time()) == set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_forked_child_does_not_end_its_parents_lease(tmp_path: Path) -> None:
    lease = Lease(tmp_path, ROWS)
    child = multiprocessing.get_context("fork").Process(target=lease.close)
    child.start()
    child.join()
    assert held_rows(tmp_path, now=time.time()) == set(ROWS)
    lease.close()


# Rows that change while it reads

MORE = [("g0001", "train", 3), ("g0001", "train", 4)]


def test_a_lease_moves_on_to_other_rows(tmp_path: Path) -> None:
    lease = Lease(tmp_path, ROWS)
    assert lease.hold(MORE)
    assert held_rows(tmp_path, now=time.time()) == set(MORE)
    assert len(lease_files(tmp_path)) == 1
    lease.close()
    assert not lease.hold(ROWS)
    assert lease_files(tmp_path) == []


def test_other_rows_are_held_whole_or_not_at_all(tmp_path: Path) -> None:
    stop = threading.Event()
    lease, seen = Lease(tmp_path, ROWS), set()

    def look() -> None:
        while not stop.is_set():
            seen.add(frozenset(held_rows(tmp_path, now=time.time())))

    looking = threading.Thread(target=look)
    looking.start()
    for i in range(200):
        lease.hold((ROWS, MORE)[i % 2])
    stop.set()
    looking.join()
    lease.close()
    assert seen <= {frozenset(ROWS), frozenset(MORE)}


def test_a_lease_that_was_given_up_comes_back_and_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.01)
    lease = Lease(tmp_path, ROWS)
    lease_files(tmp_path)[0].unlink()  # the machine slept for long, say
    time.sleep(0.05)
    assert lease.hold(MORE)
    os.utime(lease_files(tmp_path)[0], (0, 0))
    deadline = time.monotonic() + 10
    while lease_files(tmp_path)[0].stat().st_mtime == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert held_rows(tmp_path, now=time.time()) == set(MORE)
    lease.close()


def test_what_a_killed_reader_left_half_written_goes_after_a_while(tmp_path: Path) -> None:
    (tmp_path / ".leases").mkdir()
    (tmp_path / f".leases/{uuid.uuid4().hex}.tmp").write_text('{"pid')
    assert held_rows(tmp_path, now=time.time()) == set()
    assert lease_files(tmp_path)
    assert held_rows(tmp_path, now=time.time() + EXPIRES_S + 5) == set()
    assert lease_files(tmp_path) == []


# Readers of a dataset that cannot be written to


def test_leases_are_looked_for_in_both_folders(tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "away" / "leases"
    out.mkdir()
    beside, away = Lease(out, ROWS), Lease(out, MORE, elsewhere)
    assert held_rows(out, now=time.time()) == set(ROWS)
    assert held_rows(out, now=time.time(), lease_dir=elsewhere) == {*ROWS, *MORE}
    assert held_rows(out, now=time.time(), lease_dir=tmp_path / "nowhere") == set(ROWS)
    assert len(list(elsewhere.iterdir())) == 1
    away.close()
    assert list(elsewhere.iterdir()) == []
    beside.close()


def test_a_lease_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"lease_dir: .*file cannot be written to \(.*\); give a folder"):
        Lease(tmp_path, ROWS, tmp_path / "file")


# A reader in this process


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources, and the dataset made of them."""
    return build_rows(tmp_path_factory.mktemp("leases")).parent


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy to change, its sources beside it."""
    yield Path(shutil.copytree(built, tmp_path, dirs_exist_ok=True)) / "out"
    gc.collect()


@pytest.mark.slow
def test_load_holds_what_it_may_read_and_nothing_else(out: Path) -> None:
    dataset = precompute.load(out, rows=[1, 3])
    assert held_rows(out, now=time.time()) == {("g0001", "train", 1), ("g0001", "train", 3)}
    other = precompute.load(out, split="validation")
    assert len(held_rows(out, now=time.time())) == 3
    del dataset, other
    assert collected(out)


def test_a_dataset_held_in_memory_holds_no_rows(out: Path) -> None:
    dataset = precompute.load(out, cache=True)
    assert lease_files(out) == []
    del dataset


@pytest.mark.slow
def test_whatever_is_made_of_a_dataset_holds_its_rows(out: Path) -> None:
    derived: Any = precompute.load(out).map(lambda images, labels: images).prefetch(1)
    gc.collect()
    assert lease_files(out)
    iterator = iter(derived)
    del derived
    gc.collect()
    assert lease_files(out)
    del iterator
    assert collected(out)


@pytest.mark.slow
def test_a_row_that_is_read_survives_drop(out: Path) -> None:
    stored = Stored(out)
    dataset = precompute.load(out, rows=[1])
    kept = row_files(out, 1)
    dropped = precompute.drop(out, rows=[0, 1])
    assert dropped.kept_files == len(kept) == 5  # four shards and the row file
    assert row_files(out, 0) == []
    assert row_files(out, 1) == kept
    assert sorted(stored.epoch(dataset)) == stored.whole_row(1)  # reading goes on
    with pytest.raises(precompute.PrecomputeError, match=r"train lists \(2-3\), got \[1\]"):
        precompute.load(out, rows=[1])
    del dataset
    gc.collect()
    assert precompute.drop(out, rows=[2]).kept_files == 0
    assert row_files(out, 1) == row_files(out, 2) == []


@pytest.mark.slow
def test_rows_that_are_read_survive_regenerate(out: Path) -> None:
    stored = Stored(out)
    dataset = precompute.load(out, batch_size=5)
    assert sorted(stored.epoch(dataset)) == stored.whole_row(0)
    precompute.regenerate(out, seed=1, jobs=1, backend="sequential", quiet=True)
    assert [row.row for row in Manifest.load(out).splits["train"].rows] == [4, 5, 6, 7]
    for row in (1, 2, 3, 0):
        assert sorted(stored.epoch(dataset)) == stored.whole_row(row)
    del dataset
    gc.collect()
    precompute.drop(out, rows=[4])
    assert [row_files(out, row) == [] for row in range(8)] == [True] * 5 + [False] * 3


@pytest.mark.slow
def test_rows_that_are_read_survive_replace(out: Path) -> None:
    stored = Stored(out)
    dataset = precompute.load(out, rows=[2])
    given = options(image_format="raw", validation_split=0.2)
    precompute.build(out.parent / "sources", out, **given, replace=True)
    assert Manifest.load(out).generation == "g0002"
    assert {path.name for path in (out / "data/g0001").glob("*.tfrecord-*")} == {
        path.name for path in row_files(out, 2) if path.parent.name == "g0001"
    }
    assert sorted(stored.epoch(dataset)) == stored.whole_row(2)
    del dataset
    gc.collect()
    precompute.drop(out, rows=[0])
    assert not (out / "data/g0001").exists()


def test_a_row_dropped_while_a_reader_opens_is_not_read(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Overtaken(Lease):
        """A lease that comes too late the first time."""

        def __init__(self, *arguments: Any) -> None:
            monkeypatch.setattr(leases, "Lease", Lease)
            precompute.drop(out, rows=[0, 1])
            super().__init__(*arguments)

    monkeypatch.setattr(leases, "Lease", Overtaken)
    manifest, lease = hold_rows(out, lambda m: [(m.generation, "train", row.row) for row in m.splits["train"].rows])
    assert [row.row for row in manifest.splits["train"].rows] == [2, 3]
    assert held_rows(out, now=time.time()) == {("g0001", "train", 2), ("g0001", "train", 3)}
    assert len(lease_files(out)) == 1
    lease.close()


def all_rows(manifest: Manifest) -> list[tuple[str, str, int]]:
    return [(manifest.generation, "train", row.row) for row in manifest.splits["train"].rows]


def test_a_row_dropped_while_a_reader_moves_on_is_not_read(out: Path) -> None:
    _, lease = hold_rows(out, lambda m: all_rows(m)[:1])

    def overtaken(manifest: Manifest) -> list[tuple[str, str, int]]:
        rows = all_rows(manifest)
        if len(rows) == 4:  # after the reader has chosen, before its lease says so
            precompute.drop(out, rows=[1, 2])
        return rows

    manifest = hold_again(out, lease, overtaken)
    assert [row.row for row in manifest.splits["train"].rows] == [0, 3]
    assert held_rows(out, now=time.time()) == {("g0001", "train", 0), ("g0001", "train", 3)}
    lease.close()


# A reader in another process

READER = """
import sys
from pathlib import Path
from precompute.dataset.leases import hold_rows
manifest, lease = hold_rows(Path(sys.argv[1]), lambda m: [(m.generation, "train", 1)])
print("reading", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def reader(out: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", READER, out], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    yield process
    process.kill()
    process.communicate()


def test_a_reader_in_another_process_holds_until_it_ends(out: Path, reader: subprocess.Popen[str]) -> None:
    precompute.drop(out, rows=[1])
    assert len(row_files(out, 1)) == 5
    reader.communicate("")
    assert lease_files(out) == []
    precompute.drop(out, rows=[2])
    assert row_files(out, 1) == []


def test_a_killed_readers_rows_go_after_a_while(out: Path, reader: subprocess.Popen[str]) -> None:
    reader.send_signal(signal.SIGKILL)
    reader.wait()
    precompute.drop(out, rows=[1])
    assert len(row_files(out, 1)) == 5  # for all that the folder tells, it may still be reading
    long_ago = time.time() - EXPIRES_S - 5
    os.utime(lease_files(out)[0], (long_ago, long_ago))
    precompute.drop(out, rows=[2])
    assert row_files(out, 1) == []
    assert lease_files(out) == []


@pytest.mark.slow  # for TensorFlow in the other process
def test_load_in_another_process_holds(out: Path) -> None:
    script = "import sys, precompute; d = precompute.load(sys.argv[1], rows=[1]); print('reading', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", script, out], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    assert held_rows(out, now=time.time()) == {("g0001", "train", 1)}
    process.communicate("\n")
    assert lease_files(out) == []


@pytest.mark.slow
def test_nothing_of_tensorflow_keeps_a_lease_alive(out: Path) -> None:
    for _ in range(3):
        dataset = precompute.load(out)
        tf.function(lambda d: d.reduce(0, lambda n, batch: n + 1))(dataset)
        del dataset
    assert collected(out)


# Rows that go all the same


@pytest.fixture
def read_only(out: Path) -> Path:
    """A dataset beside which a reader can leave no lease."""
    (out / ".leases").write_text("")
    return out


NO_LEASE = r"can leave no lease there(.|\n)*lease_dir, or --lease-dir"


@pytest.mark.parametrize("cache", [False, "auto"], ids=["streamed", "held"])
def test_a_reader_without_a_lease_is_told_so_and_told_what_became_of_its_rows(read_only: Path, cache: Any) -> None:
    with pytest.warns(UserWarning, match=NO_LEASE):
        dataset = precompute.load(read_only, cache=cache)
    precompute.load(read_only, cache=cache)  # said once
    precompute.drop(read_only, rows=[0])
    gone = r"row 0 of train is gone(.|\n)*drop, follow or regenerate(.|\n)*lease_dir"
    with pytest.raises(tf.errors.UnknownError, match=gone):
        list(dataset)
    if cache is False:
        with pytest.raises(DatasetError, match=gone):
            precompute.EpochRow(dataset).on_epoch_begin(0)
        dataset = precompute.load(read_only, cache=cache)
        for path in row_files(read_only, 1):
            path.unlink()
        with pytest.raises(tf.errors.UnknownError, match=r"4 of 4 shards of row 1 of train are missing"):
            list(dataset)


def test_a_reader_of_arrays_without_a_lease_is_told_so_too(read_only: Path) -> None:
    with pytest.warns(UserWarning, match=NO_LEASE):
        examples = precompute.read(read_only, row=1)
    precompute.drop(read_only, rows=[1])
    with pytest.raises(DatasetError, match=r"row 1 of train is gone(.|\n)*lease_dir"):
        list(examples)


def test_a_reader_with_a_folder_for_leases_is_told_nothing(read_only: Path, tmp_path: Path) -> None:
    dataset = precompute.load(read_only, lease_dir=tmp_path / "leases")  # a warning would be an error
    precompute.drop(read_only, rows=[0], lease_dir=tmp_path / "leases")
    assert sum(1 for _ in dataset) == 1

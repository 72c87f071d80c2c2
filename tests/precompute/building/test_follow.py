"""Rows that are replaced beside readers: real leases, a real dataset, and a reader that moves between two looks."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import precompute
from precompute.building.folder import write_lock
from precompute.cli import main
from precompute.dataset.leases import Lease, held_rows, hold_again, hold_rows
from precompute.dataset.manifest import Manifest
from precompute.errors import BadSourcesError, PipelineError, UsageError
from tests.helpers.small_datasets import draw_pairs, options, rows_of, shard_hashes


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    given = options(variants=2, include_original=True, image_format="raw", shard_size=20_000)
    precompute.build(draw_pairs(folder / "data", 10), folder / "out", **given)
    return folder


@pytest.fixture
def out(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built / "out", tmp_path / "out")
    return tmp_path / "out"


class Ended(Exception):  # noqa: N818 (no error)
    """Raised by a test to end what goes on for ever."""


def follow(out: Path, *, wait: Callable[[], None], **given: Any) -> Any:
    return precompute.follow(out, backend="sequential", jobs=1, wait=wait, **{"quiet": True, **given})


def never() -> None:
    raise Ended


def listed(out: Path) -> list[int]:
    return [row.row for row in Manifest.load(out).splits["train"].rows]


class Reader:
    """Reads a row an epoch, as a reader that follows does: unread rows first, which it holds until it has read them."""

    def __init__(self, out: Path, lease_dir: Path | None = None) -> None:
        self.out, self.read = out, list[int]()
        self.row = -1
        self._lease: Lease | None = None
        self._lease_dir = lease_dir
        self.next_epoch()

    def next_epoch(self) -> None:
        """Choose a row, and look at all of its records."""
        if self._lease is None:
            _, self._lease = hold_rows(self.out, self._choose, self._lease_dir)
        else:
            hold_again(self.out, self._lease, self._choose)
        self.read.append(self.row)
        assert len({e["key"] for e in precompute.read(self.out, row=self.row)}) == 8

    def _choose(self, manifest: Manifest) -> list[tuple[str, str, int]]:
        rows = [row.row for row in manifest.splits["train"].rows if not row.original]
        unread = [row for row in rows if row not in self.read]
        self.row = (unread or sorted(rows, key=lambda row: (self.read.count(row), row)))[0]
        return [(manifest.generation, "train", row) for row in {self.row, *unread}]

    def close(self) -> None:
        if self._lease is not None:
            self._lease.close()


@pytest.fixture
def reader(out: Path) -> Iterator[Reader]:
    reader = Reader(out)
    yield reader
    reader.close()
    gc.collect()


def test_it_fills_and_then_waits_for_readers(out: Path) -> None:
    with pytest.raises(Ended):
        follow(out, keep=4, wait=never)
    assert rows_of(out) == [(0, 0, None), (1, 0, 0), (2, 0, 1), (3, 0, 3), (4, 0, 4)]
    before = shard_hashes(out)
    with pytest.raises(Ended):
        follow(out, keep=4, wait=never)
    assert shard_hashes(out) == before
    assert precompute.verify(out, sources=20, jobs=1).problems == []


def test_rows_that_were_read_are_replaced(out: Path, reader: Reader) -> None:
    states = []

    def wait() -> None:
        states.append(listed(out))
        reader.next_epoch()

    followed = follow(out, keep=4, rows=8, wait=wait)
    assert followed.num_rows == 8
    assert followed.summary() == "wrote 8 new rows; train lists rows 0, 7-10"
    assert followed.listed == listed(out) == [0, 7, 8, 9, 10]
    # At first rows 1 and 2; two were missing. Then two rows at a time, as soon as the reader holds neither.
    assert [state for i, state in enumerate(states) if state not in states[:i]] == [
        [0, 1, 2, 3, 4],
        [0, 3, 4, 5, 6],
        [0, 5, 6, 7, 8],
    ]
    assert reader.read[:7] == [1, 2, 3, 4, 5, 6, 7]  # never one twice
    assert all((seed, variant) == (0, row) for row, seed, variant in rows_of(out)[1:])
    assert not [name for name in shard_hashes(out) if "train_r0006" in name]
    assert precompute.verify(out, sources=20, jobs=1).problems == []


def test_what_a_reader_holds_stays(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, static = hold_rows(out, lambda m: [(m.generation, "train", row) for row in (1, 2)])
    waits = iter(range(3))

    def wait() -> None:
        next(waits)

    with pytest.raises(StopIteration):
        follow(out, keep=2, wait=wait, quiet=False)
    assert listed(out) == [row.row for row in manifest.splits["train"].rows]
    assert capsys.readouterr().err.count("readers hold all rows") == 1
    static.close()


def test_too_many_rows_go_without_a_successor(out: Path, built: Path) -> None:
    given = options(variants=6, include_original=True, image_format="raw", shard_size=20_000)
    precompute.build(built / "data", out, **given)
    _, static = hold_rows(out, lambda m: [(m.generation, "train", row) for row in (1, 4)])
    with pytest.raises(Ended):
        follow(out, keep=3, wait=never)
    assert listed(out) == [0, 1, 4, 7]  # 2, 3 and 5 are gone; 6 is replaced, as others are for whoever reads
    static.close()


def test_a_row_that_is_held_again_at_the_last_moment_stays(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from precompute.building import follow as module

    _, static = hold_rows(out, lambda m: [(m.generation, "train", 2)])
    real, late = module.write_rows, list[Lease]()

    def write_rows(*given: Any) -> Any:
        late.append(Lease(out, [("g0001", "train", 1), ("g0001", "train", 2)]))  # while rows are being written
        return real(*given)

    monkeypatch.setattr(module, "write_rows", write_rows)
    with pytest.raises(Ended):
        follow(out, keep=2, wait=never)
    assert listed(out) == [0, 1, 2]
    late[0].close()
    with pytest.raises(Ended):
        monkeypatch.setattr(module, "write_rows", real)
        follow(out, keep=2, wait=never)
    assert rows_of(out)[1:] == [(2, 0, 1), (3, 0, 3)]  # a number that was never listed is still free
    assert precompute.verify(out, jobs=1).problems == []
    static.close()


def test_readers_of_a_read_only_dataset_are_seen(out: Path, tmp_path: Path) -> None:
    reader = Reader(out, tmp_path / "leases")
    with pytest.raises(Ended):
        follow(out, keep=2, wait=never)  # it does not know of the reader
    follow(out, keep=2, rows=2, wait=reader.next_epoch, lease_dir=tmp_path / "leases")
    assert listed(out) == [0, 3, 4]
    precompute.drop(out, rows=[reader.row], lease_dir=tmp_path / "leases")
    assert len(list(precompute.read(out, row=listed(out)[-1]))) == 8
    assert list((out / "data").rglob(f"*train_r{reader.row:04d}.*"))
    reader.close()
    precompute.drop(out, rows=[listed(out)[-1]], lease_dir=tmp_path / "leases")
    assert not list((out / "data").rglob(f"*train_r{reader.row:04d}.*"))


def test_another_command_is_waited_for(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = write_lock(out)
    lock.__enter__()
    waits = iter(range(5))

    def wait() -> None:
        if next(waits) == 3:
            lock.__exit__(None, None, None)

    follow(out, keep=3, rows=1, wait=wait, quiet=False)
    assert listed(out) == [0, 1, 2, 3]
    assert capsys.readouterr().err.count("another command is writing here") == 1


def test_a_new_generation_is_followed_or_refused(out: Path, built: Path) -> None:
    state = {"size": 50_000}

    def replace_it() -> None:
        given = options(variants=2, image_format="raw", shard_size=state["size"], replace=True)
        precompute.build(built / "data", out, **given)

    waits = iter([replace_it, never])
    with pytest.raises(Ended):
        follow(out, keep=3, wait=lambda: next(waits)())
    assert Manifest.load(out).generation == "g0002"
    assert rows_of(out) == [(0, 0, 0), (1, 0, 1), (2, 0, 2)]
    state["size"] = 60_000
    waits = iter([replace_it, never])
    with pytest.raises(PipelineError, match="this is not the one that the dataset was made with"):
        follow(out, keep=4, wait=lambda: next(waits)(), pipeline=options()["pipeline"].transforms[0])


def test_a_source_that_fails_ends_it_and_leaves_the_dataset(built: Path, out: Path, tmp_path: Path) -> None:
    shutil.copytree(built / "data", tmp_path / "data")
    manifest = Manifest.load(out)
    last = list(precompute.read(out))[-1]["filename"]  # not among the few that are tried beforehand
    (tmp_path / "data" / "images" / last).write_bytes(b"no image")
    with pytest.raises(BadSourcesError, match="The listed rows are as they were. `follow` leaves no source out"):
        follow(out, keep=3, wait=never, source=tmp_path / "data")
    assert Manifest.load(out) == manifest
    assert precompute.verify(out, jobs=1).problems == []
    follow(out, keep=3, rows=1, wait=never)
    assert listed(out) == [0, 1, 2, 3]


def test_arguments_are_checked(out: Path) -> None:
    for given, message in (
        ({"keep": 1}, "keep: expected an integer of 2 or more, got 1"),
        ({"rows": 0}, "rows: expected an integer of 1 or more, got 0"),
        ({"rows_a_pass": 4}, r"rows_a_pass: expected less than keep \(4\), as readers hold a row; got 4"),
        ({"seed": -1}, "seed: expected an integer from 0"),
        ({"split": "test"}, "split: .* has train, validation; got 'test'"),
    ):
        with pytest.raises(UsageError, match=message):
            follow(out, wait=never, **given)


def test_the_command_line(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--jobs", "1", "--backend", "sequential", "--lease-dir", str(tmp_path / "leases")]
    assert main(["follow", str(out), "--keep", "3", "--rows", "1", "--seed", "5", *given]) == 0
    said = capsys.readouterr()
    assert said.out == "wrote 1 new row; train lists rows 0-3\n"
    assert "wrote row 3; train lists 1-3" in said.err
    assert rows_of(out)[-1] == (3, 5, 3)
    assert main(["follow", str(out), "--keep", "1"]) == 2
    assert main(["follow", str(tmp_path / "nothing")]) == 1


def test_interrupted_it_says_what_is_there(
    out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert main(["follow", str(out), "--keep", "3", "--jobs", "1", "--backend", "sequential"]) == 130
    said = capsys.readouterr().err
    assert "wrote 1 new row; train lists rows 0-3\ninterrupted: what is finished is kept" in said


def test_leases_of_other_splits_are_no_readers(out: Path) -> None:
    lease = Lease(out, [("g0001", "validation", 0), ("g0002", "train", 0)])
    assert held_rows(out, now=time.time())
    with pytest.raises(Ended):
        follow(out, keep=2, wait=never)
    assert listed(out) == [0, 1, 2]
    lease.close()

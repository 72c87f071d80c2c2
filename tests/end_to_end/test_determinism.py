"""The same bytes for any number of jobs, any backend, any cutting of the work, any order, fresh or resumed."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import precompute
from precompute.building import files, write
from precompute.building.task import Task
from precompute.dataset.manifest import Manifest
from precompute.records.example import decode_example
from precompute.records.tfrecord import read_records
from precompute.rendering.rebuild import RecordRebuilder
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, options, shard_hashes

SOURCES, VARIANTS = 16, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pairs(tmp_path_factory.mktemp("data"), SOURCES)


@pytest.fixture(scope="module")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("expected") / "out"
    precompute.build(folder, out, **options(variants=VARIANTS))
    return out


@pytest.fixture(scope="module")
def expected(built: Path) -> dict[str, str]:
    hashes = shard_hashes(built)
    assert len(set(hashes.values())) == len(hashes) == 2 * VARIANTS - VARIANTS + 1, "a shard a row, one a split"
    return hashes


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Any]:
    """Gives a new folder named out at each call: the name is in the files' names."""
    counter = itertools.count()
    return (tmp_path / str(n) / "out" for n in counter)


@pytest.mark.parametrize(
    ("backend", "jobs"),
    [("sequential", 1), ("loky", 1), ("loky", 2), ("loky", 3), ("threading", 1), ("threading", 2), ("threading", 3)],
)
def test_jobs_and_backends(folder: Path, expected: dict[str, str], tmp_path: Path, backend: str, jobs: int) -> None:
    precompute.build(folder, tmp_path / "out", **options(variants=VARIANTS, backend=backend, jobs=jobs))
    assert shard_hashes(tmp_path / "out") == expected


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.slow
def test_any_cutting_of_columns(
    folder: Path, expected: dict[str, str], fresh: Iterator[Path], monkeypatch: pytest.MonkeyPatch, data: st.DataObject
) -> None:
    def cut(columns: list[Task], **_: Any) -> list[Task]:
        tasks = []
        for column in columns:
            cuts = data.draw(st.sets(st.integers(1, len(column.rows)), max_size=VARIANTS))
            edges = sorted({0, len(column.rows), *cuts})
            tasks += [replace(column, rows=column.rows[a:b]) for a, b in itertools.pairwise(edges)]
        return data.draw(st.permutations(tasks))

    monkeypatch.setattr(write, "cut_columns", cut)
    out = next(fresh)
    precompute.build(folder, out, **options(variants=VARIANTS))
    assert shard_hashes(out) == expected


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(SOURCES)))
def test_listings_in_any_order(folder: Path, expected: dict[str, str], fresh: Iterator[Path], order: list[int]) -> None:
    sources = [
        precompute.Source(
            key=f"s{i:03d}", image=folder / "images" / f"s{i:03d}.png", mask=folder / "masks" / f"s{i:03d}.png"
        )
        for i in order
    ]
    out = next(fresh)
    precompute.build(sources, out, **options(variants=VARIANTS))
    assert shard_hashes(out) == expected


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.integers(1, VARIANTS), max_size=3))
def test_grown_or_built_at_once(
    folder: Path, expected: dict[str, str], fresh: Iterator[Path], steps: list[int]
) -> None:
    out = next(fresh)
    for variants in [*sorted(steps), VARIANTS]:
        precompute.build(folder, out, **options(variants=variants))
    assert shard_hashes(out) == expected


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_record_made_alone_equals_the_stored_one(built: Path, data: st.DataObject) -> None:
    manifest = Manifest.load(built)
    split = data.draw(st.sampled_from(list(manifest.splits)))
    row = data.draw(st.sampled_from(manifest.splits[split].rows))
    shards = [manifest.shard_path(built, split, row.row, b) for b in range(manifest.splits[split].num_blocks)]
    stored = data.draw(st.sampled_from([record for shard in shards for record in read_records(shard)]))
    key: Any = decode_example(stored)["augment/key"][0]
    assert RecordRebuilder(built, manifest).record(split, row, key.decode()) == stored


class Crash(BaseException):
    """Stands for the process ending: nothing in the code may catch it."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crashes=st.lists(st.integers(0, 60), min_size=1, max_size=4))
@pytest.mark.slow
def test_ended_at_any_commit_and_resumed(
    folder: Path, expected: dict[str, str], fresh: Iterator[Path], crashes: list[int]
) -> None:
    """Every file of a build gets its name through one function; the build is ended at any of its calls."""
    out = next(fresh)
    with pytest.MonkeyPatch.context() as patch:
        for after in crashes:
            left = iter([*range(after)])
            real = files.Path.replace

            def rename(self: Path, target: Path, left: Iterator[int] = left, real: Any = real) -> Path:
                if next(left, None) is None:
                    raise Crash
                return real(self, target)  # type: ignore[no-any-return]

            patch.setattr(files.Path, "replace", rename)
            try:
                precompute.build(folder, out, **options(variants=VARIANTS))
            except Crash:
                pass
            finally:
                patch.undo()
    result = precompute.build(folder, out, **options(variants=VARIANTS))
    assert shard_hashes(out) == expected
    assert result.manifest is not None and len(result.manifest.splits["train"].rows) == VARIANTS
    assert not any((out / ".build" / "tmp").glob("*"))


SCRIPT = """
import sys
from tests.helpers.small_datasets import options
import precompute
folder, out, variants = sys.argv[1], sys.argv[2], int(sys.argv[3])
if __name__ == "__main__":
    precompute.build(folder, out, **options(variants=variants, backend="loky", jobs=2))
"""


def start(folder: Path, out: Path, variants: int, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(out), str(variants)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.slow
def test_two_interpreters_with_other_hash_seeds(folder: Path, expected: dict[str, str], tmp_path: Path) -> None:
    outs = [tmp_path / number / "out" for number in ("1", "2")]
    running = [start(folder, out, VARIANTS, PYTHONHASHSEED=out.parent.name) for out in outs]
    assert [process.wait() for process in running] == [0, 0]
    assert [shard_hashes(out) for out in outs] == [expected, expected]


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed(tmp_path: Path) -> None:
    folder = draw_pairs(tmp_path / "data", 60)
    whole, out = tmp_path / "whole" / "out", tmp_path / "out"
    assert start(folder, whole, 60).wait() == 0
    most = sum(1 for path in whole.rglob("*") if path.is_file())
    chance, killed = random.Random(0), 0
    for _ in range(8):
        process = start(folder, out, 60)
        # By what is on disk rather than by time: machines differ. Temporary files and receipts count too.
        enough = sum(len(names) for _, _, names in os.walk(out)) + chance.randint(1, most // 4)
        while process.poll() is None and sum(len(names) for _, _, names in os.walk(out)) < enough:
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed >= 3, "the build ended before it could be killed: use more variants"
    assert start(folder, out, 60).wait() == 0
    assert shard_hashes(out) == shard_hashes(whole)

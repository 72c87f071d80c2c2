"""`precompute follow` beside a reader, each killed at random moments: nothing that a reader holds is lost."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

import precompute
from precompute.dataset.manifest import Manifest
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, options, rows_of

KILLS = 20
KEEP = 4
EPOCH_S = 0.15
# The real command; only that readers who are killed count as gone a little sooner than after five minutes.
FOLLOW = """
import sys
from precompute.cli import main
from precompute.dataset import leases
leases.EXPIRES_S = 5.0
sys.exit(main(sys.argv[1:]))
"""


class Running:
    """The two programs, each started again when it was killed."""

    def __init__(self, out: Path, log: Path) -> None:
        self._out = out
        self._output = log.with_suffix(".said").open("w+")
        follow = [sys.executable, "-c", FOLLOW, "follow", str(out), "--keep", str(KEEP), "--quiet"]
        reader = [
            sys.executable,
            str(ROOT / "tests/helpers/following_reader.py"),
            str(out),
            str(log),
            str(EPOCH_S),
        ]
        self._commands = {"follow": follow, "reader": reader}
        self._processes = {name: self._start(name) for name in self._commands}

    def _start(self, name: str, jobs: int = 1) -> subprocess.Popen[bytes]:
        backend = {1: ["--backend", "sequential"], 2: ["--jobs", "2"]}[jobs] if name == "follow" else []
        return subprocess.Popen([*self._commands[name], *backend], stderr=self._output, start_new_session=True)

    def check(self) -> None:
        """Neither may have ended by itself."""
        ended = [name for name, process in self._processes.items() if process.poll() is not None]
        self._output.seek(0)
        assert not ended, f"{ended} ended:\n{self._output.read()[-3000:]}"

    def kill(self, name: str, jobs: int) -> bool:
        """Kill one and start it again; returns whether rows were just being written."""
        os.killpg(self._processes[name].pid, signal.SIGKILL)
        self._processes[name].wait()
        writing = self.is_writing()
        self._processes[name] = self._start(name, jobs)
        return writing

    def is_writing(self) -> bool:
        """Whether a pass has begun and is not listed yet."""
        return bool(list((self._out / ".build").glob("*/receipts/*")) or list((self._out / ".build/tmp").glob("*")))

    def wait_for_writing(self, seconds: float) -> None:
        """Wait until a pass has begun, or for so long."""
        deadline = time.monotonic() + seconds
        while not self.is_writing() and time.monotonic() < deadline:
            time.sleep(0.001)

    def end(self) -> int:
        """End the reader, and interrupt the other; returns its exit code."""
        os.killpg(self._processes["reader"].pid, signal.SIGKILL)
        self._processes["reader"].wait()
        os.kill(self._processes["follow"].pid, signal.SIGINT)
        return self._processes["follow"].wait(60)

    def close(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._output.close()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills process groups")
def test_killed_at_random_moments_nothing_is_lost(tmp_path: Path) -> None:
    data, out, log = draw_pairs(tmp_path / "data", 300), tmp_path / "out", tmp_path / "log.jsonl"
    precompute.build(data, out, **options(variants=2, shard_size=40_000))
    chance, running = random.Random(0), Running(out, log)
    amidst = 0
    try:
        for kill in range(KILLS):
            time.sleep(chance.uniform(0.8, 2.8))
            running.check()
            whom = chance.choice(["follow", "follow", "reader"])
            if whom == "follow" and kill % 2:  # else chance alone decides whether a pass is hit
                running.wait_for_writing(10)
            amidst += running.kill(whom, jobs=2 if kill % 5 == 4 else 1) and whom == "follow"
            assert 2 <= len(rows_of(out)) <= KEEP
        deadline, before = time.monotonic() + 120, Manifest.load(out).splits["train"].next_row
        while Manifest.load(out).splits["train"].next_row < before + 4:  # it goes on after all that
            assert time.monotonic() < deadline
            running.check()
            time.sleep(0.2)
        assert running.end() == 130
    finally:
        running.close()
    print(f"\n{KILLS} kills, {amidst} of them while rows were being written", end="")
    assert amidst >= 3
    rows = rows_of(out)
    assert len(rows) == KEEP
    assert all((seed, variant) == (0, row) for row, seed, variant in rows)
    check_bytes(log, data, tmp_path / "whole" / "out")
    precompute.drop(out, rows=[rows[0][0]])  # sweeps what the last kill left
    assert precompute.verify(out, jobs=1, sources=20).problems == []
    unlisted = {path.name.split(".")[0][-4:] for path in (out / "data").rglob("*train_r*")} - {
        f"{row:04d}" for row, _, _ in rows
    }
    assert len(unlisted) <= KEEP  # of the reader that was killed last, no more


def check_bytes(log: Path, data: Path, whole: Path) -> None:
    """Compare all that readers saw with rows that were built undisturbed."""
    seen = sorted({tuple(json.loads(line)) for line in log.read_text().splitlines()})
    variants = max(row for _, row, _, _ in seen) + 1
    built = build_undisturbed(data, whole, variants)
    for generation, row, variant, _ in seen:
        assert (generation, row) == ("g0001", variant)
    others = [(row, sha256) for _, row, _, sha256 in seen if built[row] != sha256]
    if others:  # which of the two is wrong?
        with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
            again = fresh.submit(build_undisturbed, data, whole.parent / "again", variants).result()
        pytest.fail(f"rows {others} are not what was built; built once more: {[again[row] for row, _ in others]}")
    rows = sorted({row for _, row, _, _ in seen})
    assert len(seen) == len(rows) >= 10
    print(f"\n{len(rows)} rows were read, up to number {rows[-1]}", end="")


def build_undisturbed(data: Path, whole: Path, variants: int) -> list[str]:
    """Build a dataset without kills; returns the sha256 of each row's shards."""
    precompute.build(data, whole, **options(variants=variants, shard_size=40_000))
    manifest, num_blocks = Manifest.load(whole), Manifest.load(whole).splits["train"].num_blocks
    rows = [[manifest.shard_path(whole, "train", row, b) for b in range(num_blocks)] for row in range(variants)]
    return [hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest() for paths in rows]

"""Processes are killed at every named point of a build, and the next one goes on to the same bytes.

A point is what is done to which kind of file, just before or just after. A killed command is run again and killed at
another point, until it has come to its end; between kills a reader sees what was there before the command, or all of
what it makes, and never anything else.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from precompute.dataset.manifest import Manifest
from tests.helpers.late_failing_pipeline import redden
from tests.helpers.project import ROOT
from tests.helpers.small_datasets import draw_pairs, rows_seen, shard_hashes

SOURCES = 20  # two blocks of train, one of validation
MAX_RUNS = 800
HITS = 3  # of each point, all commands together
WITH_WORKERS = 0.08  # of the runs that end at what workers write


@dataclass(frozen=True)
class Command:
    """What is killed."""

    name: str
    command: str
    options: dict[str, Any] = field(default_factory=dict)
    least: int = 1  # hits of each of its points


FRAGILE = str(ROOT / "tests/helpers/late_failing_pipeline.py")  # one source fails in the second row
COMMANDS = [
    Command("build", "build", {"variants": 2}),
    Command("grow", "build", {"variants": 4}),
    Command("regenerate", "regenerate", {"seed": 7}),
    Command("drop", "drop", {"rows": [4, 6]}),
    Command("replace", "build", {"variants": 1, "pipeline": FRAGILE, "replace": True}, least=0),
    Command("a source falls out", "build", {"variants": 2, "pipeline": FRAGILE, "skip_bad": "1"}),
]


class Server:
    """The program that runs commands in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.data, self.report = redden(draw_pairs(folder / "data", SOURCES)), folder / "points.json"
        (folder / "site").mkdir()
        (folder / "site/sitecustomize.py").write_text(
            "from tests.helpers import crash_server\ncrash_server.arm_worker()\n"
        )
        found = {"PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)]), "JOBLIB_TEMP_FOLDER": str(folder)}
        self._output = (folder / "said.txt").open("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.crash_server"],
            env={**os.environ, **found},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
            text=True,
        )

    def run(self, command: Command, out: Path, point: str | None = None, nth: int = 1, jobs: int = 1) -> bool:
        """Run a command, to be killed at a point; returns whether it was."""
        order = {"command": command.command, "options": command.options, "out": str(out), "data": str(self.data)}
        order |= {"point": point, "nth": nth, "jobs": jobs, "report": str(self.report)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        if code not in (0, -signal.SIGKILL):
            self._output.seek(0)
            raise AssertionError(f"{command.name} failed on its way to {point}:\n{self._output.read()[-3000:]}")
        return code != 0

    def points(self, command: Command, out: Path) -> Counter[str]:
        """Run a command undisturbed; returns how often it came to each point."""
        self.run(command, out)
        return Counter(json.loads(self.report.read_text()))

    def close(self) -> None:
        """End the program."""
        self._process.communicate()
        self._output.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.close()


def listed(out: Path) -> Any:
    manifest = Manifest.load(out)
    return manifest.generation, manifest.splits, manifest.target, manifest.skipped


def kill_until(
    server: Server, command: Command, start: Path, whole: Path, wanted: Counter[str], chance: random.Random
) -> Counter[str]:
    """Kill a command again and again until each point has had its kills; returns the kills by point.

    A chain of kills goes on through the command's points until it is at its end; then another chain begins.

    Args:
        server: Runs it.
        command: What is killed.
        start: The dataset before.
        whole: The dataset after, made undisturbed.
        wanted: Kills that are wanted, by point, in the order in which the command comes to them.
        chance: Chooses points.
    """
    out, kills = whole.parent.parent / "killed" / "out", Counter[str]()
    may_see = [rows_seen(start), rows_seen(whole)]
    shutil.copytree(start, out)
    order, position, with_workers = {point: i for i, point in enumerate(wanted)}, 0, 0
    for _ in range(MAX_RUNS):
        ahead = [point for point in +wanted if order[point] >= position]
        point = min(chance.choices(ahead, k=2), key=lambda p: order[p]) if ahead else "none"
        workers = point.endswith((" shard", " column", " receipt")) and chance.random() < WITH_WORKERS
        killed = server.run(command, out, point, chance.choice([1, 1, 2]), jobs=2 if workers else 1)
        assert rows_seen(out) in may_see, f"{command.name}: a reader was misled by a kill {point}"
        if killed:
            kills[point] += 1
            with_workers += workers
            wanted[point] -= 1
            position = order[point]
            continue
        assert listed(out) == listed(whole), f"{command.name}: on its way to {point}"
        assert shard_hashes(out) == shard_hashes(whole), f"{command.name}: on its way to {point}"
        shutil.rmtree(out)
        if not +wanted:
            total = f"{kills.total()} kills at {len(kills)} points, {with_workers} with two workers"
            print(f"\n{command.name}: {total}", end="")
            return kills
        shutil.copytree(start, out)
        position = 0
    raise AssertionError(f"{command.name}: never came to {dict(+wanted)}")


@pytest.mark.slow
def test_killed_at_every_point_and_resumed(server: Server, tmp_path: Path) -> None:
    chance, kills = random.Random(0), Counter[str]()
    start, whole = tmp_path / "start" / "out", tmp_path / "whole" / "out"
    start.mkdir(parents=True)
    reached, starts = {}, {}
    for command in COMMANDS:
        starts[command.name] = tmp_path / command.name / "out"
        shutil.copytree(start, starts[command.name])
        reached[command.name] = server.points(command, start)
    left = Counter(point for points in reached.values() for point in points)
    for command in COMMANDS:
        shutil.copytree(starts[command.name], whole)
        server.run(command, whole)
        wanted = Counter[str]()
        for point in reached[command.name]:
            wanted[point] = max(command.least, -(-(HITS - kills[point]) // left[point]))
            left[point] -= 1  # commands that come to it
        kills += kill_until(server, command, starts[command.name], whole, wanted, chance)
        shutil.rmtree(whole)
    print(f"\n{kills.total()} kills:")
    for point, num in sorted(kills.items(), key=lambda item: item[0].split()[::-1]):
        print(f"{num:5} {point}")
    assert kills.total() >= 100
    assert min(kills.values()) >= HITS
    assert kills.keys() == left.keys()

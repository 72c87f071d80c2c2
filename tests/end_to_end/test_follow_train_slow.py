"""`precompute follow` beside `train fit`, both killed at random moments: no epoch and no row is lost."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.project import ROOT
from tests.helpers.small_datasets import rows_of
from tests.helpers.stored_records import Stored, build_rows

KEEP = 3
START_ROWS = 2
EPOCHS = 40
# The real command; only that readers who are killed count as gone a little sooner than after five minutes.
FOLLOW = """
import sys
from precompute.cli import main
from precompute.dataset import leases
leases.EXPIRES_S = 10.0
sys.exit(main(sys.argv[1:]))
"""


class Program:
    """A command that is started again with the same arguments whenever it was killed."""

    def __init__(self, folder: Path, name: str, *command: object) -> None:
        self._folder, self._name, self._command = folder, name, list(map(str, command))
        self.killed: list[int] = []
        self.start()

    def path(self, what: str, number: int) -> Path:
        """Return the file of what was said or logged by the process of this number."""
        return self._folder / f"{self._name}-{number}.{what}"

    def start(self) -> None:
        number = len(self.killed)
        command = [part.replace("LOG", str(self.path("log", number))) for part in self._command]
        with self.path("said", number).open("w") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    def output(self, number: int) -> str:
        return self.path("said", number).read_text()

    def check(self) -> None:
        """It may not have failed."""
        assert self.process.poll() in (None, 0), self.output(len(self.killed))

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.killed.append(self.process.pid)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a log that may be growing."""
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def table_of(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def train_to_the_end(out: Path, run: Path, folder: Path) -> Program:
    """Run both until the training, which is returned, is finished; each is killed several times on the way."""
    chance = random.Random(0)
    follow = Program(
        folder, "follow", sys.executable, "-c", FOLLOW, "follow", out, "--keep", KEEP, "--backend", "sequential"
    )
    telling = ROOT / "tests/helpers/logging_training.py"
    arguments = ["--epochs", EPOCHS, "--batch-size", 4, "--base-channels", 2, "--fresh", "off", "--checkpoint-every", 2]
    fit = Program(folder, "fit", sys.executable, telling, "LOG", "fit", out, "--run", run, *arguments)
    programs = {"follow": follow, "fit": fit}
    try:
        for name, amid in [("follow", 0), ("fit", 0), ("fit", 3), ("follow", 0), ("fit", 5), ("follow", 0), ("fit", 0)]:
            wait_for_epochs(chance.randint(2, 5), run, follow, fit)
            time.sleep(chance.uniform(0, 1))
            if amid:
                wait_for_batch(amid, fit)
            programs[name].kill()
            programs[name].start()
        wait_for_epochs(EPOCHS, run, follow, fit)
        assert fit.process.wait(120) == 0, fit.output(len(fit.killed))
        follow.check()
        os.kill(follow.process.pid, signal.SIGINT)
        assert follow.process.wait(60) == 130
    finally:
        follow.close()
        fit.close()
    return fit


def wait_for_epochs(number: int, run: Path, *programs: Program) -> None:
    """Wait until the run has so many epochs more, or all."""
    goal, deadline = min(EPOCHS, len(table_of(run / "history.csv")) + number), time.monotonic() + 600
    while len(table_of(run / "history.csv")) < goal:
        assert time.monotonic() < deadline
        for program in programs:
            program.check()
        time.sleep(0.05)


def wait_for_batch(number: int, fit: Program) -> None:
    """Wait until the training has taken at least so many batches of an epoch, of eight."""
    deadline = time.monotonic() + 600
    while True:
        lines = lines_of(fit.path("log", len(fit.killed)))
        begun = max((i for i, line in enumerate(lines) if "begins" in line), default=len(lines))
        if number <= sum("batch" in line for line in lines[begun:]) < 8:
            return
        assert time.monotonic() < deadline
        fit.check()
        time.sleep(0.02)


def continued_at(output: str) -> tuple[int, int]:
    """Return the epoch and the batch from which a process went on."""
    found = re.search(r"^continuing  after epoch (\d+)(?:, batch (\d+))?", output, re.MULTILINE)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def epochs_read(fit: Program) -> tuple[dict[int, list[list[str]]], set[int]]:
    """Return epoch → its batches, and the epochs whose row went away between two processes and was named.

    Of a process that was killed counts what came before the checkpoint from which the next one went on.
    """
    epochs: dict[int, list[list[str]]] = {}
    rows: dict[int, int] = {}
    named = set[int]()
    for number in range(len(fit.killed) + 1):
        first, batch = continued_at(fit.output(number))
        epoch = -1  # Keras looks at a batch before the first one begins
        for line in lines_of(fit.path("log", number)):
            if "begins" in line:
                epoch = line["begins"]
                epochs[epoch] = epochs[epoch][:batch] if (epoch, bool(batch)) == (first, True) else []
            elif "batch" in line:
                epochs.setdefault(epoch, []).append(line["batch"])
            elif (line["epoch"], bool(batch)) == (first, True) and line["row"] != rows[first]:
                assert f"row {rows[first]} (seed 0, variant {rows[first]}) is not in" in fit.output(number)
                named.add(first)
            if "row" in line and line["epoch"] == epoch:
                rows[epoch] = line["row"]
    return epochs, named


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills process groups")
def test_killed_at_random_moments_nothing_is_lost(tmp_path: Path) -> None:
    out, run = build_rows(tmp_path, num_rows=START_ROWS), tmp_path / "run"
    begun = time.monotonic()
    fit = train_to_the_end(out, run, tmp_path)

    history, readings = table_of(run / "history.csv"), table_of(run / "rows.csv")
    assert [int(entry["epoch"]) for entry in history] == list(range(1, EPOCHS + 1))
    assert [int(reading["epoch"]) for reading in readings] == list(range(1, EPOCHS + 1))
    assert all((reading["seed"], reading["variant"]) == ("0", reading["row"]) for reading in readings)
    rows = [int(reading["row"]) for reading in readings]
    print(f"\n{len(set(rows))} rows in {EPOCHS} epochs, {time.monotonic() - begun:.0f} s", end="")
    assert len(set(rows)) > KEEP
    check_choices(fit, rows)
    check_images(fit, rows, tmp_path)
    check_dataset(out, fit)


def check_choices(fit: Program, rows: list[int]) -> None:
    """Rows that were never read come first, then those that were not read for the longest time."""
    for number in range(len(fit.killed) + 1):
        first, batch = continued_at(fit.output(number))
        for line in lines_of(fit.path("log", number)):
            if "row" not in line or (line["epoch"] == first and batch):
                continue
            before = rows[: line["epoch"]]
            last_read = {row: epoch for epoch, row in enumerate(before)}
            assert last_read.get(line["row"], -1) == min(last_read.get(row, -1) for row in line["listed"])


def check_images(fit: Program, rows: list[int], folder: Path) -> None:
    """Each epoch has taken each image of its row once; the same rows, built undisturbed, tell which these are."""
    whole = Stored(build_rows(folder / "whole", num_rows=max(rows) + 1))
    names = {hashlib.sha256(pixels).hexdigest(): seen for pixels, seen in whole.by_pixels.items()}
    epochs, named = epochs_read(fit)
    middles = [batch for _, batch in (continued_at(fit.output(n + 1)) for n in range(len(fit.killed))) if batch]
    print(f"; {len(middles)} of {len(fit.killed)} kills within an epoch, rows gone by name: {len(named)}", end="")
    assert middles
    for epoch, row in enumerate(rows):
        seen = sorted(names[image] for batch in epochs[epoch] for image in batch)
        if epoch in named:
            assert sorted(key for _, key in seen) == whole.keys["train"]
        else:
            assert seen == whole.whole_row(row)


def check_dataset(out: Path, fit: Program) -> None:
    """It is whole, no longer than it should be, and held by none but those who were killed."""
    assert len(rows_of(out)) <= max(KEEP, START_ROWS)
    holders = [json.loads(path.read_text())["pid"] for path in (out / ".leases").glob("*.json")]
    assert set(holders) <= set(fit.killed)
    verify = [sys.executable, "-m", "precompute", "verify", str(out)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
